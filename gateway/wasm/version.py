"""Versions of WIT packages, as names of imports and exports have them."""

from __future__ import annotations

from typing import Final

__all__ = ["LIKE_0_3", "split_version", "track"]

LIKE_0_3: Final = "0.3.0-rc-2026-03-15"
"""The release candidate of WASI whose interfaces are those of 0.3.0, to the letter; tools still import them."""


def split_version(name: str) -> tuple[str, str | None]:
    """Split `ns:package/interface@version` at its version."""
    base, at, version = name.partition("@")
    return base, version if at else None


def track(version: str | None) -> str | None:
    """The versions that are interchangeable with one, as the engine's linker sees it.

    `0.2.x` are one track, `1.x.y` another; a pre-release only ever matches itself.
    """
    if version is None or "-" in version:
        return version
    core = version.partition("+")[0].split(".")
    significant = 1 if core[0] != "0" else 2 if core[1:2] != ["0"] else 3
    return ".".join(core[:significant])
