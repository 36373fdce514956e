"""Streams and futures of interfaces that links provide: what an adapter and its writer ask the host about them.

Each end is asked to go on when somebody waits for it, one piece at a time. So whoever gives waits for who takes,
and no more than a piece of each is in the host.

Source: `gateway.wasm.wasip3.ends`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from gateway.bindings.context import State, WasiCtx
from gateway.bindings.p3.tasks import Tasks
from gateway.host import wit
from gateway.host.binding import HostInterface
from gateway.host.elements import Broken, Elements, OnEnd, replacing
from gateway.host.errors import Trap, TrapKind
from gateway.wasm.wasip3.ends import letters

__all__ = ["Ends", "EndsOf", "Result", "ends_of_interface"]

MAX_ENDS: Final = 1024
"""Ends of streams and futures that one invocation may have open by links; one more traps. Threat: each may have a
piece of elements in the host, and a task. Arbitrary: a function has a few, a stream of streams some hundreds."""

_GO_ON: Final = 0
_DROP: Final = 1
_NONE: Final = (1 << 64) - 1
_READS: Final = 1
_WRITES: Final = 2


class Ends(State):
    """The ends that an invocation has, of all adapters."""

    __slots__ = ("of",)

    def __init__(self) -> None:
        self.of: dict[int, EndsOf] = {}

    def adapter(self, tag: int, types: Sequence[wit.Type], tasks: Tasks) -> EndsOf:
        """Those of one adapter.

        Args:
            tag: which.
            types: the types of its streams and futures, by their numbers.
            tasks: what the guest waits for.
        """
        found = self.of.get(tag)
        if found is None:
            found = self.of[tag] = EndsOf(self, tag, types, tasks)
        return found

    def admit(self) -> None:
        """See whether there may be one more.

        Raises:
            Trap: there may not.
        """
        if sum(len(each.read) + len(each.written) for each in self.of.values()) >= MAX_ENDS:
            raise Trap(f"more than {MAX_ENDS} streams and futures of links are open")

    def close(self) -> None:
        """The invocation has ended."""
        for each in self.of.values():
            each.close()


class EndsOf:
    """The ends of one adapter.

    Attributes:
        read: those that the guest has given, by their handles.
        written: those that it was given, by the handles of the writer.
    """

    def __init__(self, ends: Ends, tag: int, types: Sequence[wit.Type], tasks: Tasks) -> None:
        self.tasks = tasks
        self.read: dict[int, _Given] = {}
        self.written: dict[int, _Taken] = {}
        self._ends = ends
        self._tag = tag
        self._numbers = {ty: number for number, ty in enumerate(types)}
        self._inside = [
            replacing(ty.payload if isinstance(ty, wit.Future) else ty.element)
            for ty in types
            if isinstance(ty, wit.Stream | wit.Future)
        ]
        self._jobs: dict[int, deque[tuple[int, _Given | _Taken]]] = {
            _READS: deque(),
            _WRITES: deque(),
        }
        self._current: _Taken | None = None
        self._results: dict[int, Result] = {}
        self._wanted: deque[tuple[int, Elements]] | None = None
        self._handles: list[int] = []

    def ask(self, side: int, what: int, end: _Given | _Taken) -> None:
        """Have an end go on, or be dropped."""
        self._jobs[side].append((what, end))
        self.tasks.tell(self._tag << 24 | side)

    def job(self, side: int) -> int:
        """What is to be done next: `job`."""
        what, end = self._jobs[side].popleft()
        if isinstance(end, _Taken):
            self._current = end
        if end.over:
            return _NONE
        if what == _DROP:
            end.dropped()
        return what << 56 | end.number << 32 | end.handle

    # --- values --------------------------------------------------------------------------------------------

    def given(self, ty: wit.Stream | wit.Future, handle: int) -> Elements:
        """What the guest has given, by its handle."""
        self._ends.admit()
        end = self.read[handle] = _Given(self, self._numbers[ty], handle)
        return end

    def wanted(self, sleeper: int) -> int:
        """The type of the next end that a result needs, or elements do, where no sleeper is told; -1 for none."""
        if self._wanted is None:
            if sleeper:
                value = self._results[sleeper] = self.tasks.take(sleeper)
            elif (value := self._next_elements()) is None:
                return -1
            self._wanted, self._handles = deque(), []
            wanted = self._wanted
            value.replace(value.value, lambda ty, end: wanted.append((self._numbers[ty], end)))
        return self._wanted[0][0] if self._wanted else -1

    def result(self, sleeper: int) -> Any:
        """What a call has returned, with the ends that were made in place of its elements."""
        value = self._results.pop(sleeper)
        return value.replace(value.value, self._next_handle())

    def _next_handle(self) -> OnEnd:
        self._wanted, made = None, iter(self._handles)
        return lambda _ty, _end: next(made)

    def made(self, readable: int, writable: int) -> None:
        """The next one is there."""
        if not self._wanted:
            raise Trap("no stream is wanted")
        self._ends.admit()
        number, source = self._wanted.popleft()
        self._handles.append(readable)
        self.written[writable] = _Taken(self, number, writable, source)

    # --- reading -------------------------------------------------------------------------------------------

    def got(self, handle: int, elements: Sequence[Any], *, over: bool) -> None:
        """Elements of the guest's: `got-TYPE`."""
        end = self.read[handle]
        replace = self._inside[end.number]
        if replace is not None:
            elements = [replace(each, self.given) for each in elements]
        if over:
            end.dropped()
        end.got(elements)

    # --- writing -------------------------------------------------------------------------------------------

    def _next_elements(self) -> Result | None:
        """Those that are written next, if they have ends in them."""
        end = self._current
        if end is None or (replace := self._inside[end.number]) is None:
            return None
        return Result(end.piece, lambda some, on_end: [replace(each, on_end) for each in some])

    def give(self, handle: int) -> Sequence[Any]:
        """Elements for the guest: `give-TYPE`."""
        end = self.written[handle]
        if end.failure is not None:
            said = f"a stream or future of a link is broken: {end.failure}"
            raise Trap(said, kind=TrapKind.CALLEE_FAILED)
        value = self._next_elements()
        return end.piece if value is None else value.replace(value.value, self._next_handle())

    def wrote(self, handle: int, *, over: bool) -> None:
        """It has taken them, or wants no more: `wrote`."""
        end = self.written[handle]
        if over:
            end.dropped()
        end.wrote(over=over)

    def close(self) -> None:
        """The invocation has ended."""
        for given in tuple(self.read.values()):
            given.cut()
        for taken in tuple(self.written.values()):
            taken.cut()
        for _, source in self._wanted or ():
            source.close()


class Result(NamedTuple):
    """What a call has returned.

    Attributes:
        value: that.
        replace: gives the same with something else in place of its elements (`gateway.host.elements.replacing`).
    """

    value: Any
    replace: Callable[[Any, OnEnd], Any]


class _Given(Elements):
    """A stream or a future that the guest has given.

    Attributes:
        over: whether nothing more comes of it.
    """

    def __init__(self, ends: EndsOf, number: int, handle: int) -> None:
        self.number = number
        self.handle = handle
        self.over = False
        self._ends = ends
        self._waiter: asyncio.Future[Sequence[Any]] | None = None
        self._broken = self._asked_to_drop = False
        ends.tasks.ends.add(self)

    async def read(self) -> Sequence[Any]:
        """`Elements.read`."""
        some: Sequence[Any] = ()
        while not some:  # there may be none before the end
            if self._broken:
                raise Broken("its caller has ended")
            if self.over or self._asked_to_drop:
                return ()
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            self._ends.tasks.ends.discard(self)
            self._ends.ask(_READS, _GO_ON, self)
            some = await waiter
        return some

    def close(self) -> None:
        """`Elements.close`."""
        if not self.over and not self._asked_to_drop and not self._broken:
            self._asked_to_drop = True
            self._ends.tasks.ends.discard(self)
            self._ends.ask(_READS, _DROP, self)

    def got(self, elements: Sequence[Any]) -> None:
        """Some have come."""
        if not self.over:
            self._ends.tasks.ends.add(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(elements)

    def dropped(self) -> None:
        """The adapter has dropped its end."""
        self.over = True
        self._ends.tasks.ends.discard(self)
        del self._ends.read[self.handle]

    def cut(self) -> None:
        """The guest has ended."""
        self._broken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Broken("its caller has ended"))


class _Taken:
    """A stream or a future that the guest was given.

    Attributes:
        over: whether it takes no more.
        piece: what it is given next.
        failure: why there is nothing more, and no end.
    """

    def __init__(self, ends: EndsOf, number: int, handle: int, source: Elements) -> None:
        self.number = number
        self.handle = handle
        self.over = False
        self.piece: Sequence[Any] = ()
        self.failure: Broken | None = None
        self._ends = ends
        self._source = source
        self._waiter: asyncio.Future[bool] | None = None
        ends.tasks.ends.add(self)
        self._moving = asyncio.get_running_loop().create_task(self._move())

    async def _move(self) -> None:
        try:
            while True:
                try:
                    self.piece = await self._source.read()
                except Broken as broken:
                    self.failure = broken
                self._ends.tasks.ends.discard(self)
                if not self.piece and self.failure is None:
                    self._ends.ask(_WRITES, _DROP, self)
                    return
                self._waiter = asyncio.get_running_loop().create_future()
                self._ends.ask(_WRITES, _GO_ON, self)
                if await self._waiter:
                    return
                self.piece = ()
        finally:
            self._source.close()

    def wrote(self, *, over: bool) -> None:
        """The guest has taken what it was given."""
        if self._waiter is not None and not self._waiter.done():
            if not over:
                self._ends.tasks.ends.add(self)
            self._waiter.set_result(over)
        elif over:
            self._moving.cancel()

    def dropped(self) -> None:
        """The writer has dropped its end."""
        self.over = True
        self._ends.tasks.ends.discard(self)
        del self._ends.written[self.handle]

    def cut(self) -> None:
        """The guest has ended."""
        self._moving.cancel()
        self._source.close()


def ends_of_interface(made: HostInterface, of: Callable[[WasiCtx], EndsOf], number: int) -> None:
    """Declare what the adapter of an interface and its writer ask about streams and futures.

    Args:
        made: what they ask by.
        of: gives the ends of an invocation.
        number: how many types of streams and futures there are.
    """
    made.function("job")(lambda ctx, writes: of(ctx).job(_WRITES if writes else _READS))
    made.function("wanted")(lambda ctx, sleeper: of(ctx).wanted(sleeper))
    made.function("made")(lambda ctx, readable, writable: of(ctx).made(readable, writable))
    made.function("wrote")(lambda ctx, handle, over: of(ctx).wrote(handle, over=over))
    for each in map(letters, range(number)):
        made.function(f"got-{each}")(
            lambda ctx, handle, elements, over: of(ctx).got(handle, elements, over=over)
        )
        made.function(f"give-{each}")(lambda ctx, handle: of(ctx).give(handle))
