"""Outbound HTTP over real sockets: peers on loopback that behave and misbehave, and guests that talk to them."""
