"""What the outside may call."""
