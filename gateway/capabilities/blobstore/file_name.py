"""Names of objects and containers as names of files: any name, whatever is in it, and back.

Bytes of a name that are not lower-case letters, digits, `-`, `_` or an inner `.` are written as `%` and two digits
in hexadecimal, so that no file system takes one name for another or for a way to elsewhere; and `%` alone is the
empty name. What is longer than a file's name may be goes on in a folder, whose name ends in `+`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["MORE", "file_name", "names_below", "original_name"]

MORE: Final = "+"
"""What the name of a folder ends in where a name goes on."""

_PART: Final = 240
"""Characters of one part. Most file systems have 255."""

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_ENCODED: Final = tuple(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in range(256))
_ESCAPE: Final = re.compile("%([0-9a-f]{2})")


def file_name(name: str) -> str:
    """The relative path of what has a name."""
    encoded = "".join(map(_ENCODED.__getitem__, name.encode())) or "%"
    if encoded.startswith("."):
        encoded = "%2e" + encoded[1:]
    *parts, last = [encoded[at : at + _PART] for at in range(0, len(encoded), _PART)]
    return "/".join([*(part + MORE for part in parts), last])


def original_name(path: str) -> str | None:
    """The name that a relative path was made of; None if it was made of none."""
    encoded = path.replace(MORE + "/", "")
    if encoded == "%":
        return ""
    data = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), encoded)
    try:
        name = data.encode("latin-1").decode()
    except UnicodeError:
        return None
    return name if file_name(name) == path else None


def names_below(
    folder: str, *, folders: bool, path: str = ""
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The names that are in a folder, each with where it is.

    Args:
        folder: the folder.
        folders: whether they are names of folders, rather than of files.
        path: the path in there where to begin, as far as names go on.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and entry.name.endswith(MORE):
                try:
                    yield from names_below(entry.path, folders=folders, path=f"{path}{entry.name}/")
                except (FileNotFoundError, NotADirectoryError):
                    continue  # its last file has gone meanwhile
            elif is_folder if folders else entry.is_file(follow_symlinks=False):
                name = original_name(path + entry.name)
                if name is not None:
                    yield name, entry
