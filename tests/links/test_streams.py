"""Streams and futures that a component of WASI 0.3 gives and gets by links."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.config import ComponentConfig
from gateway.host.errors import ComponentError
from gateway.host.store import STORES
from gateway.wrpc.frames import Incoming
from tests.patience import PATIENCE, until
from tests.transports.talking import Talking, talking
from tests.wrpc.echo import ECHO, STREAMS_INTERFACE

pytestmark = pytest.mark.anyio

ROUND: Final = 4096
"""Elements that `pump` writes, and reads, in each round."""

CALLER: Final = f"""
(component
  (import "{STREAMS_INTERFACE}" (instance $up
    (type $numbers (stream u64)) (type $bytes (stream u8))
    (type $req' (record (field "numbers" $numbers) (field "bytes" $bytes)))
    (export "req" (type $req (eq $req')))
    (export "echo" (func FORM (param "r" $req) (result (tuple $numbers $bytes))))))
  (type $numbers (stream u64)) (type $bytes (stream u8))
  (core module $store
    (memory (export "memory") 5)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $store (instantiate $store))
  (alias core export $store "memory" (core memory $memory))
  (core func $echo (canon lower (func $up "echo") (memory $memory)))
  (core func $new (canon stream.new $numbers))
  (core func $new-bytes (canon stream.new $bytes))
  (core func $write (canon stream.write $numbers async (memory $memory)))
  (core func $read (canon stream.read $numbers async (memory $memory)))
  (core func $new-set (canon waitable-set.new))
  (core func $wait (canon waitable-set.wait (memory $memory)))
  (core func $join (canon waitable.join))
  (core func $drop-writable (canon stream.drop-writable $numbers))
  (core func $drop-writable-bytes (canon stream.drop-writable $bytes))
  (core func $drop-readable (canon stream.drop-readable $numbers))
  (core func $drop-readable-bytes (canon stream.drop-readable $bytes))
  (core func $return (canon task.return (result u64)))
  (core module $module
    (import "" "memory" (memory 5))
    (import "" "echo" (func $echo (param i32 i32 i32)))
    (import "" "new" (func $new (result i64)))
    (import "" "new-bytes" (func $new-bytes (result i64)))
    (import "" "write" (func $write (param i32 i32 i32) (result i32)))
    (import "" "read" (func $read (param i32 i32 i32) (result i32)))
    (import "" "drop-writable" (func $drop-writable (param i32)))
    (import "" "drop-writable-bytes" (func $drop-writable-bytes (param i32)))
    (import "" "drop-readable" (func $drop-readable (param i32)))
    (import "" "drop-readable-bytes" (func $drop-readable-bytes (param i32)))
    (import "" "return" (func $return (param i64)))
    (import "" "new-set" (func $new-set (result i32)))
    (import "" "wait" (func $wait (param i32 i32) (result i32)))
    (import "" "join" (func $join (param i32 i32)))
    (global $set (mut i32) (i32.const 0))
    (func $done (param $end i32) (param $n i32) (result i32)
      (if (i32.eq (local.get $n) (i32.const -1)) (then
        (call $join (local.get $end) (global.get $set))
        (drop (call $wait (global.get $set) (i32.const 32)))
        (call $join (local.get $end) (i32.const 0))
        (local.set $n (i32.load (i32.const 36)))))
      (i32.shr_u (local.get $n) (i32.const 4)))
    (func (export "forward") (param i32 i32) (result i32)
      (call $echo (local.get 0) (local.get 1) (i32.const 16)) (i32.const 16))
    (func $high (param i64) (result i32) (i32.wrap_i64 (i64.shr_u (local.get 0) (i64.const 32))))
    (func (export "pump") (param $rounds i32) (result i32)
      (local $numbers i64) (local $bytes i64) (local $n i32) (local $left i32) (local $sum i64) (local $at i32)
      (global.set $set (call $new-set))
      (local.set $numbers (call $new)) (local.set $bytes (call $new-bytes))
      (call $echo (i32.wrap_i64 (local.get $numbers)) (i32.wrap_i64 (local.get $bytes)) (i32.const 16))
      (call $drop-writable-bytes (call $high (local.get $bytes)))
      (loop $more (if (local.get $rounds) (then
        (local.set $left (i32.const {ROUND}))
        (local.set $at (i32.const 65536))
        (loop $fill
          (i64.store (local.get $at) (i64.extend_i32_u (local.get $rounds)))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $fill (i32.lt_u (local.get $at) (i32.const {65536 + 8 * ROUND}))))
        (local.set $at (i32.const 65536))
        (loop $out
          (local.set $n (call $done (call $high (local.get $numbers))
            (call $write (call $high (local.get $numbers)) (local.get $at) (local.get $left))))
          (local.set $at (i32.add (local.get $at) (i32.shl (local.get $n) (i32.const 3))))
          (local.set $left (i32.sub (local.get $left) (local.get $n)))
          (br_if $out (local.get $left)))
        (local.set $left (i32.const {ROUND}))
        (loop $in
          (local.set $n (call $done (i32.load (i32.const 16))
            (call $read (i32.load (i32.const 16)) (i32.const 131072) (local.get $left))))
          (local.set $left (i32.sub (local.get $left) (local.get $n)))
          (local.set $at (i32.const 131072))
          (loop $add (if (local.get $n) (then
            (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br $add))))
          (br_if $in (local.get $left)))
        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
        (br $more))))
      (call $drop-writable (call $high (local.get $numbers)))
      (call $drop-readable (i32.load (i32.const 16)))
      (call $drop-readable-bytes (i32.load (i32.const 20)))
      (call $return (local.get $sum)) (i32.const 0))
    (func (export "go-on") (param i32 i32 i32) (result i32) unreachable))
  (core instance $core (instantiate $module (with "" (instance
    (export "memory" (memory $memory)) (export "echo" (func $echo))
    (export "new" (func $new)) (export "new-bytes" (func $new-bytes))
    (export "write" (func $write)) (export "read" (func $read))
    (export "new-set" (func $new-set)) (export "wait" (func $wait)) (export "join" (func $join))
    (export "return" (func $return))
    (export "drop-writable" (func $drop-writable)) (export "drop-writable-bytes" (func $drop-writable-bytes))
    (export "drop-readable" (func $drop-readable)) (export "drop-readable-bytes" (func $drop-readable-bytes))))))
  (func (export "forward") FORM (param "numbers" $numbers) (param "bytes" $bytes)
    (result (tuple $numbers $bytes))
    (canon lift (core func $core "forward") (memory $memory)))
  (func (export "pump") async (param "rounds" u32) (result u64)
    (canon lift (core func $core "pump") async (callback (core func $core "go-on")))))
"""


class Peer:
    """A wRPC peer that has the interface.

    Attributes:
        breaks: whether it breaks the connection in the middle of a stream.
        streams: the streams that were sent to it, as far as they have come.
        open: how many connections are.
    """

    def __init__(self) -> None:
        self.breaks = False
        self.streams: list[bytearray] = []
        self.open = 0

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self.open += 1
        came = bytearray()
        self.streams.append(came)
        try:
            stream = Incoming(source, 1 << 20)
            await stream.header()
            path, size = await stream.next_frame() or ((), 0)
            assert (path, await stream.piece(size)) == ((), b"\0\0")
            sink.write(b"\0\2\0\0")  # both are pending
            # Paths are the same in the result as in the arguments, so what follows is what came.
            while data := await source.read(65536):
                came += data
                if self.breaks:
                    sink.write(data[:5])
                    break
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()
            await asyncio.gather(sink.wait_closed(), return_exceptions=True)
            self.open -= 1


@asynccontextmanager
async def linked(
    folder: Path,
    link: dict[str, Any],
    *more: dict[str, Any],
    form: str = "",
    providers: dict[str, object] | None = None,
) -> AsyncIterator[Talking]:
    (source := folder / "caller.wat").write_text(CALLER.replace("FORM", form))
    tables = [{"name": "m", "source": source, "links": [{"import": STREAMS_INTERFACE, **link}]}]
    common = {"routes": [], "max_execution_time": PATIENCE}
    configs = [ComponentConfig.model_validate({**each, **common}) for each in (*tables, *more)]
    async with talking(*configs, providers=providers or {}) as gateway:
        yield gateway


@asynccontextmanager
async def at_peer(folder: Path, form: str = "") -> AsyncIterator[tuple[Talking, Peer]]:
    peer = Peer()
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with linked(folder, {"url": url}, form=form) as gateway:
            yield gateway, peer


@pytest.mark.parametrize("form", ["", "async"])
async def test_a_peer_has_them_as_they_come(tmp_path: Path, form: str) -> None:
    async with at_peer(tmp_path, form) as (gateway, peer):
        for numbers, data in (([], b""), ([1, 2**53 - 1], b"ab"), ([7] * 20_000, bytes(30_000))):
            given = [numbers, b64encode(data).decode()]
            assert await gateway.call("forward", *given) == given
        await until(lambda: not peer.open)
    assert not STORES


async def test_a_go_server_has_what_it_takes(tmp_path: Path) -> None:
    """What the example's server was asked, and has answered."""
    recorded = json.loads((Path(__file__).parents[1] / "wrpc/recorded.json").read_text())
    (exchange,) = recorded["streams-of-gateway"]
    asked: list[bytes] = []
    closed = asyncio.Event()

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        answer = bytes.fromhex(exchange["answer"])
        came = bytearray()
        sink.write(answer[:5])  # that they are pending
        while data := await source.read(65536):
            came += data
        asked.append(bytes(came))
        sink.write(answer[5:])
        sink.close()
        await asyncio.gather(sink.wait_closed(), return_exceptions=True)
        closed.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with linked(tmp_path, {"url": url}) as gateway:
            given = [[1, 2, 3, 4, 5], b64encode(b"foo bar baz").decode()]
            assert await gateway.call("forward", *given) == given
        await closed.wait()
    (request,) = asked
    theirs = bytes.fromhex(exchange["request"])
    assert (len(request), sorted(request)) == (len(theirs), sorted(theirs))  # in whichever order


async def test_more_passes_than_a_value_may_have(tmp_path: Path) -> None:
    """Each round is written only when the one before has come back."""
    async with at_peer(tmp_path) as (gateway, peer):
        rounds = 8
        assert await gateway.call("pump", rounds) == ROUND * rounds * (rounds + 1) // 2
        (stream,) = peer.streams
        assert len(stream) > ROUND * rounds
        await until(lambda: not peer.open)
    assert not STORES


async def test_a_peer_that_breaks_a_stream_stops_who_reads_it(tmp_path: Path) -> None:
    async with at_peer(tmp_path) as (gateway, peer):
        peer.breaks = True
        with structlog.testing.capture_logs() as logs:
            assert await gateway.call("pump", 2) == -32000
        (trapped,) = (line for line in logs if line["event"] == "component trapped")
        assert trapped["trap"] == "callee-failed"
        await until(lambda: not peer.open)
    assert not STORES


async def test_others_have_all_of_them(tmp_path: Path) -> None:
    (echo := tmp_path / "echo.wat").write_text(ECHO)
    there = {"name": "echo", "source": echo}
    async with linked(tmp_path, {"component": "echo"}, there, form="async") as gateway:
        for numbers, data in (([], b""), ([1, 2], b"abc"), ([7] * 9000, bytes(20_000))):
            given = [numbers, b64encode(data).decode()]
            assert await gateway.call("forward", *given) == given
    assert not STORES


async def test_what_would_wait_in_vain_is_refused(tmp_path: Path) -> None:
    """Who calls what is no async func writes nothing before it has returned."""
    (echo := tmp_path / "echo.wat").write_text(ECHO)
    with pytest.raises(ComponentError, match="echo: takes streams or futures and is no async func"):
        async with linked(tmp_path, {"component": "echo"}, {"name": "echo", "source": echo}):
            pass
