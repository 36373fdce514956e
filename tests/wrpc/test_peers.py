"""What the Go examples of wRPC's own repository say to each other, said to a gateway and by one.

`tests/wrpc/record.py` records it again.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.values import Ok
from gateway.wrpc.cursor import Cursor
from gateway.wrpc.decode import reader, reader_of_all
from gateway.wrpc.encode import writer, writer_of_all
from gateway.wrpc.frames import Header, Incoming, frame, invocation
from tests.transports.talking import talking
from tests.wrpc.hello import HELLO, HELLO_INTERFACE, RELAY
from tests.wrpc.streams import exchange, port_of

pytestmark = pytest.mark.anyio

RECORDED: Final = json.loads(Path(__file__).with_name("recorded.json").read_text())

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
    assert invocation(header, params) == request

    result = wit.Result(call.result, ERROR)
    value = reader(result)(Cursor(await incoming(answer).root()))
    assert value == Ok(call.value)
    out = bytearray()
    writer(result)(out, value)
    assert frame(out) == answer


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


async def test_a_go_client_has_the_answer_of_its_own_server(tmp_path: Path) -> None:
    request, answer = recorded("hello", 0)
    (source := tmp_path / "hello.wat").write_text(HELLO)
    config = {"name": "hello", "source": source, "wrpc_listen": ("127.0.0.1:0",)}
    async with talking(ComponentConfig.model_validate(config)) as gateway:
        assert await exchange(port_of(gateway), request) == answer


async def test_a_go_server_is_asked_as_by_its_own_client(tmp_path: Path) -> None:
    request, answer = recorded("hello", 0)
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
