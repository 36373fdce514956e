"""Compiles components, in a process beside the gateway's.

A few kilobytes can describe hours of work for a compiler, and gigabytes that it takes meanwhile. In a process of
its own it has a bound for both, and can be stopped at any time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.host import compile_job
from gateway.host.compile_job import DONE, REFUSED, STARTED
from gateway.host.settings import is_roomy

__all__ = ["CompileFailed", "CompileLimits", "Compiler", "Invalid"]

_log = structlog.get_logger("gateway.compiler")

MAX_JOBS: Final = 2
"""How many jobs of one gateway run at once, each with all processors and the whole of `max_memory`. Arbitrary:
with two, one that is slow does not keep all others waiting."""

_NICENESS: Final = 5
"""Of a job that yields: who serves gets three times as much of a processor that both want. Measured on two, on
which much else ran: the longest that a small request took while a large function was compiled went from 435 to
157 ms (medians of three, in turns), and compiling took as long as before, 6.5 s. With 10 it was no better."""

_turns: Final = threading.BoundedSemaphore(MAX_JOBS)

_LOOK: Final = 0.1
"""Seconds between two looks of a compiler that waits for its turn whether it was stopped."""

_STOPPED: Final = "it was not compiled, since something else was wanted meanwhile"

_PROGRAM: Final = """
import sys
sys.path[:] = sys.argv[5:]
from gateway.host.compile_job import main
main(sys.argv[1], *map(int, sys.argv[2:5]))
"""


@dataclass(frozen=True, slots=True)
class CompileLimits:
    """What one job may take.

    Attributes:
        timeout: seconds.
        max_memory: bytes, where the system can bound that: on Linux.
        yields: whether others go first who want the processors too: those whose requests are served meanwhile.
    """

    timeout: float
    max_memory: int
    yields: bool = False


class Invalid(Exception):
    """What a compiler was given is not valid; the message says why."""


class CompileFailed(Exception):
    """A job took more than it may, or was stopped. The message is a clause that follows the file's name."""


class Compiler:
    """What loads a component compiles with. Used by one thread at a time; any other may stop it.

    Args:
        limits: what each job may take; None to do it in this process, without any.
    """

    def __init__(self, limits: CompileLimits | None = None) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped

    def stop(self) -> None:
        """End what it does with `CompileFailed`, and whatever it is asked to do from now on."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def check(self) -> None:
        """Do nothing, unless it was stopped.

        Raises:
            CompileFailed: it was.
        """
        if self._stopped:
            raise CompileFailed(_STOPPED)

    def compile(self, binary: bytes, *, concurrent: bool = False) -> bytes:
        """Compile a component or core module for an engine of `gateway.host.engine`; returns its serialized form.

        Args:
            binary: the binary.
            concurrent: whether that engine is.

        Raises:
            Invalid: the engine refuses it.
            CompileFailed: it takes more than it may, or was stopped. Likewise below.
        """
        job = "compile-concurrent" if concurrent else "compile"
        return self._do(job if is_roomy() else f"{job}-tight", binary)

    def to_binary(self, text: bytes) -> bytes:
        """The binary form of a component or core module in text form.

        Raises:
            Invalid: it cannot be read.
            CompileFailed: as `compile`.
        """
        return self._do("to-binary", text)

    def componentize(self, module: bytes) -> bytes:
        """The component that a core module describes.

        Raises:
            Invalid: it describes none.
            CompileFailed: as `compile`.
        """
        return self._do("componentize", module)

    def _do(self, job: str, data: bytes) -> bytes:
        if self._limits is None:
            status, result = compile_job.JOBS[job]()(data)
        else:
            try:
                status, result = self._do_apart(job, data, self._limits)
            except _NoProcessError as error:
                _log.warning(
                    "compiling without limits",
                    reason=f"no process could be started for it: {error}",
                    effect="compile_timeout and compile_max_memory are not heeded",
                )
                status, result = compile_job.JOBS[job]()(data)
        if status == REFUSED:
            raise Invalid(bytes(result).decode(errors="replace"))
        return bytes(result)

    def _do_apart(self, job: str, data: bytes, limits: CompileLimits) -> tuple[bytes, bytes]:
        """The status and the result of a job that another process does."""
        with self._turn():
            reading, lifeline = os.pipe()
            try:
                process = self._start(job, limits, reading)
                output, errors = self._communicate(process, data, limits)
            except OSError as error:
                raise _NoProcessError(str(error)) from error
            finally:
                os.close(reading)
                os.close(lifeline)
        self.check()
        if not output.startswith(STARTED) and process.returncode > 0:
            raise _NoProcessError(errors.decode(errors="replace").strip().rpartition("\n")[2])
        status = output[1:2]
        if process.returncode or status not in {DONE, REFUSED}:
            raise CompileFailed(_reason(process.returncode, limits))
        return status, output[2:]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        while not _turns.acquire(timeout=_LOOK):
            self.check()
        try:
            yield
        finally:
            _turns.release()

    def _start(self, job: str, limits: CompileLimits, lifeline: int) -> subprocess.Popen[bytes]:
        """Start the process; one that is stopped already is killed as it starts."""
        niceness = _NICENESS if limits.yields else 0
        numbers = (str(limits.max_memory), str(niceness), str(lifeline))
        with self._lock:
            self._process = subprocess.Popen(  # noqa: S603  (this very program)
                [sys.executable, "-P", "-c", _PROGRAM, job, *numbers, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(lifeline,),
            )
            if self._stopped:
                self._process.kill()
            return self._process

    def _communicate(
        self, process: subprocess.Popen[bytes], data: bytes, limits: CompileLimits
    ) -> tuple[bytes, bytes]:
        with process:
            try:
                return process.communicate(data, limits.timeout)
            except subprocess.TimeoutExpired:
                raise CompileFailed(
                    f"it takes longer to compile than compile_timeout, {limits.timeout:g} s. Raise that, or make "
                    "the component smaller"
                ) from None
            finally:
                process.kill()
                with self._lock:
                    self._process = None


class _NoProcessError(Exception):
    """There is no process to be had that could do a job."""


def _reason(status: int, limits: CompileLimits) -> str:
    """Why a process ended without a result."""
    if -status not in {0, signal.SIGABRT, signal.SIGKILL}:
        return f"the compiler ended with status {status} over it. Report this with the component"
    return (
        f"it takes more memory to compile than compile_max_memory, {limits.max_memory >> 20} MiB, or than the "
        "system has. Raise that, or make the component smaller"
    )
