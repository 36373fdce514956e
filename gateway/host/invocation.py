"""One call of a component's export, in a store made for it alone, or in one that was kept.

An invocation is a fiber on the event loop. `start` instantiates the component and runs its function until that
returns, waits in a host function, or has used up its tick of the epoch; what finishes there has never touched
the loop. `begin` is `start` once there is time for it. `run` takes it from there: it awaits what the guest waits
for, gives other guests their turn, and ends with the result, a trap, or the deadline. All belong in the same task.

Whatever the outcome, the future is deleted first (which unwinds the guest, wherever it is), then the resources
that the guest never dropped, then the store. Only where the function has returned, and others hold resources of
the guest then, the store is kept, with its instance, for more calls: whoever has it closes it.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic, perf_counter, thread_time
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from gateway.host import _capi
from gateway.host.errors import CpuTimeExceeded, DeadlineExceeded, InvocationError
from gateway.host.idle import Idle
from gateway.host.pieces import Postponed, at_once, in_pieces
from gateway.host.scheduler import Lane, Level, Scheduler
from gateway.host.settings import EPOCH_TICK, HOST_STACK
from gateway.host.store import ENDED, NOT_BEGUN, Store, free_ended
from gateway.host.trap import from_engine
from gateway.host.values import VALUE_SIZE

if TYPE_CHECKING:
    from gateway.host.ahead import Ahead
    from gateway.host.linker import Export

__all__ = ["Invocation", "is_guest"]

# The words of an invocation's block of memory, which the engine writes to.
_ERROR: Final = 0
_FUNC: Final = 8
_RESULT: Final = 40
_ARGS: Final = _RESULT + VALUE_SIZE

_SPINNING: Final = 0.8 * EPOCH_TICK
"""Seconds that a guest may compute which was pre-empted before, until the next tick that comes."""


def _nothing() -> None:
    pass


class Invocation:
    """A call under way.

    Args:
        export: the function to call.
        args: its arguments, as `gateway.host.values` describes them.
        data: what host functions are called with.
        max_memory: the most that all linear memories of the instance may grow to together, in bytes.
        max_execution_time: how long it may take from now on, in seconds, waits in host functions included.
        max_cpu_time: how long the thread may work for it, in seconds: for the guest, and for host functions that
            do not wait.
        in_pieces: whether arguments and result may be of any size, so that they cross in pieces where they are
            large (`gateway.host.pieces`). There must be no resources among them but the guest's own.
        max_result: the largest result there may be then, in elements of lists and bytes of text; None for any.
        lane: where it waits for its turns.
        idle: tells when a guest of WASI 0.3 may be left alone; None for any other.
        within: the store of an earlier one, with its instance, where it is to go on; `max_memory` and `data` are
            that one's.
        ahead: the instances that were made ahead, one of which may be for this call.
        on_close: called once all of it is free; not where the store is kept.

    Attributes:
        store: its store, which counts what the guest calls. All of it is freed in the end, unless it is kept.
        kept: whether it is: others hold resources of the guest.
        instantiated: whether an instance was made.
        deadline: when it must have finished, on the clock of `time.monotonic`.
        result: what the function returned, once it has.
        cpu_time: seconds that the thread has worked for it.
        large: whether its arguments or its result were so large that they crossed in pieces.
        delay: seconds that `begin` has waited for a turn.
        began: when it was started, by `time.perf_counter`; 0 before.
        ended: when all was freed, by `time.perf_counter`; 0 before.
        instantiate_time: seconds that it took to make the store and the instance; 0 if that did not come to
            its end.
    """

    _scheduler: Scheduler

    def __init__(
        self,
        export: Export,
        args: Sequence[Any],
        data: Any,
        *,
        max_memory: int,
        max_execution_time: float,
        max_cpu_time: float = math.inf,
        in_pieces: bool = False,
        max_result: int | None = None,
        lane: Lane = Lane.NEW,
        idle: Idle | None = None,
        within: Store | None = None,
        ahead: Ahead | None = None,
        on_close: Callable[[], None] = _nothing,
    ) -> None:
        self.max_execution_time = max_execution_time
        self.deadline = monotonic() + max_execution_time
        self.result: Any = None
        self.cpu_time = 0.0
        self._max_cpu_time = max_cpu_time
        self.delay = 0.0
        self.instantiate_time = 0.0
        self.began = 0.0
        self.ended = 0.0
        self._lane = lane
        self._whose: Lane | Level = lane
        self._slice = _SPINNING
        self._idle = idle
        self._on_close = on_close
        self._export = export
        self._args = [[tuple(args)]] if export.boxed and args else args
        self._task: asyncio.Task[Any] | None = None
        self._stopped: InvocationError | None = None
        self._cancelled = False
        self.instantiated = False
        self.kept = False
        self._within = within is not None
        self._called = False
        self._returned = False
        self._finished = False
        self._future = 0
        self._lowered = 0
        self._in_pieces = in_pieces and not export.is_short
        self._max_result = max_result
        self._postponed: Callable[[], None] | None = None
        self.large = False
        self._block = (ctypes.c_uint64 * (_ARGS // 8 + len(self._args) * VALUE_SIZE // 8))()
        self._address = ctypes.addressof(self._block)
        component = export.linked.component
        if within is None:
            within = Store(component.engine, component.limits[max_memory], max_memory, data)
        self.store = within
        self._ahead = ahead
        self._key = export.linked, max_memory

    @property
    def has_turn(self) -> bool:
        """Whether there is time for it to begin in this turn of the loop; otherwise `turn` comes first.

        To be asked before `begin`.
        """
        self._scheduler = scheduler = Scheduler.current()
        return scheduler.has_time or scheduler.may_run(self._lane)

    async def turn(self) -> None:
        """Wait until there is time for it to begin.

        Raises:
            asyncio.CancelledError: the task was cancelled before.
        """
        asked = perf_counter()
        await self._scheduler.turn(self._lane)
        self.delay = perf_counter() - asked
        # A guest that could only be stopped again would take the time of those that can still be served.
        if monotonic() >= self.deadline:
            self.expire()

    def begin(self) -> bool:
        """`start`, as one that has had its turn.

        Raises:
            InvocationError: it has ended without a result.
        """
        began = perf_counter()
        self._slice = self._scheduler.slice
        try:
            return self.start()
        finally:
            self._scheduler.spend(perf_counter() - began, self._lane)

    def start(self) -> bool:
        """Instantiate the component and call the function, as far as that goes without waiting.

        Returns:
            Whether it has finished. If not, `run` must follow, or `close`.

        Raises:
            InvocationError: it has ended without a result.
        """
        try:
            if self._stopped is not None:
                raise self._stopped
            self.began = perf_counter()
            if (ahead := self._ahead) is not None:
                ahead.calls += 1
                if (
                    ahead.ready
                    and not self._within
                    and (store := ahead.take(self._key)) is not None
                ):
                    store.resume(self.store.data)
                    self.store = store
                    self.instantiated = True
                    self.instantiate_time = perf_counter() - self.began
            if self.instantiated:
                finished = self._cross(self._lower_args) and self._poll()
            elif self._within:
                self._export = self._export.of(self.store.engine)
                self.store.host_calls = {}
                self.store.host_time = 0.0
                finished = self._cross(self._lower_args) and self._poll()
            else:
                if ENDED:
                    free_ended()
                linked = self._export.linked.placed()
                component = linked.component
                self.store.open(component.engine, component.places)
                if component is not self._export.linked.component:
                    self._export = self._export.of(component.engine)
                    self._ahead = None
                self._future = _capi.instantiate_async(
                    linked.address,
                    self.store.context,
                    component.address,
                    self.store.instance,
                    self._address + _ERROR,
                )
                finished = self._poll()
        except BaseException:
            self.close()
            raise
        if finished:
            self.close()
        return finished

    async def run(self) -> Any:
        """Go on until the function returns.

        Returns:
            Its result.

        Raises:
            InvocationError: it has ended without one.
            asyncio.CancelledError: the task was cancelled; the guest is gone.
        """
        scheduler = self._scheduler = Scheduler.current()
        task = self._task = asyncio.current_task()
        if task is None:
            self.close()
            raise RuntimeError("an invocation runs in a task of asyncio")
        # A task may be cancelled already, and be cleaning up with this call.
        cancelling = task.cancelling()
        scheduler.watch(self)
        try:
            while True:
                if self._stopped is not None and not self._cancelled:
                    self._cancelled = task.cancel()
                await self._wait()
                if self._stopped is not None:
                    raise self._stopped
                began = perf_counter()
                try:
                    if self._poll():
                        return self.result
                finally:
                    scheduler.spend(perf_counter() - began, self._whose)
        except (Exception, asyncio.CancelledError) as error:
            if self._stopped is None:
                raise
            if self._cancelled and task.uncancel() > cancelling:
                raise  # someone else has cancelled the task too
            if error is self._stopped or isinstance(error, asyncio.CancelledError):
                raise self._stopped from None
            # What the host function that was cancelled made of it is not what ended the guest.
            raise self._stopped from error
        finally:
            scheduler.unwatch(self)
            self._task = None
            del task  # it may keep the exception, whose traceback leads to this frame: a cycle
            self.close()

    async def call(self) -> Any:
        """`begin` it when it is its turn, and `run` it where that is needed."""
        if not self.has_turn:
            await self.turn()
        if not self.begin():
            await self.run()
        return self.result

    def stop(self, error: InvocationError) -> None:
        """Stop the guest, wherever it is: `run` raises this error, unless the guest has finished first."""
        if self._stopped is None and not self.ended:
            self._stopped = error
            # Where there is no task yet, or it is running this very call, `run` cancels it before it waits again.
            if self._task is not None and self._task is not asyncio.current_task():
                self._cancelled = self._task.cancel()

    def expire(self) -> None:
        """Stop the guest because its deadline has passed."""
        self.stop(DeadlineExceeded(f"still running after {self.max_execution_time:g} s"))

    def close(self) -> None:
        """Free all of it, or all but a store that is kept; the guest is cancelled if it has not finished.

        May be called again.

        Raises:
            RuntimeError: all is freed, but the host function that the guest waited in wants to wait while it
                cleans up, which only `run` lets it do.
        """
        if self.ended:
            return
        self.ended = perf_counter()
        if self._future:
            future, self._future = self._future, 0
            _capi.future_delete(future)
        self.kept = self._finished and bool(self.store.handed_out)
        try:
            if (
                (ahead := self._ahead) is not None
                and self._returned
                and self._key not in ahead.ready
                and self._key not in ahead.wanted
                and self._key[0].is_made_ahead
            ):
                ahead.want(self.store, self._key)
            if not self.kept:
                self.store.close()
        finally:
            self._delete_args()
            if self._returned and self._export.lift is not None:
                self._returned = False
                _capi.value_delete(self._address + _RESULT)
            self._postponed = None
            self._stopped = None  # its traceback leads back to here
            self._args = ()  # they may know who calls
            on_close, self._on_close = self._on_close, _nothing
            if not self.kept:
                on_close()

    async def _wait(self) -> None:
        """Wait for what the guest waits for: the host function it is in, its turn, or large values to cross."""
        store, scheduler = self.store, self._scheduler
        if self._postponed is not None:
            max_size = self._max_result if self._returned else None
            await in_pieces(self._postponed, max_size=max_size)
            self._postponed = None
            return
        suspension = store.suspension
        if suspension is None:
            if self._idle is not None and self._idle.resting:
                self._whose = self._lane
                await self._idle.awake()
                if not scheduler.may_run(self._lane):
                    await scheduler.turn(self._lane)
                return
            store.engine.hurry()
            self._slice = _SPINNING
            self._whose = level = Level.of(self.cpu_time)
            await scheduler.next_tick(level)
            return
        self._whose = self._lane
        began = perf_counter()
        try:
            value = await suspension.finish()
        finally:
            store.host_time += perf_counter() - began
        if suspension.lower is not None:
            lower = partial(suspension.lower, store, suspension.results, value)
            if suspension.awaited is NOT_BEGUN:
                await self._cross_apart(lower, suspension.results)
            else:
                lower()
        store.suspension = None
        if not scheduler.may_run(self._lane):
            await scheduler.turn(self._lane)

    async def _cross_apart(self, lower: Callable[[], None], results: int) -> None:
        """Write what a host function returned, however large it is."""
        table = self.store.table
        last = table.last
        try:
            at_once(lower)
        except Postponed:  # what was written so far goes
            table.forget(last)
            _capi.value_delete(results)
            ctypes.memset(results, 0, VALUE_SIZE)
            await in_pieces(lower)

    def _poll(self) -> bool:
        """Run the guest until the function has returned (true), or it waits."""
        store = self.store
        while True:
            if not self._future:  # values have crossed
                if self._returned:
                    self._finished = True
                    return True
                self._call()
            # What the thread has worked, not what has passed: a machine that is busy with others is not its fault.
            began = thread_time()
            finished = self._advance()
            self.cpu_time += thread_time() - began
            if not finished:
                if self.cpu_time > self._max_cpu_time:
                    raise CpuTimeExceeded(f"computed for longer than {self._max_cpu_time:g} s")
                return False
            future, self._future = self._future, 0
            _capi.future_delete(future)
            store.stack = 0  # it was that future's own
            if error := self._block[_ERROR]:
                self._block[_ERROR] = 0
                raise from_engine(_capi.take_error(error), store.failure)
            if self._called:
                self._returned = True
                crossed = self._export.lift is None or self._cross(self._lift_result)
            else:
                self.instantiated = True
                self.instantiate_time = perf_counter() - self.began
                if store.host_calls or self.cpu_time > EPOCH_TICK:
                    self._ahead = None
                if self._in_pieces:
                    crossed = self._cross(self._lower_args)
                else:
                    self._lower_args()
                    crossed = True
            if not crossed:
                return False

    def _advance(self) -> bool:
        """Run the guest until its future is done (true), or it waits."""
        store, idle = self.store, self._idle
        if store.stack:
            _capi.protect_stack(store.stack, HOST_STACK)
        try:
            began = monotonic()
            while not _capi.future_poll(self._future):
                if idle is not None:
                    idle.yields += 1
                    if idle.resting:
                        return False
                if store.suspension is not None or monotonic() - began > self._slice:
                    return False
        finally:
            if store.stack or store.engine.concurrent:
                _capi.unprotect_stack()
        return True

    def _cross(self, values: Callable[[], None]) -> bool:
        """Have arguments or the result cross; returns whether they have, or are too large to do so at once."""
        if not self._in_pieces:
            values()
            return True
        # A result is measured by itself: the arguments are the caller's own.
        max_size = self._max_result if self._returned else None
        try:
            at_once(values, max_size=max_size)
        except Postponed:
            self.large = True
            self._postponed = values
            return False
        return True

    def _call(self) -> None:
        export, store, address = self._export, self.store, self._address
        if not _capi.export_func(
            store.instance, store.context, export.index_address, address + _FUNC
        ):
            raise InvocationError(f"the instance has no function {export.name}")
        if store.handed_out is not None:
            store.handed_out.arguments_lowered()
        self._called = True
        self._future = _capi.call_async(
            address + _FUNC,
            store.context,
            address + _ARGS,
            len(self._args),
            address + _RESULT,
            0 if export.lift is None else 1,
            address + _ERROR,
        )

    def _lower_args(self) -> None:
        if self._lowered:  # in an attempt that got long
            self._delete_args()
            # They must not be deleted again, should this attempt not come to its end.
            ctypes.memset(self._address + _ARGS, 0, len(self._args) * VALUE_SIZE)
            for memory in self.store.memories.values():
                memory.empty()
        at = self._address + _ARGS
        for lower, value in zip(self._export.lowers, self._args, strict=True):
            self._lowered += 1
            lower(self.store, at, value)
            at += VALUE_SIZE

    def _delete_args(self) -> None:
        args = self._address + _ARGS
        for index in range(self._lowered):
            _capi.value_delete(args + index * VALUE_SIZE)
        self._lowered = 0

    def _lift_result(self) -> None:
        lift = self._export.lift
        if lift is not None:
            result = lift(self.store, self._address + _RESULT)
            self.result = result[0] if self._export.boxed else result


def is_guest(frame: FrameType) -> bool:
    """Whether a thread whose innermost frame this is runs a guest's own code, or the engine for it."""
    return frame.f_code is _ADVANCE


_ADVANCE: Final = Invocation._advance.__code__
