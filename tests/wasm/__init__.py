"""Binaries, without an engine that runs them."""
