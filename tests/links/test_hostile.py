"""Guests that call by links again and again what fails, and go on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest
import structlog

from gateway.config import ComponentConfig
from gateway.host.store import STORES
from gateway.links import link as links
from gateway.links import remote
from gateway.serving import link_targets
from tests.links.relays import OUTCOMES
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

_TYPE: Final = '(func (param "outcome" (result (error string))) (result (result (error string))))'

ASKING: Final = rf"""
(component
  (import "{OUTCOMES}" (instance $theirs (export "settle-err" {_TYPE})))
  (core module $store
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
  (core instance $store (instantiate $store))
  (core func $lowered (canon lower (func $theirs "settle-err")
    (memory (core memory $store "memory")) (realloc (core func $store "realloc"))))
  (core module $asking
    (import "store" "memory" (memory 1))
    (import "theirs" "settle-err" (func $settle (param i32 i32 i32 i32)))
    (func (export "ask") (param $times i32) (result i32)
      (local $errs i32)
      (loop $again
        (call $settle (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16))
        (local.set $errs (i32.add (local.get $errs) (i32.load8_u (i32.const 16))))
        (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
      (local.get $errs)))
  (core instance $asking (instantiate $asking (with "store" (instance $store))
    (with "theirs" (instance (export "settle-err" (func $lowered))))))
  (func (export "ask") (param "times" u32) (result u32) (canon lift (core func $asking "ask"))))
"""
"""Gives how many of so many calls were errs."""

TRAPPING: Final = rf"""
(component
  (core module $module
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
    (func (export "settle-err") (param i32 i32 i32) (result i32) unreachable))
  (core instance $core (instantiate $module))
  (func $settle {_TYPE[5:-1]}
    (canon lift (core func $core "settle-err") (memory (core memory $core "memory"))
      (realloc (core func $core "realloc"))))
  (instance $outcomes (export "settle-err" (func $settle)))
  (export "{OUTCOMES}" (instance $outcomes)))
"""

TIMES: Final = 300


@pytest.fixture
def asking(tmp_path: Path) -> Callable[..., Any]:
    """A gateway whose guest asks, what it asks traps, and an ordinary one beside them."""
    for name, text in (("asking", ASKING), ("trapping", TRAPPING)):
        (tmp_path / f"{name}.wat").write_text(text)

    def make(**link: Any) -> Any:
        tables = [
            {"name": "asking", "source": tmp_path / "asking.wat"},
            {"name": "trapping", "source": tmp_path / "trapping.wat"},
        ]
        tables[0]["links"] = [{"import": OUTCOMES, "errors": "result", **link}]
        return talking(*map(ComponentConfig.model_validate, tables))

    return make


async def ended(gateway: Talking, target: str, outcome: str) -> float:
    """How many calls have ended so."""
    return await gateway.metric(
        'gateway_linked_calls_total{component="asking",function="settle-err",'
        f'interface="test:rpc/outcomes",outcome="{outcome}",target="{target}"}}'
    )


@pytest.fixture
def few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line a second of each kind."""
    for module in (links, link_targets):
        monkeypatch.setattr(module, "MAX_TOLD", 1)


@pytest.mark.usefixtures("few_lines")
async def test_failing_calls_in_a_loop_are_not_all_told(asking: Any) -> None:
    async with asking(component="trapping") as gateway:
        began = monotonic()
        with structlog.testing.capture_logs() as logs:
            assert await gateway.call("ask", TIMES, name="asking") == TIMES
            told = [line["event"] for line in logs]
            most = 2 + monotonic() - began
            assert 0 < told.count("linked call failed") <= most
            assert 0 < told.count("component trapped") <= most
        assert await ended(gateway, "component", "trapped") == TIMES
        assert not STORES


@pytest.mark.usefixtures("few_lines")
async def test_what_was_not_told_is_counted_in_the_next_line(asking: Any) -> None:
    async with asking(component="trapping") as gateway:
        with structlog.testing.capture_logs() as logs:
            while not any("untold" in line for line in logs):
                await gateway.call("ask", 10, name="asking")
        lines = [line for line in logs if line["event"] == "linked call failed"]
        assert "untold" not in lines[0]
        assert all(line["untold"] > 0 for line in lines[1:])


async def test_others_are_answered_beside_a_loop_of_failing_calls(asking: Any) -> None:
    async with asking(component="trapping") as gateway:
        loop = asyncio.create_task(gateway.call("ask", 1 << 31, name="asking"))
        answers = [await gateway.call("ask", 1, name="asking") for _ in range(5)]
        assert answers == [1] * 5
        assert not loop.done()
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


@pytest.mark.parametrize("scheme", ["http", "wrpc+tcp", "wrpc+http"])
async def test_a_server_that_is_not_there_is_not_tried_in_a_loop(
    asking: Any, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(remote, "MAX_FAILED", 1)
    monkeypatch.setattr(remote, "HOLD_OFF", 3600)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        async with asking(url=f"{scheme}://127.0.0.1:{sock.getsockname()[1]}") as gateway:
            assert await gateway.call("ask", TIMES, name="asking") == TIMES
            sock.listen()
            sock.setblocking(False)
            assert await gateway.call("ask", TIMES, name="asking") == TIMES
            with pytest.raises(BlockingIOError):
                sock.accept()
            target = "json-rpc" if scheme == "http" else "wrpc"
            assert await ended(gateway, target, "failed") == 2 * TIMES
