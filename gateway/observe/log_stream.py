"""A text stream whose writers never wait for whoever reads it.

Theory of operation. A write puts text into a bounded queue, and a thread takes it from there to a file descriptor.
Where nobody reads (a paused terminal, a stuck log driver, a disk that hangs) the thread waits and the queue fills;
what does not fit is dropped and counted, and once there is room again it is told how much that was. A descriptor
that fails (a closed pipe, a full disk) costs what could not be written, and is tried again with the next lines.

The thread starts with the first write, so a process that is made by a fork begins with an empty queue and no
thread, and gets its own. At the end of the process, whatever ends it in Python, what waits has a bounded time to
be written.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import stat
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

__all__ = ["QueuedStream", "queued_stderr"]

MAX_LINES: Final = 16_384
MAX_BYTES: Final = 4 << 20
"""Pieces of text, which are lines as a rule, and bytes that may wait. Threat: a log that nobody reads fills the
memory. Arbitrary: some seconds of a busy worker's lines; a pipe of Linux holds 64 KiB beyond that."""

MAX_UNENDED: Final = 64 << 10
"""Characters of a line that has not ended, until they are queued all the same."""

CLOSE_TIME: Final = 2.0
"""Seconds that what waits has at the end of the process. Threat: a process that does not end because nobody reads
its log. Arbitrary: enough for megabytes, if anybody does."""

INTERVAL: Final = 10.0
"""Seconds between two calls of `on_dropped` while lines go on being lost. Arbitrary."""

_GATHER: Final = 0.02
"""Seconds from the first line after a silence to its write, and from one look at the queue to the next until
there is silence again, in which others may join it. Without, a busy worker's requests cost 8% more: each time
that the thread wakes, it takes the interpreter's lock from the loop."""

_LF: Final = 0x0A

_AT_ONCE: Final = select.PIPE_BUF
_AT_ONCE_TO_A_FILE: Final = 64 << 10
"""Bytes of one write to the descriptor, or one piece if that is more. POSIX: up to this many are written to a pipe
in one, so that the lines of several workers do not run into each other. To a file, any number is."""


class QueuedStream(io.TextIOBase):
    """A queue of text in front of a file descriptor, for any number of threads.

    Args:
        descriptor: where the text goes, in UTF-8. It stays open.
        on_dropped: called by the stream's thread when text can be written again, with the number of lines that
            were dropped since it was last called, and the last error of the descriptor, None where the queue was
            full. What it writes here counts as any other text.
        max_lines: how many pieces of text may wait.
        max_bytes: how many bytes may wait.

    Attributes:
        dropped: lines that were never written, so far.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        on_dropped: Callable[[int, str | None], None] | None = None,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__()
        self.dropped = 0
        self.on_dropped = on_dropped
        self._descriptor = descriptor
        self._is_terminal = os.isatty(descriptor)
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._at_once = _AT_ONCE_TO_A_FILE if is_file else _AT_ONCE
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._begin()
        _STREAMS.add(self)

    def _begin(self) -> None:
        # Reentrant: an object that is freed while the lock is held may warn, and that is written here too.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._unended = ""
        self._thread: threading.Thread | None = None
        self._wake = threading.Lock()
        self._wake.acquire()
        # Whether the thread waits for `_wake`, because it had nothing to do; who changes that releases it, once.
        self._idle = True
        # Whether it has taken what it has not written yet.
        self._writing = False
        self._ended = False
        # Whether the last write to the descriptor succeeded, and whether it ended within a line.
        self._works = True
        self._torn = False
        self._failure: str | None = None
        self._untold = 0
        self._tell_at = 0.0

    # --- for writers ---------------------------------------------------------------------------------------

    def write(self, text: str, /) -> int:
        """Take text, to be written in whole lines. Never waits, and never fails."""
        with self._lock:
            whole = self._unended + text
            self._unended = ""
            if not whole.endswith("\n") and len(whole) < MAX_UNENDED:
                end = whole.rfind("\n") + 1
                whole, self._unended = whole[:end], whole[end:]
            if whole:
                self._put(whole.encode(errors="backslashreplace"))
        return len(text)

    def drain(self, timeout: float) -> bool:
        """Wait, at most so many seconds, until all that was written so far has left; tells whether it has."""
        with self._lock:
            if self._unended:
                unended, self._unended = self._unended, ""
                self._put(unended.encode(errors="backslashreplace"))
            return self._changed.wait_for(lambda: not self._queue and not self._writing, timeout)

    def end(self) -> None:
        """Drain it at the end of the process. What is written later is written at once, or lost."""
        self._ended = self.drain(CLOSE_TIME)

    def flush(self) -> None:
        """Nothing: what was written is on its way."""

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Whether the text goes to a terminal."""
        return self._is_terminal

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def _put(self, data: bytes) -> None:
        if self._ended:
            if _has_room(self._descriptor, 0):
                self._write_out(data)
        elif len(self._queue) >= self._max_lines or self._bytes + len(data) > self._max_bytes:
            self._drop(data.count(b"\n"))
        else:
            self._queue.append(data)
            self._bytes += len(data)
            if self._thread is None:
                self._start()
            elif self._idle:
                self._idle = False
                self._wake.release()

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._untold += lines

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._idle = False
        try:
            self._thread.start()
        except RuntimeError:  # no room for another thread, or the interpreter is about to end
            self._thread = None
            self._idle = True
            self._write_out(self._take())

    # --- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        silent = False
        while True:
            with self._lock:
                data = self._take()
                dropped = self._to_tell()
                self._writing = working = bool(data or dropped)
                self._idle = idle = silent and not working
                if not working:
                    self._changed.notify_all()
            silent = not working
            if dropped:
                self._tell(dropped)
            if data:
                self._write_out(data)
            if idle:
                self._wake.acquire()
            if silent:
                sleep(_GATHER)

    def _take(self) -> bytes:
        """The next pieces, as many as fit into one write."""
        queue = self._queue
        if not queue:
            return b""
        pieces = [queue.popleft()]
        size = len(pieces[0])
        while queue and size + len(queue[0]) <= self._at_once:
            pieces.append(queue.popleft())
            size += len(pieces[-1])
        self._bytes -= size
        return b"".join(pieces)

    def _write_out(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                try:
                    written += os.write(self._descriptor, memoryview(data)[written:])
                except BlockingIOError:  # someone who shares the descriptor has made it so
                    _has_room(self._descriptor, 1000)
        except OSError as error:
            with self._lock:
                self._works = False
                self._failure = error.strerror
                self._torn = self._torn if not written else data[written - 1] != _LF
                self._drop(data.count(b"\n", max(written, int(self._torn))))
        else:
            self._works = True
            self._torn = False

    # --- what was dropped ----------------------------------------------------------------------------------

    def _to_tell(self) -> int:
        """How many dropped lines are to be told now: there is room again, or it has not been told for a while."""
        if not self._untold or not self._works or self.on_dropped is None:
            return 0
        now = monotonic()
        if self._queue and now < self._tell_at:
            return 0
        self._tell_at = now + INTERVAL
        dropped, self._untold = self._untold, 0
        return dropped

    def _tell(self, dropped: int) -> None:
        failure, self._failure = self._failure, None
        if self.on_dropped is not None:
            try:
                self.on_dropped(dropped, failure)
            except Exception:  # the thread must go on; the number is told with the next ones
                with self._lock:
                    self._untold += dropped


_STREAMS: Final[weakref.WeakSet[QueuedStream]] = weakref.WeakSet()


def _begin_again() -> None:
    for stream in _STREAMS:
        stream._begin()


os.register_at_fork(after_in_child=_begin_again)


def _has_room(descriptor: int, timeout: int) -> bool:
    """Whether a descriptor can be written to without waiting, within so many milliseconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(timeout))


def queued_stderr() -> QueuedStream:
    """A queue in front of the standard error of this process, which is drained at the end of it."""
    try:
        sys.stderr.flush()
        descriptor = sys.stderr.fileno()
    except (
        AttributeError,
        ValueError,
        OSError,
    ):  # closed; its number may be that of another file by now
        descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    stream = QueuedStream(descriptor)
    atexit.register(stream.end)
    return stream
