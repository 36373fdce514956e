"""`wasi:filesystem@0.3`: what its adapter asks of the host, on the mounts and descriptors of 0.2.

Source: `wasi:filesystem@0.3.0`, `types.wit`, `preopens.wit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.bindings.context import WasiCtx
from gateway.bindings.filesystem import types as p2
from gateway.bindings.filesystem.descriptor import Descriptor
from gateway.bindings.filesystem.directory_entries import DirectoryEntryStream
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError, error_code
from gateway.bindings.p3.operations import Offer, Offers, Operations, declare_offers
from gateway.bindings.p3.streams import Reading, Writing
from gateway.bindings.p3.tasks import Tasks
from gateway.host.binding import HostInterface
from gateway.host.values import Err, Variant

__all__ = ["INTERFACES"]

preopens = HostInterface("wasi:filesystem/preopens", "0.3.2", key="mounts")
types = HostInterface("wasi:filesystem/types", "0.3.2")
host = HostInterface("gateway:wasi/filesystem", None)
INTERFACES = (preopens, types, host)

_OTHER: Final = Variant("other")

preopens.function("get-directories")(p2.get_directories)


def _of_0_3(value: Any) -> Any:
    """What a function of 0.2 has returned, in the words of 0.3: which has no `would-block`, and no `unknown`."""
    match value:
        case Err(ErrorCode.WOULD_BLOCK):
            return Err(_OTHER)
        case "unknown":
            return _OTHER
        case {"type": "unknown"}:
            return {**value, "type": _OTHER}
        case _:
            return value


_operations = Operations(host, _of_0_3)
declare_offers(host)
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "advise": p2.advise,
    "sync-data": p2.sync_data,
    "get-flags": p2.get_flags,
    "get-type": p2.get_type,
    "set-size": p2.set_size,
    "set-times": p2.set_times,
    "sync": p2.sync,
    "create-directory-at": p2.create_directory_at,
    "stat": p2.stat,
    "stat-at": p2.stat_at,
    "set-times-at": p2.set_times_at,
    "link-at": p2.link_at,
    "open-at": p2.open_at,
    "readlink-at": p2.readlink_at,
    "remove-directory-at": p2.remove_directory_at,
    "rename-at": p2.rename_at,
    "symlink-at": p2.symlink_at,
    "unlink-file-at": p2.unlink_file_at,
    "is-same-object": p2.is_same_object,
    "metadata-hash": p2.get_metadata_hash,
    "metadata-hash-at": p2.metadata_hash_at,
}
for _name, _function in _FUNCTIONS.items():
    _operations.define(f"{_name}-of-descriptor", _function)


@host.function("read-via-stream-of-descriptor")
def read_via_stream(ctx: WasiCtx, this: Descriptor, offset: int, sleeper: int) -> int:
    """The channel of what a file has from an offset on."""
    return Reading(ctx.of(Tasks), p2.read_via_stream(ctx, this, offset), sleeper).number


@host.function("write-via-stream-of-descriptor")
def write_via_stream(ctx: WasiCtx, this: Descriptor, offset: int, sleeper: int) -> int:
    """The channel of what is written to a file from an offset on."""
    return Writing(ctx.of(Tasks), p2.write_via_stream(ctx, this, offset), sleeper).number


@host.function("append-via-stream-of-descriptor")
def append_via_stream(ctx: WasiCtx, this: Descriptor, sleeper: int) -> int:
    """The channel of what is written after the end of a file."""
    return Writing(ctx.of(Tasks), p2.append_via_stream(ctx, this), sleeper).number


# --- directories -------------------------------------------------------------------------------------------


class Listing(Offer):
    """A directory whose entries go to a guest.

    Args:
        ctx: the invocation's.
        directory: the directory.
        sleeper: who is told what came of it.
        second: who takes the entries.
    """

    def __init__(self, ctx: WasiCtx, directory: Descriptor, sleeper: int, second: int) -> None:
        self._tasks = ctx.of(Tasks)
        self._stream: DirectoryEntryStream | None = None
        self._error: Err | None = None
        self._sleeper = sleeper
        self._second = second
        handle = directory.handle.hold()  # which the guest may let go of at once
        opening = self._begin(self._open(ctx, directory))
        opening.add_done_callback(lambda _: handle.release())

    def take(self) -> list[dict[str, Any]]:
        """The entries that are there; none at the end."""
        entries: list[dict[str, Any]] = self._tasks.take(self._second)
        if not entries:
            self._tasks.settle(self._sleeper, self._error)
        return entries

    def more(self) -> None:
        """Read more of them."""
        if self._stream is not None:
            self._begin(self._batch(self._stream))

    def stop(self) -> None:
        """The guest wants no more."""
        self._tasks.settle(self._sleeper, None)

    def close(self) -> None:
        """Close the directory."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.drop()

    def _begin(
        self, reading: Coroutine[Any, Any, list[dict[str, Any]]]
    ) -> asyncio.Task[list[dict[str, Any]]]:
        task = asyncio.get_running_loop().create_task(reading)
        self._tasks.begin(self._second, task)
        return task

    async def _open(self, ctx: WasiCtx, directory: Descriptor) -> list[dict[str, Any]]:
        opened = await p2.list_directory(ctx, directory)
        if isinstance(opened, Err):
            self._error = opened
            return []
        self._stream = opened
        return await self._batch(opened)

    async def _batch(self, stream: DirectoryEntryStream) -> list[dict[str, Any]]:
        try:
            return [_of_0_3(entry) for entry in await stream.batch()]
        except FilesystemError as failure:
            self._error = Err(failure.code)
        except OSError as error:
            self._error = Err(error_code(error))
        return []


@host.function("read-directory-of-descriptor")
def read_directory(ctx: WasiCtx, this: Descriptor, sleeper: int, second: int) -> None:
    """Have the entries of a directory taken."""
    ctx.of(Offers).of[second] = Listing(ctx, this, sleeper, second)
