"""The calls that one POST of JSON-RPC makes, and the answer to all of them.

The calls of a batch run concurrently, a few at a time, and are answered in their order. A client that goes away
while they run stops them all, as with any request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from gateway.admission import NoRoom
from gateway.call import Call
from gateway.events import (
    Cancelled,
    DynamicExportReturned,
    Interrupted,
    Outcome,
    Phases,
    outcome_of,
)
from gateway.host.errors import DeadlineExceeded, Exhausted, Exit, Trap
from gateway.host.values import Err
from gateway.procedure import Procedure
from gateway.routes.request import Request
from gateway.rpc import message
from gateway.rpc.json_values import InvalidValue
from gateway.rpc.message import Batch, Error, Invalid
from gateway.rpc.openrpc import DISCOVER
from gateway.service import Service

__all__ = ["Calls"]

_AT_ONCE: Final = 16
"""Calls of one batch that run at once. Arbitrary: enough to overlap what they wait for; a batch should not take
more than its share of a component's `max_concurrency`."""


class Calls:
    """What is done for one body.

    Args:
        service: the component whose methods are called.
        request: the HTTP request.
        discover: makes the result of `rpc.discover`.
        route: the route of JSON-RPC.

    Attributes:
        client_left: whether nobody waits for the answer any more.
        phases: where the time of the calls went that have ended.
    """

    def __init__(
        self, service: Service, request: Request, discover: Callable[[], object], *, route: str
    ) -> None:
        self.client_left = False
        self.phases: list[Phases] = []
        self._route = route
        self._service = service
        self._request = request
        self._discover = discover
        self._running: set[Call] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._made = 0
        self._refused = 0
        self._outcome: Outcome | None = None

    @property
    def refused_all(self) -> bool:
        """Whether there was no room for any of them."""
        return self._refused > 0 and self._made == 0

    async def perform(self, body: message.Request | Invalid | Batch) -> Any:
        """Make the calls.

        Returns:
            What to answer, in JSON's types; None if there is nothing to answer, or the client left.
        """
        try:
            if isinstance(body, Batch):
                return await self._batch(body.entries)
            response = await self._one(body)
            self._request.outcome = self._outcome
            return response
        finally:
            if self._watcher is not None:
                self._watcher.cancel()
                await asyncio.gather(self._watcher, return_exceptions=True)

    async def _batch(self, entries: Sequence[message.Request | Invalid]) -> Any:
        responses: list[Any] = [None] * len(entries)
        remaining = iter(enumerate(entries))
        # One that has the component to itself is not refused for being a batch.
        workers = min(_AT_ONCE, len(entries), self._service.config.max_concurrency)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(remaining, responses))
        answers = [response for response in responses if response is not None]
        return answers or None  # never an empty array (section 6)

    async def _work(
        self, remaining: Iterator[tuple[int, message.Request | Invalid]], responses: list[Any]
    ) -> None:
        for place, entry in remaining:
            if self.client_left:
                return
            responses[place] = await self._one(entry)
            # A call that never waited has not given the loop to anyone.
            await asyncio.sleep(0)

    async def _one(self, entry: message.Request | Invalid) -> Any:
        """Give the response object of one entry; None for a notification."""
        if isinstance(entry, Invalid):
            return self._failed(entry.id, entry.error)
        outcome = await self._call(entry)
        if entry.is_notification:
            return None
        if isinstance(outcome, Error):
            return self._failed(entry.id, outcome)
        return message.result_response(entry.id, outcome)

    async def _call(self, entry: message.Request) -> Any:
        """Call a method.

        Returns:
            Its result in JSON's types, or an `Error`.
        """
        procedure = self._service.procedures.get(entry.method)
        if procedure is None:
            if entry.method == DISCOVER:
                return self._discover()
            return Error.of(message.METHOD_NOT_FOUND)
        try:
            arguments = procedure.arguments(entry.params)
        except InvalidValue as invalid:
            return Error.of(
                message.INVALID_PARAMS,
                pointer=f"/params{invalid.pointer}",
                expected=invalid.expected,
            )
        service, request = self._service, self._request
        try:
            place = service.gate.try_enter() or await service.wait()
        except NoRoom:
            self._refused += 1
            self._outcome = Outcome.EXHAUSTED
            service.refused(DynamicExportReturned, Outcome.EXHAUSTED, procedure.export, request.id)
            return Error.of(message.BUSY)
        with (
            place,
            Call(
                service,
                procedure.export,
                arguments,
                place=place,
                event=DynamicExportReturned,
                request_id=request.id,
                trace=request.trace,
                route=self._route,
            ) as call,
        ):
            result = await self._run(call, procedure)
        self._outcome = call.outcome
        self.phases.append(call.phases)
        return result

    async def _run(self, call: Call, procedure: Procedure) -> Any:
        failure: Exception | None = None
        try:
            if not call.start():
                self._running.add(call)
                self._watch()
                if self.client_left:
                    call.stop(Cancelled("the client went away"))
                await call.run()
            answer = procedure.answer(call.result)
        except Exception as error:
            failure = error
        finally:
            self._running.discard(call)
        if failure is not None:
            call.report(failure)
            call.outcome = outcome_of(failure, answered=False)
            if isinstance(failure, Exhausted):
                self._refused += 1
            else:
                self._made += 1
            return _error_of(failure)
        self._made += 1
        if isinstance(answer, Err):
            call.outcome = Outcome.ERR
            return Error.returned(answer.value)
        call.outcome = Outcome.OK
        return answer.value

    def _failed(self, request_id: message.Id, error: Error) -> Any:
        return message.error_response(request_id, error.with_details(request_id=self._request.id))

    # --- the client ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._stop_when_client_leaves())

    async def _stop_when_client_leaves(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.client_left = True
        for call in self._running:
            call.stop(Cancelled("the client went away"))


def _error_of(failure: Exception) -> Error:
    match failure:
        case Trap() | Exit():
            return Error.of(message.TRAP)
        case DeadlineExceeded():
            return Error.of(message.DEADLINE)
        case Exhausted():
            return Error.of(message.BUSY)
        case Interrupted():
            return Error.of(message.STOPPING)
    return Error.of(message.INTERNAL_ERROR)
