"""The guides: what they say is so."""
