"""The interfaces of `wasi:filesystem`, on top of what the other modules of this folder do.

Where the reference and the text of WIT part, this follows the reference, which is what guests in the wild
were made with: a mount that is not writable answers `not-permitted` where WIT has `read-only`, and
`mutate-directory` is a flag to read, not to set.

Source: `wasi:filesystem@0.2.12`, `types.wit`, `preopens.wit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.bindings.context import WasiCtx
from gateway.bindings.fallible import fallible, fallible_async
from gateway.bindings.filesystem import directory, file
from gateway.bindings.filesystem.descriptor import Descriptor
from gateway.bindings.filesystem.directory_entries import DirectoryEntryStream, read_directory
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError, error_code
from gateway.bindings.filesystem.file import MAX_OFFSET
from gateway.bindings.filesystem.handle import Handle, in_worker
from gateway.bindings.filesystem.open_files import OpenFiles
from gateway.bindings.filesystem.status import descriptor_stat, descriptor_type, metadata_hash
from gateway.bindings.filesystem.streams import FileInputStream, FileOutputStream
from gateway.bindings.io import MAX_READ, IoError
from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from gateway.host.values import Variant

__all__ = ["INTERFACES"]


preopens = HostInterface("wasi:filesystem/preopens", "0.2.12", key="mounts")
types = HostInterface("wasi:filesystem/types", "0.2.12")
INTERFACES = (preopens, types)


def _code(failure: FilesystemError | OSError) -> ErrorCode:
    return failure.code if isinstance(failure, FilesystemError) else error_code(failure)


_fallible = fallible(FilesystemError, err=_code)
_fallible_async = fallible_async(FilesystemError, OSError, err=_code)


def _offset(value: int) -> int:
    """An offset or a size that the system knows.

    Raises:
        FilesystemError: `invalid`, which is what POSIX has for a negative one.
    """
    if value > MAX_OFFSET:
        raise FilesystemError(ErrorCode.INVALID)
    return value


@preopens.function("get-directories")
def get_directories(ctx: WasiCtx) -> list[tuple[Resource, str]]:
    """The preopened directories and their paths, each time with new descriptors."""
    return [(Descriptor.preopened(mount), mount.guest) for mount in ctx.of(OpenFiles).mounts]


@types.function("filesystem-error-code")
def filesystem_error_code(_ctx: WasiCtx, err: IoError) -> ErrorCode | None:
    """The `error-code` in an error of a stream, if a file is where it came from."""
    return err.code if isinstance(err.code, ErrorCode) else None


# --- files and directories ---------------------------------------------------------------------------------


@types.method("descriptor", "get-flags")
def get_flags(_ctx: WasiCtx, this: Descriptor) -> frozenset[str]:
    """How it was opened."""
    return this.flags


@types.method("descriptor", "get-type")
def get_type(_ctx: WasiCtx, this: Descriptor) -> str:
    """What it is."""
    return descriptor_type(this.handle.mode)


@types.method("descriptor", "is-same-object")
def is_same_object(_ctx: WasiCtx, this: Descriptor, other: Descriptor) -> bool:
    """Whether two descriptors are of one file."""
    return this.handle.identity == other.handle.identity


@types.method("descriptor", "metadata-hash")
def get_metadata_hash(_ctx: WasiCtx, this: Descriptor) -> dict[str, int]:
    """A hash that is the same for all descriptors and names of a file."""
    return metadata_hash(this.handle.identity)


@types.method("descriptor", "stat", blocking=True)
@_fallible_async
async def stat(_ctx: WasiCtx, this: Descriptor) -> dict[str, Any]:
    """Its attributes."""
    return descriptor_stat(await in_worker(file.stat, this.handle))


@types.method("descriptor", "set-times", blocking=True)
@_fallible_async
async def set_times(
    _ctx: WasiCtx, this: Descriptor, access: Variant, modification: Variant
) -> None:
    """Set its times."""
    this.require_writable()
    if this.is_directory:
        await in_worker(directory.set_times_at, this.handle, ".", False, access, modification)
    else:
        await in_worker(file.set_times, this.handle, access, modification)


@types.method("descriptor", "sync", blocking=True)
@_fallible_async
async def sync(_ctx: WasiCtx, this: Descriptor) -> None:
    """Have it written to the disk; of a directory, the names in it.

    As WIT has it, this does nothing for what was not opened for writing.
    """
    await _sync(this, file.sync)


@types.method("descriptor", "sync-data", blocking=True)
@_fallible_async
async def sync_data(_ctx: WasiCtx, this: Descriptor) -> None:
    """Have its content written to the disk; of a directory, the names in it."""
    await _sync(this, file.sync_data)


async def _sync(this: Descriptor, sync_file: Callable[..., None]) -> None:
    if "mutate-directory" in this.flags:
        await in_worker(directory.sync_directory, this.handle)
    elif "write" in this.flags:
        await in_worker(sync_file, this.handle)


# --- files -------------------------------------------------------------------------------------------------


@types.method("descriptor", "read", blocking=True)
@_fallible_async
async def read(_ctx: WasiCtx, this: Descriptor, length: int, offset: int) -> tuple[bytes, bool]:
    """Up to `length` bytes, as many as one read of a stream returns at most, and whether there were none left."""
    handle = this.require_file()
    data = await in_worker(file.read, handle, min(length, MAX_READ), _offset(offset))
    return data, not data


@types.method("descriptor", "write", blocking=True, cuts=True)
@_fallible_async
async def write(ctx: WasiCtx, this: Descriptor, buffer: bytes, offset: int) -> int:
    """Write bytes; returns how many, which may be less than all."""
    handle = this.require_file()
    this.require_writable()
    try:
        return await in_worker(file.write, handle, buffer, _offset(offset))
    finally:
        ctx.of(OpenFiles).modified(handle.identity)


@types.method("descriptor", "set-size", blocking=True)
@_fallible_async
async def set_size(ctx: WasiCtx, this: Descriptor, size: int) -> None:
    """Cut the file off, or add zeroes."""
    handle = this.require_file()
    this.require_writable()
    if "write" not in this.flags:
        raise FilesystemError(ErrorCode.INVALID)  # as POSIX has it for ftruncate
    try:
        await in_worker(file.set_size, handle, _offset(size))
    finally:
        ctx.of(OpenFiles).modified(handle.identity)


@types.method("descriptor", "advise", blocking=True)
@_fallible_async
async def advise(_ctx: WasiCtx, this: Descriptor, offset: int, length: int, advice: str) -> None:
    """Tell the system how the file will be used."""
    handle = this.require_file()
    await in_worker(file.advise, handle, _offset(offset), _offset(length), advice)


@types.method("descriptor", "read-via-stream")
@_fallible
def read_via_stream(ctx: WasiCtx, this: Descriptor, offset: int) -> FileInputStream:
    """A stream that reads the file from an offset on."""
    if this.is_directory:
        raise FilesystemError(ErrorCode.IS_DIRECTORY)
    if "read" not in this.flags:
        raise FilesystemError(ErrorCode.BAD_DESCRIPTOR)
    return FileInputStream(this.handle, _offset(offset), ctx.of(OpenFiles))


@types.method("descriptor", "write-via-stream")
@_fallible
def write_via_stream(ctx: WasiCtx, this: Descriptor, offset: int) -> FileOutputStream:
    """A stream that writes to the file from an offset on."""
    return _output_stream(ctx, this, _offset(offset))


@types.method("descriptor", "append-via-stream")
@_fallible
def append_via_stream(ctx: WasiCtx, this: Descriptor) -> FileOutputStream:
    """A stream that writes after the end of the file."""
    return _output_stream(ctx, this, None)


def _output_stream(ctx: WasiCtx, this: Descriptor, offset: int | None) -> FileOutputStream:
    handle = this.require_file()
    this.require_writable()
    if "write" not in this.flags:
        raise FilesystemError(ErrorCode.BAD_DESCRIPTOR)
    return FileOutputStream(handle, offset, ctx.of(OpenFiles))


# --- directories -------------------------------------------------------------------------------------------

_SYNCHRONIZED: Final = frozenset(
    ("file-integrity-sync", "data-integrity-sync", "requested-write-sync")
)


@types.method("descriptor", "open-at", blocking=True)
@_fallible_async
async def open_at(  # noqa: PLR0917 - WIT's own
    ctx: WasiCtx,
    this: Descriptor,
    path_flags: frozenset[str],
    path: str,
    open_flags: frozenset[str],
    flags: frozenset[str],
) -> Descriptor:
    """Open a file or directory."""
    base = this.require_directory()
    if open_flags & {"create", "truncate"} or "write" in flags:
        this.require_writable()
    if flags & _SYNCHRONIZED:
        raise FilesystemError(ErrorCode.UNSUPPORTED)
    if "directory" in open_flags and len(open_flags) > 1:
        raise FilesystemError(ErrorCode.INVALID)
    files = ctx.of(OpenFiles)
    files.opened()
    try:
        handle = await in_worker(
            directory.open_at, base, path, _follows(path_flags), open_flags, flags
        )
    except BaseException:
        files.closed()
        raise
    if "truncate" in open_flags:
        files.modified(handle.identity)
    write = "write" in flags
    return Descriptor(
        handle,
        read="read" in flags or not write,
        write=write,
        writable=this.writable,
        files=files,
    )


@types.method("descriptor", "read-directory", blocking=True)
@_fallible_async
async def list_directory(ctx: WasiCtx, this: Descriptor) -> DirectoryEntryStream:
    """A stream of the entries, from the first on."""
    base = this.require_directory()
    files = ctx.of(OpenFiles)
    files.opened()
    try:
        return DirectoryEntryStream(await in_worker(read_directory, base), files)
    except BaseException:
        files.closed()
        raise


@types.method("directory-entry-stream", "read-directory-entry", blocking=True)
@_fallible_async
async def read_directory_entry(_ctx: WasiCtx, this: DirectoryEntryStream) -> dict[str, str] | None:
    """The next entry; none at the end."""
    return await this.next()


@types.method("descriptor", "stat-at", blocking=True)
@_fallible_async
async def stat_at(
    _ctx: WasiCtx, this: Descriptor, path_flags: frozenset[str], path: str
) -> dict[str, Any]:
    """The attributes of an object."""
    base = this.require_directory()
    return descriptor_stat(await in_worker(directory.stat_at, base, path, _follows(path_flags)))


@types.method("descriptor", "metadata-hash-at", blocking=True)
@_fallible_async
async def metadata_hash_at(
    _ctx: WasiCtx, this: Descriptor, path_flags: frozenset[str], path: str
) -> dict[str, int]:
    """The hash that a descriptor of an object would have."""
    base = this.require_directory()
    status = await in_worker(directory.stat_at, base, path, _follows(path_flags))
    return metadata_hash((status.st_dev, status.st_ino))


@types.method("descriptor", "set-times-at", blocking=True)
@_fallible_async
async def set_times_at(
    _ctx: WasiCtx,
    this: Descriptor,
    path_flags: frozenset[str],
    path: str,
    access: Variant,
    modification: Variant,
) -> None:
    """Set the times of an object."""
    base = _writable_directory(this)
    follow = _follows(path_flags)
    await in_worker(directory.set_times_at, base, path, follow, access, modification)


@types.method("descriptor", "create-directory-at", blocking=True)
@_fallible_async
async def create_directory_at(_ctx: WasiCtx, this: Descriptor, path: str) -> None:
    """Make a directory."""
    await in_worker(directory.create_directory_at, _writable_directory(this), path)


@types.method("descriptor", "link-at", blocking=True)
@_fallible_async
async def link_at(
    _ctx: WasiCtx,
    this: Descriptor,
    old_path_flags: frozenset[str],
    old_path: str,
    new_descriptor: Descriptor,
    new_path: str,
) -> None:
    """Make a hard link."""
    old_base, new_base = _writable_directory(this), _writable_directory(new_descriptor)
    if _follows(old_path_flags):
        raise FilesystemError(ErrorCode.INVALID)
    await in_worker(directory.link_at, old_base, old_path, new_base, new_path)


@types.method("descriptor", "rename-at", blocking=True)
@_fallible_async
async def rename_at(
    _ctx: WasiCtx, this: Descriptor, old_path: str, new_descriptor: Descriptor, new_path: str
) -> None:
    """Rename an object."""
    old_base, new_base = _writable_directory(this), _writable_directory(new_descriptor)
    await in_worker(directory.rename_at, old_base, old_path, new_base, new_path)


@types.method("descriptor", "symlink-at", blocking=True)
@_fallible_async
async def symlink_at(_ctx: WasiCtx, this: Descriptor, old_path: str, new_path: str) -> None:
    """Make a symbolic link at the new path that contains the old path."""
    await in_worker(directory.symlink_at, _writable_directory(this), old_path, new_path)


@types.method("descriptor", "readlink-at", blocking=True)
@_fallible_async
async def readlink_at(_ctx: WasiCtx, this: Descriptor, path: str) -> str:
    """The content of a symbolic link."""
    return await in_worker(directory.readlink_at, this.require_directory(), path)


@types.method("descriptor", "remove-directory-at", blocking=True)
@_fallible_async
async def remove_directory_at(_ctx: WasiCtx, this: Descriptor, path: str) -> None:
    """Remove an empty directory."""
    await in_worker(directory.remove_directory_at, _writable_directory(this), path)


@types.method("descriptor", "unlink-file-at", blocking=True)
@_fallible_async
async def unlink_file_at(_ctx: WasiCtx, this: Descriptor, path: str) -> None:
    """Remove what is no directory."""
    await in_worker(directory.unlink_file_at, _writable_directory(this), path)


def _follows(path_flags: frozenset[str]) -> bool:
    return "symlink-follow" in path_flags


def _writable_directory(this: Descriptor) -> Handle:
    base = this.require_directory()
    this.require_writable()
    return base
