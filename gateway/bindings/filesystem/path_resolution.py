"""Paths that guests give, resolved below a directory and never out of it.

The system resolves a path as it is at that moment, through whatever links there are, so a check made before
says nothing about it. Here the system never sees a path, only one name at a time, relative to a directory
that is held open, and it is told not to follow a link there. Links are read and resolved in the same way,
`..` goes back to the directory that the walk came from, and never asks the system. What others rename or
replace meanwhile can make a walk fail, or end in another place below the directory; it has no way to lead
elsewhere.

This is the manual resolution that `path-resolution.md` of wasi-filesystem describes. Linux can do the same in
one call, `openat2` with RESOLVE_BENEATH. It is not used here, only in the tests, which let it check the walk:
Python has no binding for it, some container runtimes refuse it, and what must not or cannot be opened (what is to
be renamed, or is not there yet) needs its directory to be found all the same.

A link can be absolute and point into the folder, and be refused still: what an absolute path means to the
host is not what it means to the guest. The links in /proc that stand for open files are refused or not found
like any other, as the text that they pretend to hold is all that counts.

Source: `wasi:filesystem@0.2.12`, `types.wit`, introduction; `path-resolution.md`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from gateway.bindings.descriptors import Place
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError
from gateway.bindings.filesystem.handle import Handle

__all__ = ["MAX_DEPTH", "MAX_LINKS", "MAX_PATH", "SEARCH_DIRECTORY", "Location", "beneath"]

MAX_PATH: Final = 4095
"""Bytes of a path. Keeps a guest from having a worker walk for minutes; the same number as in Linux."""

MAX_LINKS: Final = 40
"""Symbolic links of one walk. Ends loops of links; the same number as in Linux."""

MAX_DEPTH: Final = 128
"""Directories that one walk enters, each of them held open until its end. Keeps a guest that has nested
thousands of directories from taking all file descriptors of its component. Arbitrary; what is deeper can be
reached from the descriptor of a directory on the way."""

SEARCH_DIRECTORY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
"""Flags that open a directory to look up names in it. Where there is O_PATH, that takes no right to read it."""

_ENTER: Final = SEARCH_DIRECTORY | os.O_NOFOLLOW


class Location(NamedTuple):
    """Where a path ends.

    Attributes:
        directory: the file descriptor of the directory that holds the object, open while the walk's context
            is.
        name: the object's name there, which may not exist; `.` where the path ends in that directory itself.
            It may be a symbolic link, so it must only be used in ways that do not follow one.
        slash: whether the path ends with a slash, so that only a directory may be there.
    """

    directory: int
    name: bytes
    slash: bool


@contextmanager
def beneath(base: Handle, path: str, *, follow: bool) -> Iterator[Location]:
    """Resolve a path. Blocks.

    Args:
        base: the directory that the path is relative to.
        path: what the guest gave.
        follow: whether to resolve a symbolic link at the end of the path too. It is also where a slash
            follows it.

    Raises:
        FilesystemError: `not-permitted` if the path is absolute or leads out of the base; `invalid` if it has
            a NUL; `no-entry` if it is empty; `name-too-long`, `loop`.
        OSError: the system refuses a step.
    """
    encoded = path.encode()
    if b"\0" in encoded:
        raise FilesystemError(ErrorCode.INVALID)
    if len(encoded) > MAX_PATH:
        raise FilesystemError(ErrorCode.NAME_TOO_LONG)
    if not encoded:
        raise FilesystemError(ErrorCode.NO_ENTRY)
    walk = _Walk(base)
    try:
        yield _walk(walk, encoded, follow=follow)
    finally:
        while walk.depth:
            walk.leave()


class _Walk:
    """The directories that a walk is in, each held open. The base is the first, and no part of the depth."""

    def __init__(self, base: Handle) -> None:
        self.depth = 0
        self._share = base.share
        self._entered: list[tuple[int, Place | None]] = [(base.fd, None)]

    @property
    def directory(self) -> int:
        return self._entered[-1][0]

    def enter(self, name: bytes) -> None:
        with self._share.opening() as place:
            directory = os.open(name, _ENTER, dir_fd=self.directory)
        self._entered.append((directory, place))
        self.depth += 1

    def leave(self) -> None:
        directory, place = self._entered.pop()
        self.depth -= 1
        os.close(directory)
        if place is not None:
            place.release()


def _walk(walk: _Walk, path: bytes, *, follow: bool) -> Location:
    """Go from the base to where the path ends."""
    ahead: list[bytes] = []
    slash = False
    for _ in range(MAX_LINKS + 1):
        # First the guest's path, then the content of each link that is in the way.
        if path.startswith(b"/"):
            raise FilesystemError(ErrorCode.NOT_PERMITTED)
        slash = slash or (not ahead and path.endswith(b"/"))
        ahead += [name for name in reversed(path.split(b"/")) if name]
        link = _advance(walk, ahead, follow=follow or slash)
        if link is None:
            return Location(walk.directory, ahead[0] if ahead else b".", slash)
        path = link
    raise FilesystemError(ErrorCode.LOOP)


def _advance(walk: _Walk, ahead: list[bytes], *, follow: bool) -> bytes | None:
    """Go on by the names ahead, the next of which is the last of the list.

    Returns:
        The content of the link that was the last name taken; None at the end, where one name is left, or none
        after a `..`.
    """
    while ahead:
        name = ahead[-1]
        link = None
        if name == b"..":
            if walk.depth == 0:
                raise FilesystemError(ErrorCode.NOT_PERMITTED)
            walk.leave()
        elif len(ahead) == 1:
            link = _read_link(walk.directory, name) if follow else None
            if link is None:
                break
        elif name != b".":
            link = _enter(walk, name)
        ahead.pop()
        if link is not None:
            return link
    return None


def _enter(walk: _Walk, name: bytes) -> bytes | None:
    """Enter a directory; returns what the name links to, if that is what it does."""
    if walk.depth >= MAX_DEPTH:
        raise FilesystemError(ErrorCode.NAME_TOO_LONG)
    try:
        walk.enter(name)
    except OSError as error:
        # Which of the two a symbolic link gives differs from system to system.
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        link = _read_link(walk.directory, name)
        if link is None:
            raise
        return link
    return None


def _read_link(directory: int, name: bytes) -> bytes | None:
    """What a name links to; None if it is no symbolic link, or there is none."""
    try:
        return os.readlink(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
