"""The calls that one POST of JSON-RPC makes, and the answer to all of them.

The calls of a batch run concurrently, a few at a time, and are answered in their order. A client that goes away
while they run stops them all, as with any request. So does the time that one call would have: a batch is one
request, with one deadline and one response whose size is bounded.

What is large is read, made and written in pieces, so that nobody waits for it (`gateway.host.pieces`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

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
from gateway.host.errors import DeadlineExceeded, Exhausted, Exit, ResultTooLarge, Trap
from gateway.host.pieces import in_pieces
from gateway.host.values import Err, Ok
from gateway.procedure import Procedure
from gateway.routes.request import Request
from gateway.rpc import message
from gateway.rpc.json_text import LONG, dump, dump_long
from gateway.rpc.json_values import InvalidValue
from gateway.rpc.message import Batch, Error, Invalid
from gateway.rpc.openrpc import DISCOVER
from gateway.service import Service

__all__ = ["Calls"]

T = TypeVar("T")

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
        max_result: bytes that the response may have.

    Attributes:
        client_left: whether nobody waits for the answer any more.
        phases: where the time of the calls went that have ended.
    """

    def __init__(
        self,
        service: Service,
        request: Request,
        discover: Callable[[], object],
        *,
        route: str,
        max_result: int,
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
        self._max_result = max_result
        self._room = max_result
        self._long = False
        self._late = False

    @property
    def refused_all(self) -> bool:
        """Whether there was no room for any of them."""
        return self._refused > 0 and self._made == 0

    async def perform(self, content: bytes, *, max_batch: int) -> bytes | None:
        """Make the calls.

        Args:
            content: the body of the request.
            max_batch: calls that it may ask for.

        Returns:
            What to answer, in JSON; None if there is nothing to answer, or the client left.
        """
        self._long = len(content) > LONG
        body = await self._read(lambda: message.read(content, max_batch=max_batch))
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

    async def _read(self, read: Callable[[], T]) -> T:
        """Make something of the body, or of a part of it."""
        return await in_pieces(read) if self._long else read()

    async def _batch(self, entries: Sequence[message.Request | Invalid]) -> bytes | None:
        responses: list[bytes | None] = [None] * len(entries)
        remaining = iter(enumerate(entries))
        # One that has the component to itself is not refused for being a batch.
        workers = min(_AT_ONCE, len(entries), self._service.config.max_concurrency)
        with self._deadline():
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(remaining, responses))
        answers = [response for response in responses if response is not None]
        # Never an empty array (section 6).
        return b"[%b]" % b",".join(answers) if answers else None

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[None]:
        """Stop what still runs when the time of one call is over."""
        seconds = self._service.config.max_execution_time
        timer = asyncio.get_running_loop().call_later(seconds, self._stop_late, seconds)
        try:
            yield
        finally:
            timer.cancel()

    def _stop_late(self, seconds: float) -> None:
        self._late = True
        for call in self._running:
            call.stop(DeadlineExceeded(f"its batch still runs after {seconds:g} s"))

    async def _work(
        self,
        remaining: Iterator[tuple[int, message.Request | Invalid]],
        responses: list[bytes | None],
    ) -> None:
        for place, entry in remaining:
            if self.client_left:
                return
            responses[place] = await self._one(entry)
            # A call that never waited has not given the loop to anyone.
            await asyncio.sleep(0)

    async def _one(self, entry: message.Request | Invalid) -> bytes | None:
        """Give the response object of one entry; None for a notification."""
        if isinstance(entry, Invalid):
            return dump(self._failed(entry.id, entry.error))
        outcome, large = await self._call(entry)
        if entry.is_notification:
            return None
        if isinstance(outcome, Error):
            response = self._failed(entry.id, outcome)
        else:
            response = message.result_response(entry.id, outcome)
        del outcome
        try:
            text = await self._written(response, large=large)
        except ResultTooLarge:
            self._outcome = Outcome.ERR
            larger = f"the response would be larger than {self._max_result} bytes"
            reason = f"{entry.method}: {larger}. Raise rpc_max_result, or ask for less in one batch"
            self._service.log.warning(
                "result too large",
                reason=reason,
                component=self._service.name,
                request_id=self._request.id,
            )
            return dump(self._failed(entry.id, Error.of(message.RESULT_TOO_LARGE)))
        self._room -= len(text)
        return text

    async def _written(self, response: object, *, large: bool) -> bytes:
        """A response as it is sent.

        Raises:
            ResultTooLarge: there is no room for it.
        """
        room = max(self._room, 0)
        if large:
            text = await in_pieces(lambda: dump_long(response, max_size=room))
            room = max(self._room, 0)  # others of the batch may have taken it meanwhile
        else:
            text = dump(response)
        if len(text) > room:
            raise ResultTooLarge(self._max_result)
        return text

    async def _call(self, entry: message.Request) -> tuple[Any, bool]:
        """Call a method.

        Returns:
            Its result in JSON's types, or an `Error`; and whether that is large.
        """
        procedure = self._service.procedures.get(entry.method)
        if procedure is None:
            if entry.method == DISCOVER:
                return self._discover(), True
            return Error.of(message.METHOD_NOT_FOUND), False
        if self._late:
            return Error.of(message.DEADLINE), False
        try:
            arguments = await self._read(lambda: procedure.arguments(entry.params))
        except InvalidValue as invalid:
            error = Error.of(
                message.INVALID_PARAMS,
                pointer=f"/params{invalid.pointer}",
                expected=invalid.expected,
            )
            return error, False
        service, request = self._service, self._request
        try:
            place = service.gate.try_enter() or await service.wait()
        except NoRoom:
            self._refused += 1
            self._outcome = Outcome.EXHAUSTED
            service.refused(DynamicExportReturned, Outcome.EXHAUSTED, procedure.export, request.id)
            return Error.of(message.BUSY), False
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
                in_pieces=True,
                max_result=self._max_result,
            ) as call,
        ):
            result = await self._run(call, procedure)
        self._outcome = call.outcome
        self.phases.append(call.phases)
        return result, call.large

    async def _run(self, call: Call, procedure: Procedure) -> Any:
        failure: Exception | None = None
        answer: Ok | Err | None = None
        try:
            if not await call.begin():
                self._running.add(call)
                self._watch()
                if self.client_left:
                    call.stop(Cancelled("the client went away"))
                await call.run()
            answer = await self._answer(call, procedure)
        except Exit as exit_:
            answer, failure = procedure.exited(exit_), exit_
        except Exception as error:
            failure = error
        finally:
            self._running.discard(call)
        if failure is not None:
            call.report(failure)
        if answer is None and failure is not None:
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
        return None if answer is None else answer.value

    async def _answer(self, call: Call, procedure: Procedure) -> Ok | Err:
        if call.large:
            return await in_pieces(lambda: procedure.answer(call.result))
        return procedure.answer(call.result)

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
        case ResultTooLarge():
            return Error.of(message.RESULT_TOO_LARGE)
        case Interrupted():
            return Error.of(message.STOPPING)
    return Error.of(message.INTERNAL_ERROR)
