"""The paths under which guests find folders of the host."""

from __future__ import annotations

__all__ = ["guest_path"]


def guest_path(text: str) -> str:
    """A path for guests to find a mount under, as it is written in a configuration.

    Returns:
        The path without a slash at its end, except for `/` itself.

    Raises:
        ValueError: it is not absolute, or has a component that is no name.
    """
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not absolute; write it as a guest sees it, such as /data")
    if "\0" in text:
        raise ValueError("a path cannot contain a NUL")
    path = text.rstrip("/") or "/"
    names = path.split("/")[1:]
    if path != "/" and any(name in {"", ".", ".."} for name in names):
        raise ValueError(f"{text!r} has an empty, `.` or `..` component; write the path without")
    return path
