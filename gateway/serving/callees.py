"""What one invocation has of the components that it calls by links.

A call is an invocation of its own, in a fresh store. Where the callee hands resources out, its instance is kept
for as long as the caller holds any of them, in the place that it has among the component's invocations. What the
caller calls of that component meanwhile goes there, and needs no place of its own: an invocation has one place of
each component that it calls, never two.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from gateway.bindings.context import State, WasiCtx
from gateway.host import wit
from gateway.host.guest_resource import GuestResource
from gateway.host.values import Err, Ok
from gateway.observe.events import LinkedExportReturned, Outcome
from gateway.rpc.procedure import Function
from gateway.serving.admission import Place
from gateway.serving.call import Call
from gateway.serving.service import Service

__all__ = ["Callee", "Callees"]


class Callees(State):
    """The components of which an invocation keeps instances."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[Service, Callee] = {}

    def get(self, service: Service) -> Callee | None:
        """What the invocation has of a component; None if that is nothing."""
        return self._kept.get(service)

    def enter(self, service: Service, place: Place, ctx: WasiCtx, **options: Any) -> Callee:
        """Have a place of a component, of which the invocation has none, for what is called of it.

        Args:
            service: the component.
            place: the place, which is given back when nothing is kept there.
            ctx: what the invocation works with.
            **options: more of each `Call`.
        """
        callee = Callee(service, place, ctx, options, lambda: self._kept.pop(service))
        self._kept[service] = callee
        return callee

    def close(self) -> None:
        """`State.close`: the invocation has ended, and all that it keeps is free."""
        for callee in tuple(self._kept.values()):
            callee.leave()


class Callee:
    """What an invocation has of one component: a place, and an instance while it holds resources of that.

    Calls are made one at a time. What the caller drops is dropped in that instance, in order and before any later
    call; by a task, where the caller goes on otherwise.

    Args:
        service: the component.
        place: ditto.
        ctx: what the invocation works with.
        options: more of each `Call`.
        on_close: called once all is free.
    """

    def __init__(
        self,
        service: Service,
        place: Place,
        ctx: WasiCtx,
        options: Mapping[str, Any],
        on_close: Callable[[], object],
    ) -> None:
        self._service = service
        self._place = place
        self._ctx = ctx
        self._options = options
        self._on_close = on_close
        self._kept: Call | None = None
        self._lock = asyncio.Lock()
        self._users = 0
        self._dropped: deque[GuestResource] = deque()
        self._dropping: asyncio.Task[None] | None = None
        self._until = math.inf
        self._left = self._closed = False

    async def call(
        self, function: Function, make_args: Callable[[], Sequence[Any]]
    ) -> tuple[Ok | Err | Exception, Outcome]:
        """Call a function of the component; gives what that came to, and how it ended.

        Args:
            function: the function.
            make_args: makes its arguments, when it is its turn.
        """
        self._users += 1
        try:
            async with self._lock:
                await self._drop_all()
                return await self._perform(function, make_args())
        finally:
            self._users -= 1
            self._settle()

    def leave(self) -> None:
        """The caller has ended: all is free, once that is dropped which it has dropped itself."""
        self._left = True
        # Nobody waits for all of what it has dropped.
        self._until = monotonic() + self._service.config.max_execution_time
        self._settle()
        self._place.stand_alone()  # where something goes on

    def go_on(self) -> None:
        """The caller waits no longer for what goes on."""
        self._place.stand_alone()

    async def _perform(
        self, function: Function, args: Sequence[Any]
    ) -> tuple[Ok | Err | Exception, Outcome]:
        export, caller = function.export, self._ctx.caller
        call = Call(
            self._service,
            export,
            args,
            place=self._place,
            event=LinkedExportReturned,
            request_id=caller.request_id,
            trace=caller.trace,
            route=caller.component,
            in_pieces=not any(map(_crosses_once, export.type.leaves())),
            lane=caller.lane,
            until=caller.deadline,
            depth=caller.depth + 1,
            within=self._kept,
            **self._options,
        )
        self._kept = None
        self._place.waited = 0.0  # that was for the first
        try:
            with call:
                try:
                    answer = await call.perform(function)
                except asyncio.CancelledError:
                    if not caller.remaining:
                        call.outcome = Outcome.DEADLINE
                    raise
        finally:
            if call.kept is not None:
                self._kept = call
                call.kept.on_drop = self._drop_later
        return answer, call.outcome

    def _drop_later(self, resource: GuestResource) -> None:
        """The caller has dropped one, on the stack of its own guest, where no other may run."""
        self._dropped.append(resource)
        if self._dropping is None:
            self._begin_dropping()

    def _begin_dropping(self) -> None:
        task = self._dropping = asyncio.get_running_loop().create_task(self._drop_in_turn())
        self._service.goes_on(task)
        task.add_done_callback(self._has_dropped)

    async def _drop_in_turn(self) -> None:
        async with self._lock:
            await self._drop_all()

    def _has_dropped(self, task: asyncio.Task[None]) -> None:
        self._dropping = None
        # The caller may have gone on, and dropped more, between the end of the task and this.
        if self._dropped and not task.cancelled() and monotonic() < self._until:
            self._begin_dropping()
            return
        self._dropped.clear()  # what is left goes with its instance
        self._settle()

    async def _drop_all(self) -> None:
        while self._dropped and monotonic() < self._until:
            resource = self._dropped.popleft()
            if resource.address:
                await self._perform(Function(self._service.linked.drop(resource.type)), [resource])

    def _settle(self) -> None:
        """Free all if nothing is under way, and the caller holds nothing any more."""
        if self._closed or self._users or self._dropping is not None:
            return
        if self._kept is not None:
            if not self._left:
                return
            self._kept.free()
        self._closed = True
        self._place.release()
        self._on_close()


def _crosses_once(ty: wit.Type) -> bool:
    """Whether it is a resource of the host, of which no second attempt can be made."""
    return isinstance(ty, wit.Own | wit.Borrow) and ty.resource.imported
