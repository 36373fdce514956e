"""Sockets that are handed over as systemd does it (sd_listen_fds(3))."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.server import ListenError
from gateway.server.handed_over import handed_over
from tests.patience import PATIENCE
from tests.server import echo
from tests.server.client import Connection, head
from tests.server.process import ROOT, Process

LAUNCH: Final = """if True:
    import os, sys
    names, descriptors, *command = sys.argv[1:]
    for place, descriptor in enumerate(map(int, descriptors.split())):
        os.dup2(descriptor, 3 + place)
        os.close(descriptor)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(place + 1), "LISTEN_FDNAMES": names}
    os.execvp(command[0], command)
"""
"""What systemd does between fork and exec."""


def serving(*sockets: tuple[str, socket.socket], **options: Any) -> Process:
    """Start a server that is handed sockets, by their names."""
    # Above all places that they are put at.
    descriptors = [fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 100) for _, sock in sockets]
    names = ":".join(name for name, _ in sockets)
    launcher = [sys.executable, "-ISc", LAUNCH, names, " ".join(map(str, descriptors))]
    try:
        return Process(echo.make_echo, launcher, descriptors, **options)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """What systemd has open for a service: one at a port, one at a path."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "gateway.sock"))
        unix.listen()
        yield tcp, unix


class Asking(threading.Thread):
    """A client that asks again and again, each time on a new connection."""

    def __init__(self, place: int | Path) -> None:
        super().__init__(daemon=True)
        self.pids: list[int] = []
        self.failed: Exception | None = None
        self.done = threading.Event()
        self._answered = threading.Condition()
        self._place = place
        self.start()

    def run(self) -> None:
        try:
            while not self.done.is_set():
                with Connection(self._place, 1 << 20) as connection:
                    connection.send(head())
                    pid = connection.response().json["pid"]
                with self._answered:
                    self.pids.append(pid)
                    self._answered.notify_all()
        except Exception as error:
            self.failed = error
            with self._answered:
                self._answered.notify_all()

    def wait_until_answered(self, pid: int | None = None) -> None:
        """Wait until this process has answered, or any."""
        with self._answered:
            assert self._answered.wait_for(
                lambda: self.failed or (self.pids if pid is None else pid in self.pids), PATIENCE
            )
        assert self.failed is None, self.failed


def test_no_request_is_lost_across_a_restart(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    tcp, unix = sockets
    port, path = tcp.getsockname()[1], Path(unix.getsockname())
    given = (("web", tcp), ("web", unix))
    clients = [Asking(port), Asking(path)]
    with serving(*given, workers=2) as first:
        told = first.wait_for(event="listening")
        assert (told["url"], told["more_urls"]) == (f"http://127.0.0.1:{port}", [f"unix:{path}"])
        for client in clients:
            client.wait_until_answered()
        first.signal(signal.SIGTERM)
        assert first.ended() == 0
        assert first.wait_for(event="stopped")["cut_off"] == 0
    # Who connects now waits for the next one.
    with serving(*given) as second:
        for client in clients:
            client.wait_until_answered(second.pid)
            client.done.set()
            client.join(PATIENCE)
            assert client.failed is None
        second.signal(signal.SIGTERM)
        assert second.ended() == 0
    assert path.is_socket()


def test_systemd_hands_them_over(tmp_path: Path) -> None:
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("systemd-socket-activate is not installed: apt-get install systemd")
    path = tmp_path / "gateway.sock"
    launcher = [program, "--listen", str(path), "--fdname", "web"]
    with Process(echo.make_echo, launcher) as process:
        # It starts what it is to start when somebody connects.
        with _as_soon_as_there(path) as connection:
            connection.send(head("/first"))
            assert connection.response().json["pid"] == process.pid
        assert process.wait_for(event="listening")["url"] == f"unix:{path}"
        process.signal(signal.SIGTERM)
        assert process.ended() == 0


def _as_soon_as_there(path: Path) -> Connection:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return Connection(path, 1 << 20)
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline
            time.sleep(0.001)


# --- what is wrong with them -----------------------------------------------------------------------


def test_those_of_another_process_are_not_taken_nor_passed_on() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "PATH": "/bin"}
    assert handed_over(environ) == []
    assert environ == {"PATH": "/bin"}
    assert handed_over({}) == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"LISTEN_FDS": "some"}, 'LISTEN_FDS must be a number, not "some"'),
        ({}, 'LISTEN_FDS must be a number, not ""'),
        ({"LISTEN_FDS": "9" * 20}, f'LISTEN_FDS must be a number, not "{"9" * 20}"'),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}, "has 1 names, and LISTEN_FDS says 2"),
    ],
)
def test_what_cannot_be_so_is_told(said: dict[str, str], reason: str) -> None:
    with pytest.raises(ListenError, match=reason):
        handed_over({"LISTEN_PID": str(os.getpid()), **said})


DESCRIBE: Final = """if True:
    import os, socket
    from gateway.server import ListenError
    from gateway.server.handed_over import handed_over
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    for make in (
        lambda: os.open("/dev/null", os.O_RDONLY),
        lambda: socket.socket().detach(),
        lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(),
    ):
        os.dup2(make(), 3)
        try:
            handed_over({**os.environ})
        except ListenError as error:
            print(error)
"""


def test_what_cannot_be_listened_on_is_told() -> None:
    # In a process of its own, whose descriptor 3 is nobody's.
    process = subprocess.run(
        [sys.executable, "-c", DESCRIBE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    no_socket, *no_listeners = process.stdout.splitlines()
    which = 'cannot take sockets: descriptor 3 ("web")'
    assert no_socket.startswith(f"{which}, which LISTEN_FDS tells of, is no socket: ")
    assert (
        no_listeners
        == [f"{which} does not listen for streams: give it ListenStream= and Accept=no"] * 2
    )
