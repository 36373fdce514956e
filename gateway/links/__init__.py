"""What stands behind interfaces that components import by links: other ends, and what calls of them come to."""
