"""Channels of bytes beside the bodies of HTTP: what came of them is told by a future of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.bindings.io import (
    Closed,
    InputStream,
    LastOperationFailed,
    OutputStream,
    until_ready,
)
from gateway.bindings.p3.tasks import Sink, Source, Tasks
from gateway.host.values import Err

__all__ = ["Reading", "Writing"]


class _Failed(InputStream):
    """A stream that could not be made."""

    __slots__ = ("_code",)

    def __init__(self, code: Any) -> None:
        super().__init__()
        self._code = code

    def read(self, _size: int) -> bytes:
        raise LastOperationFailed("", self._code)

    def ready(self) -> bool:
        return True


class Reading(Source):
    """Bytes for a guest.

    Args:
        tasks: whose it is.
        stream: where they come from, or why there are none.
        sleeper: who tells the guest what came of it.
    """

    def __init__(self, tasks: Tasks, stream: InputStream | Err, sleeper: int) -> None:
        super().__init__(tasks, _Failed(stream.value) if isinstance(stream, Err) else stream)
        self._sleeper = sleeper
        self._ended = False
        tasks.go_on(self)

    def read(self) -> bytes | None:
        """What is there now; None at the end."""
        data = None if self._ended else super().read()
        if data is None:
            self._end()
        return data

    def discard(self) -> None:
        """The guest reads no more of it."""
        super().discard()
        self._end()

    def close(self) -> None:
        """The invocation has ended."""
        if not self._ended:
            self.stream.drop()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.stream.drop()
            self.tasks.settle(self._sleeper, None if self.error is None else Err(self.error))


class Writing(Sink):
    """Bytes of a guest.

    Args:
        tasks: whose it is.
        stream: where they go, or why they cannot.
        sleeper: who tells the guest what came of it.
    """

    def __init__(self, tasks: Tasks, stream: OutputStream | Err, sleeper: int) -> None:
        super().__init__(tasks, None if isinstance(stream, Err) else stream)
        if isinstance(stream, Err):
            self.error = stream.value
        self._sleeper = sleeper
        tasks.go_on(self)

    def forgotten(self) -> None:
        """All of it was taken, or no more is wanted: it is told when that is written."""
        if self.stream is None:
            self._end()
        else:
            self.tasks.move(self._flush(self.stream)).add_done_callback(self._flushed)

    def close(self) -> None:
        """The invocation has ended."""
        if self.stream is not None:
            self.stream.drop()

    async def _flush(self, stream: OutputStream) -> None:
        try:
            stream.flush()
            while not stream.check_write():
                await until_ready(stream)
        except LastOperationFailed as failure:
            self.error = failure.code
        except Closed:
            pass

    def _flushed(self, task: asyncio.Task[None]) -> None:
        self.close()
        if not task.cancelled():
            self._end()

    def _end(self) -> None:
        self.tasks.settle(self._sleeper, None if self.error is None else Err(self.error))
