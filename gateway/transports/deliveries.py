"""What comes to a component by itself, one by one, from a backend: messages, and changes of what is stored.

Each is one invocation, under what bounds every invocation of the component: its deadline, its memory, its
places. So many of one subscription are handled at once, so many more wait here, and what comes beyond that is
dropped and counted: a backend that is not drained in time drops it itself, of all who share its connection.
"""

from __future__ import annotations

import asyncio
import enum
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar, cast

import structlog

from gateway.capabilities.backend import Backend
from gateway.capabilities.subscription import Subscription
from gateway.capabilities.task import end
from gateway.config.delivery import DeliveryLimits
from gateway.host.values import Err
from gateway.http.field_lines import FieldLines
from gateway.http.trace_context import TraceContext, incoming
from gateway.observe.events import Outcome, ReturnEvent
from gateway.observe.telemetry import Span, Tracer
from gateway.policy.rate import Rate
from gateway.rpc.procedure import Function
from gateway.serving.admission import NoRoom, Place
from gateway.serving.call import Call
from gateway.serving.service import Service
from gateway.transports.transport import Transport

__all__ = ["Deliveries", "Delivery", "Dropped"]

_log = structlog.get_logger("gateway.deliveries")

T = TypeVar("T")

_TOLD: Final = 10.0
"""Seconds between two lines about what is dropped of one subscription. Arbitrary."""

_GOODBYE: Final = 2.0
"""Seconds at the end for what is left to be said of what was handled. Arbitrary; a backend that is there needs a
round trip."""

_MAX_REASON: Final = 1024
"""Characters of what a handler says is wrong that are logged. Arbitrary: a line, not a document."""


class Dropped(enum.StrEnum):
    """Why something was not handled. The values are labels of metrics."""

    PENDING = "pending"
    """As many waited as may."""
    TOO_LARGE = "too-large"
    """It is larger than the component takes."""
    STOPPED = "stopped"
    """The gateway stopped, or the component went, before it was handled."""
    GIVEN_UP = "given-up"
    """It was delivered as often as it may be, and was not handled."""


class Delivery(NamedTuple):
    """How something is handled.

    Attributes:
        function: what handles it.
        args: the function's arguments.
        event: what is sent when it has ended.
        headers: what came with it that is not for the component: the trace that it belongs to.
        answers: the subject at which the guest may answer.
        deliveries: how often it was delivered, this time included; None where nobody counts.
    """

    function: Function
    args: Sequence[Any]
    event: type[ReturnEvent]
    headers: Mapping[str, str] = MappingProxyType({})
    answers: str | None = None
    deliveries: int | None = None


class Deliveries(ABC, Generic[T]):
    """What comes of one subscription, on its way to the component: a `Transport`.

    Args:
        service: the component.
        backend: where it comes from.
        route: what the configuration calls the subscription.
        limits: how much is handled at once, and waits.
        max_size: bytes of one.
        max_rate: how many are handled in a second; None for no bound.

    Attributes:
        service: ditto.
        backend: ditto.
        route: ditto.
    """

    what: ClassVar[str]
    """What comes, in the plural: as lines of the log and names of metrics have it."""

    by: ClassVar[str]
    """What `route` is, as lines of the log have it."""

    def __init__(
        self,
        service: Service,
        backend: Backend,
        route: str,
        limits: DeliveryLimits,
        max_size: int,
        *,
        max_rate: int | None = None,
    ) -> None:
        self.service: Final = service
        self.backend: Final = backend
        self.route: Final = route
        self._limits = limits
        self._max_size = max_size
        self._rate = None if max_rate is None else Rate(max_rate)
        self._subscription: Subscription[T] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._pending: deque[T] = deque()
        self._pending_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._placeless: set[asyncio.Task[None]] = set()
        self._afterwards: set[asyncio.Task[None]] = set()
        self._untold = 0
        self._tell_after = 0.0

    # --- what is of one kind -------------------------------------------------------------------------------

    @abstractmethod
    def subscribe(self) -> Subscription[T]:
        """Take an interest in it, which `take` is told of."""

    @abstractmethod
    def size(self, item: T) -> int:
        """Bytes of one."""

    @abstractmethod
    def delivery(self, item: T) -> Delivery:
        """How one is handled."""

    @abstractmethod
    def span(self, item: T, tracer: Tracer, trace: TraceContext, request_id: str) -> Span:
        """Begin the span of one that came."""

    def failed(self, reason: str, context: Mapping[str, str]) -> None:
        """Log that the function which handled one has returned an err.

        Args:
            reason: what it said, or its beginning.
            context: what log lines about the invocation have in common.
        """

    def drop(self, item: T, why: Dropped) -> None:  # noqa: ARG002
        """Do not handle one that came."""
        self._dropped(why)

    def ended(self, item: T, outcome: Outcome, reason: str) -> None:
        """Take note of how one was handled.

        Args:
            item: what was handled.
            outcome: how that ended.
            reason: what the function said that is wrong, or its beginning; otherwise empty.
        """

    def afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what is left to do for one that has been handled, or is not to be."""
        task = asyncio.create_task(work)
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.remove)

    # --- a transport ---------------------------------------------------------------------------------------

    @property
    def identity(self) -> Hashable:
        """The component and the subscription, at this backend: `Transport.identity`."""
        return type(self), self.service.name, self.route, id(self.backend)

    @property
    def trouble(self) -> str | None:
        """Why nothing comes of it: `Transport.trouble`."""
        trouble = None if self._subscription is None else self._subscription.trouble
        return trouble and f"{self.by} {self.route} of component {self.service.name}: {trouble}"

    @property
    def busy(self) -> bool:
        """Whether something is still to be handled: `Transport.busy`."""
        return bool(self._tasks or self._afterwards) or (
            self._leaving is not None and not self._leaving.done()
        )

    def start(self, before: Transport | None = None) -> None:
        """Begin to take it: `Transport.start`. What waits at the one before is handled there."""
        if isinstance(before, Deliveries) and before._subscription is not None:
            self._subscription, before._subscription = before._subscription, None
            self._subscription.deliver = self.take
        else:
            self._subscription = self.subscribe()

    async def ready(self) -> None:
        """Wait until the backend knows of it: `Transport.ready`."""
        if self._subscription is not None:
            await self._subscription.ready()

    def drain(self, *, inside: bool) -> None:
        """Have no more: `Transport.drain`. What the backend has sent by now still comes."""
        if not (inside or self.backend.waits):
            return
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._leaving = asyncio.create_task(subscription.aclose())

    async def finished(self) -> None:
        """Wait until all that came is handled: `Transport.finished`."""
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
        while under_way := self._tasks | self._afterwards:
            await asyncio.wait(under_way)

    def abandon(self) -> None:
        """Give up what is not being handled: `Transport.abandon`."""
        while self._pending:
            self.drop(self._next(), Dropped.STOPPED)
        for task in self._placeless:
            task.cancel()

    async def aclose(self) -> None:
        """Have no more, and handle none: `Transport.aclose`."""
        self.drain(inside=True)
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
        self.abandon()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._afterwards:
            await asyncio.wait(self._afterwards, timeout=_GOODBYE)
        for task in list(self._afterwards):
            await end(task)

    # --- what comes ----------------------------------------------------------------------------------------

    def take(self, item: T) -> None:
        """Handle it now, or have it wait, or drop it."""
        limits, size = self._limits, self.size(item)
        if size > self._max_size:
            self.drop(item, Dropped.TOO_LARGE)
        elif len(self._tasks) < limits.max_concurrency:
            self._begin(item)
        elif (
            len(self._pending) >= limits.max_pending
            or self._pending_bytes + size > limits.max_pending_bytes
        ):
            self.drop(item, Dropped.PENDING)
        else:
            self._pending.append(item)
            self._pending_bytes += size
            self._pending_changed(1)

    def _dropped(self, why: Dropped) -> None:
        self.service.delivery_dropped(self.what, why)
        self._untold += 1
        now = asyncio.get_running_loop().time()
        if now >= self._tell_after:
            self._tell_after = now + _TOLD
            told = {self.by: self.route, self.what: self._untold}
            what = self.what + " dropped"
            _log.warning(what, component=self.service.name, reason=why.value, **told)
            self._untold = 0

    def _pending_changed(self, by: int) -> None:
        self.service.pending_changed(self.what, by)

    def _begin(self, item: T) -> None:
        task = asyncio.create_task(self._work(item))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        # What came after the task had looked, or while it was cancelled.
        if self._pending:
            self._begin(self._next())

    def _next(self) -> T:
        item = self._pending.popleft()
        self._pending_bytes -= self.size(item)
        self._pending_changed(-1)
        return item

    async def _work(self, item: T) -> None:
        """Handle one, and then those that wait."""
        while True:
            try:
                await self._handle(item)
            except Exception:
                _log.exception(
                    "gateway failed", component=self.service.name, **{self.by: self.route}
                )
            if not self._pending:
                return
            item = self._next()
            # A handler that never waited has not given the loop to anyone.
            await asyncio.sleep(0)

    async def _handle(self, item: T) -> None:
        try:
            place = await self._place()
        except NoRoom:
            self.drop(item, Dropped.STOPPED)
            return
        except asyncio.CancelledError:
            self.drop(item, Dropped.STOPPED)
            raise
        with place:
            await self._invoke(item, place)

    async def _place(self) -> Place:
        """A place among the invocations, once this one may be handled."""
        seconds = 0.0 if self._rate is None else self._rate.reserve()
        if not seconds and (place := self.service.gate.try_enter()) is not None:
            return place
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._placeless.add(task)
        try:
            if seconds:
                await asyncio.sleep(seconds)
            return await self.service.wait(self.service.gate.enter_patiently)
        finally:
            self._placeless.remove(task)

    async def _invoke(self, item: T, place: Place) -> None:
        service, delivery = self.service, self.delivery(item)
        request_id = os.urandom(16).hex()
        lines = FieldLines(
            (name.lower().encode(), value.encode()) for name, value in delivery.headers.items()
        )
        trace = incoming(lines, request_id)
        span = None
        if service.tracer is not None:
            span = self.span(item, service.tracer, trace, request_id)
            trace = span.trace
        outcome, reason = Outcome.CANCELLED, ""
        try:
            with Call(
                service,
                delivery.function.export,
                delivery.args,
                place=place,
                event=delivery.event,
                request_id=request_id,
                trace=trace,
                route=self.route,
                in_pieces=True,
                answers=delivery.answers,
                deliveries=delivery.deliveries,
            ) as call:
                call.bytes_in = self.size(item)
                answer = await call.perform(delivery.function)
                outcome = call.outcome
                if isinstance(answer, Err):
                    reason = str(answer.value)[:_MAX_REASON]
                    self.failed(reason, call.context)
        finally:
            self.ended(item, outcome, reason)
            if span is not None:
                span.end(component=service.name, outcome=outcome)
