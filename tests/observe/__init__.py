"""What is told of the gateway's work."""
