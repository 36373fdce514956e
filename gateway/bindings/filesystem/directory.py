"""What guests do with names in directories. All of it blocks: it is for worker threads.

Each function gets directories that are open, and paths relative to them as the guest gave them. Each raises
`FilesystemError`, for which `path_resolution` has the reasons that lie in paths, or the `OSError` of the
system. None lets the system follow a symbolic link: what `beneath` has not resolved stays a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from functools import partial

from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError
from gateway.bindings.filesystem.handle import Handle
from gateway.bindings.filesystem.path_resolution import Location, beneath
from gateway.bindings.filesystem.timestamps import set_timestamps
from gateway.host.values import Variant

__all__ = [
    "create_directory_at",
    "link_at",
    "open_at",
    "readlink_at",
    "remove_directory_at",
    "rename_at",
    "set_times_at",
    "stat_at",
    "symlink_at",
    "sync_directory",
    "unlink_file_at",
]


def open_at(
    base: Handle, path: str, follow: bool, open_flags: Collection[str], flags: Collection[str]
) -> Handle:
    """Open a regular file or a directory.

    Anything else is `unsupported`: to open a FIFO or a device can block for ever, and does things to the
    device. It is looked at before it is opened, for the sake of devices, and again afterwards, for the sake
    of whoever replaces it in between; and O_NONBLOCK keeps the call from waiting for the other end of a FIFO.

    Args:
        base: the directory that the path is relative to.
        path: the guest's path.
        follow: whether to follow a symbolic link at its end.
        open_flags: the WIT `open-flags`.
        flags: the WIT `descriptor-flags`; for reading if it is not for writing.
    """
    create = "create" in open_flags
    exclusive = create and "exclusive" in open_flags
    system_flags = _system_flags(open_flags, flags)
    # POSIX: with O_CREAT and O_EXCL, a symbolic link at the end exists, whatever it leads to.
    with beneath(base, path, follow=follow and not exclusive) as at:
        if at.slash:
            if create:
                raise FilesystemError(ErrorCode.IS_DIRECTORY)
            system_flags |= os.O_DIRECTORY
        try:
            _refuse_special(_lstat(at).st_mode)
        except FileNotFoundError:
            if not create:
                raise
        with base.share.opening() as place:
            fd = os.open(at.name, system_flags, 0o666, dir_fd=at.directory)
        handle = Handle(fd, base.share, place)
    try:
        _refuse_special(handle.mode)
    except FilesystemError:
        handle.release()
        raise
    return handle


def _system_flags(open_flags: Collection[str], flags: Collection[str]) -> int:
    result = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    if "write" in flags:
        result |= os.O_RDWR if "read" in flags else os.O_WRONLY
    elif "truncate" in open_flags:
        result |= os.O_RDWR  # POSIX does not say what O_TRUNC does with O_RDONLY
    for name, flag in (
        ("create", os.O_CREAT),
        ("directory", os.O_DIRECTORY),
        ("exclusive", os.O_EXCL),
        ("truncate", os.O_TRUNC),
    ):
        if name in open_flags:
            result |= flag
    return result


def _refuse_special(mode: int) -> None:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise FilesystemError(ErrorCode.UNSUPPORTED)


def stat_at(base: Handle, path: str, follow: bool) -> os.stat_result:
    """What the system says of an object."""
    with beneath(base, path, follow=follow) as at:
        return _stat(at)


def set_times_at(
    base: Handle, path: str, follow: bool, access: Variant, modification: Variant
) -> None:
    """Set the times of an object; each a WIT `new-timestamp`."""
    with beneath(base, path, follow=follow) as at:
        utime = partial(os.utime, at.name, dir_fd=at.directory, follow_symlinks=False)
        set_timestamps(utime, _stat(at), access, modification)


def create_directory_at(base: Handle, path: str) -> None:
    """Make a directory."""
    with beneath(base, path, follow=False) as at:
        os.mkdir(at.name, dir_fd=at.directory)


def link_at(old_base: Handle, old_path: str, new_base: Handle, new_path: str) -> None:
    """Make a hard link, of a symbolic link to that link itself."""
    with (
        beneath(old_base, old_path, follow=False) as old,
        beneath(new_base, new_path, follow=False) as new,
    ):
        if old.slash:
            _require_directory(old)
        _refuse_slash(new)
        os.link(
            old.name,
            new.name,
            src_dir_fd=old.directory,
            dst_dir_fd=new.directory,
            follow_symlinks=False,
        )


def symlink_at(base: Handle, target: str, path: str) -> None:
    """Make a symbolic link. Any relative target will do: where it leads is looked at when it is followed."""
    if target.startswith("/"):
        raise FilesystemError(ErrorCode.NOT_PERMITTED)
    if "\0" in target:
        raise FilesystemError(ErrorCode.INVALID)
    with beneath(base, path, follow=False) as at:
        _refuse_slash(at)
        os.symlink(target.encode(), at.name, dir_fd=at.directory)


def readlink_at(base: Handle, path: str) -> str:
    """The content of a symbolic link, which must be relative and UTF-8."""
    with beneath(base, path, follow=False) as at:
        if at.slash:
            _require_directory(at)
        target = os.readlink(at.name, dir_fd=at.directory)
    if target.startswith(b"/"):
        raise FilesystemError(ErrorCode.NOT_PERMITTED)
    try:
        return target.decode()
    except UnicodeDecodeError:
        raise FilesystemError(ErrorCode.ILLEGAL_BYTE_SEQUENCE) from None


def remove_directory_at(base: Handle, path: str) -> None:
    """Remove an empty directory."""
    with beneath(base, path, follow=False) as at:
        os.rmdir(at.name, dir_fd=at.directory)


def unlink_file_at(base: Handle, path: str) -> None:
    """Remove what is no directory."""
    with beneath(base, path, follow=False) as at:
        if at.slash:
            _require_directory(at)
        if stat.S_ISDIR(_lstat(at).st_mode):
            raise FilesystemError(ErrorCode.IS_DIRECTORY)  # POSIX lets systems say EPERM
        os.unlink(at.name, dir_fd=at.directory)


def rename_at(old_base: Handle, old_path: str, new_base: Handle, new_path: str) -> None:
    """Rename an object, and replace what had the name before."""
    with (
        beneath(old_base, old_path, follow=False) as old,
        beneath(new_base, new_path, follow=False) as new,
    ):
        if old.slash or new.slash:
            _require_directory(old)
        os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)


def sync_directory(base: Handle) -> None:
    """Have the names in a directory written to the disk."""
    # A directory that was opened to look up names only cannot be synchronized.
    with base.share.holding():
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=base.fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _lstat(at: Location) -> os.stat_result:
    return os.stat(at.name, dir_fd=at.directory, follow_symlinks=False)


def _stat(at: Location) -> os.stat_result:
    """What the system says of an object, which must be a directory if a slash follows its name."""
    if at.slash:
        _require_directory(at)
    return _lstat(at)


def _require_directory(at: Location) -> None:
    if not stat.S_ISDIR(_lstat(at).st_mode):
        raise FilesystemError(ErrorCode.NOT_DIRECTORY)


def _refuse_slash(at: Location) -> None:
    """Refuse to make something that is no directory under a name that a slash follows."""
    if at.slash:
        _require_directory(at)
        raise FilesystemError(ErrorCode.EXIST)
