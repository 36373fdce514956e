"""Values of any size: what they cost everyone else, and how large they may be."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import thread_time
from typing import Any, Final

import pytest

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.errors import ResultTooLarge
from gateway.host.pieces import STRETCH, Postponed, at_once, in_pieces, loop_time, pause
from gateway.host.store import STORES
from gateway.json.text import LONG, InvalidJson, dump, dump_long, parse
from gateway.observe.events import ReturnEvent
from tests.harness import GuestPath
from tests.rpc.mirror import Caller, body, request
from tests.stalls import nothing_holds_the_loop

pytestmark = pytest.mark.anyio

MANY: Final = 40_000
FEWEST_TURNS: Final = 10
"""Turns of the loop that others have at least while such a value goes through: that takes a tenth of a second or
more, in pieces of 5 ms. At once, there are as many as the engine and the server give."""


def application(source: Path, *, max_time: float = 300.0, **server: Any) -> Gateway:
    return create_app(
        GatewayConfig(
            server=ServerConfig(**server),
            components=(ComponentConfig(name="guest", source=source, max_execution_time=max_time),),
        )
    )


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("integers", list(range(MANY * 4))),
        ("points", [{"x": 1, "y": -2}] * MANY),
        ("strings", ["", "a\nb"] * MANY),
        ("lists", [[], [1], [2, 3]] * MANY),
        ("lists", [list(range(MANY * 2))] * 2),
    ],
)
async def test_others_have_their_turns_while_a_large_value_goes_through(
    mirror: Path, method: str, value: Any
) -> None:
    app = application(mirror, rpc_max_body="16MiB", rpc_max_result="16MiB")
    caller = Caller(body(method, value))
    await caller.run(app)
    assert caller.json == {"jsonrpc": "2.0", "result": value, "id": 1}
    assert caller.turns > FEWEST_TURNS
    assert not STORES


def largest(method: str, item: str) -> bytes:
    """A call with as many of these items as are read by default."""
    most = ServerConfig().rpc_max_body
    call = json.dumps(request(method)).removesuffix('[], "id": 1}')
    items = ",".join([item] * ((most - len(call) - 20) // (len(item) + 1)))
    content = f'{call}[[{items}]],"id":1}}'.encode()
    assert most - 100 < len(content) <= most
    return content


@pytest.mark.parametrize(
    ("method", "item"),
    [
        ("integers", "7"),
        ("points", '{"x":1,"y":2}'),
        ("strings", '""'),
        ("lists", "[]"),
        ("lists", "[1]"),
        ("bytes", "7"),
    ],
)
async def test_nobody_waits_for_what_is_as_large_as_it_may_be(
    mirror: Path, method: str, item: str
) -> None:
    caller, app = Caller(largest(method, item)), application(mirror)
    with nothing_holds_the_loop(), full_collections() as collections:
        await caller.run(app)
    assert caller.json["id"] == 1
    assert "result" in caller.json
    assert not collections


@contextmanager
def full_collections() -> Iterator[list[int]]:
    """Counts the full collections of garbage; there are none where they come in small steps."""
    found: list[int] = []

    def tell(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            found.append(info["collected"])

    gc.callbacks.append(tell)
    try:
        yield found
    finally:
        gc.callbacks.remove(tell)


async def test_others_have_their_turns_while_a_large_value_is_refused(mirror: Path) -> None:
    value = [1] * (MANY * 8) + ["x"]
    caller = Caller(body("integers", value))
    await caller.run(application(mirror, rpc_max_body="1MiB"))
    assert caller.json["error"]["data"]["pointer"] == f"/params/0/{MANY * 8}"
    assert caller.turns > FEWEST_TURNS


@pytest.mark.parametrize("fill", [b" ", b"\n"])
async def test_nobody_waits_for_what_is_all_white_space(guest: GuestPath, fill: bytes) -> None:
    white = fill * 250_000
    caller = Caller(white + b'{"jsonrpc":"2.0","method":"add",%b"params":[1,2],"id":1}' % white)
    app = application(guest("c/rpc"))
    with nothing_holds_the_loop():
        await caller.run(app)
    assert caller.json == {"jsonrpc": "2.0", "result": 3, "id": 1}


@pytest.mark.parametrize("count", [1, 3])
async def test_a_response_is_of_bounded_size(mirror: Path, count: int) -> None:
    app = application(mirror, rpc_max_result="64KiB")
    entry = request("integers", [7] * 20_000)  # 40 KB of JSON
    caller = Caller(json.dumps([entry] * count).encode())
    await caller.run(app)
    codes = [answer.get("error", {}).get("code") for answer in caller.json]
    assert sorted(codes, key=str) == [-32004] * (count - 1) + [None]


async def test_a_result_that_is_too_large_is_not_even_lifted(mirror: Path) -> None:
    app = application(mirror, rpc_max_result="1KiB")
    caller = Caller(body("text", "x" * 2000))
    await caller.run(app)
    assert caller.status == 200
    assert caller.json["error"]["code"] == -32004
    assert caller.json["error"]["data"].keys() == {"request_id"}


async def test_a_large_response_is_sent_in_pieces(mirror: Path) -> None:
    caller = Caller(body("text", "x" * 500_000))
    await caller.run(application(mirror))
    assert caller.json["result"] == "x" * 500_000
    parts = [len(message["body"]) for message in caller.sent[1:]]
    assert max(parts) <= 64 << 10
    assert dict(caller.sent[0]["headers"])[b"content-length"] == b"%d" % sum(parts)


# --- texts ---------------------------------------------------------------------------------------


def texts() -> Iterator[str]:
    fill = ",".join(["1"] * LONG)
    yield f"[{fill}]"
    yield f' {{"a" : [ {fill} , 2 ] , "b":[[{fill}],[],{{}}, "x,]" ]}} '
    yield "[" + ",".join('{"x":1,"y":"},["}' for _ in range(LONG)) + "]"
    yield "[" + " , ".join('{"a":{"b":[1,2,{"c":[]}]}}' for _ in range(LONG)) + "\n]"
    yield "[" * 200 + fill + "]" * 200
    yield "[" + ",".join("[[1],[[2],[[3],[]]]]" for _ in range(LONG)) + "]"
    yield json.dumps('\u20ac\U0001f600\\"\n' * LONG)
    yield json.dumps({f"name {index}": index / 3 for index in range(LONG)})


def arbitrary(random: Random, depth: int) -> Any:
    match random.randrange(9 if depth else 5):
        case 0:
            return random.randrange(-(10**9), 10**9)
        case 1:
            return random.random()
        case 2:
            return random.choice([None, True, False])
        case 3 | 4:
            return "".join(random.choices('ab "\\},]{[:1\u20ac', k=random.randrange(12)))
        case 5 | 6:
            return [arbitrary(random, depth - 1) for _ in range(random.randrange(8))]
    return {f"{index}]}},": arbitrary(random, depth - 1) for index in range(random.randrange(8))}


@pytest.mark.parametrize("seed", range(20))
def test_a_long_text_of_any_shape_is_read_as_a_short_one_is(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - not for security
    value = [arbitrary(random, 4) for _ in range(2000)]
    text = json.dumps(value, ensure_ascii=False)
    assert len(text) > LONG
    assert parse(text.encode()) == value
    cut = text[: random.randrange(len(text))]
    with pytest.raises(InvalidJson):
        parse(cut.encode())


@pytest.mark.parametrize("number", range(len(list(texts()))))
def test_a_long_text_is_read_and_written_as_a_short_one_is(number: int) -> None:
    text = list(texts())[number]
    value = json.loads(text)
    assert parse(text.encode()) == value
    assert dump_long(value) == dump(value)


@pytest.mark.parametrize(
    ("end", "what"),
    [
        ("", "expecting ',' delimiter"),
        ("}", "expecting ',' delimiter"),
        (",]", "expecting value"),
        (",,1]", "expecting value"),
        (",1] 2", "extra data"),
        (',{"a" 1}]', "expecting ':' delimiter"),
        (",{1:1}]", "expecting property name enclosed in double quotes"),
        (',{"a":1,"a":2}]', 'the name "a" occurs twice in one object'),
        (",1e999]", "the number 1e999 is beyond the range of a double"),
        (",NaN]", 'NaN is not JSON: write it as a string, "NaN"'),
        (',"]', "unterminated string"),
    ],
)
def test_a_long_text_is_refused_as_a_short_one_is(end: str, what: str) -> None:
    with pytest.raises(InvalidJson) as refused:
        parse(("[" + ",".join(["1"] * LONG) + end).encode())
    assert what in str(refused.value)


def test_a_long_text_is_no_deeper_than_a_short_one() -> None:
    fill = '"[[",' * LONG
    assert parse(f"[{fill}{'[' * 255}{']' * 255}]".encode())
    with pytest.raises(InvalidJson, match="256 levels"):
        parse(f"[{fill}{'[' * 256}{']' * 256}]".encode())


def test_a_text_is_not_written_further_than_it_may_be() -> None:
    with pytest.raises(ResultTooLarge):
        dump_long(["x" * 100] * LONG, max_size=1000)
    assert len(dump_long(["x" * 96] * 10, max_size=991)) == 991


# --- pieces --------------------------------------------------------------------------------------


def work(note: Callable[[int], None]) -> Callable[[], str]:
    def long_work() -> str:
        for number in range(100_000):
            pause(STRETCH)
            note(number)
        return "done"

    return long_work


async def test_work_in_pieces_ends_when_its_task_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    def endless() -> None:
        try:
            while True:
                begun.set()
                pause(STRETCH)
        finally:
            ended.set()

    task = asyncio.create_task(in_pieces(endless))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_work_in_pieces_gives_what_it_makes_or_raises() -> None:
    assert await in_pieces(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await in_pieces(lambda: 1 // 0)


def test_work_that_gets_long_is_not_done_at_once() -> None:
    seen: list[int] = []
    with pytest.raises(Postponed):
        at_once(work(seen.append))
    assert len(seen) < 100
    assert at_once(lambda: "short") == "short"


async def test_work_in_pieces_has_a_value_of_bounded_size() -> None:
    def grow() -> None:
        for _ in range(11):
            pause(1, 100)

    await in_pieces(grow, max_size=1100)
    with pytest.raises(ResultTooLarge):
        await in_pieces(grow, max_size=1099)
    with pytest.raises(ResultTooLarge):
        at_once(grow, max_size=1099)


async def test_many_that_begin_work_in_pieces_wait_for_their_turns() -> None:
    """However many there are, a turn of the loop is not longer for them, and some have no thread yet."""
    begun = 0

    def endless() -> None:
        nonlocal begun
        begun += 1
        while True:
            pause(STRETCH)

    tasks = [asyncio.create_task(in_pieces(endless)) for _ in range(200)]
    turns = 0
    while begun < 64:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 20  # a piece is a tick, and guests have two in a turn
    for _ in range(100):
        await asyncio.sleep(0)
    assert begun == 64
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "pieces"]


async def test_what_work_in_pieces_computes_is_time_of_the_loop() -> None:
    def compute() -> float:
        for number in range(200_000):
            pause(1 if number % 8 else 8)
        return thread_time()

    before = loop_time()
    computed = await in_pieces(compute)
    assert loop_time() - before >= computed


# --- batches -------------------------------------------------------------------------------------


async def test_a_batch_has_the_time_of_one_call(guest: GuestPath) -> None:
    """All that run are stopped when it is over, and no more are begun."""
    app = application(guest("c/rpc"), max_time=0.3)
    events: list[ReturnEvent] = []
    app.runtime.channel.add_sink(events.append)
    caller = Caller(json.dumps([request("outcomes.spin")] * 40).encode())
    await caller.run(app)
    assert [answer["error"]["code"] for answer in caller.json] == [-32001] * 40
    app.runtime.channel.flush()
    assert len(events) == 16  # what of a batch runs at once
