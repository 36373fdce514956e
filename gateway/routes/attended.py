"""What is done for one request, and ends with it: its calls, and what comes before and after them.

A client that goes away while they run stops them all. So does the time that one call would have: however many a
request makes, it is one request, with one deadline.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from gateway.host.errors import DeadlineExceeded, InvocationError
from gateway.host.linker import Export
from gateway.host.pieces import Postponed, at_once
from gateway.host.values import Err, Ok
from gateway.http import call_chain
from gateway.observe.events import Cancelled, DynamicExportReturned, Outcome, Phases
from gateway.routes.request import Request
from gateway.rpc.procedure import Function
from gateway.serving.admission import Place
from gateway.serving.call import Call
from gateway.serving.failure import report
from gateway.serving.long_work import LongWork
from gateway.serving.service import Service

__all__ = ["Attended"]

T = TypeVar("T")


class Attended:
    """Calls of a component that somebody waits for, who has sent one request for them.

    Args:
        service: the component.
        request: the HTTP request.
        route: what led to its calls, as the configuration has it.
        max_result: bytes that the response may have.

    Attributes:
        phases: where the time of the calls went that have ended, if that is to be told.
        client_left: whether nobody waits for the answer any more.
        stopped: gives why nothing more is to be done, if so; an error for each, since they get tracebacks.
    """

    def __init__(self, service: Service, request: Request, *, route: str, max_result: int) -> None:
        self.phases: list[Phases] = []
        self.client_left = False
        self._service = service
        self._request = request
        self._route = route
        self._max_result = max_result
        self._client = request.client
        self._depth, self._until = 0, math.inf
        if not call_chain.FIELDS.isdisjoint(request.lines):
            self._depth, remaining = call_chain.read(request.lines)
            self._until = monotonic() + remaining
        self._running: set[Call | LongWork[Any]] = set()
        self.stopped: Callable[[], InvocationError] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began: float | None = None
        self._place: Place | None = None

    async def aclose(self) -> None:
        """Let go of what is left of it. All calls have ended."""
        if self._place is not None:
            self._place.release()
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    # --- places --------------------------------------------------------------------------------------------

    async def enter(self) -> Place:
        """Take a place: the one that is kept, if no other call has.

        Raises:
            NoRoom: there is none.
        """
        place, self._place = self._place, None
        if place is None:
            place = self._service.gate.try_enter() or await self._service.wait()
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        return place

    async def keep_place(self) -> None:
        """Take a place for what comes before the first call, which takes it over.

        Raises:
            NoRoom: there is none.
        """
        self._place = await self.enter()

    # --- calls ---------------------------------------------------------------------------------------------

    def call(self, export: Export, arguments: Sequence[Any], place: Place) -> Call:
        """A call of a function, to be entered and performed."""
        return Call(
            self._service,
            export,
            arguments,
            place=place,
            event=DynamicExportReturned,
            request_id=self._request.id,
            trace=self._request.trace,
            route=self._route,
            in_pieces=True,
            max_result=self._max_result,
            lane=self._client.lane,
            until=self._until,
            depth=self._depth,
        )

    async def perform(self, call: Call, function: Function) -> Ok | Err | Exception:
        """Make a call: `Call.perform`."""
        answer = await call.perform(function, left=self._client.left, attend=self._attend)
        if self._service.server_timing:
            self.phases.append(call.phases)
        return answer

    async def _attend(self, call: Call) -> None:
        """Have a call go on for as long as somebody waits for it, and there is time."""
        self._running.add(call)
        self.watch()
        try:
            if self.stopped is not None:
                call.stop(self.stopped())
            await call.run()
        finally:
            self._running.discard(call)

    def not_made(self, outcome: Outcome, export: Export | None) -> None:
        """Tell of a call that was not made; of no function, where it was not known yet of which."""
        self._service.refused(DynamicExportReturned, outcome, export, self._request.id)

    def log_stopped(self, failure: InvocationError) -> None:
        """Log what has ended that which comes before a call, or after it."""
        context = {"component": self._service.name, "request_id": self._request.id}
        report(failure, self._service.log, context)

    # --- what comes before and after them ------------------------------------------------------------------

    async def of_any_length(self, work: Callable[[], T]) -> T:
        """Do something under a place that was taken: at once if it is short, and in pieces if it is not.

        Raises:
            InvocationError: as of `in_pieces`.
        """
        try:
            return at_once(work)
        except Postponed:
            return await self.in_pieces(work)

    async def in_pieces(self, work: Callable[[], T]) -> T:
        """Do something long under a place that was taken.

        Raises:
            InvocationError: the time of the request is over, its client has left, or the gateway stops.
        """
        if self.stopped is not None:
            raise self.stopped()
        self.watch()
        self.limit_time()
        long_work = LongWork(work)
        self._running.add(long_work)
        self._service.under_way.add(long_work)
        self._service.tell_in_flight()
        try:
            return await long_work.run()
        finally:
            self._service.ended(long_work)
            self._running.discard(long_work)

    # --- time and the client -------------------------------------------------------------------------------

    def limit_time(self) -> None:
        """Stop what still runs when the time of one call is over, since the first place was taken."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            seconds = self._service.config.max_execution_time
            began = loop.time() if self._began is None else self._began
            reason = f"its request is not answered after {seconds:g} s"
            self._timer = loop.call_at(
                began + seconds, self._stop, partial(DeadlineExceeded, reason)
            )

    def watch(self) -> None:
        """Stop what runs when the client leaves. What it still sends of its body is not wanted."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._stop_when_client_leaves())

    async def _stop_when_client_leaves(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.client_left = True
        self._stop(partial(Cancelled, "the client went away"))

    def _stop(self, error: Callable[[], InvocationError]) -> None:
        self.stopped = error
        for each in self._running:
            each.stop(error())
