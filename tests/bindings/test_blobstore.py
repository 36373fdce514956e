"""wasi:blobstore: what a component finds in its containers, and what it is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.bindings import blobstore, io
from gateway.bindings.blobstore import BlobstoreCtx, GrantedSpace
from gateway.bindings.blobstore.grant import MAX_OPEN, MAX_UNSTORED
from gateway.bindings.blobstore.incoming_value import MAX_SYNC
from gateway.bindings.blobstore.outgoing_value import CAPACITY, PERMIT
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.descriptors import Descriptors
from gateway.capabilities.blobstore import BlobStore, Quota
from gateway.capabilities.blobstore.file import FileStore
from gateway.capabilities.blobstore.memory import MAX_MEMORY, MemoryStore
from gateway.capabilities.operations import Operations
from gateway.host.errors import InvocationError
from gateway.host.values import Err, Ok, Variant
from tests.bindings.told import Told
from tests.driven_guest import IO, DrivenGuest, driven_guest, driving
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

BLOBSTORE = f"""{IO}
  (import "wasi:blobstore/types@0.2.0-draft" (instance $types
    (alias outer 1 $input-stream (type $outer-input))
    (alias outer 1 $output-stream (type $outer-output))
    (export "input-stream" (type $input (eq $outer-input)))
    (export "output-stream" (type $output (eq $outer-output)))
    (type $metadata (record (field "name" string) (field "created-at" u64)))
    (export "container-metadata" (type $container-metadata (eq $metadata)))
    (type $about (record (field "name" string) (field "container" string)
      (field "created-at" u64) (field "size" u64)))
    (export "object-metadata" (type $object-metadata (eq $about)))
    (type $id (record (field "container" string) (field "object" string)))
    (export "object-id" (type $object-id (eq $id)))
    (export "outgoing-value" (type $outgoing (sub resource)))
    (export "incoming-value" (type $incoming (sub resource)))
    (export "[static]outgoing-value.new-outgoing-value" (func (result (own $outgoing))))
    (export "[method]outgoing-value.outgoing-value-write-body"
      (func (param "self" (borrow $outgoing)) (result (result (own $output)))))
    (export "[static]outgoing-value.finish"
      (func (param "this" (own $outgoing)) (result (result (error string)))))
    (export "[static]incoming-value.incoming-value-consume-sync"
      (func (param "this" (own $incoming)) (result (result (list u8) (error string)))))
    (export "[static]incoming-value.incoming-value-consume-async"
      (func (param "this" (own $incoming)) (result (result (own $input) (error string)))))
    (export "[method]incoming-value.size"
      (func (param "self" (borrow $incoming)) (result u64)))))
  (alias export $types "outgoing-value" (type $outgoing))
  (alias export $types "incoming-value" (type $incoming))
  (alias export $types "container-metadata" (type $container-metadata))
  (alias export $types "object-metadata" (type $object-metadata))
  (alias export $types "object-id" (type $object-id))
  (import "wasi:blobstore/container@0.2.0-draft" (instance $container-interface
    (alias outer 1 $outgoing (type $outer-outgoing))
    (alias outer 1 $incoming (type $outer-incoming))
    (alias outer 1 $container-metadata (type $outer-container-metadata))
    (alias outer 1 $object-metadata (type $outer-object-metadata))
    (export "outgoing-value" (type $outgoing (eq $outer-outgoing)))
    (export "incoming-value" (type $incoming (eq $outer-incoming)))
    (export "container-metadata" (type $container-metadata (eq $outer-container-metadata)))
    (export "object-metadata" (type $object-metadata (eq $outer-object-metadata)))
    (export "container" (type $container (sub resource)))
    (export "stream-object-names" (type $names (sub resource)))
    (type $self (borrow $container))
    (type $done (result (error string)))
    (export "[method]container.name"
      (func (param "self" $self) (result (result string (error string)))))
    (export "[method]container.info"
      (func (param "self" $self) (result (result $container-metadata (error string)))))
    (export "[method]container.get-data" (func (param "self" $self) (param "name" string)
      (param "start" u64) (param "end" u64) (result (result (own $incoming) (error string)))))
    (export "[method]container.write-data" (func (param "self" $self) (param "name" string)
      (param "data" (borrow $outgoing)) (result $done)))
    (export "[method]container.list-objects"
      (func (param "self" $self) (result (result (own $names) (error string)))))
    (export "[method]container.delete-object"
      (func (param "self" $self) (param "name" string) (result $done)))
    (export "[method]container.delete-objects"
      (func (param "self" $self) (param "names" (list string)) (result $done)))
    (export "[method]container.has-object"
      (func (param "self" $self) (param "name" string) (result (result bool (error string)))))
    (export "[method]container.object-info" (func (param "self" $self) (param "name" string)
      (result (result $object-metadata (error string)))))
    (export "[method]container.clear" (func (param "self" $self) (result $done)))
    (export "[method]stream-object-names.read-stream-object-names"
      (func (param "self" (borrow $names)) (param "len" u64)
        (result (result (tuple (list string) bool) (error string)))))
    (export "[method]stream-object-names.skip-stream-object-names"
      (func (param "self" (borrow $names)) (param "num" u64)
        (result (result (tuple u64 bool) (error string)))))))
  (alias export $container-interface "container" (type $container))
  (import "wasi:blobstore/blobstore@0.2.0-draft" (instance
    (alias outer 1 $container (type $outer-container))
    (alias outer 1 $object-id (type $outer-object-id))
    (export "container" (type $container (eq $outer-container)))
    (export "object-id" (type $object-id (eq $outer-object-id)))
    (type $opened (result (own $container) (error string)))
    (type $done (result (error string)))
    (export "create-container" (func (param "name" string) (result $opened)))
    (export "get-container" (func (param "name" string) (result $opened)))
    (export "delete-container" (func (param "name" string) (result $done)))
    (export "container-exists"
      (func (param "name" string) (result (result bool (error string)))))
    (export "copy-object"
      (func (param "src" $object-id) (param "dest" $object-id) (result $done)))
    (export "move-object"
      (func (param "src" $object-id) (param "dest" $object-id) (result $done)))))
"""

INTERFACES = (*io.INTERFACES, *blobstore.INTERFACES)
NOT_GRANTED = Err("access-denied: the container is not granted to this component")
READ_ONLY = Err("access-denied: the container may only be read")
NO_CONTAINER = Err("container does not exist")
NO_OBJECT = Err("object does not exist")

NEW = "types#outgoing-value.new-outgoing-value"
BODY = "types#outgoing-value.outgoing-value-write-body"
FINISH = "types#outgoing-value.finish"
SYNC = "types#incoming-value.incoming-value-consume-sync"
ASYNC = "types#incoming-value.incoming-value-consume-async"
SIZE = "types#incoming-value.size"
WRITE = "streams#output-stream.blocking-write-and-flush"
ALL_OF_IT = (1 << 64) - 1


NO_QUOTA = Quota()


def granted(
    store: BlobStore, told: Told | None = None, quota: Quota = NO_QUOTA
) -> dict[str, GrantedSpace]:
    """A grant of container "c", and one to read it; all others begin with "all-" in the store."""
    operations = Operations("shop", store.kind, on_operation=told)
    return {
        "c": GrantedSpace(store.space("", "c", quota), operations),
        "read-only": GrantedSpace(store.space("", "read-only", quota), operations, read_only=True),
        "*": GrantedSpace(store.space("all-", None, quota), operations),
    }


@asynccontextmanager
async def guest_of(spaces: Mapping[str, GrantedSpace]) -> AsyncIterator[DrivenGuest]:
    """A guest that is granted these."""
    ctx = WasiCtx(BlobstoreCtx({"default": spaces}), caller=Caller("shop", "1"))
    async with driving(driven_guest(BLOBSTORE), INTERFACES, ctx) as guest:
        yield guest


@asynccontextmanager
async def opened(
    told: Told | None = None, quota: Quota = NO_QUOTA
) -> AsyncIterator[tuple[DrivenGuest, int]]:
    """A guest that has made its container "c"."""
    async with guest_of(granted(MemoryStore(), told, quota)) as guest:
        yield guest, (await guest.call("blobstore#create-container", "c")).value


async def write(guest: DrivenGuest, container: int, name: str, content: bytes) -> None:
    """Have the guest write an object."""
    call = guest.call
    value = await call(NEW)
    body = (await call(BODY, value)).value
    assert await call("container#container.write-data", container, name, value) == Ok()
    for begin in range(0, len(content), 4096):
        assert await call(WRITE, body, content[begin : begin + 4096]) == Ok()
    await call("streams#drop output-stream", body)
    assert await call(FINISH, value) == Ok()


async def read(
    guest: DrivenGuest, container: int, name: str, start: int = 0, end: int = ALL_OF_IT
) -> bytes:
    """Have the guest read an object by its stream."""
    call = guest.call
    value = (await call("container#container.get-data", container, name, start, end)).value
    stream = (await call(ASYNC, value)).value
    content = b""
    while (block := await call("streams#input-stream.blocking-read", stream, 1 << 20)) != Err(
        Variant("closed")
    ):
        assert block.value
        content += block.value
    await call("streams#drop input-stream", stream)
    return content


async def test_an_object_is_written_and_read() -> None:
    """wasi:blobstore: what is written is read; `size` is its length, as in wash (in wasmCloud 1 it traps)."""
    async with opened() as (guest, container):
        content = bytes(range(256)) * 4096
        await write(guest, container, "o", content)
        assert await read(guest, container, "o") == content
        value = (await guest.call("container#container.get-data", container, "o", 0, 9)).value
        assert await guest.call(SIZE, value) == 10
        assert await guest.call(SYNC, value) == Ok(content[:10])
        found = (await guest.call("container#container.object-info", container, "o")).value
        assert (found["name"], found["container"], found["size"]) == ("o", "c", len(content))
        assert await guest.call("container#container.has-object", container, "o") == Ok(True)
        assert await guest.call("container#container.has-object", container, "x") == Ok(False)
        assert await guest.call("container#container.object-info", container, "x") == NO_OBJECT
        assert await guest.call("container#container.get-data", container, "x", 0, 1) == NO_OBJECT


async def test_the_end_of_a_range_is_part_of_it() -> None:
    """wasi:blobstore/container, `get-data`: `end` is part of the range, as WIT has it."""
    async with opened() as (guest, container):
        await write(guest, container, "o", b"0123456789")
        await write(guest, container, "empty", b"")
        for start, end, expected in (
            (0, 0, b"0"),
            (2, 5, b"2345"),
            (8, 9, b"89"),
            (8, 100, b"89"),
            (0, ALL_OF_IT, b"0123456789"),
            (10, 20, b""),
            (ALL_OF_IT, ALL_OF_IT, b""),
        ):
            assert await read(guest, container, "o", start, end) == expected
            value = (
                await guest.call("container#container.get-data", container, "o", start, end)
            ).value
            assert await guest.call(SIZE, value) == len(expected)
            assert await guest.call(SYNC, value) == Ok(expected)
        assert await read(guest, container, "empty") == b""
        answer = await guest.call("container#container.get-data", container, "o", 3, 2)
        assert answer == Err("the range ends before it begins")


async def test_a_value_may_be_written_before_it_is_stored() -> None:
    """wasi:blobstore/types: `write-data` comes before or after writing; `check-write` permits 64 KiB."""
    async with opened() as (guest, container):
        value = await guest.call(NEW)
        body = (await guest.call(BODY, value)).value
        content = bytes(range(256)) * 4 * 1024
        for begin in range(0, len(content), PERMIT):
            assert await guest.call("streams#output-stream.check-write", body) == Ok(PERMIT)
            piece = content[begin : begin + PERMIT]
            assert await guest.call("streams#output-stream.write", body, piece) == Ok()
        await guest.call("streams#drop output-stream", body)
        assert await guest.call("container#container.write-data", container, "o", value) == Ok()
        assert await guest.call(FINISH, value) == Ok()
        assert await read(guest, container, "o") == content


async def test_as_much_waits_in_memory_as_fits() -> None:
    async with opened() as (guest, _):
        values = [await guest.call(NEW) for _ in range(2)]
        first, second = [(await guest.call(BODY, value)).value for value in values]
        for stream in (first, second):
            for _ in range(MAX_UNSTORED // 2 // PERMIT):
                assert await guest.call("streams#output-stream.check-write", stream) == Ok(PERMIT)
                await guest.call("streams#output-stream.write-zeroes", stream, PERMIT)
        failed = await guest.call("streams#output-stream.check-write", first)
        assert failed.value.case == "last-operation-failed"
        text = await guest.call("error#error.to-debug-string", failed.value.payload)
        assert "call that first" in text
        closed = Err(Variant("closed"))
        assert await guest.call("streams#output-stream.check-write", first) == closed
        await guest.call("streams#drop output-stream", first)
        assert await guest.call(FINISH, values[0]) == Err(
            "the value was not stored: call write-data before finish"
        )
        assert await guest.call("streams#output-stream.check-write", second) == Ok(PERMIT)


async def test_a_body_is_taken_once() -> None:
    """wasi:blobstore/types: a second `outgoing-value-write-body` is an err."""
    async with opened() as (guest, _):
        value = await guest.call(NEW)
        assert isinstance(await guest.call(BODY, value), Ok)
        assert await guest.call(BODY, value) == Err()


async def test_a_value_with_a_stream_is_not_finished() -> None:
    """wasi:blobstore/types: the stream is a child of its value; `finish` with it alive traps."""
    async with opened() as (guest, _):
        value = await guest.call(NEW)
        await guest.call(BODY, value)
        with pytest.raises(InvocationError, match="has children"):
            await guest.call(FINISH, value)


async def test_a_value_is_stored_once() -> None:
    """wasi:blobstore/container: a second `write-data` of a value traps; one that failed was none."""
    async with opened() as (guest, container):
        value = await guest.call(NEW)
        missing = (await guest.call("blobstore#create-container", "gone")).value
        await guest.call("blobstore#delete-container", "gone")
        assert await guest.call("container#container.write-data", missing, "o", value) == (
            NO_CONTAINER
        )
        assert await guest.call("container#container.write-data", container, "o", value) == Ok()
        with pytest.raises(InvocationError, match="stored already"):
            await guest.call("container#container.write-data", container, "p", value)


async def test_what_is_not_finished_is_not_stored() -> None:
    store = MemoryStore()
    spaces = granted(store)
    async with guest_of(spaces) as guest:
        container = (await guest.call("blobstore#create-container", "c")).value
        for _ in range(2 * MAX_OPEN):
            value = await guest.call(NEW)
            body = (await guest.call(BODY, value)).value
            await guest.call("container#container.write-data", container, "o", value)
            await guest.call(WRITE, body, b"some")
            await guest.call("streams#drop output-stream", body)
            await guest.call("types#drop outgoing-value", value)
            async with asyncio.timeout(PATIENCE):
                await spaces["c"].aclose()
            assert store.free == MAX_MEMORY
        assert await guest.call("container#container.has-object", container, "o") == Ok(False)


@pytest.mark.parametrize("stopped", [False, True])
async def test_an_invocation_that_ends_takes_back_what_it_wrote(
    tmp_path: Path, stopped: bool
) -> None:
    store = FileStore(tmp_path)
    spaces = granted(store)
    async with guest_of(spaces) as guest:
        container = (await guest.call("blobstore#create-container", "c")).value
        await write(guest, container, "whole", b"1")
        value = await guest.call(NEW)
        body = (await guest.call(BODY, value)).value
        await guest.call("container#container.write-data", container, "half", value)
        await guest.call(WRITE, body, b"some")
        if stopped:
            await guest.abort()
    async with asyncio.timeout(PATIENCE):
        for space in spaces.values():
            await space.aclose()
    await store.aclose()
    await asyncio.to_thread(store._threads.shutdown)
    assert sorted(os.listdir(tmp_path)) == [".partial", "c"]
    assert os.listdir(tmp_path / ".partial") == []
    assert sorted(os.listdir(tmp_path / "c")) == [".container", "whole"]


async def test_an_object_of_any_size_takes_a_few_blocks() -> None:
    """What the store has is all that is in memory, beside what may wait on the way in and out."""
    size = 96 << 20
    store = MemoryStore()
    async with guest_of(granted(store)) as guest:
        container = (await guest.call("blobstore#create-container", "c")).value
        value = await guest.call(NEW)
        body = (await guest.call(BODY, value)).value
        await guest.call("container#container.write-data", container, "o", value)
        written = 0
        while written < size:
            permit = (await guest.call("streams#output-stream.check-write", body)).value
            if not permit:
                await guest.call("streams#output-stream.blocking-flush", body)
                continue
            assert permit <= PERMIT
            await guest.call("streams#output-stream.write-zeroes", body, permit)
            written += permit
            waiting = written - (MAX_MEMORY - store.free)
            assert 0 <= waiting <= CAPACITY + PERMIT
        await guest.call("streams#drop output-stream", body)
        assert await guest.call(FINISH, value) == Ok()
        found = (await guest.call("container#container.object-info", container, "o")).value
        assert found["size"] == written


async def test_what_the_store_refuses_is_told_by_the_stream_and_by_finish() -> None:
    """wasi:blobstore/types: `finish` waits for the store, and returns its error."""
    told = Told()
    async with opened(told, Quota(max_object=1000)) as (guest, container):
        value = await guest.call(NEW)
        body = (await guest.call(BODY, value)).value
        await guest.call("container#container.write-data", container, "o", value)
        refused = "the object has more than the 1000 bytes that it may have"
        async with asyncio.timeout(PATIENCE):
            while isinstance(answer := await guest.call(WRITE, body, bytes(600)), Ok):
                pass
        assert answer.value.case == "last-operation-failed"
        text = await guest.call("error#error.to-debug-string", answer.value.payload)
        assert text == refused
        assert await guest.call(WRITE, body, b"1") == Err(Variant("closed"))
        await guest.call("streams#drop output-stream", body)
        assert await guest.call(FINISH, value) == Err(refused)
        assert await guest.call("container#container.has-object", container, "o") == Ok(False)
    assert told.operations == [
        ("create-container", "ok"),
        ("write-data", "ok"),
        ("write-data", "error"),
        ("has-object", "ok"),
    ]


async def test_operations_are_counted_once() -> None:
    told = Told()
    async with opened(told) as (guest, container):
        await write(guest, container, "o", bytes(1 << 20))
        await read(guest, container, "o")
    assert told.operations == [
        ("create-container", "ok"),
        ("write-data", "ok"),
        ("outgoing-value.finish", "ok"),
        ("get-data", "ok"),
    ]


async def test_at_once_a_value_returns_what_crosses_at_once() -> None:
    async with opened() as (guest, container):
        await write(guest, container, "o", bytes(MAX_SYNC + 1))
        get = "container#container.get-data"
        value = (await guest.call(get, container, "o", 1, MAX_SYNC // 2)).value
        assert await guest.call(SYNC, value) == Ok(bytes(MAX_SYNC // 2))
        value = (await guest.call(get, container, "o", 0, MAX_SYNC)).value
        assert "use incoming-value-consume-async" in (await guest.call(SYNC, value)).value


async def test_a_value_that_is_consumed_or_dropped_makes_room_for_others() -> None:
    async with opened() as (guest, container):
        await write(guest, container, "o", b"1")
        get = "container#container.get-data"
        for _ in range(2 * MAX_OPEN):
            for end in ("drop", "sync", "async", "list"):
                if end == "list":
                    names = (await guest.call("container#container.list-objects", container)).value
                    await guest.call("container#drop stream-object-names", names)
                    continue
                value = (await guest.call(get, container, "o", 0, 1)).value
                if end == "drop":
                    await guest.call("types#drop incoming-value", value)
                elif end == "sync":
                    await guest.call(SYNC, value)
                else:
                    stream = (await guest.call(ASYNC, value)).value
                    await guest.call("streams#drop input-stream", stream)
        for _ in range(MAX_OPEN):
            await guest.call(get, container, "o", 0, 1)
        full = Err(f"{MAX_OPEN} objects and lists are open already: close some of them")
        value = await guest.call(NEW)
        assert await guest.call(get, container, "o", 0, 1) == full
        assert await guest.call("container#container.list-objects", container) == full
        assert await guest.call("container#container.write-data", container, "p", value) == full


async def test_what_is_open_has_a_place_among_the_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    descriptors = Descriptors(2)
    operations = Operations("shop", store.kind)
    space = GrantedSpace(
        store.space("", None, NO_QUOTA), operations, share=descriptors.share("shop")
    )
    async with guest_of({"*": space}) as guest:
        container = (await guest.call("blobstore#create-container", "c")).value
        await write(guest, container, "o", b"1")
        assert descriptors.used == 0
        for _ in range(2):
            await guest.call("container#container.get-data", container, "o", 0, 1)
        refused = Err("too many files and connections are open")
        assert await guest.call("container#container.get-data", container, "o", 0, 1) == refused
        assert descriptors.used == 2
    assert descriptors.used == 0
    await store.aclose()


async def test_names_are_listed_until_the_end_is_seen() -> None:
    """wasi:blobstore/container, `stream-object-names`: the flag is true once the end was seen."""
    async with opened() as (guest, container):
        names = [f"{number}" for number in range(5)]
        for name in names:
            await write(guest, container, name, b"")
        listing = (await guest.call("container#container.list-objects", container)).value
        next_names = "container#stream-object-names.read-stream-object-names"
        skip = "container#stream-object-names.skip-stream-object-names"
        assert await guest.call(next_names, listing, 0) == Ok(([], False))
        assert await guest.call(next_names, listing, 2) == Ok((["0", "1"], False))
        assert await guest.call(skip, listing, 1) == Ok((1, False))
        assert await guest.call(next_names, listing, ALL_OF_IT) == Ok((["3", "4"], True))
        assert await guest.call(next_names, listing, 1) == Ok(([], True))
        assert await guest.call(skip, listing, ALL_OF_IT) == Ok((0, True))


async def test_objects_are_deleted_as_far_as_they_are_there() -> None:
    """wasi:blobstore/container: `delete-object`, `delete-objects` and `clear` are idempotent."""
    async with opened() as (guest, container):
        for name in ("a", "b", "c", "d"):
            await write(guest, container, name, b"")
        call = guest.call
        assert await call("container#container.delete-object", container, "a") == Ok()
        assert await call("container#container.delete-object", container, "a") == Ok()
        assert await call("container#container.delete-objects", container, ["a", "b"]) == Ok()
        assert await call("container#container.has-object", container, "c") == Ok(True)
        assert await call("container#container.clear", container) == Ok()
        assert await call("container#container.has-object", container, "c") == Ok(False)


async def test_containers_are_made_found_and_removed() -> None:
    """wasi:blobstore/blobstore: errors for one that "does not exist", and for one to create that does."""
    async with opened() as (guest, container):
        call = guest.call
        assert await call("container#container.name", container) == Ok("c")
        assert (await call("container#container.info", container)).value["name"] == "c"
        assert await call("blobstore#create-container", "c") == Err("container exists already")
        assert await call("blobstore#container-exists", "c") == Ok(True)
        again = (await call("blobstore#get-container", "c")).value
        await write(guest, again, "o", b"1")
        assert await read(guest, container, "o") == b"1"
        assert await call("blobstore#get-container", "new") == NO_CONTAINER
        assert await call("blobstore#container-exists", "new") == Ok(False)
        assert await call("blobstore#delete-container", "new") == Ok()
        assert await call("blobstore#delete-container", "c") == Ok()
        assert await call("blobstore#container-exists", "c") == Ok(False)
        for function, *args in (
            ("info",),
            ("get-data", "o", 0, 1),
            ("list-objects",),
            ("delete-object", "o"),
            ("has-object", "o"),
            ("object-info", "o"),
            ("clear",),
        ):
            answer = await call(f"container#container.{function}", container, *args)
            assert answer == NO_CONTAINER, function


@pytest.mark.parametrize("target", ["c", "d"], ids=["of-one-grant", "of-another"])
async def test_objects_are_copied_and_moved(target: str) -> None:
    """wasi:blobstore/blobstore: `copy-object` and `move-object`, by `object-id`."""
    async with opened() as (guest, container):
        call = guest.call
        other = (await call("blobstore#create-container", "d")).value
        await write(guest, container, "o", bytes(1 << 20))
        source = {"container": "c", "object": "o"}
        where = container if target == "c" else other
        copy, moved = ({"container": target, "object": name} for name in ("copy", "moved"))
        assert await call("blobstore#copy-object", source, copy) == Ok()
        assert await call("blobstore#move-object", source, moved) == Ok()
        assert await read(guest, where, "copy") == bytes(1 << 20)
        assert await read(guest, where, "moved") == bytes(1 << 20)
        assert await call("container#container.has-object", container, "o") == Ok(False)
        assert await call("blobstore#copy-object", source, copy) == NO_OBJECT
        assert await call("blobstore#move-object", source, moved) == NO_OBJECT
        nowhere = {"container": "nowhere", "object": "o"}
        assert await call("blobstore#copy-object", copy, nowhere) == NO_CONTAINER
        assert await call("blobstore#copy-object", nowhere, copy) == NO_CONTAINER


async def test_what_may_only_be_read_is_not_changed() -> None:
    told = Told()
    store = MemoryStore()
    own = store.space("", None, NO_QUOTA)
    await own.create("read-only")
    writer = await own.write("read-only", "o")
    await writer.commit()
    async with guest_of(granted(store, told)) as guest:
        call = guest.call
        await call("blobstore#create-container", "c")
        container = (await call("blobstore#get-container", "read-only")).value
        value = await call(NEW)
        ours = {"container": "read-only", "object": "o"}
        theirs = {"container": "c", "object": "o"}
        for function, *args in (
            ("blobstore#create-container", "read-only"),
            ("blobstore#delete-container", "read-only"),
            ("blobstore#copy-object", theirs, ours),
            ("blobstore#move-object", ours, theirs),
            ("container#container.write-data", container, "o", value),
            ("container#container.delete-object", container, "o"),
            ("container#container.delete-objects", container, ["o"]),
            ("container#container.clear", container),
        ):
            assert await call(function, *args) == READ_ONLY, function
        assert await read(guest, container, "o") == b""
        assert await call("blobstore#copy-object", ours, theirs) == Ok()
    refused = [function for function, outcome in told.operations if outcome == "refused"]
    assert len(refused) == 8


async def test_a_component_uses_what_it_is_granted() -> None:
    store = MemoryStore()
    spaces = granted(store)
    async with guest_of(spaces) as guest:
        await guest.call("blobstore#create-container", "c")
        await guest.call("blobstore#create-container", "any")
    assert set(store.containers) == {"c", "all-any"}
    del spaces["*"]
    async with guest_of(spaces) as guest:
        assert await guest.call("blobstore#container-exists", "c") == Ok(True)
        ours, theirs = ({"container": name, "object": "o"} for name in ("c", "any"))
        for function, *args in (
            ("create-container", "any"),
            ("get-container", "any"),
            ("delete-container", "any"),
            ("container-exists", "any"),
            ("container-exists", ""),
            ("copy-object", ours, theirs),
            ("copy-object", theirs, ours),
            ("move-object", theirs, ours),
        ):
            assert await guest.call(f"blobstore#{function}", *args) == NOT_GRANTED
    async with driving(driven_guest(BLOBSTORE), INTERFACES) as guest:
        assert await guest.call("blobstore#get-container", "c") == NOT_GRANTED


async def test_a_name_that_not_every_store_takes_is_refused() -> None:
    async with opened() as (guest, container):
        value = await guest.call(NEW)
        long = "ä" * 513
        refused = Err("the name of an object may have 1024 bytes")
        call = guest.call
        assert await call("container#container.get-data", container, long, 0, 1) == refused
        assert await call("container#container.write-data", container, long, value) == refused
        assert await call("container#container.has-object", container, long) == refused
        assert await call("container#container.object-info", container, long) == refused
        assert await call("container#container.delete-object", container, long) == refused
        assert await call("container#container.delete-objects", container, ["a", long]) == refused
        assert await call("blobstore#create-container", "c" * 256) == Err(
            "the name of a container may have 255 bytes"
        )


async def test_what_is_written_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.bindings.blobstore.grant._GRACE", 0.01)
    store = MemoryStore()
    spaces = granted(store)
    async with guest_of(spaces) as guest:
        container = (await guest.call("blobstore#create-container", "c")).value
        value = await guest.call(NEW)
        body = (await guest.call(BODY, value)).value
        await guest.call("container#container.write-data", container, "o", value)
        await guest.call(WRITE, body, bytes(4096))
        async with asyncio.timeout(PATIENCE):
            await spaces["c"].aclose()
        assert store.free == MAX_MEMORY
        failed = await guest.call(WRITE, body, b"more")
        assert failed.value.case == "last-operation-failed"
        await guest.call("streams#drop output-stream", body)
        assert await guest.call(FINISH, value) == Err("the value was given up")
        assert await guest.call("container#container.has-object", container, "o") == Ok(False)
