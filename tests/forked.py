"""Starts `python -m gateway` without importing all of it each time.

A process has imported what the command line needs, and every start is a fork of it: a process of its own with the
arguments, the environment and the files that it is given, whose end is told. What is tested of a start itself is
started as its users do it.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from tests.patience import PATIENCE

__all__ = ["Forked", "run", "start"]

_ROOT: Final = Path(__file__).parent.parent
_MODULE: Final = (sys.executable, "-m")
_MAX_ORDER: Final = 1 << 20
_PYTHON: Final = "PYTHON"
"""What the variables begin with that an interpreter reads when it starts."""

_OURS: Final = {name: value for name, value in os.environ.items() if name.startswith(_PYTHON)}
"""Those that the process that forks has, whatever a test sets."""


class Forked:
    """A process that was forked, with what the tests use of `subprocess.Popen`.

    Attributes:
        pid: its process id.
    """

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status_fd = status
        self._status: int | None = None
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, status)

    def poll(self) -> int | None:
        """Its exit status, or None as long as it runs."""
        return self._ended(0)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end; gives its exit status, the number of a signal that killed it being negative.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("gateway", timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float) -> int | None:
        told = select.poll()
        told.register(self._status_fd, select.POLLIN)
        if self._status is None and told.poll(timeout * 1000):
            with self._lock:
                if self._status is None:
                    self._status = int(os.read(self._status_fd, 16))
        return self._status


def run(
    *arguments: str | Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `gateway` to its end; whatever happens, a user must never see a traceback.

    Args:
        arguments: of the command line.
        stdin: what it can read.
        environment: variables to add.
    """
    command = [*_MODULE, "gateway", *map(str, arguments)]
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment}
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        process = start(command, env, given.fileno(), output.fileno(), errors.fileno())
        try:
            status = process.wait(PATIENCE)
        except BaseException:
            process.kill()
            raise
        output.seek(0)
        errors.seek(0)
        printed, told = output.read().decode(), errors.read().decode()
    assert "Traceback" not in told, told
    return subprocess.CompletedProcess(command, status, printed, told)


def start(
    command: Sequence[str],
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    *,
    new_session: bool = False,
    pass_fds: Sequence[int] = (),
) -> Forked | subprocess.Popen[bytes]:
    """Start a process, by a fork where that is the same.

    Args:
        command: what to run.
        env: all its environment variables.
        stdin: the file descriptor of its input.
        stdout: of its output.
        stderr: of its errors.
        new_session: whether it has a process group of its own.
        pass_fds: what it inherits.
    """
    theirs = {name: value for name, value in env.items() if name.startswith(_PYTHON)}
    if tuple(command[:2]) == _MODULE and theirs == _OURS and not pass_fds:
        order = {"arguments": command[2:], "env": dict(env), "new_session": new_session}
        return _forking().fork(order, stdin, stdout, stderr)
    return subprocess.Popen(
        command,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=new_session,
        pass_fds=pass_fds,
    )


class _Forking:
    """The process that forks, as the tests see it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = {name: value for name, value in os.environ.items() if not name.startswith(_PYTHON)}
        with theirs:
            self._process = subprocess.Popen(
                [*_MODULE, __name__, str(theirs.fileno())],
                cwd=_ROOT,
                env=env | _OURS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._lock = threading.Lock()
        atexit.register(self.close)
        assert self._socket.recv(1), "the command line cannot be imported; standard error says why"

    def fork(self, order: Mapping[str, object], *files: int) -> Forked:
        ours, theirs = os.pipe()
        try:
            with self._lock:
                text = json.dumps({**order, "cwd": str(Path.cwd())}).encode()
                socket.send_fds(self._socket, [text], [*files, theirs])
                told = self._socket.recv(16)
        finally:
            os.close(theirs)
        assert told, "the process that forks has ended"
        return Forked(int(told), ours)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(PATIENCE)


@functools.cache
def _forking() -> _Forking:
    return _Forking()


# --- in the process that forks -------------------------------------------------------------------


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork at each order, and tell of each end.

    Returns:
        In a process that was forked, its order; None in this one, when there will be no more.
    """
    running: dict[int, int] = {}
    children, told = socket.socketpair()
    told.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector, children, told:
        selector.register(orders, selectors.EVENT_READ)
        selector.register(children, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is children:
                    children.recv(4096)
                    _tell_of_ends(running)
                    continue
                text, fds, _, _ = socket.recv_fds(orders, _MAX_ORDER, 4)
                if not text:
                    return None
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    orders.close()
                    for fd in (fds.pop(), *running.values()):
                        os.close(fd)
                    order: dict[str, Any] = json.loads(text)
                    _become(order, *fds)
                    return order
                orders.send(str(pid).encode())
                *files, running[pid] = fds
                for fd in files:
                    os.close(fd)


def _tell_of_ends(running: dict[int, int]) -> None:
    """Tell whoever waits for processes that have ended.

    Args:
        running: for each process id where that is told; those that have ended are removed.
    """
    for pid, status in list(running.items()):
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            with suppress(BrokenPipeError):  # nobody asks any more
                os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
            os.close(status)
            del running[pid]


def _become(order: Mapping[str, Any], *files: int) -> None:
    """Be as a process is that was started so."""
    if order["new_session"]:
        os.setsid()
    for place, fd in enumerate(files):
        os.dup2(fd, place)
        os.close(fd)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.path[0] = order["cwd"]
    # A gateway looks whether its code has changed, which the tests are no part of.
    for name in list(sys.modules):
        if name == "__mp_main__" or name.partition(".")[0] == "tests":
            del sys.modules[name]


def _main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    import gateway.cli.app  # noqa: F401 - what takes so long

    # What each fork would look at, and so copy, whenever it collects its garbage.
    gc.collect()
    gc.freeze()
    orders.send(b"!")
    order = _serve(orders)
    if order is not None:
        module, *sys.argv[1:] = order["arguments"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
