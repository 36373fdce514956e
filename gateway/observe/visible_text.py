"""Text as it may be written where a terminal, or a reader of lines, would take some characters for commands."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["visible"]

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal, or a reader of lines, does not take for a character: C0, DEL, C1, and the marks and separators
of Unicode that end a line or turn its direction."""


def visible(text: str, but: str = "") -> str:
    """Write each character of control in a text as its number, but for some."""
    if text.isprintable():
        return text
    return _CONTROLS.sub(lambda found: found[0] if found[0] in but else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
