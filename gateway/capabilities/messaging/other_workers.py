"""The other workers of a gateway, to which one of them sends messages.

Each worker has a Unix socket in a folder that all of them share, and is connected to that of each other. What it
sends goes by the connection that it made: a frame is the lengths of a header in JSON and of a body, and these two.
The first header names the worker, for the other to connect to it in turn; so whoever comes last makes itself known
to all who are there. The others have `takes`, the subscriptions of the worker; `ask`, which is answered by `done`
after all that was sent before; or a message. Where a connection ends, its worker has.

None waits for another: what one does not take waits for it in the memory of the sender, up to a bound, and what
comes beyond is lost to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import structlog

from gateway.capabilities.messaging.broker import Message
from gateway.capabilities.task import end
from gateway.policy.subject import SubjectFilter

__all__ = ["MAX_WAITING", "OtherWorker", "OtherWorkers", "Takes"]

MAX_WAITING: Final = 16 << 20
"""Bytes of messages that wait for another worker to take them. Threat: one that hangs, or was stopped, and has the
memory of all others filled. As much as waits for a subscription by default."""

_BUSY: Final = 64 << 10
"""Bytes that wait for a worker which others are preferred to. The high-water mark of asyncio's transports."""

_SILENT: Final = 1.0
"""Seconds without an answer after which others are preferred to a worker. Threat: one that was stopped, and has a
queue's messages wait in its socket. Arbitrary: many turns of a loop."""

_ANSWER: Final = 2.0
"""Seconds that other workers have to answer, where somebody waits for that. Arbitrary: one that lives needs a turn
of its loop; one that does not is killed by the supervisor after a minute."""

_TURN: Final = 256
"""Frames that are heard in one turn of the loop: some milliseconds."""

_TOLD: Final = 10.0
"""Seconds between two lines of the log about what is lost to one worker. Arbitrary."""

_LENGTHS: Final = struct.Struct(">II")

_log = structlog.get_logger("gateway.capabilities")

Hear: TypeAlias = Callable[[Message, Sequence[str]], None]
"""Takes a message that another worker has sent: for every subscription without a queue, and one of each of these
queues."""


class Takes(NamedTuple):
    """Subscriptions of one worker which are alike.

    Attributes:
        subject: theirs, with wildcards.
        queue: their group; None for none.
        members: how many there are.
    """

    subject: str
    queue: str | None
    members: int


class OtherWorker:
    """Another worker, as this one sends to it.

    Args:
        name: what it calls itself.
        on_lost: told how many messages are lost to it.

    Attributes:
        name: ditto.
        writer: the connection that was made to it; None as long as there is none.
        reached: set when it was connected to, or could not be.
        known: set when it has told what it takes, or has gone.
    """

    def __init__(self, name: str, on_lost: Callable[[int], None]) -> None:
        self.name: Final = name
        self._on_lost = on_lost
        self._untold = 0
        self._tell_after = 0.0
        self._takes: list[tuple[SubjectFilter, str | None, int]] = []
        self._asked: deque[asyncio.Future[None]] = deque()
        self._since = 0.0
        self.writer: asyncio.StreamWriter | None = None
        self.reached: Final = asyncio.Event()
        self.known: Final = asyncio.Event()

    def takes(self, subject: str) -> Iterator[tuple[str | None, int]]:
        """Of its subscriptions that a message is for, the queue of each, and how many there are."""
        for subjects, queue, count in self._takes:
            if subjects.matches(subject):
                yield queue, count

    @property
    def busy(self) -> bool:
        """Whether it does not take at once what is sent."""
        if self.writer is None or self.writer.transport.get_write_buffer_size() > _BUSY:
            return True
        return bool(self._asked) and asyncio.get_running_loop().time() > self._since + _SILENT

    def send(self, message: Message, queues: Sequence[str]) -> bool:
        """Send a message; tells whether it is on its way."""
        writer = self.writer
        if writer is None or writer.transport.is_closing():
            return False
        if writer.transport.get_write_buffer_size() + len(message.body) > MAX_WAITING:
            self._lost()
            return False
        fields = (message.subject, message.reply_to, dict(message.headers), queues)
        self.tell(message.body, message=fields)
        if not self._asked:
            self.ask()  # whether it still takes anything
        return True

    def tell(self, body: bytes = b"", **header: object) -> None:
        """Send a frame."""
        if self.writer is not None and not self.writer.transport.is_closing():
            head = json.dumps(header, separators=(",", ":")).encode()
            self.writer.write(_LENGTHS.pack(len(head), len(body)) + head)
            self.writer.write(body)

    def ask(self) -> asyncio.Future[None]:
        """Ask for an answer to all that was sent so far; it is there too when the worker has gone."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.writer is None:
            answer.set_result(None)  # it has never heard of this one
        else:
            if not self._asked:
                self._since = asyncio.get_running_loop().time()
            self._asked.append(answer)
            self.tell(ask=True)
        return answer

    def heard(self, header: dict[str, Any]) -> None:
        """Take note of what it tells of itself."""
        if "ask" in header:
            self.tell(done=True)
        elif "done" in header:
            self._answered()
        else:
            self._takes = [
                (SubjectFilter(subject), queue, count) for subject, queue, count in header["takes"]
            ]
            self.known.set()

    def gone(self) -> None:
        """Expect no more of it."""
        if self.writer is not None:
            self.writer.transport.abort()
        self.reached.set()
        self.known.set()
        while self._asked:
            self._answered()

    def _answered(self) -> None:
        answer = self._asked.popleft()
        self._since = asyncio.get_running_loop().time()
        if not answer.done():
            answer.set_result(None)

    def _lost(self) -> None:
        self._on_lost(1)
        self._untold += 1
        now = asyncio.get_running_loop().time()
        if now >= self._tell_after:
            self._tell_after = now + _TOLD
            reason = f"{MAX_WAITING} bytes wait for a worker that does not take them"
            pid = int(self.name.partition("-")[0])
            _log.warning("messages lost", pid=pid, messages=self._untold, reason=reason)
            self._untold = 0


class OtherWorkers:
    """The other workers that have this one's broker.

    Args:
        folder: where their sockets are; made where it is missing.
        hear: takes what they send.
        takes: gives what is taken here.
        on_lost: told how many messages are lost to one of them.

    Attributes:
        name: that of this worker, a token of a subject.
    """

    def __init__(
        self,
        folder: Path,
        hear: Hear,
        takes: Callable[[], Iterable[Takes]],
        on_lost: Callable[[int], None],
    ) -> None:
        self.name: Final = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._folder = folder
        self._hear = hear
        self._takes = takes
        self._on_lost = on_lost
        self._others: dict[str, OtherWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._joining: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._telling: asyncio.Handle | None = None

    def __iter__(self) -> Iterator[OtherWorker]:
        """Those that are there."""
        return iter(self._others.values())

    def get(self, name: str) -> OtherWorker | None:
        """One of them, if it is there."""
        return self._others.get(name)

    def begin(self) -> asyncio.Task[None]:
        """Join them, if that has not begun; on the event loop."""
        if self._joining is None:
            self._joining = asyncio.create_task(self._join())
        return self._joining

    async def joined(self) -> None:
        """Wait until this worker knows what those take that are there; they have `_ANSWER` seconds."""
        joining = self.begin()
        if not joining.done():
            await asyncio.wait((joining,))

    def changed(self) -> None:
        """Tell them what is taken here, in the next turn of the loop: it may change several times in this one."""
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_soon(self._tell)

    async def settled(self) -> None:
        """Wait until they know what is taken here, and what they sent before that has come; as `joined`."""
        await self.joined()
        if self._telling is not None:
            self._telling.cancel()
            self._tell()
        if answers := [other.ask() for other in self]:
            await asyncio.wait(answers, timeout=_ANSWER)

    async def aclose(self) -> None:
        """Leave them. May be called again."""
        if self._joining is not None:
            await end(self._joining)
        if self._telling is not None:
            self._telling.cancel()
        if self._server is not None:
            with contextlib.suppress(OSError):
                (self._folder / self.name).unlink()
            self._server.close()
        others = list(self)
        self._others.clear()
        for task in list(self._tasks):
            await end(task)
        writers = [other.writer for other in others if other.writer is not None]
        for writer in writers:
            writer.close()  # when what waits is sent
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER):
                for writer in writers:
                    await writer.wait_closed()
        for other in others:
            other.gone()

    async def _join(self) -> None:
        try:
            self._server = await self._listen()
            names = [path.name for path in self._folder.iterdir() if path.suffix == ""]
        except OSError as error:
            _log.error(
                "worker alone",
                reason=error.strerror or str(error),
                effect="messages of memory: stay within this worker",
            )
            return
        others = [await self._reach(name) for name in names if name != self.name]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER):
                for other in others:
                    await other.known.wait()

    async def _listen(self) -> asyncio.Server:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            # Under its name it listens: who finds one that does not may take it for left by a worker that ended.
            listener.bind(str(self._folder / f"{self.name}.new"))
            listener.listen()
            (self._folder / f"{self.name}.new").rename(self._folder / self.name)
            return await asyncio.start_unix_server(self._accepted, sock=listener)
        except BaseException:
            listener.close()
            raise

    def _tell(self) -> None:
        self._telling = None
        takes = list(self._takes())
        for other in self:
            other.tell(takes=takes)

    async def _reach(self, name: str) -> OtherWorker:
        """The worker of a name, when it is connected to, or found to have ended."""
        other = self._others.get(name)
        if other is None:
            other = self._others[name] = OtherWorker(name, self._on_lost)
            try:
                reader, other.writer = await asyncio.open_unix_connection(self._folder / name)
            except OSError as error:
                self._forget(other)
                if isinstance(
                    error, ConnectionRefusedError
                ):  # it ended before it could remove this
                    (self._folder / name).unlink(missing_ok=True)
                elif not isinstance(error, FileNotFoundError):
                    _log.error("worker not reached", worker=name, reason=error.strerror)
            else:
                other.tell(worker=self.name)
                other.tell(takes=list(self._takes()))
                task = asyncio.create_task(self._until_gone(other, reader))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            other.reached.set()
        await other.reached.wait()
        return other

    async def _until_gone(self, other: OtherWorker, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            await reader.read()  # it sends nothing by this connection
        self._forget(other)

    def _forget(self, other: OtherWorker) -> None:
        if self._others.get(other.name) is other:
            del self._others[other.name]
            other.gone()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio has made one
        self._tasks.add(task)
        other: OtherWorker | None = None
        try:
            async for header, body in _frames(reader):
                if other is None:
                    other = await self._reach(header["worker"])
                elif (fields := header.get("message")) is not None:
                    subject, reply_to, headers, queues = fields
                    self._hear(Message(subject, body, reply_to, headers), queues)
                else:
                    other.heard(header)
        except asyncio.CancelledError:
            pass  # `aclose`, which waits for this
        except Exception:
            _log.exception("gateway failed")
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            if other is not None:
                self._forget(other)


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
    """What comes by a connection, until it ends."""
    count = 0
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            head, size = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
            header = json.loads(await reader.readexactly(head))
            yield header, await reader.readexactly(size)
            count += 1
            if count % _TURN == 0:
                await asyncio.sleep(0)  # or who sends all the time would have this loop for itself
