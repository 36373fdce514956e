"""The standard streams of a guest, and what becomes of the words it writes.

A guest reads nothing, and writes to the `Output` of its context. `LineOutput` is one that makes lines of it, for a
log.

Source: `wasi:cli@0.2.12`, `stdio.wit`.
"""

from __future__ import annotations

import asyncio
import codecs
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol

from gateway.bindings.context import State
from gateway.bindings.io import Closed, InputStream, OutputStream, Source, Waiters, Wakers

__all__ = ["MAX_LINE", "LineOutput", "NoInput", "Output", "StandardOutput", "discard"]

PERMIT: Final = 1 << 20
"""Bytes that one `check-write` permits. Bounds a write, not the total. More than the 64 KiB of other streams,
because there are guests that write once and do not look at how much was taken: CPython's `print`, unbuffered."""

MAX_LINE: Final = 16 << 10
"""Characters of a line; a longer one is cut into several. Keeps a guest that never writes a newline from filling
the host's memory, and log collectors from dropping what it wrote: Docker cuts at 16 KiB, journald at 48 KiB."""


LINES_AT_ONCE: Final = 64
BYTES_AT_ONCE: Final = 64 << 10
"""Lines, some more or less, and bytes of one invocation's output that are worked off in one iteration of the event
loop. Threat: a guest that writes a megabyte of newlines in one call holds up everyone else. Arbitrary: a line
takes some 20 us."""

_PIECE: Final = 4096
"""Bytes that are looked at at once. Arbitrary."""


class Output(Protocol):
    """Takes what a guest writes; one that is a `gateway.bindings.io.Source` too, only when it is ready."""

    def __call__(self, stream: str, data: bytes, /) -> None:
        """Take bytes. Must not block or raise.

        Args:
            stream: `stdout` or `stderr`.
            data: what was written there.
        """


def discard(_stream: str, _data: bytes) -> None:
    """The output of a guest whose words nobody wants."""


class NoInput(InputStream):
    """The standard input of a guest: closed from the start.

    Even a read of no bytes says so, as WIT has it; Wasmtime's succeeds.
    """

    __slots__ = ()

    def ready(self) -> bool:
        """It is."""
        return True

    def read(self, _size: int) -> bytes:
        """The end.

        Raises:
            Closed: always.
        """
        raise Closed


class StandardOutput(OutputStream):
    """A handle on the standard output or standard error of a guest.

    Args:
        name: `stdout` or `stderr`.
        output: takes what is written. All handles of one name share it, and are one stream. Where it is a
            `Source`, it is not written to until it is ready.
    """

    __slots__ = ("_name", "_output", "_source")

    def __init__(self, name: str, output: Output) -> None:
        super().__init__()
        self._name = name
        self._output = output
        self._source = output if isinstance(output, Source) else None

    def ready(self) -> bool:
        """Whether what was written before has been worked off."""
        return self._source is None or self._source.ready()

    def _woken_by(self) -> Wakers:
        return () if self._source is None else (self._source,)

    def check_write(self) -> int:
        """A permit, however much was written before, once that has been worked off."""
        return PERMIT if self.ready() else 0

    def write(self, data: bytes) -> None:
        """Pass bytes on; nothing is left for a flush to do."""
        if data:
            self._output(self._name, data)


class LineOutput(Source, State):
    """An `Output` that cuts what a guest writes into lines.

    A line ends with LF or CRLF, of which neither is part of it. What is no UTF-8 is replaced by U+FFFD. A line of
    more than `MAX_LINE` characters is given in several parts.

    Of a large write, the first lines are emitted at once and the others by the event loop, some in each iteration;
    where none runs, all at once.

    Args:
        emit: called with `stdout` or `stderr` and each line. Must not block or raise.
        max_lines: how many lines are emitted; the others are dropped.
        max_bytes: how many bytes become lines; the others are dropped.
        on_dropped: called at the end with the numbers of lines and bytes that were dropped, if any were.
    """

    __slots__ = (
        "_bytes_left",
        "_closed",
        "_dropped_bytes",
        "_dropped_lines",
        "_emit",
        "_lines_left",
        "_on_dropped",
        "_pending",
        "_streams",
        "_waiters",
        "_working",
    )

    def __init__(
        self,
        emit: Callable[[str, str], None],
        *,
        max_lines: int = 1 << 62,
        max_bytes: int = 1 << 62,
        on_dropped: Callable[[int, int], None] | None = None,
    ) -> None:
        self._emit = emit
        self._on_dropped = on_dropped
        self._lines_left = max_lines
        self._bytes_left = max_bytes
        self._dropped_lines = 0
        self._dropped_bytes = 0
        self._streams: dict[str, _Lines] = {}
        self._pending: deque[tuple[str, bytes]] = deque()
        self._waiters: Waiters | None = None
        self._working = False
        self._closed = False

    def __call__(self, stream: str, data: bytes) -> None:
        """Take bytes, wherever they begin and end, and emit the lines that end in them."""
        if len(data) > self._bytes_left:
            self._drop(data[self._bytes_left :])
            data = data[: self._bytes_left]
        if data:
            self._bytes_left -= len(data)
            self._pending.append((stream, data))
            if not self._working:
                self._work()

    def take(self, size: int) -> bool:
        """Count a line of so many bytes that is written elsewhere; tells whether there is room for it."""
        if self._lines_left and size <= self._bytes_left:
            self._lines_left -= 1
            self._bytes_left -= size
            return True
        self._dropped_lines += 1
        self._dropped_bytes += max(size, 1)
        return False

    def close(self) -> None:
        """Emit the last line of each stream, if the guest has not ended it, after all that it has written."""
        if not self._closed:
            self._closed = True
            if not self._pending and (self._streams or self._dropped_bytes):
                self._end()

    def ready(self) -> bool:
        """Whether all that was taken has been emitted, but for a line that has not ended."""
        return not self._pending

    def _woken_by(self) -> Wakers:
        if self._waiters is None:
            self._waiters = Waiters()
        return (self._waiters,)

    def _work(self) -> None:
        """Work off some of what was taken, and ask for another turn if there is more."""
        loop = asyncio._get_running_loop()
        lines, size = LINES_AT_ONCE, BYTES_AT_ONCE
        while self._pending and (loop is None or (lines > 0 and size > 0)):
            stream, data = self._pending.popleft()
            end = _end_of_piece(data)
            if end < len(data):
                self._pending.appendleft((stream, data[end:]))
            for line in self._lines(stream).feed(data[:end]):
                self._emit_line(stream, line)
                lines -= 1
            size -= end
        self._working = bool(self._pending)
        if self._working and loop is not None:
            loop.call_soon(self._work, context=Context())
            return
        if self._waiters is not None:
            self._waiters.wake()
        if self._closed:
            self._end()

    def _lines(self, stream: str) -> _Lines:
        lines = self._streams.get(stream)
        if lines is None:
            lines = self._streams[stream] = _Lines()
        return lines

    def _emit_line(self, stream: str, line: str) -> None:
        if self._lines_left:
            self._lines_left -= 1
            self._emit(stream, line)
            return
        self._dropped_lines += 1
        self._dropped_bytes += len(line)
        while self._pending:
            self._drop(self._pending.popleft()[1])
        self._bytes_left = 0

    def _drop(self, data: bytes) -> None:
        self._dropped_lines += data.count(b"\n")
        self._dropped_bytes += len(data)

    def _end(self) -> None:
        for stream, lines in self._streams.items():
            for line in lines.end():
                self._emit_line(stream, line)
        self._streams.clear()
        if self._dropped_bytes and self._on_dropped is not None:
            self._on_dropped(self._dropped_lines, self._dropped_bytes)
            self._dropped_bytes = 0


def _end_of_piece(data: bytes) -> int:
    """How much of it to look at at once: a few kilobytes, and not many more lines than one turn has."""
    end = min(len(data), _PIECE)
    if data.count(b"\n", 0, end) <= LINES_AT_ONCE:
        return end
    end = 0
    for _ in range(LINES_AT_ONCE):
        end = data.index(b"\n", end) + 1
    return end


class _Lines:
    """The lines of one stream of bytes."""

    __slots__ = ("_decode", "_rest")

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines, and the parts of a long one, that are complete now."""
        *ended, rest = (self._rest + self._decode(data)).split("\n")
        lines = [part for line in ended for part in _parts(line.removesuffix("\r"))]
        # The LF of a last CR may be on its way; it must not become a line of its own.
        if len(rest.removesuffix("\r")) > MAX_LINE:
            *parts, rest = _parts(rest)
            lines += parts
        self._rest = rest
        return lines

    def end(self) -> list[str]:
        """The line that was not ended, unless there is nothing in it."""
        rest = self._rest + self._decode(b"", final=True)
        return _parts(rest.removesuffix("\r")) if rest else []


def _parts(line: str) -> list[str]:
    if len(line) <= MAX_LINE:
        return [line]
    return [line[at : at + MAX_LINE] for at in range(0, len(line), MAX_LINE)]
