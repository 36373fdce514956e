"""wasi:filesystem, paths: the walk ends where that of the kernel does, in trees that nobody would think of."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bindings.filesystem import directory
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError, error_code
from gateway.bindings.filesystem.mount import Mount

SYS_OPENAT2: Final = 437
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_BENEATH: Final = 0x08

Outcome = tuple[int, int] | ErrorCode
"""Which file was opened, or why none was."""


class OpenHow(ctypes.Structure):
    """`struct open_how` of `openat2(2)`."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def kernel(folder: int, path: str, *, follow: bool) -> Outcome:
    """What `openat2` with RESOLVE_BENEATH makes of a path."""
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    how = OpenHow(flags, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(
        ctypes.c_long(SYS_OPENAT2),
        ctypes.c_int(folder),
        ctypes.c_char_p(path.encode()),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if fd < 0:
        number = ctypes.get_errno()
        # What the kernel calls another device is outside.
        return ErrorCode.NOT_PERMITTED if number == errno.EXDEV else error_code(OSError(number, ""))
    status = os.fstat(fd)
    os.close(fd)
    return status.st_dev, status.st_ino


def walk(mount: Mount, path: str, *, follow: bool) -> Outcome:
    """What a guest gets."""
    try:
        handle = directory.open_at(mount.handle, path, follow, (), ("read",))
    except FilesystemError as error:
        return error.code
    except OSError as error:
        return error_code(error)
    identity = handle.identity
    handle.release()
    return identity


def _has_openat2() -> bool:
    try:
        fd = os.open("/", os.O_RDONLY)
    except OSError:
        return False
    try:
        return isinstance(kernel(fd, ".", follow=True), tuple)
    finally:
        os.close(fd)


PARTS: Final = st.sampled_from(["a", "b", "c", ".", "..", "..", ""])
RELATIVE: Final = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
TARGETS: Final = st.one_of(
    RELATIVE, st.sampled_from(["/", "/a", "/etc", "/proc/self/root"])
).filter(bool)
NAMES: Final = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
OBJECTS: Final = st.one_of(
    st.sampled_from(["file", "directory"]), TARGETS.map(lambda to: f"link {to}")
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder for all trees, so that there is something above each of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for outside in "abc":
            (folder / outside).write_text("outside")
        yield folder


def plant(root: Path, tree: dict[str, str]) -> None:
    """Make the objects of a tree, as far as each has a directory to be in; through links nothing is made."""
    for name, kind in sorted(tree.items()):
        path = root / name
        parents = [parent for parent in path.parents if parent.is_relative_to(root)]
        if any(parent.is_symlink() or not parent.is_dir() for parent in parents):
            continue
        if kind == "directory":
            path.mkdir()
        elif kind == "file":
            path.touch()
        else:
            path.symlink_to(kind.removeprefix("link "))


@pytest.mark.skipif(
    not _has_openat2(), reason="the kernel has no openat2, or does not let it be used"
)
@settings(max_examples=300, deadline=None)
@given(
    tree=st.dictionaries(NAMES, OBJECTS, max_size=10),
    paths=st.lists(RELATIVE, min_size=1, max_size=8),
)
def test_the_kernel_agrees(scratch: Path, tree: dict[str, str], paths: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        root = Path(name, "root")
        root.mkdir()
        plant(root, tree)
        mount = Mount(root, "/")
        try:
            for path in paths:
                for follow in (False, True):
                    ours = walk(mount, path, follow=follow)
                    assert ours == kernel(mount.handle.fd, path, follow=follow), (path, follow)
        finally:
            mount.close()
