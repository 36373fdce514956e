"""Asynchronous functions that a component of WASI 0.3 imports, and links provide."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.config import ComponentConfig
from gateway.host.store import STORES
from gateway.wrpc.frames import frame
from tests.links.test_over_time import FEEDING
from tests.patience import until
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

FEED: Final = "acme:feed2/api@1.0.0"

IMPORTS: Final = f"""
  (import "{FEED}" (instance $api
    (type $item' (record (field "sku" string) (field "count" u32)))
    (export "item" (type $item (eq $item')))
    (type $label' string) (export "label" (type $label (eq $label')))
    (type $failure' (enum "no-price" "HTTP-2")) (export "failure" (type $failure (eq $failure')))
    (export "get-v2" (func async (param "sleeper" $label) (result $label)))
    (export "price" (func async (param "item" $item) (result (result u32 (error $failure)))))
    (export "note" (func async (param "it" u32)))
    (export "many" (func async {" ".join(f'(param "p{n}" u8)' for n in range(16))} (result u8)))
    (type $wide' (record {" ".join(f'(field "f{n}" u8)' for n in range(20))}))
    (export "wide" (type $wide (eq $wide')))
    (export "find" (func async (param "sku" string) (result $item)))
    (export "mirror" (func async (param "it" $wide) (result $wide)))
    (export "a-call-a" (func (result u32)))
    (export "plain" (func (param "it" u32) (result u32)))))
"""

CALLER: Final = f"""
(component
  {IMPORTS}
  (core module $store
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
      (local.set $at (global.get $top))
      (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7))
        (i32.const -8)))
      (local.get $at)))
  (core instance $store (instantiate $store))
  (alias core export $store "memory" (core memory $memory))
  (alias core export $store "realloc" (core func $realloc))
  (core func $get (canon lower (func $api "get-v2") (memory $memory) (realloc $realloc)))
  (core func $price (canon lower (func $api "price") (memory $memory) (realloc $realloc)))
  (core func $note (canon lower (func $api "note") async))
  (core func $many (canon lower (func $api "many") (memory $memory)))
  (core func $find (canon lower (func $api "find") (memory $memory) (realloc $realloc)))
  (core func $mirror (canon lower (func $api "mirror") (memory $memory)))
  (core func $plain (canon lower (func $api "plain")))
  (core func $text (canon task.return (result string) (memory $memory)))
  (core func $number (canon task.return (result u32)))
  (core func $nothing (canon task.return))
  (core func $new (canon waitable-set.new))
  (core func $join (canon waitable.join))
  (core func $drop (canon subtask.drop))
  (core module $module
    (import "" "memory" (memory 1))
    (import "" "get" (func $get (param i32 i32 i32)))
    (import "" "price" (func $price (param i32 i32 i32 i32)))
    (import "" "note" (func $note (param i32) (result i32)))
    (import "" "many" (func $many {"(param i32)" * 16} (result i32)))
    (import "" "find" (func $find (param i32 i32 i32)))
    (import "" "mirror" (func $mirror (param i32 i32)))
    (import "" "plain" (func $plain (param i32) (result i32)))
    (import "" "text" (func $text (param i32 i32)))
    (import "" "number" (func $number (param i32)))
    (import "" "nothing" (func $nothing))
    (import "" "new" (func $new (result i32)))
    (import "" "join" (func $join (param i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (global $set (mut i32) (i32.const 0))
    (global $open (mut i32) (i32.const 0))
    (func (export "ask") (param i32 i32) (result i32)
      (call $get (local.get 0) (local.get 1) (i32.const 16))
      (call $text (i32.load (i32.const 16)) (i32.load (i32.const 20))) (i32.const 0))
    (func (export "price") (param i32 i32) (result i32)
      (call $price (local.get 0) (local.get 1) (i32.const 7) (i32.const 16))
      (call $number (i32.add (i32.load (i32.const 20))
        (i32.mul (i32.load8_u (i32.const 16)) (i32.const 1000)))) (i32.const 0))
    (func (export "find") (param i32 i32) (result i32)
      (call $find (local.get 0) (local.get 1) (i32.const 16))
      (call $number (i32.load (i32.const 24))) (i32.const 0))
    (func (export "mirror") (result i32)
      (i64.store (i32.const 64) (i64.const 0x0807060504030201))
      (i32.store8 (i32.const 83) (i32.const 20))
      (call $mirror (i32.const 64) (i32.const 96))
      (call $number (i32.add (i32.mul (i32.load8_u (i32.const 96)) (i32.const 100))
        (i32.load8_u (i32.const 115)))) (i32.const 0))
    (func (export "sum") (result i32)
      (call $number (i32.add (call $plain (i32.const 1))
        (call $many {" ".join(f"(i32.const {n})" for n in range(16))}))) (i32.const 0))
    (func (export "both") (result i32)
      (global.set $set (call $new))
      (call $watch (call $note (i32.const 1)))
      (call $watch (call $note (i32.const 2)))
      (call $more))
    (func $watch (param $status i32)
      (if (i32.ne (i32.and (local.get $status) (i32.const 15)) (i32.const 2)) (then
        (global.set $open (i32.add (global.get $open) (i32.const 1)))
        (call $join (i32.shr_u (local.get $status) (i32.const 4)) (global.get $set)))))
    (func $more (result i32)
      (if (i32.eqz (global.get $open)) (then (call $nothing) (return (i32.const 0))))
      (i32.or (i32.const 2) (i32.shl (global.get $set) (i32.const 4))))
    (func (export "go-on") (param $event i32) (param $task i32) (param $status i32) (result i32)
      (if (i32.eq (local.get $status) (i32.const 2)) (then
        (call $join (local.get $task) (i32.const 0))
        (call $drop (local.get $task))
        (global.set $open (i32.sub (global.get $open) (i32.const 1)))))
      (call $more)))
  (core instance $core (instantiate $module (with "" (instance
    (export "memory" (memory $memory)) (export "get" (func $get)) (export "price" (func $price))
    (export "note" (func $note)) (export "many" (func $many)) (export "plain" (func $plain))
    (export "find" (func $find)) (export "mirror" (func $mirror))
    (export "text" (func $text)) (export "number" (func $number)) (export "nothing" (func $nothing))
    (export "new" (func $new)) (export "join" (func $join)) (export "drop" (func $drop))))))
  (func (export "ask") async (param "it" string) (result string)
    (canon lift (core func $core "ask") async (callback (core func $core "go-on"))
      (memory $memory) (realloc $realloc)))
  (func (export "price") async (param "sku" string) (result u32)
    (canon lift (core func $core "price") async (callback (core func $core "go-on"))
      (memory $memory) (realloc $realloc)))
  (func (export "find") async (param "sku" string) (result u32)
    (canon lift (core func $core "find") async (callback (core func $core "go-on"))
      (memory $memory) (realloc $realloc)))
  (func (export "mirror") async (result u32)
    (canon lift (core func $core "mirror") async (callback (core func $core "go-on"))))
  (func (export "sum") async (result u32)
    (canon lift (core func $core "sum") async (callback (core func $core "go-on"))))
  (func (export "both") async
    (canon lift (core func $core "both") async (callback (core func $core "go-on")))))
"""

ANSWERS: Final[dict[str, bytes]] = {
    "get-v2": b"\6answer",
    "price": b"\0\x05",
    "note": b"",
    "many": b"\x09",
    "plain": b"\x01",
    "find": b"\3sku\x07",
    "mirror": bytes((9, *range(18), 42)),
}


class Peer:
    """A wRPC peer that has the interface.

    Attributes:
        asked: the functions that were called.
        sent: the last call, as it came.
        may_answer: until when calls of `note` wait.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sent = b""
        self.answers = dict(ANSWERS)
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            request = self.sent = await source.read()
            name = request[3 + len(FEED) :][: request[2 + len(FEED)]].decode()
            self.asked.append(name)
            if name == "note":
                await self.may_answer.wait()
            sink.write(bytes(frame(bytearray(self.answers[name]))) if name in self.answers else b"")
        finally:
            sink.close()


Serve = Callable[..., AbstractAsyncContextManager[tuple[Talking, Peer]]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """A component with a link to a peer."""

    @asynccontextmanager
    async def make() -> AsyncIterator[tuple[Talking, Peer]]:
        (source := tmp_path / "caller.wat").write_text(CALLER)
        peer = Peer()
        async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
            url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            table = {"name": "caller", "source": source, "links": [{"import": FEED, "url": url}]}
            config = ComponentConfig.model_validate(table)
            async with talking(config) as gateway:
                yield gateway, peer

    return make


async def test_they_are_called_with_values_of_any_type(serve: Serve) -> None:
    async with serve() as (gateway, peer):
        assert await gateway.call("ask", "größer", name="caller") == "answer"
        assert await gateway.call("price", "sku", name="caller") == 5
        peer.answers["price"] = b"\1\1"
        assert await gateway.call("price", "sku", name="caller") >= 1000
        assert await gateway.call("sum", name="caller") == 10
        assert peer.asked == ["get-v2", "price", "price", "plain", "many"]
    assert not STORES


async def test_values_may_be_of_named_types_and_of_more_than_is_passed_flat(serve: Serve) -> None:
    async with serve() as (gateway, peer):
        assert await gateway.call("find", "sku", name="caller") == 7
        assert await gateway.call("mirror", name="caller") == 942
        assert peer.sent[-20:] == bytes((*range(1, 9), *bytes(11), 20))
    assert not STORES


async def test_calls_of_one_invocation_go_on_beside_each_other(serve: Serve) -> None:
    async with serve() as (gateway, peer):
        peer.may_answer.clear()
        calling = asyncio.create_task(gateway.call("both", name="caller"))
        await until(lambda: len(peer.asked) == 2)
        peer.may_answer.set()
        assert await calling is None
    assert not STORES


async def test_one_that_fails_stops_its_caller(serve: Serve) -> None:
    async with serve() as (gateway, peer):
        del peer.answers["get-v2"]
        with structlog.testing.capture_logs() as logs:
            assert await gateway.call("ask", "x", name="caller") == -32000
    (trapped,) = (line for line in logs if line["event"] == "component trapped")
    assert (trapped["trap"], trapped["reason"]) == (
        "callee-failed",
        f"{FEED}#get-v2: the callee gave no usable answer",
    )
    assert not STORES


async def test_what_is_under_way_ends_with_its_caller(serve: Serve) -> None:
    async with serve() as (gateway, peer):
        peer.may_answer.clear()
        calling = asyncio.create_task(gateway.call("both", name="caller"))
        await until(lambda: len(peer.asked) == 2)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        calls = 'gateway_linked_calls_total{component="caller",function="note",'
        calls += 'interface="acme:feed2/api",outcome="cancelled",target="wrpc"}'
        await gateway.told(calls, 2)
        await until(lambda: not STORES)
        peer.may_answer.set()


async def test_several_that_fail_at_once_are_one_trap(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as (gateway, peer):
        peer.may_answer.clear()
        peer.answers["note"] = b"more than nothing"
        calling = asyncio.create_task(gateway.call("both", name="caller"))
        await until(lambda: len(peer.asked) == 2)
        peer.may_answer.set()
        assert await calling == -32000
    gc.collect()
    assert "never retrieved" not in caplog.text
    assert not STORES


ASKING: Final = """
(component
  (import "acme:feed/api" (instance $api
    (export "later" (func async (param "it" string) (result string)))))
  (core module $store
    (memory (export "memory") 8)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $store (instantiate $store))
  (alias core export $store "memory" (core memory $memory))
  (alias core export $store "realloc" (core func $realloc))
  (core func $later (canon lower (func $api "later") (memory $memory) (realloc $realloc)))
  (core func $return (canon task.return (result string) (memory $memory)))
  (core module $module
    (import "" "memory" (memory 1))
    (import "" "later" (func $later (param i32 i32 i32)))
    (import "" "return" (func $return (param i32 i32)))
    (func (export "ask") (param i32 i32) (result i32)
      (call $later (local.get 0) (local.get 1) (i32.const 16))
      (call $return (i32.load (i32.const 16)) (i32.load (i32.const 20))) (i32.const 0))
    (func (export "go-on") (param i32 i32 i32) (result i32) unreachable))
  (core instance $core (instantiate $module (with "" (instance
    (export "memory" (memory $memory)) (export "later" (func $later)) (export "return" (func $return))))))
  (func (export "ask") async (param "it" string) (result string)
    (canon lift (core func $core "ask") async (callback (core func $core "go-on"))
      (memory $memory) (realloc $realloc))))
"""


class Later:
    """Provides the interface."""

    async def later(self, it: str) -> str:
        await asyncio.sleep(0)
        return it[::-1]


async def test_a_component_or_a_python_object_provides_them(tmp_path: Path) -> None:
    (feeding := tmp_path / "feed.wat").write_text(FEEDING)
    (asking := tmp_path / "asking.wat").write_text(ASKING)
    targets = {"one": {"component": "feed"}, "two": {"python": "later"}}
    tables: list[dict[str, Any]] = [{"name": "feed", "source": feeding}]
    for name, target in targets.items():
        link = {"import": "acme:feed/api", **target}
        tables.append({"name": name, "source": asking, "links": [link]})
    configs = [ComponentConfig.model_validate({**table, "routes": []}) for table in tables]
    async with talking(*configs, providers={"later": Later()}) as gateway:
        assert await gateway.call("ask", "größer", name="one") == "größer"
        assert await gateway.call("ask", "größer", name="two") == "reßörg"
        long = "x" * 60_000
        assert await gateway.call("ask", long, name="one") == long
        longer = "x" * 400_000
        assert await gateway.call("ask", longer, name="two") == longer
    assert not STORES


async def test_without_a_link_they_trap(tmp_path: Path) -> None:
    (source := tmp_path / "caller.wat").write_text(CALLER)
    config = ComponentConfig.model_validate({"name": "caller", "source": source})
    with structlog.testing.capture_logs() as logs:
        async with talking(config) as gateway:
            assert await gateway.call("ask", "x", name="caller") == -32000
    (said,) = (line for line in logs if line["event"] == "unknown imports")
    assert said["imports"] == [FEED]
    (trapped,) = (line for line in logs if line["event"] == "component trapped")
    assert trapped["trap"] == "unknown-import"
    assert trapped["reason"] == f"unknown import: nothing provides {FEED}"
