"""The functions of `wasi:blobstore`.

A container is a name: what it is in each function asks anew, by the link that is chosen for
`wasi:blobstore/blobstore` (`gateway.bindings.lattice`), as in wasmCloud; those of `wasi:blobstore/container` by
the one that is chosen for that, if any is. One that came by an import with a label stays with that.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.bindings.blobstore.grant import BlobstoreCtx, GrantedSpace, Opened, Refused
from gateway.bindings.blobstore.incoming_value import IncomingValue, Range, ValueInputStream
from gateway.bindings.blobstore.outgoing_value import OutgoingValue, ValueOutputStream
from gateway.bindings.context import WasiCtx
from gateway.bindings.fallible import fallible_async
from gateway.capabilities.backend import BackendError
from gateway.capabilities.blobstore.store import (
    MAX_CONTAINER,
    MAX_NAME,
    NO_CONTAINER,
    Names,
    Reader,
    transfer,
)
from gateway.capabilities.operations import Operation
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Err

__all__ = ["INTERFACES"]

types = HostInterface("wasi:blobstore/types", "0.2.0-draft", carries_bytes=True, key="blobstore")
container = HostInterface("wasi:blobstore/container", "0.2.0-draft", key="blobstore")
blobstore = HostInterface("wasi:blobstore/blobstore", "0.2.0-draft", key="blobstore")
INTERFACES = (types, container, blobstore)

MAX_NAMES: Final = 1000
"""Names that one call returns at most. As many as S3 has on a page; a guest asks until it has seen the end."""

_CREATE_CONTAINER: Final = Operation(blobstore.name, "create-container")
_GET_CONTAINER: Final = Operation(blobstore.name, "get-container")
_DELETE_CONTAINER: Final = Operation(blobstore.name, "delete-container")
_CONTAINER_EXISTS: Final = Operation(blobstore.name, "container-exists")
_COPY_OBJECT: Final = Operation(blobstore.name, "copy-object")
_MOVE_OBJECT: Final = Operation(blobstore.name, "move-object")
_INFO: Final = Operation(container.name, "info")
_GET_DATA: Final = Operation(container.name, "get-data")
_WRITE_DATA: Final = Operation(container.name, "write-data")
_LIST_OBJECTS: Final = Operation(container.name, "list-objects")
_DELETE_OBJECT: Final = Operation(container.name, "delete-object")
_DELETE_OBJECTS: Final = Operation(container.name, "delete-objects")
_HAS_OBJECT: Final = Operation(container.name, "has-object")
_OBJECT_INFO: Final = Operation(container.name, "object-info")
_CLEAR: Final = Operation(container.name, "clear")
_FINISH: Final = Operation(types.name, "outgoing-value.finish")


def _error(failure: BackendError | Refused) -> str:
    """The `error` of what went wrong."""
    return failure.message


_fallible = fallible_async(BackendError, Refused, err=_error)


class Container(Resource):
    """`container`.

    Args:
        name: its name.
        label: the label of the import by which it came, if that has one.

    Attributes:
        name: ditto.
    """

    __slots__ = ("_label", "name")

    def __init__(self, name: str, label: str) -> None:
        self.name = name
        self._label = label

    def granted(self, ctx: WasiCtx) -> GrantedSpace:
        """What it is in, by the link that is chosen.

        Raises:
            Refused: that leads to no such container.
        """
        link_name = self._label or ctx.link_name(container.name, blobstore.name)
        return ctx.of(BlobstoreCtx).space(link_name, self.name)


class StreamObjectNames(Resource):
    """`stream-object-names`."""

    __slots__ = ("_names", "_opened")

    def __init__(self, opened: Opened, names: Names) -> None:
        self._opened = opened
        self._names = names

    async def next(self, count: int) -> list[str]:
        """Some more names, at most so many; none at the end."""
        return await self._opened.go_on(_LIST_OBJECTS, self._names.next, count)

    def drop(self) -> None:
        """Let go of the list."""
        self._names.close()
        self._opened.release()


def _container(ctx: WasiCtx, name: str) -> GrantedSpace:
    """What a container is in.

    Raises:
        Refused: it was not granted.
        BackendError: not every store takes such a name.
    """
    if len(name.encode()) > MAX_CONTAINER:
        raise BackendError(f"the name of a container may have {MAX_CONTAINER} bytes")
    return ctx.of(BlobstoreCtx).space(ctx.link_name(blobstore.name), name)


def _name(name: str) -> str:
    """Refuse the name of an object that not every store takes.

    Raises:
        BackendError: it is too long.
    """
    if len(name.encode()) > MAX_NAME:
        raise BackendError(f"the name of an object may have {MAX_NAME} bytes")
    return name


# --- blobstore ---------------------------------------------------------------------------------------------


@blobstore.function("create-container", blocking=True)
@_fallible
async def create_container(ctx: WasiCtx, name: str) -> Container:
    """Make a container; one that is there already is an error."""
    granted = _container(ctx, name)
    await granted.write(ctx, _CREATE_CONTAINER, granted.space.create, name)
    return Container(name, ctx.label)


@blobstore.function("get-container", blocking=True)
@_fallible
async def get_container(ctx: WasiCtx, name: str) -> Container:
    """A container that is there."""
    granted = _container(ctx, name)
    if not await granted.read(ctx, _GET_CONTAINER, granted.space.exists, name):
        raise BackendError(NO_CONTAINER)
    return Container(name, ctx.label)


@blobstore.function("delete-container", blocking=True)
@_fallible
async def delete_container(ctx: WasiCtx, name: str) -> None:
    """Remove a container with its objects, if it is there."""
    granted = _container(ctx, name)
    await granted.write(ctx, _DELETE_CONTAINER, granted.space.remove, name)


@blobstore.function("container-exists", blocking=True)
@_fallible
async def container_exists(ctx: WasiCtx, name: str) -> bool:
    """Whether a container is there."""
    granted = _container(ctx, name)
    return await granted.read(ctx, _CONTAINER_EXISTS, granted.space.exists, name)


@blobstore.function("copy-object", blocking=True)
@_fallible
async def copy_object(ctx: WasiCtx, src: dict[str, str], dest: dict[str, str]) -> None:
    """Copy an object, be it to another container."""
    source, source_object = _object(ctx, src)
    target, target_object = _object(ctx, dest)
    if source is target:
        await target.write(ctx, _COPY_OBJECT, target.space.copy, source_object, target_object)
    else:
        await target.write(
            ctx, _COPY_OBJECT, transfer, source.space, source_object, target.space, target_object
        )


@blobstore.function("move-object", blocking=True)
@_fallible
async def move_object(ctx: WasiCtx, src: dict[str, str], dest: dict[str, str]) -> None:
    """Give an object another name, be it in another container."""
    source, source_object = _object(ctx, src)
    target, target_object = _object(ctx, dest)
    source.check_writable(_MOVE_OBJECT)
    if source is target:
        await target.write(ctx, _MOVE_OBJECT, target.space.move, source_object, target_object)
        return
    await target.write(
        ctx, _MOVE_OBJECT, transfer, source.space, source_object, target.space, target_object
    )
    name, moved = source_object
    await source.operations.go_on(_MOVE_OBJECT, ctx.caller, source.space.delete, name, [moved])


def _object(ctx: WasiCtx, object_id: dict[str, str]) -> tuple[GrantedSpace, tuple[str, str]]:
    name = object_id["container"]
    return _container(ctx, name), (name, _name(object_id["object"]))


# --- container ---------------------------------------------------------------------------------------------


@container.method("container", "name", blocking=True)
@_fallible
async def name(_ctx: WasiCtx, this: Container) -> str:
    """Its name."""
    return this.name


@container.method("container", "info", blocking=True)
@_fallible
async def info(ctx: WasiCtx, this: Container) -> dict[str, Any]:
    """Its name, and since when it is there."""
    granted = this.granted(ctx)
    created_at = await granted.read(ctx, _INFO, granted.space.created_at, this.name)
    return {"name": this.name, "created-at": created_at}


@container.method("container", "get-data", blocking=True)
@_fallible
async def get_data(ctx: WasiCtx, this: Container, name: str, start: int, end: int) -> IncomingValue:
    """An object from one byte to another, which is part of it; less, where the object ends before."""
    if start > end:
        raise BackendError("the range ends before it begins")
    granted = this.granted(ctx)
    with ctx.of(BlobstoreCtx).open(granted, ctx) as opened:
        reader: Reader = await granted.read(
            ctx, _GET_DATA, granted.space.read, this.name, _name(name)
        )
    end = min(end + 1, reader.size)
    return IncomingValue(Range(opened, _GET_DATA, reader, start, end))


@container.method("container", "write-data", blocking=True)
@_fallible
async def write_data(ctx: WasiCtx, this: Container, name: str, data: OutgoingValue) -> None:
    """Store a value under a name, from now on and until it is finished."""
    if data.stored:
        raise Trap("write-data of an outgoing-value that is stored already")
    granted = this.granted(ctx)
    with ctx.of(BlobstoreCtx).open(granted, ctx) as opened:
        writer = await granted.write(ctx, _WRITE_DATA, granted.space.write, this.name, _name(name))
    data.store(granted, opened, writer, going_on=_WRITE_DATA, ending=_FINISH)


@container.method("container", "list-objects", blocking=True)
@_fallible
async def list_objects(ctx: WasiCtx, this: Container) -> StreamObjectNames:
    """The names of its objects."""
    granted = this.granted(ctx)
    with ctx.of(BlobstoreCtx).open(granted, ctx) as opened:
        names = await granted.read(ctx, _LIST_OBJECTS, granted.space.names, this.name)
    return StreamObjectNames(opened, names)


@container.method("container", "delete-object", blocking=True)
@_fallible
async def delete_object(ctx: WasiCtx, this: Container, name: str) -> None:
    """Remove an object, if it is there."""
    granted = this.granted(ctx)
    await granted.write(ctx, _DELETE_OBJECT, granted.space.delete, this.name, [_name(name)])


@container.method("container", "delete-objects", blocking=True)
@_fallible
async def delete_objects(ctx: WasiCtx, this: Container, names: list[str]) -> None:
    """Remove objects, as far as they are there."""
    granted = this.granted(ctx)
    names = list(map(_name, names))
    await granted.write(ctx, _DELETE_OBJECTS, granted.space.delete, this.name, names)


@container.method("container", "has-object", blocking=True)
@_fallible
async def has_object(ctx: WasiCtx, this: Container, name: str) -> bool:
    """Whether an object is there."""
    granted = this.granted(ctx)
    return await granted.read(ctx, _HAS_OBJECT, granted.space.has, this.name, _name(name))


@container.method("container", "object-info", blocking=True)
@_fallible
async def object_info(ctx: WasiCtx, this: Container, name: str) -> dict[str, Any]:
    """What is known of an object."""
    granted = this.granted(ctx)
    found = await granted.read(ctx, _OBJECT_INFO, granted.space.info, this.name, _name(name))
    return {
        "name": name,
        "container": this.name,
        "created-at": found.created_at,
        "size": found.size,
    }


@container.method("container", "clear", blocking=True)
@_fallible
async def clear(ctx: WasiCtx, this: Container) -> None:
    """Remove all of its objects."""
    granted = this.granted(ctx)
    await granted.write(ctx, _CLEAR, granted.space.clear, this.name)


@container.method("stream-object-names", "read-stream-object-names", blocking=True)
@_fallible
async def read_stream_object_names(
    _ctx: WasiCtx, this: StreamObjectNames, count: int
) -> tuple[list[str], bool]:
    """Some more names, and whether there were no more."""
    names: list[str] = []
    wanted = min(count, MAX_NAMES)
    while len(names) < wanted:
        found = await this.next(wanted - len(names))
        if not found:
            return names, True
        names += found
    return names, False


@container.method("stream-object-names", "skip-stream-object-names", blocking=True)
@_fallible
async def skip_stream_object_names(
    _ctx: WasiCtx, this: StreamObjectNames, count: int
) -> tuple[int, bool]:
    """Pass over names; gives how many those were, and whether there were no more."""
    skipped = 0
    while skipped < count:
        found = await this.next(min(count - skipped, MAX_NAMES))
        if not found:
            return skipped, True
        skipped += len(found)
    return skipped, False


# --- types -------------------------------------------------------------------------------------------------


@types.static("outgoing-value", "new-outgoing-value")
def new_outgoing_value(ctx: WasiCtx) -> OutgoingValue:
    """A value that is to be written."""
    return OutgoingValue(ctx.of(BlobstoreCtx))


@types.method("outgoing-value", "outgoing-value-write-body")
def outgoing_value_write_body(_ctx: WasiCtx, this: OutgoingValue) -> ValueOutputStream | Err:
    """The stream of its content, once."""
    if this.has_body:
        return Err()
    this.has_body = True
    return ValueOutputStream(this)


@types.static("outgoing-value", "finish", blocking=True)
@_fallible
async def finish(_ctx: WasiCtx, this: OutgoingValue) -> None:
    """Wait until it is stored."""
    await this.finish()


@types.static("incoming-value", "incoming-value-consume-sync", blocking=True)
@_fallible
async def incoming_value_consume_sync(_ctx: WasiCtx, this: IncomingValue) -> bytes:
    """All of it at once, up to 2 MiB."""
    return await this.whole()


@types.static("incoming-value", "incoming-value-consume-async")
def incoming_value_consume_async(_ctx: WasiCtx, this: IncomingValue) -> ValueInputStream:
    """A stream of it."""
    return this.stream()


@types.method("incoming-value", "size")
def size(_ctx: WasiCtx, this: IncomingValue) -> int:
    """Its bytes: those of the object, or of the range that was asked for."""
    return this.size
