"""Signals that come while a gateway starts: wherever it is, alone and as process 1, with one worker and with many.

Each start is held where it is by a named pipe that somebody has to write to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.harness import PATIENCE, GuestPath, Log
from tests.server import echo
from tests.server.process import Process

STOPS: Final = pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])

CONFIG: Final = """
[[components]]
name = "app"
source = "{source}"
routes = [{{ path = "{path}" }}]
"""


class Gate:
    """A named pipe that a process reads, and waits at meanwhile."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path

    def reached(self) -> int:
        """Wait until somebody reads; gives the descriptor to write to."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody has opened it
                assert time.monotonic() < deadline
                time.sleep(0.01)


class Starting:
    """A process that is about to start, in a group of its own."""

    def __init__(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.log = Log()
        self._process = subprocess.Popen(
            command,
            env=os.environ | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.log.follow(self._process.stdout)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.log.close()

    def child(self) -> int:
        """The one child that it has."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        (child,) = map(int, children)
        return child

    def ended(self) -> int:
        status = self._process.wait(PATIENCE)
        self.log.close()
        return status


def serve(target: Path, *options: str) -> tuple[str, ...]:
    command = (sys.executable, "-m", "gateway", "serve", str(target), "--port", "0")
    return (*command, "--log-format", "json", "--no-cache", *options)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate.toml")


@pytest.fixture
def importing(tmp_path: Path, gate: Gate) -> dict[str, str]:
    """An environment in which one of the first modules that are imported takes for ever."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "typer.py").write_text(f"open({str(gate.path)!r}).read()\n")
    return {"PYTHONPATH": str(modules)}


@STOPS
def test_a_stop_while_it_imports(
    gate: Gate, importing: dict[str, str], stop: signal.Signals, tmp_path: Path
) -> None:
    with Starting(*serve(tmp_path), env=importing) as starting:
        gate.reached()
        os.kill(starting.pid, stop)
        assert starting.ended() == 128 + stop
        assert starting.log.others() == []


@STOPS
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_while_it_reads(gate: Gate, stop: signal.Signals, workers: str) -> None:
    with Starting(*serve(gate.path, "--workers", workers)) as starting:
        gate.reached()
        os.kill(starting.pid, stop)
        assert starting.ended() == 128 + stop
        assert starting.log.others() == []


IN_A_LIBRARY: Final = """
import ctypes
from gateway.lifecycle import starting
starting.begin(keep_hangup=True)
library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
library.pthread_mutex_lock(mutex)
print('{"event": "locked"}', flush=True)
library.pthread_mutex_lock(mutex)
"""


@STOPS
def test_a_stop_while_the_main_thread_is_in_a_library(stop: signal.Signals) -> None:
    with Starting(sys.executable, "-c", IN_A_LIBRARY) as starting:
        starting.log.wait(PATIENCE, 0, {"event": "locked"})
        os.kill(starting.pid, stop)
        assert starting.ended() == 128 + stop


# --- process 1 -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def as_process_1() -> list[str]:
    """The start of a command that makes the rest process 1 of a namespace."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed: apt-get install util-linux")
    command = [unshare, "--pid", "--fork", "--kill-child"]
    if os.getuid() != 0:
        command += ["--user", "--map-root-user"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"process namespaces are not allowed here, try as root: {tried.stderr.strip()}")
    return command


@STOPS
def test_process_1_is_stopped_while_it_imports(
    as_process_1: list[str],
    gate: Gate,
    importing: dict[str, str],
    stop: signal.Signals,
    tmp_path: Path,
) -> None:
    with Starting(*as_process_1, *serve(tmp_path), env=importing) as starting:
        gate.reached()
        os.kill(starting.child(), stop)
        assert starting.ended() == 128 + stop


@pytest.mark.parametrize("workers", ["1", "2"])
def test_process_1_is_stopped_while_it_reads(
    as_process_1: list[str], gate: Gate, workers: str
) -> None:
    with Starting(*as_process_1, *serve(gate.path, "--workers", workers)) as starting:
        gate.reached()
        os.kill(starting.child(), signal.SIGTERM)
        assert starting.ended() == 128 + signal.SIGTERM


@pytest.mark.parametrize("workers", ["1", "2"])
def test_process_1_is_stopped_when_it_serves(
    as_process_1: list[str], guest: GuestPath, workers: str
) -> None:
    command = serve(guest("c/hello"), "--workers", workers)
    with Starting(*as_process_1, *command) as starting:
        starting.log.wait(PATIENCE, 0, {"event": "listening"})
        os.kill(starting.child(), signal.SIGTERM)
        assert starting.ended() == 0


# --- reload --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_while_it_starts_reloads_when_it_can(
    gate: Gate, guest: GuestPath, workers: str
) -> None:
    with Starting(*serve(gate.path, "--workers", workers)) as starting:
        descriptor = gate.reached()
        os.kill(starting.pid, signal.SIGHUP)
        gate.path.unlink()
        gate.path.write_text(CONFIG.format(source=guest("c/hello"), path="/changed"))
        os.write(descriptor, CONFIG.format(source=guest("c/hello"), path="/").encode())
        os.close(descriptor)
        starting.log.wait(PATIENCE, 0, {"event": "reloaded"})
        os.kill(starting.pid, signal.SIGTERM)
        assert starting.ended() == 0


# --- workers that start --------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> Iterator[Callable[..., Process]]:
    """`held(drain_grace="10m")`: a supervisor of two workers that never come to listen."""
    monkeypatch.setenv(echo.HELD_AT, str(gate.path))
    with contextlib.ExitStack() as started:

        def start(**options: Any) -> Process:
            return started.enter_context(
                Process(echo.make_held, port=0, workers=2, shutdown_timeout="10m", **options)
            )

        yield start


@STOPS
def test_a_stop_does_not_wait_for_workers_that_start(
    held: Callable[..., Process], gate: Gate, stop: signal.Signals
) -> None:
    supervisor = held(drain_grace="10m")
    gate.reached()
    supervisor.signal(stop)
    assert supervisor.ended() == 0
    assert supervisor.events[-2:] == ["draining", "stopped"]
    assert supervisor.log.others() == []


@STOPS
def test_a_stop_of_the_whole_group_while_workers_start(
    held: Callable[..., Process], gate: Gate, stop: signal.Signals
) -> None:
    supervisor = held(drain_grace="10m")
    gate.reached()
    os.killpg(supervisor.pid, stop)
    assert supervisor.ended() == 0
    assert supervisor.log.others() == []


BOOT: Final = """
import os, sys
if any("spawn_main" in argument for argument in sys.orig_argv):
    open({gate!r}).read()
"""


def test_an_interrupt_does_not_reach_workers_that_have_just_been_made(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What each interpreter runs before anything of ours.
    (tmp_path / "sitecustomize.py").write_text(BOOT.format(gate=str(gate.path)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with Process(echo.make_echo, port=0, workers=2) as supervisor:
        gate.reached()
        found = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                fields = dict(line.split(":\t") for line in status.read_text().splitlines())
                command = status.with_name("cmdline").read_bytes()
                if b"spawn_main" in command and in_group(int(fields["Pid"]), supervisor.pid):
                    found += 1
                    blocked = int(fields["SigBlk"], 16)
                    assert blocked >> (signal.SIGINT - 1) & 1
                    assert blocked >> (signal.SIGHUP - 1) & 1
        assert found
        supervisor.signal(signal.SIGTERM)
        assert supervisor.ended() == 0


def in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False
