"""The words of HTTP."""
