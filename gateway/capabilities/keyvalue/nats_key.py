"""Keys of any text as keys of NATS, which have few characters, and back."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["decode", "encode", "subject_of"]

_ESCAPED: Final = re.compile(rb"[^-/_.a-zA-Z0-9]|^\.|(?<=\.)\.|\.\Z")
"""Bytes that cannot be in a key, and dots that would follow an empty word of the subject, or be followed by none:
all but `=`, which begins an escape, are what NATS does not take. Of several dots the first stays, whatever follows
a prefix that ends with it."""


def encode(key: str) -> str:
    """A key as NATS takes it: `=` and two hexadecimal digits for each byte of UTF-8 that cannot stay as it is."""
    return _ESCAPED.sub(lambda match: b"=%02X" % match[0][0], key.encode()).decode()


def decode(name: str) -> str | None:
    """The key that NATS knows by this name; None if another program has made one that is nothing encoded."""
    try:
        key = re.sub(rb"=([0-9A-F]{2})", lambda match: bytes((int(match[1], 16),)), name.encode())
        text = key.decode()
    except UnicodeDecodeError:
        return None
    return text if encode(text) == name else None


def subject_of(prefix: str) -> str:
    """The narrowest pattern of names, in words of a subject, that all keys with a prefix have."""
    whole, dot, _ = encode(prefix + "x").rpartition(".")
    return f"{whole}{dot}>"
