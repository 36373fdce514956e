"""One build of a component: a command of the shell, in a process group of its own."""

from __future__ import annotations

import codecs
import os
import select
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Final, cast

from gateway.config.build import BuildConfig

__all__ = ["BuildFailed", "BuildInterrupted", "build"]

MAX_OUTPUT: Final = 16 << 10
"""Characters of a build's output that are kept, its last ones. Threat: a build that prints without an end. What
went wrong stands at the end, and a terminal shows no more of it at once."""

MAX_SHOWN: Final = 1 << 20
"""Characters of it that are shown while it runs. Threat: the same, for whoever keeps what a terminal shows."""

_LOOK: Final = 0.1
"""Seconds between two looks whether a build may go on. Arbitrary: less than who waits for it notices."""

_END: Final = 0.3
"""Seconds from SIGTERM to SIGKILL. Less than the time that a gateway has to end which is stopped amid its start
(`gateway.lifecycle.starting.UNWIND`)."""

_PIECE: Final = 64 << 10


class BuildFailed(Exception):
    """A build came to nothing; the message is a clause that says why.

    Attributes:
        output: the last of what it has written.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


class BuildInterrupted(Exception):
    """A build was ended because nobody wants what would come of it."""


def build(
    config: BuildConfig,
    source: Path,
    *,
    show: Callable[[str], object] = lambda _: None,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Run a build to its end. When this returns or raises, nothing of its process group is left.

    Args:
        config: what to run.
        source: the file that it is to make.
        show: called with what it writes, as that comes.
        wanted: asked ten times a second whether it may go on.

    Raises:
        BuildFailed: it cannot be started, fails, takes longer than it may, or has made nothing.
        BuildInterrupted: it is not wanted any more.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command
            ["/bin/sh", "-c", config.command],
            cwd=config.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own: what it starts ends with it, and Ctrl+C in a terminal is the gateway's to heed.
            start_new_session=True,
        )
    except OSError as error:
        raise BuildFailed(f"it cannot be started: {error.strerror}: {error.filename}") from None
    output = _Output(show)
    with process:
        try:
            _follow(process, output, monotonic() + config.timeout, wanted)
        except TimeoutError:
            reason = f"it took longer than its timeout, {config.timeout:g} s"
            raise BuildFailed(reason, output.last) from None
        finally:
            _end(process)
    if process.returncode:
        raise BuildFailed(_reason(process.returncode), output.last)
    if not source.exists():
        raise BuildFailed(f"it ended well, and there is no {source}", output.last)


def _environment() -> dict[str, str]:
    """The gateway's own, where the programs of its Python environment are found after all others."""
    path = [os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")]
    return {**os.environ, "PATH": os.pathsep.join(path)}


def _follow(
    process: subprocess.Popen[bytes],
    output: _Output,
    deadline: float,
    wanted: Callable[[], bool],
) -> None:
    """Read what a process writes until it has ended.

    What it has left running in the background may hold its output open: the shell's own end counts.

    Raises:
        TimeoutError: the deadline has passed.
        BuildInterrupted: it is not wanted any more.
    """
    reading = cast("IO[bytes]", process.stdout).fileno()
    os.set_blocking(reading, False)
    # Not select(), which takes no descriptor beyond 1023: a gateway has many.
    ready = select.poll()
    ready.register(reading, select.POLLIN)
    open_ = True
    while process.poll() is None:
        if monotonic() > deadline:
            raise TimeoutError
        if not wanted():
            raise BuildInterrupted
        if not open_:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK)
        elif ready.poll(_LOOK * 1000):
            open_ = output.read(reading)
    while open_ and ready.poll(0) and monotonic() < deadline:
        open_ = output.read(reading)
    output.end()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process group.

    Where its leader has been waited for, its number is another's only if the group is empty, and the system has
    given all other numbers away since then.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END)
    with suppress(ProcessLookupError, PermissionError):  # macOS, of a group of which all have ended
        os.killpg(process.pid, signal.SIGKILL)


def _reason(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-status).name}"
    return f"it ended with status {status}"


class _Output:
    """What a build writes: shown as it comes, up to a bound, and the last of it kept."""

    def __init__(self, show: Callable[[str], object]) -> None:
        self.last = ""
        self._show = show
        self._left = MAX_SHOWN
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, descriptor: int) -> bool:
        """Take what has come; tells whether there may be more."""
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        self._take(self._decoder.decode(piece))
        return bool(piece)

    def end(self) -> None:
        """Take what was no whole character."""
        self._take(self._decoder.decode(b"", final=True))

    def _take(self, text: str) -> None:
        self.last = (self.last + text)[-MAX_OUTPUT:]
        if text and self._left > 0:
            self._show(text[: self._left])
            self._left -= len(text)
            if self._left <= 0:
                self._show("\n... and more, which is not shown\n")
