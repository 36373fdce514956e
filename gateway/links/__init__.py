"""What stands behind the interfaces that components import by links: other ends, and what their calls come to."""
