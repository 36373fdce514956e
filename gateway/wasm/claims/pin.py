"""Digest pinning: a component's file must have the SHA-256 that its configuration names."""

from __future__ import annotations

import re
from typing import Final

from gateway.wasm.claims.errors import OtherDigest

__all__ = ["check_pin", "parse_sha256"]

# Image registries write the algorithm before it.
_PREFIX: Final = "sha256:"
_SHA256: Final = re.compile("[0-9a-f]{64}")


def parse_sha256(value: object) -> str:
    """Read a SHA-256 in hexadecimal, of either case, with or without "sha256:" before it.

    Returns:
        64 lower-case digits.

    Raises:
        OtherDigest: it is none.
    """
    text = value.lower().removeprefix(_PREFIX) if isinstance(value, str) else ""
    if _SHA256.fullmatch(text) is None:
        raise OtherDigest(
            "must be a SHA-256 of 64 hexadecimal digits, as gateway inspect and sha256sum print it"
        )
    return text


def check_pin(digest: str, pinned: str | None) -> None:
    """Check that a file is the one that was pinned.

    Args:
        digest: the SHA-256 of the whole file, its token included, in lower-case hexadecimal.
        pinned: what it must be, as `parse_sha256` returns it; None if any will do.

    Raises:
        OtherDigest: it is another one.
    """
    if pinned is not None and digest != pinned:
        raise OtherDigest(
            f"the file's SHA-256 is {digest}, and sha256 pins it to {pinned}. Get the file that was pinned, or, "
            "if this is the one that is wanted, set sha256 to its digest."
        )
