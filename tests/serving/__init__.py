"""Components in service."""
