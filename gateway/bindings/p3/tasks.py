"""What the tasks of a guest of WASI 0.3 wait for outside of it: the channels of its adapter, and clocks.

A channel is the host's side of a stream of which the adapter has one end and the guest the other: a body, or a
standard stream. The adapter asks for what there is and never waits. What it cannot have yet it is told of later:
`next` gives it the channels that may go on, and the sleepers whose time has come. Where there are none, and no
task of the guest has anything to do, the guest is left alone until there are some (`gateway.host.idle`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from time import monotonic_ns
from typing import Any, Final

from gateway.bindings.cli import CliCtx
from gateway.bindings.context import State, WasiCtx
from gateway.bindings.io import Closed, InputStream, LastOperationFailed, OutputStream
from gateway.bindings.stdio import StandardOutput
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.idle import Idle
from gateway.host.table import Resource
from gateway.wasm.wasip3 import BYTES, HOST

__all__ = ["CLOSED", "INTERFACES", "Channel", "Sink", "Source", "Tasks", "host"]

MAX_CHANNELS: Final = 255
"""Bodies and other streams that one invocation may have open; one more traps. The adapter has room for as many,
each of which takes up to 64 KiB of it."""

MAX_WAITS: Final = 4096
"""Calls of asynchronous functions of the host that one invocation may have under way; one more traps. Threat: each
costs some 3 KiB of the engine and the host, which are in no memory of the guest's. Arbitrary: a guest that handles
one request rarely has more than a few."""

CLOSED: Final = 0xFFFF_FFFF
"""The room that there is for what nobody wants."""

_PIECE: Final = 64 << 10
_END: Final = 0xFFFF_FFFF
_SLEEPER: Final = 0x8000_0000
_MILLISECOND: Final = 1_000_000


class Channel:
    """One of a guest's channels.

    Attributes:
        tasks: whose it is.
        number: what the adapter calls it.
    """

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self.number = tasks.open(self)
        self._waiter: asyncio.Future[None] | None = None

    def wait(self, stream: InputStream | OutputStream) -> None:
        """Have it go on when the stream may be ready."""
        if self._waiter is None:
            self._waiter = asyncio.get_running_loop().create_future()
            self._waiter.add_done_callback(self._woken)
            self.tasks.waiting.add(self)
            stream.watch(self._waiter)

    def wait_no_more(self) -> None:
        """The adapter has no use for it any more."""
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            self._stop_watching(waiter)
            self.tasks.waiting.discard(self)
            waiter.cancel()

    def _woken(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.cancelled():
            self.wait_no_more()
            self.tasks.go_on(self)

    def _stop_watching(self, waiter: asyncio.Future[None]) -> None:
        """Have nothing hold a future."""

    def forgotten(self) -> None:
        """The adapter has closed it: all that there was has passed, or somebody wanted no more."""

    def close(self) -> None:
        """The invocation has ended."""


class Source(Channel):
    """Bytes for the guest.

    Args:
        tasks: whose it is.
        stream: where they come from.

    Attributes:
        error: the `error-code` that the stream has failed with, if it has.
    """

    def __init__(self, tasks: Tasks, stream: InputStream) -> None:
        super().__init__(tasks)
        self.stream = stream
        self.error: Any = None
        self.discarded = False

    def read(self) -> bytes | None:
        """What is there now; None at the end."""
        try:
            return self.stream.read(_PIECE)
        except LastOperationFailed as failure:
            self.error = failure.code
        except Closed:
            pass
        return None

    def _stop_watching(self, waiter: asyncio.Future[None]) -> None:
        self.stream.unwatch(waiter)

    def discard(self) -> None:
        """The guest reads no more of it."""
        self.discarded = True


class Sink(Channel):
    """Bytes of the guest.

    Args:
        tasks: whose it is.
        stream: where they go; None where nobody wants them.

    Attributes:
        error: the `error-code` that the stream has failed with, if it has.
    """

    def __init__(self, tasks: Tasks, stream: OutputStream | None) -> None:
        super().__init__(tasks)
        self.stream = stream
        self.error: Any = None

    def room(self) -> int:
        """How many it may give now; `CLOSED` if nobody wants any more."""
        if self.stream is None:
            return CLOSED
        try:
            return min(self.stream.check_write(), _PIECE)
        except LastOperationFailed as failure:
            self.error = failure.code
        except Closed:
            pass
        return CLOSED

    def write(self, data: bytes) -> None:
        """Take bytes, not more than there was room for. What they fail with, `room` tells."""
        if self.stream is None:
            raise Trap(f"channel {self.number} takes nothing")
        try:
            self.stream.write(data)
        except LastOperationFailed as failure:
            self.error = failure.code
        except Closed:
            pass

    def _stop_watching(self, waiter: asyncio.Future[None]) -> None:
        if self.stream is not None:
            self.stream.unwatch(waiter)


class Tasks(State):
    """What the tasks of an invocation's guest wait for.

    Attributes:
        idle: tells when it may be left alone.
        waiting: the channels that wait for what is outside.
        moving: what moves bytes for the guest that it never sees.
        ends: the streams and futures of links with which somebody outside has something to do next.
        beginning: the sleeper that the next call is for, where it has no room for it.
        answered: whether its `handle` has returned: from then on it ends when nothing is left to do.
        taken: how many elements of streams its result has so far, where another function was called.
        max_taken: how many it may have; None for any.
    """

    __slots__ = (
        "_channels",
        "_done",
        "_free",
        "_ready",
        "_sleepers",
        "answered",
        "beginning",
        "ends",
        "idle",
        "max_taken",
        "moving",
        "taken",
        "waiting",
    )

    def __init__(self) -> None:
        self.idle = Idle()
        self.answered = False
        self.taken = 0
        self.max_taken: int | None = None
        self.beginning = 0
        self._channels: dict[int, Channel] = {}
        self._free: list[int] = []
        self._ready: deque[int] = deque()
        self.waiting: set[Channel] = set()
        self.moving: set[asyncio.Task[None]] = set()
        self.ends: set[object] = set()
        self._sleepers: dict[int, asyncio.TimerHandle | asyncio.Task[Any]] = {}
        self._done: dict[int, Any] = {}

    def open(self, channel: Channel) -> int:
        """Give a channel its number.

        Raises:
            Trap: there are too many.
        """
        number = self._free.pop() if self._free else len(self._channels) + 1
        if number > MAX_CHANNELS:
            raise Trap(f"more than {MAX_CHANNELS} bodies and other streams are open")
        self._channels[number] = channel
        return number

    def channel(self, number: int) -> Channel:
        """The channel of that number."""
        return self._channels[number]

    def forget(self, number: int) -> None:
        """The adapter has closed a channel."""
        channel = self._channels.pop(number)
        channel.wait_no_more()
        channel.forgotten()
        with contextlib.suppress(ValueError):  # it may be another's soon
            self._ready.remove(number)
        self._free.append(number)

    def go_on(self, channel: Channel) -> None:
        """Have the adapter look at a channel."""
        self._ready.append(channel.number)
        self.idle.wake()

    def sleep(self, sleeper: int, until: int) -> None:
        """Have a sleeper woken at a point in time, by the clock of `time.monotonic_ns`.

        Raises:
            Trap: too many are asleep.
        """
        self._admit()
        self._sleep(sleeper, until)

    def _sleep(self, sleeper: int, until: int) -> None:
        milliseconds = -((monotonic_ns() - until) // _MILLISECOND)
        loop = asyncio.get_running_loop()
        self._sleepers[sleeper] = loop.call_later(milliseconds / 1000, self._rise, sleeper, until)

    def _rise(self, sleeper: int, until: int) -> None:
        if monotonic_ns() < until:  # so far away that the loop has cut it
            self._sleep(sleeper, until)
        else:
            self._wake(sleeper)

    def _wake(self, sleeper: int) -> None:
        del self._sleepers[sleeper]
        self._ready.append(sleeper | _SLEEPER)
        self.idle.wake()

    def settle(self, sleeper: int, value: Any) -> None:
        """Wake a sleeper that nothing was begun for; `take` gives the value."""
        self._done[sleeper] = value
        self._ready.append(sleeper | _SLEEPER)
        self.idle.wake()

    def begin(self, sleeper: int, doing: asyncio.Task[Any] | Any) -> bool:
        """Have a sleeper woken when a task is done, of which `take` gives the result; tells whether that is now.

        What is no task is the result.

        Raises:
            Trap: too many are asleep.
        """
        if not isinstance(doing, asyncio.Task):
            self._done[sleeper] = doing
            return True
        try:
            self._admit()
        except Trap:
            doing.cancel()
            raise
        self._sleepers[sleeper] = doing
        doing.add_done_callback(lambda task: self._finished(sleeper, task))
        return False

    def _admit(self) -> None:
        if len(self._sleepers) >= MAX_WAITS:
            raise Trap(f"more than {MAX_WAITS} calls of asynchronous functions are under way")

    def _finished(self, sleeper: int, task: asyncio.Task[Any]) -> None:
        if self._sleepers.get(sleeper) is task:
            self._done[sleeper] = task
            self._wake(sleeper)
        elif not task.cancelled():
            task.exception()  # nobody will hear of it

    def take(self, sleeper: int) -> Any:
        """What came of what a sleeper was waiting for. Raises what that has raised."""
        done = self._done.pop(sleeper)
        return done.result() if isinstance(done, asyncio.Task) else done

    def tell(self, what: int) -> None:
        """Have an adapter look at what is marked as its own."""
        self._ready.append(what | _SLEEPER)
        self.idle.wake()

    def move(self, moving: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have bytes moved. The invocation does not end before that does, but for a reason of its own."""
        task = asyncio.get_running_loop().create_task(moving)
        self.moving.add(task)
        task.add_done_callback(self._moved)
        return task

    def _moved(self, task: asyncio.Task[None]) -> None:
        self.moving.discard(task)
        self.idle.wake()

    def sleep_no_more(self, sleeper: int) -> None:
        """The sleeper was cancelled."""
        waited_for = self._sleepers.pop(sleeper, None)
        if waited_for is not None:
            waited_for.cancel()
        elif sleeper | _SLEEPER in self._ready:
            self._ready.remove(sleeper | _SLEEPER)
            self._forget(sleeper)

    def _forget(self, sleeper: int) -> None:
        """Nobody will take what came of it."""
        done = self._done.pop(sleeper, None)
        if isinstance(done, asyncio.Task) and done.exception() is None:
            done = done.result()
        for each in done if isinstance(done, list) else [done]:
            if isinstance(each, Resource):
                each.drop()

    def next(self, *, did: bool) -> int:
        """What the adapter is to look at: a channel, or a sleeper, marked so; 0 for nothing, `_END` at the end.

        Raises:
            Trap: the guest waits for what cannot happen.
        """
        if self._ready:
            self.idle.turn(did=True)
            return self._ready.popleft()
        if not self.idle.turn(did=did):
            return 0
        if self._sleepers or self.moving or self.ends or not self._waits_in_vain():
            self.idle.rest()
            return 0
        if self.answered:
            return _END
        raise Trap("the guest waits, and nothing that could end that is under way")

    def _waits_in_vain(self) -> bool:
        """Whether nobody needs what is waited for: the end of bodies that one which has answered does not read."""
        return all(
            self.answered and isinstance(channel, Source) and channel.discarded
            for channel in self.waiting
        )

    def close(self) -> None:
        """Let go of all channels, of the clock, and of what is under way."""
        for waited_for in (*self._sleepers.values(), *self.moving):
            waited_for.cancel()
        self._sleepers.clear()
        for sleeper in list(self._done):
            self._forget(sleeper)
        for channel in list(self._channels.values()):
            channel.wait_no_more()
            channel.close()
        self._channels.clear()
        self._ready.clear()


host = HostInterface(HOST, None)
passing = HostInterface(BYTES, None, carries_bytes=True)
INTERFACES = (host, passing)


@host.function("open")
def open_standard_stream(ctx: WasiCtx, stream: int) -> int:
    """A channel to standard output (1) or standard error (2), or for what comes of reading standard input."""
    tasks = ctx.of(Tasks)
    output = ctx.of(CliCtx).output
    name = "stderr" if stream == 2 else "stdout"
    sink = Sink(tasks, StandardOutput(name, output) if stream else None)
    tasks.go_on(sink)
    return sink.number


@passing.function("read")
def read(ctx: WasiCtx, number: int) -> tuple[int, bytes]:
    """Bytes of a source: 0 if there are none yet, 1 with some, 2 at the end."""
    source = ctx.of(Tasks).channel(number)
    if not isinstance(source, Source):
        raise Trap(f"channel {number} gives nothing")
    data = source.read()
    if data is None:
        return 2, b""
    return (1 if data else 0), data


@host.function("wait")
def wait(ctx: WasiCtx, number: int) -> None:
    """The guest wants bytes of a source, of which there were none."""
    tasks = ctx.of(Tasks)
    source = tasks.channel(number)
    if not isinstance(source, Source):
        raise Trap(f"channel {number} gives nothing")
    if source.stream.ready():
        tasks.go_on(source)
    else:
        source.wait(source.stream)


@host.function("discard")
def discard(ctx: WasiCtx, number: int) -> None:
    """The guest reads no more of a source."""
    source = ctx.of(Tasks).channel(number)
    if isinstance(source, Source):
        source.discard()


@host.function("room")
def room(ctx: WasiCtx, number: int) -> int:
    """How many bytes a sink takes now. Where it takes none, the adapter is told when it does."""
    sink = ctx.of(Tasks).channel(number)
    if not isinstance(sink, Sink):
        raise Trap(f"channel {number} takes nothing")
    left = sink.room()
    if left == 0 and sink.stream is not None:
        sink.wait(sink.stream)
    return left


@passing.function("write")
def write(ctx: WasiCtx, number: int, data: bytes) -> None:
    """Bytes for a sink, not more than it had room for."""
    sink = ctx.of(Tasks).channel(number)
    if not isinstance(sink, Sink):
        raise Trap(f"channel {number} takes nothing")
    sink.write(data)


@host.function("close")
def close(ctx: WasiCtx, number: int) -> None:
    """The adapter has no use for a channel any more."""
    ctx.of(Tasks).forget(number)


@host.function("timer")
def timer(ctx: WasiCtx, when: int, absolute: bool, sleeper: int) -> bool:
    """Wake a sleeper in so many nanoseconds, or at a point in time; tells whether that is now."""
    now = monotonic_ns()
    until = when + (ctx.started_ns if absolute else now)
    if until <= now:
        return True
    ctx.of(Tasks).sleep(sleeper, until)
    return False


@host.function("cancel")
def cancel(ctx: WasiCtx, sleeper: int) -> None:
    """Do not wake a sleeper."""
    ctx.of(Tasks).sleep_no_more(sleeper)


@host.function("next")
def next_(ctx: WasiCtx, did: bool) -> int:
    """What the adapter is to look at: `Tasks.next`."""
    return ctx.of(Tasks).next(did=did)
