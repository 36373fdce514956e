"""What is told of the gateway's work: events, metrics, logs, spans, and what holds the event loop."""
