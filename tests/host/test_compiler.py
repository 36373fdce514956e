"""Compiling in a process of its own: what it may take, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

import pytest
import wasmtime
from structlog.testing import capture_logs
from wasmtime import component as wasm

from gateway.app import verify
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.compiler import CompileFailed, CompileLimits, Compiler, Invalid
from gateway.host.engine import Engine
from tests.harness import PATIENCE
from tests.host.guests import guest
from tests.host.slow import slow_component

ONE = guest("(i32.const 1)", result="u32").encode()
LIMITS = CompileLimits(timeout=PATIENCE, max_memory=1 << 30)


def children(pid: int) -> list[int]:
    """The processes that one has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


def wait_for_child(pid: int) -> int:
    deadline = monotonic() + PATIENCE
    while not (found := children(pid)):
        assert monotonic() < deadline
        sleep(0.01)
    return found[0]


def wait_for_end(pid: int) -> None:
    deadline = monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert monotonic() < deadline
        sleep(0.01)


@pytest.mark.parametrize("limits", [None, LIMITS], ids=["here", "apart"])
def test_what_comes_of_it(limits: CompileLimits | None, engine: Engine) -> None:
    compiler = Compiler(limits)
    binary = compiler.to_binary(ONE)
    assert binary == bytes(wasmtime.wat2wasm(ONE))
    wasm.Component.deserialize(engine.wasmtime, compiler.compile(binary))
    with pytest.raises(Invalid, match="expected"):
        compiler.to_binary(b"(component (nonsense))")
    with pytest.raises(Invalid, match="unexpected end"):
        compiler.compile(binary[:-3])
    with pytest.raises(Invalid, match="world"):
        compiler.componentize(bytes(wasmtime.wat2wasm("(module)")))


def test_it_may_not_take_longer_than_it_may() -> None:
    with pytest.raises(CompileFailed, match=r"longer to compile than compile_timeout, 0\.5 s"):
        Compiler(CompileLimits(0.5, 1 << 30)).compile(slow_component())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds it")
def test_it_may_not_take_more_memory_than_it_may() -> None:
    with pytest.raises(
        CompileFailed, match="more memory to compile than compile_max_memory, 128 MiB"
    ):
        Compiler(CompileLimits(PATIENCE, 128 << 20)).compile(slow_component())


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_it_can_be_stopped() -> None:
    compiler = Compiler(LIMITS)
    failures: list[BaseException] = []

    def compile_() -> None:
        try:
            compiler.compile(slow_component())
        except CompileFailed as error:
            failures.append(error)

    before = {*children(os.getpid())}
    thread = threading.Thread(target=compile_)
    thread.start()
    deadline = monotonic() + PATIENCE
    while not {*_descendants(before)}:
        assert monotonic() < deadline
        sleep(0.01)
    compiler.stop()
    thread.join(PATIENCE)
    assert len(failures) == 1
    assert not {*_descendants(before)}
    with pytest.raises(CompileFailed):
        compiler.compile(ONE)


def _descendants(before: set[int]) -> set[int]:
    """The children of any thread of this process that were not there before."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= {int(child) for child in (task / "children").read_text().split()}
        except FileNotFoundError:
            continue
    return found - before


PARENT = """
import sys
from pathlib import Path
from gateway.host.compiler import CompileLimits, Compiler
Compiler(CompileLimits(600, 1 << 30)).compile(Path(sys.argv[1]).read_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_gateway(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.wasm").write_bytes(slow_component())
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "slow.wasm")])
    child = wait_for_child(parent.pid)
    parent.send_signal(number)
    parent.wait(PATIENCE)
    wait_for_end(child)


def test_where_no_process_can_be_had_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with capture_logs() as logs:
        assert Compiler(LIMITS).to_binary(ONE) == bytes(wasmtime.wat2wasm(ONE))
    assert [entry["event"] for entry in logs] == ["compiling without limits"]


def test_what_takes_long_to_compile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "guest.wat"
    source.write_bytes(ONE)
    component = ComponentConfig(name="guest", source=source)
    monkeypatch.setattr("gateway.serving.loading._LONG", 0.0)
    with capture_logs() as logs:
        verify(GatewayConfig(server=ServerConfig(cache=False), components=(component,)))
    assert [line["component"] for line in logs if line["event"] == "compiled"] == ["guest"]
