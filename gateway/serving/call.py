"""One call of a component on somebody's behalf: what it is given, what it says, and how it ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Self

from gateway.bindings.context import Caller
from gateway.bindings.p3.tasks import Tasks
from gateway.bindings.stdio import Output
from gateway.host.errors import Exit, InvocationError, Trap, TrapKind
from gateway.host.guest_resource import HandedOut
from gateway.host.invocation import Invocation
from gateway.host.linker import Export
from gateway.host.scheduler import Lane
from gateway.host.values import Err, Ok
from gateway.http.trace_context import TraceContext
from gateway.observe.events import Cancelled, Outcome, Phases, ReturnEvent, outcome_of
from gateway.observe.telemetry import Span
from gateway.rpc.procedure import Function
from gateway.serving.admission import Place
from gateway.serving.failure import report
from gateway.serving.service import Service

__all__ = ["Call"]


class Call:
    """An invocation with what surrounds it: its grants, its words in the log, its return event.

    A context manager: inside of it, it can be stopped from outside; its event is sent at the end, with the
    `outcome` it has then. The task that enters it must leave it.

    Args:
        service: whose function is called.
        export: the function.
        args: its arguments, as `gateway.host.values` has them.
        place: its place among the invocations of the component, which whoever took it gives back.
        event: what is sent when it has ended.
        request_id: the id of the request that it is made for.
        trace: the trace that the request belongs to.
        route: what led to it, as the configuration has it.
        output: where the guest's standard streams go; lines of the log by default.
        in_pieces: as of `Invocation`.
        max_result: as of `Invocation`.
        lane: as of `Invocation`.
        reports: asked whether the log is told what ended it; where it is not, whoever calls is.
        answers: the subject at which the guest may answer, whatever it is granted: that of the message that it
            handles.
        deliveries: how often that message was delivered, where anybody counts.
        until: when its caller waits no longer, on the clock of `time.monotonic`: who calls stops it then, and what
            it calls itself hears of it.
        depth: how many calls by links wait for it.
        within: an earlier call that has kept its instance, for this one to go on there.

    Attributes:
        outcome: how it ended; whoever uses the answer says so. Cancelled until then.
        bytes_in: bytes of the request's content so far.
        bytes_out: bytes of the response's content so far.
        invocation: the guest. All that it holds is freed when it has ended, unless it is kept.
    """

    def __init__(
        self,
        service: Service,
        export: Export,
        args: Sequence[Any],
        *,
        place: Place,
        event: type[ReturnEvent],
        request_id: str,
        trace: TraceContext | None = None,
        route: str | None = None,
        output: Output | None = None,
        in_pieces: bool = False,
        max_result: int | None = None,
        lane: Lane = Lane.NEW,
        reports: Callable[[], bool] = lambda: True,
        answers: str | None = None,
        deliveries: int | None = None,
        until: float = math.inf,
        depth: int = 0,
        within: Call | None = None,
    ) -> None:
        # What is true if nobody says otherwise: only a task that is cancelled leaves without a word.
        self.outcome = Outcome.CANCELLED
        self.bytes_in = 0
        self.bytes_out = 0
        self._service = service
        self._export = export
        self._queued = place.waited
        self._event = event
        self._request_id = request_id
        self._trace = trace
        self._route = route
        self._deliveries = deliveries
        self._trap: TrapKind | None = None
        self._reports = reports
        self._span: Span | None = None
        if trace is not None and service.tracer is not None:
            self._span = service.tracer.invocation(trace, service.name, export.name)
            trace = self._span.trace
        deadline = min(until, monotonic() + service.config.max_execution_time)
        self._caller = Caller(service.name, request_id, trace, deadline, depth, lane)
        if within is None:
            self._wasi = service.grants.context(self._caller, output, answers)
        else:
            self._wasi = within._wasi
            self._wasi.caller = self._caller
        idle = None
        if export.linked.component.concurrent:
            tasks = self._wasi.of(Tasks)
            idle, tasks.max_taken = tasks.idle, max_result
        self.invocation: Invocation = Invocation(
            export,
            args,
            self._wasi,
            max_memory=service.config.max_memory,
            max_execution_time=service.config.max_execution_time,
            max_cpu_time=service.config.max_cpu_time,
            in_pieces=in_pieces,
            max_result=max_result,
            lane=lane,
            idle=idle,
            within=None if within is None else within.invocation.store,
            ahead=service.ahead,
            on_close=self._wasi.close,
        )

    def __enter__(self) -> Self:
        self._service.under_way.add(self)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        # The guest first: its last lines (`WasiCtx.close`) come before the event that it has ended, and as long as
        # there is anything of it, who stops all that is under way finds it. Closing may fail in a host function
        # that cleans up; the event is sent all the same.
        try:
            if not self.invocation.ended:
                self.invocation.close()
        finally:
            self._service.ended(self)
            if self._span is not None:
                error = None if self._trap is None else self._trap.value
                self._span.end(outcome=self.outcome, error=error)
            self._send()

    @property
    def kept(self) -> HandedOut | None:
        """What the guest has handed out, where its instance is kept for that; `free` must follow then."""
        return self.invocation.store.handed_out if self.invocation.kept else None

    def free(self) -> None:
        """Free the instance, which was kept."""
        try:
            self.invocation.store.close()
        finally:
            self._wasi.close()

    @property
    def phases(self) -> Phases:
        """Where its time went so far."""
        invocation = self.invocation
        instantiate, host = invocation.instantiate_time, invocation.store.host_time
        elapsed = (
            (invocation.ended or perf_counter()) - invocation.began if invocation.began else 0.0
        )
        guest = max(0.0, elapsed - instantiate - host)
        return Phases(self._queued + invocation.delay, instantiate, guest, host)

    @property
    def context(self) -> dict[str, str]:
        """What log lines about it have in common."""
        return self._caller.log_context

    async def turn(self, left: asyncio.Future[None] | None = None) -> None:
        """Wait until the guest may begin, which has to.

        Args:
            left: done when nobody waits for the answer any more; the guest does not begin then.
        """
        self._service.tell_in_flight()
        await self.invocation.turn()
        # Nothing watches the client of a guest that queues; it is asked for once, when that matters.
        if left is not None and left.done():
            self.stop(Cancelled("the client went away"))

    async def run(self) -> None:
        """Have the guest go on, which did not end at once: `Invocation.run`."""
        self._service.tell_in_flight()
        await self.invocation.run()

    async def perform(
        self,
        function: Function,
        *,
        left: asyncio.Future[None] | None = None,
        attend: Callable[[Call], Awaitable[None]] = run,
    ) -> Ok | Err | Exception:
        """Call a function that returns its answer, and judge how that ended: `outcome` says so from then on.

        Args:
            function: the export's, which knows what its result means.
            left: as of `turn`.
            attend: awaits `run`, where it did not end at once.

        Returns:
            What the function returned, or what it ended with instead.
        """
        invocation = self.invocation
        answer: Ok | Err | None = None
        try:
            if not invocation.has_turn:
                await self.turn(left)
            if not invocation.begin():
                await attend(self)
            answer = function.returned(invocation.result)
        except Exception as failure:
            self.report(failure)
            if isinstance(failure, Exit):
                answer = function.exited(failure)
            if answer is None:
                self.outcome = outcome_of(failure, answered=False)
                return failure
        self.outcome = Outcome.ERR if isinstance(answer, Err) else Outcome.OK
        return answer

    def stop(self, error: InvocationError) -> None:
        """Stop the guest, wherever it is: `Invocation.stop`."""
        self.invocation.stop(error)

    def report(self, failure: BaseException) -> None:
        """Log what ended it."""
        if isinstance(failure, Trap):
            self._trap = failure.kind
        if self._reports():
            report(failure, self._service.log, self.context)

    def _send(self) -> None:
        service, invocation = self._service, self.invocation
        event = self._event(
            component=service.name,
            digest=service.digest,
            export=self._export.name,
            request_id=self._request_id,
            outcome=self.outcome,
            trace_id=None if self._trace is None else self._trace.trace_id,
            route=self._route,
            issuer=service.provenance.issuer,
            subject=service.provenance.subject,
            trap=self._trap,
            phases=self.phases,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            host_calls=invocation.store.host_calls,
            instantiated=invocation.instantiated,
            deliveries=self._deliveries,
        )
        service.channel.send(event)
