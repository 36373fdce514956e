"""What calls by links cost, against a JSON-RPC call from outside.

    python -m loadtests.links

Two integers: the function of tests/guests/c/rpc.c that gives back a record of two is called from outside by JSON-
RPC, over kept connections, and by a component, thousands of times in one invocation. What counts is the gateway's
CPU time for one call, in turns; nothing is subtracted. The figure to watch is the ratio, which should be at most
1.0.

Before that, one guest calls again and again what is at the other end of links of every kind, with two integers and
with 1 MiB of bytes that comes back. The URLs lead to another gateway. The figures to watch are the ratios to the
call of a component in the process.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess
from tests.links.relays import TYPES

CONNECTIONS = 32
SECONDS = 3
ROUNDS = 7

CALL = json.dumps(
    {"jsonrpc": "2.0", "method": f"{TYPES}#echo-point", "params": [{"x": 40, "y": 2}], "id": 1}
)

CALLS: Final = 5000
"""Calls of one invocation, by a link."""

SIZE: Final = 1 << 20
SOME: Final = {"ints": 200, "bytes": 10}
"""Calls of one kind that are made in one request."""

ASKING: Final = rf"""
(component
  (import "{TYPES}" (instance $types
    (type $record (record (field "x" s32) (field "y" s32)))
    (export "point" (type $point (eq $record)))
    (export "echo-point" (func (param "value" $point) (result $point)))
    (export "echo-bytes" (func (param "value" (list u8)) (result (list u8))))))
  (core module $store
    (memory (export "memory") 64)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0x200000))
  (core instance $store (instantiate $store))
  (core func $point (canon lower (func $types "echo-point") (memory (core memory $store "memory"))))
  (core func $bytes (canon lower (func $types "echo-bytes")
    (memory (core memory $store "memory")) (realloc (core func $store "realloc"))))
  (core module $asking
    (import "types" "point" (func $point (param i32 i32 i32)))
    (import "types" "bytes" (func $bytes (param i32 i32 i32)))
    (func (export "ints") (param $times i32)
      (loop $again
        (call $point (i32.const 40) (i32.const 2) (i32.const 16))
        (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
    (func (export "bytes") (param $times i32)
      (loop $again
        (call $bytes (i32.const 0x100000) (i32.const {SIZE}) (i32.const 16))
        (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))))
  (core instance $asking (instantiate $asking
    (with "types" (instance (export "point" (func $point)) (export "bytes" (func $bytes))))))
  (func (export "ints") (param "times" u32) (canon lift (core func $asking "ints")))
  (func (export "bytes") (param "times" u32) (canon lift (core func $asking "bytes"))))
"""

ANSWERING: Final = rf"""
(component
  (type $record (record (field "x" s32) (field "y" s32)))
  (core module $module
    (memory (export "memory") 64)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0x200000)
    (func (export "point") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) i32.const 16)
    (func (export "bytes") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) i32.const 16))
  (core instance $core (instantiate $module))
  (func $echo-point (param "value" $record) (result $record)
    (canon lift (core func $core "point") (memory (core memory $core "memory"))))
  (func $echo-bytes (param "value" (list u8)) (result (list u8))
    (canon lift (core func $core "bytes")
      (memory (core memory $core "memory")) (realloc (core func $core "realloc"))))
  (component $interface
    (type $record (record (field "x" s32) (field "y" s32)))
    (import "point" (type $point' (eq $record)))
    (import "echo-point" (func $point'' (param "value" $point') (result $point')))
    (import "echo-bytes" (func $bytes (param "value" (list u8)) (result (list u8))))
    (export $point "point" (type $point'))
    (export "echo-point" (func $point'') (func (param "value" $point) (result $point)))
    (export "echo-bytes" (func $bytes)))
  (instance $types (instantiate $interface (with "point" (type $record))
    (with "echo-point" (func $echo-point)) (with "echo-bytes" (func $echo-bytes))))
  (export "{TYPES}" (instance $types)))
"""


@dataclass
class Point:
    """As in the interface."""

    x: int
    y: int


class _Echo:
    async def echo_point(self, value: Point) -> Point:
        return value

    async def echo_bytes(self, value: bytes) -> bytes:
        return value


provider = _Echo()


def table(name: str, source: Path, *, link: str = "", **keys: object) -> str:
    """A component."""
    lines = ["[[components]]", f'name = "{name}"', f"source = {json.dumps(str(source))}"]
    lines += (f"{key} = {json.dumps(value)}" for key, value in keys.items())
    if link:
        lines.append(f'links = [{{ import = "{TYPES}", {link} }}]')
    return "\n".join(lines)


SERVER: Final = "[server]\naccess_log = false\nrpc_max_body = '4MiB'"


def configuration(folder: Path, links: dict[str, str]) -> str:
    """Two components that answer, one that calls the first, and those that ask the second by each kind of link."""
    (asking := folder / "asking.wat").write_text(ASKING)
    tables = [SERVER, table("callee", build.ALL["c/rpc"].build())]
    tables.append(table("answering", folder / "answering.wat"))
    tables.append(table("caller", asking, link='component = "callee"', max_execution_time="5m"))
    tables += (table(name, asking, link=link) for name, link in links.items())
    return "\n".join(tables)


def cpu_time(gateway: GatewayProcess) -> float:
    """Seconds of CPU time that its one process has used (Linux: `clock_getcpuclockid` of it)."""
    return time.clock_gettime((~gateway.pid << 3) | 2)


def by_two_integers(gateway: GatewayProcess) -> None:
    """From outside, and by a link: CPU time for one call of each."""
    outside: list[float] = []
    inside: list[float] = []
    request = {"jsonrpc": "2.0", "id": 1, "method": "ints", "params": [CALLS]}
    with httpx.Client(timeout=300) as client:
        for _ in range(ROUNDS):
            before = cpu_time(gateway)
            url = f"{gateway.url}/rpc/callee"
            load = wrk.run(url, connections=CONNECTIONS, seconds=SECONDS, body=CALL.encode())
            if load.errors:
                sys.exit(f"from outside: {load.errors}")
            outside.append((cpu_time(gateway) - before) / load.requests)
            before = cpu_time(gateway)
            response = client.post(f"{gateway.url}/rpc/caller", json=request).json()
            inside.append((cpu_time(gateway) - before) / CALLS)
            if "error" in response:
                sys.exit(f"by a link: {response}")
    ratios = sorted(b / a for a, b in zip(outside, inside, strict=True))
    for name, samples in (("from outside", outside), ("by a link", inside)):
        print(f"{name:14} {statistics.median(samples) * 1e6:8.0f} us of CPU time a call")
    print(f"a call by a link takes {statistics.median(ratios):.2f} of one from outside")
    print(f"  rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def by_kind(gateway: GatewayProcess, links: dict[str, str]) -> None:
    """One call after the other."""
    times: dict[tuple[str, str], list[float]] = {
        (name, what): [] for name in links for what in SOME
    }
    with httpx.Client(timeout=60) as client:
        for _ in range(ROUNDS):
            for (name, what), samples in times.items():
                request = {"jsonrpc": "2.0", "id": 1, "method": what, "params": [SOME[what]]}
                began = perf_counter()
                response = client.post(f"{gateway.url}/rpc/{name}", json=request).json()
                samples.append((perf_counter() - began) * 1e6 / SOME[what])
                if "error" in response:
                    sys.exit(f"{name}, {what}: {response}")
    print(f"{'':14} {'two integers':>20} {'1 MiB and back':>26}")
    inside = next(iter(links))
    for name in links:
        row = f"{name:14}"
        for what in SOME:
            took = statistics.median(times[name, what])
            ratios = [a / b for a, b in zip(times[name, what], times[inside, what], strict=True)]
            row += f" {took:10.0f} us {statistics.median(ratios):6.2f}"
            if what == "bytes":
                row += f" {2 * SIZE / took:5.0f} MB/s"
        print(row)


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (answering := folder / "answering.wat").write_text(ANSWERING)
        listen = [f"unix:{folder}/answering.sock"]
        callee = table("answering", answering, wrpc=True, wrpc_listen=listen)
        (folder / "other.toml").write_text(f"{SERVER}\n{callee}\n")
        other = stack.enter_context(GatewayProcess(folder / "other.toml"))
        links = {
            "component": 'component = "answering"',
            "python": 'python = "loadtests.links:provider"',
            "json-rpc": f'url = "{other.url}/rpc/answering"',
            "wrpc-unix": f'url = "wrpc+unix:{folder}/answering.sock"',
            "wrpc-http": f'url = "wrpc+{other.url}/wrpc/answering"',
        }
        (folder / "gateway.toml").write_text(configuration(folder, links))
        gateway = stack.enter_context(GatewayProcess(folder / "gateway.toml"))
        by_kind(gateway, links)
        by_two_integers(gateway)


if __name__ == "__main__":
    main()
