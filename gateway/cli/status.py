"""The exit statuses of the program, besides 0. `gateway call` has some more of its own."""

from __future__ import annotations

from typing import Final

__all__ = ["FAILED", "REFUSED"]

FAILED: Final = 1
"""What was asked for could not be done."""

REFUSED: Final = 2
"""What was asked for is wrong: usage, configuration, component."""
