"""How long tests wait."""

from typing import Final

PATIENCE: Final = 300.0
"""Seconds that any wait takes at most before a test fails. As long as a component may take to compile by
default: on a busy machine the largest guests take minutes, and so does a start that waits for them. Only
what never happens runs into it."""
