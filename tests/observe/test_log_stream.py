"""The queue in front of the standard error: whoever writes never waits, and what is lost is told."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gateway.observe.log_stream import MAX_UNENDED, QueuedStream
from tests.harness import PATIENCE

PIPE: int = 4096
"""Bytes that the pipes here hold: the least that Linux gives."""


class Pipe:
    """A pipe that is read when the test says so, and the streams that write to it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PIPE)
        self._streams: list[QueuedStream] = []

    def stream(self, **options: Any) -> QueuedStream:
        stream = QueuedStream(self.writing, **options)
        self._streams.append(stream)
        return stream

    def read_until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            piece = os.read(self.reading, 1 << 16)
            assert piece
            data += piece
        return data

    def until_full(self) -> None:
        """Waits until who writes has to wait."""
        deadline = monotonic() + PATIENCE
        unread = bytearray(4)
        while int.from_bytes(unread, sys.byteorder) < PIPE:
            assert monotonic() < deadline
            fcntl.ioctl(self.reading, termios.FIONREAD, unread)

    def break_(self) -> None:
        if self.reading >= 0:
            os.close(self.reading)
        self.reading = -1

    def close(self) -> None:
        self.break_()
        # What they still write fails now; later it would go to whoever has the descriptor's number by then.
        for stream in self._streams:
            assert stream.drain(PATIENCE)
        os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_lines_arrive_whole_and_in_order(pipe: Pipe) -> None:
    stream = pipe.stream()
    for number in range(2000):
        print(number, "ä", "\ud800", file=stream)
    lines = pipe.read_until(b"1999 ").decode().splitlines()
    assert lines == [f"{number} ä \\ud800" for number in range(2000)]
    assert stream.drain(PATIENCE)
    assert stream.dropped == 0


def test_threads_do_not_write_into_each_others_lines(pipe: Pipe) -> None:
    stream = pipe.stream()

    def write(name: str) -> None:
        for _ in range(300):
            stream.write(name * 100 + "\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    data = b""
    while data.count(b"\n") < 1200:
        data += os.read(pipe.reading, 1 << 16)
    assert {line[:1] * 100 for line in data.splitlines()} == set(data.splitlines())
    for thread in threads:
        thread.join()


def test_who_writes_goes_on_while_nobody_reads_and_the_loss_is_told(pipe: Pipe) -> None:
    told: list[tuple[int, str | None]] = []
    stream = pipe.stream(max_lines=100)

    def tell(lines: int, failure: str | None) -> None:
        told.append((lines, failure))
        stream.write(f"lost {lines}\n")

    stream.on_dropped = tell
    line = "x" * 99 + "\n"
    first = 2 * PIPE // len(line)
    stream.write(line * first)
    pipe.until_full()
    for _ in range(1000):
        stream.write(line)  # would wait for ever
    assert not stream.drain(0)
    assert stream.dropped == 900

    data = pipe.read_until(b"lost ")
    assert stream.drain(PATIENCE)
    data += os.read(pipe.reading, 1 << 16) if not data.endswith(b"\n") else b""
    assert told == [(900, None)]
    assert data.decode().splitlines() == [line.strip()] * (first + 100) + ["lost 900"]
    assert stream.dropped == 900


def test_bytes_are_bounded_too(pipe: Pipe) -> None:
    stream = pipe.stream(max_bytes=10_000)
    for _ in range(10):
        stream.write("x" * 4999 + "\n")
    assert stream.dropped >= 10 - 2 - 1


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: Pipe) -> None:
    told: list[tuple[int, str | None]] = []
    stream = pipe.stream(on_dropped=lambda *what: told.append(what))
    pipe.break_()
    for _ in range(3):
        stream.write("nobody\nhears\n")
        assert stream.drain(PATIENCE)
    assert stream.dropped == 6
    assert told == []


def test_a_full_disk_is_told_once_there_is_room_again(tmp_path: Path) -> None:
    told: list[tuple[int, str | None]] = []
    full = os.open("/dev/full", os.O_WRONLY)
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    descriptor = os.dup(full)
    try:
        stream = QueuedStream(descriptor, on_dropped=lambda *what: told.append(what))
        for _ in range(3):
            stream.write("no room\n")
            assert stream.drain(PATIENCE)
        assert (stream.dropped, told) == (3, [])
        os.dup2(file, descriptor)
        stream.write("room\n")
        assert stream.drain(PATIENCE)
    finally:
        for each in (full, file, descriptor):
            os.close(each)
    assert told == [(3, "No space left on device")]
    assert (tmp_path / "log").read_text() == "room\n"


def test_a_line_that_was_torn_is_not_continued_by_the_next(pipe: Pipe, tmp_path: Path) -> None:
    file = tmp_path / "log"
    script = f"""
import os, resource, signal
from gateway.observe.log_stream import QueuedStream
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
stream = QueuedStream(os.open({str(file)!r}, os.O_WRONLY | os.O_CREAT))
stream.write("the disk is full in the middle\\n")
assert stream.drain({PATIENCE}) and stream.dropped == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
stream.write("next\\n")
assert stream.drain({PATIENCE}) and stream.dropped == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)
    assert file.read_text() == "the disk i\nnext\n"


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    stream = pipe.stream()
    stream.write("x" * 3 * PIPE + "\n")
    assert len(pipe.read_until(b"\n")) == 3 * PIPE + 1
    assert stream.drain(PATIENCE)
    assert stream.dropped == 0


def test_what_has_no_end_is_held_back_for_a_while(pipe: Pipe) -> None:
    stream = pipe.stream()
    stream.write("one ")
    stream.write("line\nand")
    assert pipe.read_until(b"\n") == b"one line\n"
    stream.write("x" * MAX_UNENDED)
    data = b""
    while len(data) < 3 + MAX_UNENDED:
        data += os.read(pipe.reading, 1 << 16)
    stream.write("the end")
    assert stream.drain(PATIENCE)
    assert pipe.read_until(b"end") == b"the end"


SCRIPT = """
import os, sys
from gateway.observe import log
log.serve("json", "info")
{rest}
"""


def run(rest: str, *, read: bool = True) -> tuple[int, str]:
    """Runs a script whose log is read, or is not; gives its exit status and what it wrote."""
    command = [sys.executable, "-c", SCRIPT.format(rest=rest)]
    pipe = Pipe()
    with subprocess.Popen(command, stderr=pipe.writing) as process, open(pipe.reading, "rb") as log:
        os.close(pipe.writing)
        if not read:
            process.wait(PATIENCE)
        text = log.read().decode()
        return process.wait(PATIENCE), text


@pytest.mark.parametrize(
    ("rest", "status", "last"),
    [
        ("log._log.critical('component refused'); sys.exit(3)", 3, "component refused"),
        ("raise ZeroDivisionError('the last word')", 1, "ZeroDivisionError: the last word"),
        ("print('no end', end='', file=sys.stderr)", 0, "no end"),
        ("import warnings; warnings.warn('of a warning')", 0, "of a warning"),
        ("import atexit; atexit.register(log._log.info, 'at exit')", 0, "at exit"),
    ],
)
def test_the_last_words_of_a_process_are_written(rest: str, status: int, last: str) -> None:
    ended, text = run(rest)
    assert ended == status
    assert last in text.splitlines()[-1]


def test_a_process_ends_though_nobody_reads() -> None:
    status, text = run(
        "for _ in range(1000): log._log.info('x' * 1000)\nraise SystemExit(5)", read=False
    )
    assert status == 5
    assert 1 <= text.count("\n") <= 2 * PIPE // 1000


def test_a_fork_has_a_queue_of_its_own() -> None:
    """With no line of its parent's, which waits there, and a thread that writes."""
    status, text = run("""
log._log.info("of the parent")
if os.fork() == 0:
    log._log.info("of the child")
    log._own.stream.drain(60)
    os._exit(0)
os.wait()
""")
    assert status == 0
    assert (text.count("of the parent"), text.count("of the child")) == (1, 1)


def test_without_a_standard_error_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    """Its number may be that of a socket by then."""
    script = SCRIPT.format(
        rest=f"file = os.open({str(tmp_path / 'file')!r}, os.O_WRONLY | os.O_CREAT)\n"
        "log._log.error('nobody'); log._own.stream.drain(60); sys.exit(file)"
    )
    command = f'exec "{sys.executable}" - 2>&-'
    ended = subprocess.run(
        ["sh", "-c", command], check=False, input=script.encode(), timeout=PATIENCE
    )
    assert ended.returncode > 0
    assert (tmp_path / "file").read_bytes() == b""
