"""The standard streams of a guest, and what becomes of the words it writes.

A guest reads nothing, and writes to the `Output` of its context. `LineOutput` is one that makes lines of it, for a
log.

Source: `wasi:cli@0.2.12`, `stdio.wit`.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import Final

from gateway.bindings.context import Output
from gateway.bindings.io import Closed, InputStream, OutputStream, Source

__all__ = ["MAX_LINE", "LineOutput", "NoInput", "StandardOutput"]

PERMIT: Final = 64 << 10
"""Bytes that one `check-write` permits. Bounds a write, not the total; the same number as one read has."""

MAX_LINE: Final = 16 << 10
"""Characters of a line; a longer one is cut into several. Keeps a guest that never writes a newline from filling
the host's memory, and log collectors from dropping what it wrote: Docker cuts at 16 KiB, journald at 48 KiB."""


class _AlwaysReady(Source):
    """A source that nobody ever has to wait for."""

    __slots__ = ()

    def ready(self) -> bool:
        """It is."""
        return True

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Nothing changes."""

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Nothing was kept."""


class NoInput(_AlwaysReady, InputStream):
    """The standard input of a guest: closed from the start.

    Even a read of no bytes says so, as WIT has it; Wasmtime's succeeds.
    """

    __slots__ = ()

    def read(self, _size: int) -> bytes:
        """The end.

        Raises:
            Closed: always.
        """
        raise Closed


class StandardOutput(_AlwaysReady, OutputStream):
    """A handle on the standard output or standard error of a guest.

    Args:
        name: `stdout` or `stderr`.
        output: takes what is written. All handles of one name share it, and are one stream.
    """

    __slots__ = ("_name", "_output")

    def __init__(self, name: str, output: Output) -> None:
        super().__init__()
        self._name = name
        self._output = output

    def check_write(self) -> int:
        """A permit, however much was written before."""
        return PERMIT

    def write(self, data: bytes) -> None:
        """Pass bytes on; nothing is left for a flush to do."""
        if data:
            self._output(self._name, data)


class LineOutput:
    """An `Output` that cuts what a guest writes into lines.

    A line ends with LF or CRLF, of which neither is part of it. What is no UTF-8 is replaced by U+FFFD. A line of
    more than `MAX_LINE` characters is given in several parts.

    Args:
        emit: called with `stdout` or `stderr` and each line. Must not block or raise.
    """

    __slots__ = ("_emit", "_streams")

    def __init__(self, emit: Callable[[str, str], None]) -> None:
        self._emit = emit
        self._streams: dict[str, _Lines] = {}

    def __call__(self, stream: str, data: bytes) -> None:
        """Take bytes, wherever they begin and end, and emit the lines that end in them."""
        lines = self._streams.get(stream)
        if lines is None:
            lines = self._streams[stream] = _Lines()
        for line in lines.feed(data):
            self._emit(stream, line)

    def close(self) -> None:
        """Emit the last line of each stream, if the guest has not ended it."""
        for stream, lines in self._streams.items():
            for line in lines.end():
                self._emit(stream, line)
        self._streams.clear()


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
