"""What the Go examples of wRPC's own repository say to each other, said to a gateway and by one.

`tests/wrpc/record.py` records it again.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import structlog

from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.values import Ok
from gateway.wrpc.cursor import Cursor
from gateway.wrpc.decode import reader, reader_of_all
from gateway.wrpc.encode import write_text, writer, writer_of_all
from gateway.wrpc.frames import Header, Incoming, frame, invocation
from gateway.wrpc.handles import MAX_HANDLE
from tests.links.driven import Stopped, driven
from tests.links.test_names import LATTICE, choose
from tests.transports.talking import talking
from tests.wrpc.echo import ECHO, PARAMS, RESULT, STREAMS_INTERFACE
from tests.wrpc.hello import HELLO, HELLO_INTERFACE, RELAY
from tests.wrpc.streams import exchange, port_of

pytestmark = pytest.mark.anyio

RECORDED: Final = json.loads(Path(__file__).with_name("recorded.json").read_text())

STORE: Final = """
  (import "wasi:keyvalue/store@0.2.0-draft2" (instance
    (type $failure
      (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $failure)))
    (export "bucket" (type $bucket (sub resource)))
    (type $keys-of-one (record (field "keys" (list string)) (field "cursor" (option u64))))
    (export "key-response" (type $keys (eq $keys-of-one)))
    (export "open"
      (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
    (export "[method]bucket.get" (func (param "self" (borrow $bucket))
      (param "key" string) (result (result (option (list u8)) (error $error)))))
    (export "[method]bucket.set" (func (param "self" (borrow $bucket))
      (param "key" string) (param "value" (list u8)) (result (result (error $error)))))
    (export "[method]bucket.exists" (func (param "self" (borrow $bucket))
      (param "key" string) (result (result bool (error $error)))))
    (export "[method]bucket.list-keys" (func (param "self" (borrow $bucket))
      (param "cursor" (option u64)) (result (result $keys (error $error)))))))
"""

BLOB: Final = wit.List(wit.Integer(8, signed=False))
"""A resource of a peer: to others it is bytes."""

TEXT: Final = wit.String()
U64: Final = wit.Integer(64, signed=False)
ERROR: Final = wit.Variant((("no-such-store", None), ("access-denied", None), ("other", TEXT)))
KEYS: Final = wit.Record((("keys", wit.List(TEXT)), ("cursor", wit.Option(U64))))


class Call(NamedTuple):
    """A function of `wasi:keyvalue/store`, and what the example asks and has for an answer."""

    name: str
    params: tuple[wit.Type, ...]
    args: tuple[Any, ...]
    result: wit.Type | None
    value: Any


CALLS: Final = [
    Call("open", (TEXT,), ("example",), BLOB, b"example"),
    Call("bucket.set", (BLOB, TEXT, BLOB), (b"example", "foo", b"bar"), None, None),
    Call("bucket.exists", (BLOB, TEXT), (b"example", "foo"), wit.Bool(), True),
    Call("bucket.get", (BLOB, TEXT), (b"example", "foo"), wit.Option(BLOB), b"bar"),
    Call(
        "bucket.list-keys",
        (BLOB, wit.Option(U64)),
        (b"example", None),
        KEYS,
        {"keys": ["foo"], "cursor": None},
    ),
]


def recorded(example: str, number: int) -> tuple[bytes, bytes]:
    exchange = RECORDED[example][number]
    return bytes.fromhex(exchange["request"]), bytes.fromhex(exchange["answer"])


def incoming(data: bytes) -> Incoming:
    source = asyncio.StreamReader()
    source.feed_data(data)
    source.feed_eof()
    return Incoming(source, 1024)


@pytest.mark.parametrize("number", range(len(CALLS)), ids=[call.name for call in CALLS])
async def test_values_and_frames_are_those_of_the_go_programs(number: int) -> None:
    call = CALLS[number]
    request, answer = recorded("wasi-keyvalue", number)
    stream = incoming(request)
    header = await stream.header()
    assert header == Header("wasi:keyvalue/store@0.2.0-draft2", call.name)
    assert reader_of_all(call.params)(Cursor(await stream.root())) == call.args
    params = bytearray()
    writer_of_all(call.params)(params, call.args)
    assert invocation(header, frame(params)) == request

    result = wit.Result(call.result, ERROR)
    value = reader(result)(Cursor(await incoming(answer).root()))
    assert value == Ok(call.value)
    out = bytearray()
    writer(result)(out, value)
    assert frame(out) == answer


async def test_streams_of_the_go_programs_are_read() -> None:
    """One value at a time, each stream ended twice."""
    request, answer = recorded("streams", 0)
    numbers, data = list(range(1, 11)), b"foo bar baz"
    stream = incoming(request)
    assert await stream.header() == Header(STREAMS_INTERFACE, "echo")
    params = PARAMS.read(await PARAMS.received(stream))
    assert params == ({"numbers": numbers, "bytes": data},)
    assert RESULT.read(await RESULT.received(incoming(answer))) == ((numbers, data),)


async def test_a_go_client_of_streams_has_what_it_has_sent(tmp_path: Path) -> None:
    """It leaves its side open."""
    request, answer = recorded("streams", 0)
    (source := tmp_path / "echo.wat").write_text(ECHO)
    config = {"name": "echo", "source": source, "wrpc_listen": ("127.0.0.1:0",)}
    async with talking(ComponentConfig.model_validate(config)) as gateway:
        given = await exchange(port_of(gateway), request, ends=False)
    ours, theirs = [RESULT.read(await RESULT.received(incoming(it))) for it in (given, answer)]
    assert ours == theirs


async def test_many_frames_let_others_have_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    stream = incoming(b"\0\0" * 4000)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(others())
        assert await stream.root() == b""
        task.cancel()
    assert turns > 50


@pytest.mark.parametrize("name", ["hello", "hello-wrpc-wasmtime"])
async def test_a_client_has_the_answer_of_its_own_server(tmp_path: Path, name: str) -> None:
    request, answer = recorded(name, 0)
    (source := tmp_path / "hello.wat").write_text(HELLO)
    config = {"name": "hello", "source": source, "wrpc_listen": ("127.0.0.1:0",)}
    async with talking(ComponentConfig.model_validate(config)) as gateway:
        assert await exchange(port_of(gateway), request) == answer


@pytest.mark.parametrize("name", ["hello", "hello-wrpc-wasmtime"])
async def test_a_server_is_asked_as_by_its_own_client(tmp_path: Path, name: str) -> None:
    request, answer = recorded(name, 0)
    asked: list[bytes] = []

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        asked.append(await source.read())
        sink.write(answer)
        sink.close()

    (source := tmp_path / "relay.wat").write_text(RELAY)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        links = [{"import": HELLO_INTERFACE, "url": url}]
        config = {"name": "relay", "source": source, "links": links}
        async with talking(ComponentConfig.model_validate(config)) as gateway:
            assert await gateway.call("hello", name="relay") == "hello from Go"
    assert asked == [request]


async def test_a_go_server_of_resources_is_asked_as_by_its_own_client(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        asked.append(await source.read())
        sink.write(recorded("wasi-keyvalue", len(asked) - 1)[1])
        sink.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        links = [{"import": "wasi:keyvalue/store@0.2.0-draft2", "url": url}]
        async with driven(tmp_path, STORE, links=links) as (guest, _):
            opened = await guest.call("store#open", "example")
            for call in CALLS[1:]:
                came = await guest.call(f"store#{call.name}", opened.value, *call.args[1:])
                assert came == Ok(call.value)
            await guest.call("store#drop bucket", opened.value)
    assert asked == [recorded("wasi-keyvalue", number)[0] for number in range(len(CALLS))]


async def test_a_resource_of_a_peer_is_none_of_another(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        asked.append(await source.read())
        sink.write(recorded("wasi-keyvalue", 0)[1])
        sink.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = {"import": "wasi:keyvalue/store@0.2.0-draft2", "url": url}
        links = [link, {**link, "name": "other"}]
        with structlog.testing.capture_logs() as logs:
            async with driven(tmp_path, LATTICE + STORE, links=links) as (guest, _):
                bucket = (await guest.call("store#open", "example")).value
                await choose(guest, "other", "wasi:keyvalue/store")
                with pytest.raises(Stopped):
                    await guest.call("store#bucket.exists", bucket, "foo")
    (failed,) = (line for line in logs if line["event"] == "linked call failed")
    assert failed["reason"] == f"a resource is none of {url}"
    assert len(asked) == 1


async def test_of_several_targets_a_resource_goes_to_the_one_that_has_given_it(
    tmp_path: Path,
) -> None:
    asked: dict[str, list[str]] = {"one": [], "two": []}
    broken: set[str] = set()

    def serving(name: str) -> Any:
        async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            stream = Incoming(source, 1024)
            function = (await stream.header()).name
            await stream.root()
            asked[name].append(function)
            if name not in broken:
                result = bytearray(1)
                write_text(result, name) if function == "open" else result.append(1)
                sink.write(frame(result))
            sink.close()

        return asyncio.start_server(serve, "127.0.0.1", 0)

    async with await serving("one") as one, await serving("two") as two:
        urls = [f"wrpc+tcp://127.0.0.1:{it.sockets[0].getsockname()[1]}" for it in (one, two)]
        links = [{"import": "wasi:keyvalue/store@0.2.0-draft2", "url": urls}]
        with structlog.testing.capture_logs() as logs:
            async with driven(tmp_path, STORE, links=links) as (guest, _):
                buckets = [(await guest.call("store#open", "x")).value for _ in range(2)]
                assert asked == {"one": ["open"], "two": ["open"]}
                for _ in range(3):
                    for bucket in buckets:
                        found = await guest.call("store#bucket.exists", bucket, "foo")
                        assert found == Ok(value=True)
                assert {name: len(functions) for name, functions in asked.items()} == {
                    "one": 4,
                    "two": 4,
                }
                broken |= {"one", "two"}
                with pytest.raises(Stopped):
                    await guest.call("store#bucket.exists", buckets[0], "foo")
        assert sum(map(len, asked.values())) == 9
    assert [line["outcome"] for line in logs if line["event"] == "linked call failed"] == ["failed"]


async def test_a_resource_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await source.read()
        result = bytearray(1)
        write_text(result, "x" * (MAX_HANDLE + 1))
        sink.write(frame(result))
        sink.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        links = [{"import": "wasi:keyvalue/store@0.2.0-draft2", "url": url}]
        with structlog.testing.capture_logs() as logs:
            async with driven(tmp_path, STORE, links=links) as (guest, _):
                with pytest.raises(Stopped):
                    await guest.call("store#open", "example")
    (failed,) = (line for line in logs if line["event"] == "linked call failed")
    assert "expected a resource, of at most 1024 bytes" in failed["reason"]
