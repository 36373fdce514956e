"""Streams and futures by wRPC: values in frames with paths, and functions that have them, served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.store import STORES
from gateway.host.values import Some, Variant
from gateway.observe.events import Outcome
from gateway.wrpc import frames
from gateway.wrpc.cursor import Malformed
from gateway.wrpc.extent import MAX_INDEXED
from gateway.wrpc.frames import (
    BROKEN,
    MAX_DEPTH,
    Header,
    Incoming,
    frame,
    invocation,
)
from gateway.wrpc.values import Values
from tests.links.test_over_time import FEEDING
from tests.patience import until
from tests.transports.talking import Talking, talking
from tests.wit_strategies import OVER_TIME, exact, values
from tests.wrpc.echo import ECHO, PARAMS, RESULT, STREAMS_INTERFACE
from tests.wrpc.streams import exchange, listener, port_of
from tests.wrpc.test_serving import Told

pytestmark = pytest.mark.anyio

U8, U16 = wit.Integer(8, signed=False), wit.Integer(16, signed=False)
BYTES: Final = wit.Stream(U8)
NUMBERS: Final = wit.Stream(U16)
TEXT: Final = wit.String()
SHAPE: Final = wit.Variant((("none", None), ("data", BYTES)))

BOTH_WAYS: list[tuple[wit.Type, Any, bytes]] = [
    (BYTES, b"", b"\0\1\0" + b"\1\0\1\0"),
    (BYTES, b"abc", b"\0\1\0" + b"\1\0\5\3abc\0"),
    (NUMBERS, [1, 128], b"\0\1\0" + b"\1\0\5\2\1\x80\1\0"),
    (wit.Future(TEXT), "a", b"\0\3\1\1a"),
    (wit.Future(BYTES), b"a", b"\0\2\1\0" + b"\1\0\3\1a\0"),
    (wit.Option(BYTES), None, b"\0\1\0"),
    (wit.Option(BYTES), b"a", b"\0\2\1\0" + b"\1\0\3\1a\0"),
    (SHAPE, Variant("data", b"a"), b"\0\2\1\0" + b"\1\0\3\1a\0"),
    (wit.Tuple((U8, BYTES)), (7, b"a"), b"\0\2\7\0" + b"\2\0\1\3\1a\0"),
    (wit.Record((("x", BYTES), ("y", U8))), {"x": b"a", "y": 7}, b"\0\2\0\7" + b"\2\0\0\3\1a\0"),
    (wit.List(BYTES), [b"", b"a"], b"\0\3\2\0\0" + b"\2\0\0\1\0" + b"\2\0\1\3\1a\0"),
    (
        wit.Stream(BYTES),
        [b"a", b"b"],
        b"\0\1\0" + b"\1\0\4\2\0\0\0" + b"\2\0\0\3\1a\0" + b"\2\0\1\3\1b\0",
    ),
    (wit.Stream(wit.Option(wit.Option(U8))), [Some(None)], b"\0\1\0" + b"\1\0\4\1\1\0\0"),
]
"""A type, a value, and the frames that it goes by."""

READ: list[tuple[wit.Type, Any, bytes]] = [
    (NUMBERS, [1, 2, 3], b"\0\1\0" + b"\1\0\2\1\1" + b"\1\0\4\2\2\3\0"),
    (NUMBERS, [1], b"\0\1\0" + b"\1\0\1\1" + b"\1\0\1\1" + b"\1\0\2\0\0"),
    (NUMBERS, [1, 2], b"\0\3\2\1\2"),
    (BYTES, b"abc", b"\0\1\0" + b"\1\0\2\1a" + b"\1\0\3\2bc" + b"\1\0\1\0"),
    (BYTES, b"abc", b"\0\4\3abc"),
    (wit.Future(TEXT), "a", b"\0\1\0" + b"\1\0\2\1a"),
    (wit.Future(BYTES), b"a", b"\0\1\0" + b"\1\0\1\0" + b"\1\0\3\1a\0"),
    (wit.Future(wit.Future(U8)), 7, b"\0\1\0" + b"\1\0\1\0" + b"\1\0\1\7"),
    (wit.Tuple((BYTES, BYTES)), (b"a", b"b"), b"\2\0\1\3\1b\0" + b"\2\0\0\3\1a\0" + b"\0\2\0\0"),
    (wit.Stream(BYTES), [b"a"], b"\2\0\0\3\1a\0" + b"\0\1\0" + b"\1\0\3\1\0\0"),
    (
        wit.Stream(BYTES),
        [b"a", b"b"],
        b"\0\1\0" + b"\1\0\6\2\1a\1b\0",
    ),
]
"""The same by frames that others may write."""

MALFORMED: list[tuple[wit.Type, bytes, str]] = [
    (NUMBERS, b"", "before all of its values"),
    (NUMBERS, b"\0\1\0", "before all of its values"),
    (NUMBERS, b"\0\1\0" + b"\1\0\2\1\1", "before all of its values"),
    (NUMBERS, b"\0\1\0" + b"\1\0\4\xff", "ends too early"),
    (NUMBERS, b"\0\2\0\0" + b"\1\0\1\0", "1 bytes follow"),
    (NUMBERS, b"\0\1\0" + b"\1\0\3\0\1\1", "2 bytes follow"),
    (NUMBERS, b"\1\1\1\0" + b"\0\1\0" + b"\1\0\1\0", "no stream and no future at [1]"),
    (NUMBERS, b"\0\1\0" + b"\1\0\6\1\x80\x80\x80\1\0", "16 bits"),
    (NUMBERS, b"\0\1\0" + b"\1\0\x0b" + b"\x80" * 11, "LEB128"),
    (wit.Future(wit.Bool()), b"\0\2\1\2", "bool"),
    (wit.Future(U8), b"\0\2\2\0", "bool"),
    (wit.Option(BYTES), b"\0\1\2", "one of 2 cases"),
    (BYTES, b"\0\1\0" + bytes((MAX_DEPTH + 1, *range(MAX_DEPTH + 1))), "a path of more than"),
    (BYTES, b"\xff\xff\xff\xff\x0f", "a path of more than"),
    (
        wit.List(BYTES),
        bytes(frame(bytearray(b"\x81\x08" + bytes(MAX_INDEXED + 1)))),
        "streams and futures",
    ),
    (BYTES, b"\0\1\0" + b"\1\0\x80\x80\x80\1", "more than 65536 bytes"),
]


def incoming(pieces: Iterable[bytes], *, ends: bool = True) -> Incoming:
    source = asyncio.StreamReader()
    for piece in pieces:
        source.feed_data(piece)
    if ends:
        source.feed_eof()
    return Incoming(source, 65536)


async def read(ty: wit.Type, data: bytes, *, ends: bool = True) -> Any:
    of = Values([ty])
    return of.read(await of.received(incoming([data], ends=ends)))[0]


@pytest.mark.parametrize(("ty", "value", "data"), BOTH_WAYS, ids=str)
async def test_a_value_goes_by_these_frames(ty: wit.Type, value: Any, data: bytes) -> None:
    assert bytes(Values([ty]).frames((value,))) == data
    assert exact(await read(ty, data, ends=False)) == exact(value)


@pytest.mark.parametrize(("ty", "value", "data"), READ, ids=str)
async def test_a_value_may_come_by_others(ty: wit.Type, value: Any, data: bytes) -> None:
    assert exact(await read(ty, data, ends=False)) == exact(value)


@pytest.mark.parametrize(("ty", "data", "reason"), MALFORMED, ids=lambda it: str(it)[:40])
async def test_what_is_no_value_is_refused(ty: wit.Type, data: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as raised:
        await read(ty, data)
    assert reason in str(raised.value)


async def test_so_many_frames_are_read_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_INDEXED_FRAMES", 3)
    assert await read(BYTES, b"\0\1\0" + b"\1\0\0" + b"\1\0\1\0") == b""
    with pytest.raises(Malformed, match="more than 3 frames"):
        await read(BYTES, b"\0\1\0" + b"\1\0\0" * 2 + b"\1\0\1\0")


@st.composite
def sides(draw: st.DrawFn) -> tuple[list[wit.Type], list[Any]]:
    types = draw(
        st.lists(OVER_TIME, min_size=1, max_size=3).filter(lambda it: any(map(wit.goes_on, it)))
    )
    return types, [draw(values(ty)) for ty in types]


@given(sides(), st.integers(1, 9))
def test_any_values_come_back_as_they_went(
    case: tuple[list[wit.Type], list[Any]], size: int
) -> None:
    types, sent = case
    of = Values(types)
    data = of.frames(sent)

    async def receive() -> tuple[Any, ...]:
        source = asyncio.StreamReader()
        task = asyncio.create_task(of.received(Incoming(source, 65536)))
        for at in range(0, len(data), size):
            source.feed_data(bytes(data[at : at + size]))
            await asyncio.sleep(0)
        return of.read(await task)

    assert exact(list(asyncio.run(receive()))) == exact(sent)


@given(OVER_TIME, st.binary(max_size=64))
def test_any_bytes_are_values_or_refused(ty: wit.Type, data: bytes) -> None:
    with suppress(Malformed):
        asyncio.run(read(ty, data))


@pytest.mark.parametrize(
    ("ty", "sent"),
    [
        (wit.Stream(TEXT), b"\xa0\x9c\1" + b"\1a" * 20_000 + b"\0"),
        (wit.Stream(TEXT), b"\1\1a" * 20_000 + b"\0"),
        (BYTES, b"\1a" * 20_000 + b"\0"),
    ],
    ids=["a list", "many lists", "many lists of bytes"],
)
async def test_long_streams_let_others_have_their_turn(ty: wit.Type, sent: bytes) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    of = Values([ty])
    data = frame(bytearray(1)) + frame(bytearray(sent), (0,))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(others())
        await of.received(incoming([bytes(data)]))
        task.cancel()
    assert 50 < turns < 500


# --- served ------------------------------------------------------------------------------------------------------

REQUEST: Final = {"numbers": [1, 2**64 - 1], "bytes": b"foo bar baz"}
ANSWER: Final = ([1, 2**64 - 1], b"foo bar baz")


def ask(params: bytes | bytearray | None = None) -> bytes:
    header = Header(STREAMS_INTERFACE, "echo")
    return invocation(header, bytearray(PARAMS.frames((REQUEST,)) if params is None else params))


async def answered(data: bytes) -> Any:
    return RESULT.read(await RESULT.received(incoming([data])))[0]


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Talking]:
    """A gateway that no test here changes."""
    (source := tmp_path_factory.mktemp("streams") / "echo.wat").write_text(ECHO)
    table = {"name": "echo", "source": source, "wrpc": True, "wrpc_listen": ("127.0.0.1:0",)}
    config = ComponentConfig.model_validate(table)
    async with talking(config, rpc_max_body="64KiB") as gateway:
        yield gateway


@pytest.mark.parametrize("ends", [True, False])
async def test_streams_come_and_go_by_their_paths(shared: Talking, ends: bool) -> None:
    told = Told(shared)
    answer = await exchange(port_of(shared), ask(), ends=ends)
    assert await answered(answer) == ANSWER
    assert told.all() == [(Outcome.OK, "wrpc+tcp://127.0.0.1:0")]
    (event,) = told.events
    assert event.export == f"{STREAMS_INTERFACE}#echo"
    assert event.bytes_in == len(b"\0\0" + b"\2\1" + b"\xff" * 9 + b"\1\0" + b"\x0bfoo bar baz\0")
    assert not STORES


async def test_values_may_come_one_by_one(shared: Talking) -> None:
    """As those of the example in Go do, which ends its streams twice, and leaves its side open."""
    pieces = [ask(frame(bytearray(2)))]
    for number in range(1, 5):
        pieces += [
            bytes(frame(bytearray(b"\1"), (0, 0))),
            bytes(frame(bytearray((number,)), (0, 0))),
        ]
        pieces.append(bytes(frame(bytearray(b"\1x"), (0, 1))))
    pieces += [bytes(frame(bytearray(1), path)) for path in ((0, 0), (0, 0), (0, 1))]
    answer = await exchange(port_of(shared), *pieces, ends=False)
    assert await answered(answer) == ([1, 2, 3, 4], b"xxxx")


async def test_streams_come_and_go_over_http(shared: Talking) -> None:
    response = await shared.client.post("/wrpc/echo", content=ask())
    assert response.status_code == 200
    assert await answered(response.content) == ANSWER
    for data, status in (
        (ask(frame(bytearray(2))), 400),
        (ask(frame(bytearray(70_000), (0, 1))), 413),
    ):
        response = await shared.client.post("/wrpc/echo", content=data)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (frame(bytearray(2)), "before all of its values"),
        (frame(bytearray(70_000), (0, 1)), "more than 65536 bytes"),
        (frame(bytearray(2)) + frame(bytearray(b"\1\xff\xff\xff"), (0, 0)), "before all"),
        (frame(bytearray(2)) + frame(bytearray(1), (0, 0)) * 2 + b"\2\0\1\5\1", "ends too early"),
        (frame(bytearray(2)) + frame(bytearray(1), (0, 0)) * 3, "2 bytes follow"),
    ],
)
async def test_streams_that_do_not_end_are_refused(
    shared: Talking, params: bytearray, reason: str
) -> None:
    told = Told(shared)
    with structlog.testing.capture_logs() as logs:
        assert await exchange(port_of(shared), ask(params)) == BROKEN
    (line,) = (line for line in logs if line["event"] == "invocation refused")
    assert reason in line["reason"]
    assert told.all() == []


@pytest.fixture(scope="module")
async def feed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Talking]:
    """One whose component has a stream that never ends."""
    (source := tmp_path_factory.mktemp("feed") / "feed.wat").write_text(FEEDING)
    table = {"name": "feed", "source": source, "wrpc": True, "wrpc_listen": ("127.0.0.1:0",)}
    async with talking(ComponentConfig.model_validate(table)) as gateway:
        yield gateway


async def test_a_future_comes_when_it_is_there(feed: Talking) -> None:
    later = invocation(Header("acme:feed/api", "later"), frame(bytearray(1)))
    pieces = [
        later,
        bytes(frame(bytearray(b"\x08gr"), (0,))),
        bytes(frame(bytearray("ößer".encode()), (0,))),
    ]
    answer = await exchange(port_of(feed), *pieces, ends=False)
    assert answer == b"\0\x0a\1\x08" + "größer".encode()


async def test_a_result_whose_stream_never_ends_is_no_answer(feed: Talking) -> None:
    told = Told(feed)
    never = invocation(Header("acme:feed/api", "never"), bytearray())
    assert await exchange(port_of(feed), never) == BROKEN
    assert (await feed.client.post("/wrpc/feed", content=never)).status_code == 500
    assert [outcome for outcome, _ in told.all()] == [Outcome.TRAP] * 2
    assert not STORES


async def test_a_peer_that_leaves_amid_its_streams_leaves_nothing(shared: Talking) -> None:
    told = Told(shared)
    _, sink = await asyncio.open_connection("127.0.0.1", port_of(shared))
    sink.write(ask(frame(bytearray(2)) + frame(bytearray(b"\1x"), (0, 1))))
    await until(lambda: listener(shared).busy)
    sink.transport.abort()
    await until(lambda: not listener(shared).busy)
    assert told.all() == []
    assert not STORES


async def test_a_peer_whose_streams_do_not_go_on_is_left(tmp_path: Path) -> None:
    (source := tmp_path / "echo.wat").write_text(ECHO)
    table = {"name": "echo", "source": source, "wrpc_listen": ("127.0.0.1:0",)}
    config = ComponentConfig.model_validate(table)
    async with talking(config, body_timeout="100ms") as gateway:
        assert await exchange(port_of(gateway), ask(frame(bytearray(2))), ends=False) == BROKEN
        await until(lambda: not listener(gateway).busy)
        assert not STORES
