"""Versions of WIT packages, as names of imports and exports have them."""

from __future__ import annotations

__all__ = ["split_version", "track"]


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
