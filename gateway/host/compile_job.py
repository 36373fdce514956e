"""The process beside the gateway that compiles: what runs in it. `gateway.host.compiler` starts it.

It reads the whole of its standard input, does one job with that, writes the result to its standard output and
ends. The first byte that it writes says that it runs, the next whether a result follows or a reason, in UTF-8.

It starts once for each component that is not in the cache, so it imports what its job needs and no more.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["DONE", "FAILED", "JOBS", "REFUSED", "STARTED", "main"]

STARTED: Final = b"!"
DONE: Final = b"+"
REFUSED: Final = b"-"
"""What it was given is not valid."""
FAILED: Final = b"?"
"""It ran out of memory."""


def main(job: str, max_memory: int, niceness: int, lifeline: int) -> None:
    """Do a job.

    Args:
        job: its name in `JOBS`.
        max_memory: how many bytes of memory it may take.
        niceness: how far others go before it (nice(2)).
        lifeline: the reading end of a pipe whose other end the gateway holds.
    """
    _bound(max_memory)
    if niceness:
        os.nice(niceness)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    out = os.fdopen(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
    do = JOBS[job]()
    out.write(STARTED)
    try:
        status, result = do(sys.stdin.buffer.read())
    except MemoryError:
        status, result = FAILED, b""
    with out:
        out.write(status)
        view = memoryview(result)
        while view:
            view = view[out.write(view) :]


_Job = Callable[[bytes], tuple[bytes, bytes | bytearray]]


def _compile(*, roomy: bool, concurrent: bool) -> _Job:
    import wasmtime  # noqa: PLC0415
    from wasmtime import component as wasm  # noqa: PLC0415

    from gateway.host.settings import compile_settings  # noqa: PLC0415
    from gateway.wasm.binary.sections import is_component  # noqa: PLC0415

    engine = wasmtime.Engine(compile_settings(roomy=roomy, concurrent=concurrent))

    def do(binary: bytes) -> tuple[bytes, bytes | bytearray]:
        kind = wasm.Component if is_component(binary) else wasmtime.Module
        try:
            return DONE, kind(engine, binary).serialize()
        except wasmtime.WasmtimeError as error:
            return REFUSED, str(error).encode()

    return do


def _to_binary() -> _Job:
    import wasmtime  # noqa: PLC0415

    def do(text: bytes) -> tuple[bytes, bytes | bytearray]:
        try:
            return DONE, wasmtime.wat2wasm(text)
        except wasmtime.WasmtimeError as error:
            return REFUSED, str(error).encode()

    return do


def _componentize() -> _Job:
    from gateway.wasm.componentize import NotComponentizable, componentize  # noqa: PLC0415

    def do(module: bytes) -> tuple[bytes, bytes | bytearray]:
        try:
            return DONE, componentize(module)
        except NotComponentizable as error:
            return REFUSED, str(error).encode()

    return do


JOBS: Final[dict[str, Callable[[], _Job]]] = {
    "compile": lambda: _compile(roomy=True, concurrent=False),
    "compile-tight": lambda: _compile(roomy=False, concurrent=False),
    "compile-concurrent": lambda: _compile(roomy=True, concurrent=True),
    "compile-concurrent-tight": lambda: _compile(roomy=False, concurrent=True),
    "to-binary": _to_binary,
    "componentize": _componentize,
}


def _bound(max_memory: int) -> None:
    """Bound what this process takes, where the system can, and have the kernel end it before the gateway."""
    # Of the limits that Linux heeds, RLIMIT_AS would count the address space that allocators and threads only
    # reserve, which grows with the number of processors.
    for limit, value in ((resource.RLIMIT_DATA, max_memory), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.getrlimit(limit)
            resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _end_with(lifeline: int) -> None:
    """End when the gateway has: nobody wants the result any more."""
    os.read(lifeline, 1)
    os._exit(1)
