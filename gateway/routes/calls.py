"""The calls that one POST of JSON-RPC makes, and the answer to all of them.

The calls of a batch run concurrently, a few at a time, and are answered in their order. A client that goes away
while they run stops them all, as with any request. So does the time that one call would have: a batch is one
request, with one deadline and one response whose size is bounded.

What is large is read, made and written in pieces, so that nobody waits for it (`gateway.host.pieces`). That is
work like a guest's: it has a place among the invocations in flight, counts against the time of the request, and
ends when the client leaves. A long body has a place before it is read, which its first call takes over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, TypeAlias

from gateway.host.errors import Exhausted, InvocationError, ResultTooLarge
from gateway.host.garbage import full_collections_put_off
from gateway.host.linker import Export
from gateway.host.values import Err, Ok
from gateway.json.text import LONG, dump, dump_long
from gateway.observe.events import Outcome, outcome_of
from gateway.routes.attended import Attended
from gateway.rpc import message
from gateway.rpc.json_values import InvalidValue
from gateway.rpc.message import Batch, Error, Invalid
from gateway.rpc.openrpc import DISCOVER
from gateway.rpc.procedure import Procedure
from gateway.serving.admission import NoRoom

__all__ = ["Calls"]

_AT_ONCE: Final = 16
"""Calls of one batch that run at once. Arbitrary: enough to overlap what they wait for; a batch should not take
more than its share of a component's `max_concurrency`."""


_ERRORS: Final = {
    Outcome.DEADLINE: message.DEADLINE,
    Outcome.CPU_TIME: message.DEADLINE,
    Outcome.EXHAUSTED: message.BUSY,
    Outcome.TRAP: message.TRAP,
    Outcome.ERR: message.TRAP,  # it exited, and owed a value
    Outcome.CANCELLED: message.STOPPING,  # who left is told nothing
    Outcome.REJECTED: message.INTERNAL_ERROR,
    Outcome.FAILED: message.INTERNAL_ERROR,
}
"""What a caller is told whose function has not returned."""


_Body: TypeAlias = message.Request | Invalid | Batch


class Calls(Attended):
    """What is done for one body.

    Attributes:
        refused_all: whether there was no room for any call.
    """

    refused_all = False
    _made = 0
    _refused = 0
    _outcome: Outcome | None = None

    async def answer(
        self, content: bytes, discover: Callable[[], bytes], *, max_batch: int
    ) -> bytes | None:
        """Make the calls.

        Args:
            content: the body of the request.
            discover: gives the result of `rpc.discover`, as JSON.
            max_batch: calls that it may ask for.

        Returns:
            What to answer, in JSON; None if there is nothing to answer, or the client left.
        """
        self._discover = discover
        self._room = self._max_result
        self._long = len(content) > LONG
        try:
            with full_collections_put_off() if self._long else nullcontext():
                read = partial(message.read, content, max_batch=max_batch)
                body = await self._long_body(read) if self._long else read()
                if isinstance(body, Batch):
                    return await self._batch(body.entries)
                response = await self._one(body)
                self._request.outcome = self._outcome
                return response
        finally:
            self.refused_all = self._refused > 0 and self._made == 0
            await self.aclose()

    async def _long_body(self, read: Callable[[], _Body]) -> _Body:
        self.watch()
        try:
            await self.keep_place()
            return await self.in_pieces(read)
        except NoRoom:
            return Invalid(self._refuse(None))
        except InvocationError as failure:
            return Invalid(self._not_made(failure, None))

    async def _batch(self, entries: Sequence[message.Request | Invalid]) -> bytes | None:
        responses: list[bytes | None] = [None] * len(entries)
        remaining = iter(enumerate(entries))
        # One that has the component to itself is not refused for being a batch.
        workers = min(_AT_ONCE, len(entries), self._service.config.max_concurrency)
        self.limit_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(remaining, responses))
        answers = [response for response in responses if response is not None]
        # Never an empty array (section 6).
        return b"[%b]" % b",".join(answers) if answers else None

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

    # --- one entry -----------------------------------------------------------------------------------------

    async def _one(self, entry: message.Request | Invalid) -> bytes | None:
        """Give the response object of one entry; None for a notification."""
        if isinstance(entry, Invalid):
            return dump(self._failed(entry.id, entry.error))
        procedure = self._service.procedures.get(entry.method)
        response = (
            self._without_call(entry)
            if procedure is None
            else await self._respond(entry, procedure)
        )
        return None if entry.is_notification else response

    def _without_call(self, entry: message.Request) -> bytes:
        """The response where a component has no such method."""
        if entry.method == DISCOVER:
            return self._fitting(entry, message.result_text(entry.id, self._discover()))
        near = self._service.methods.near(entry.method)
        hint = {} if near is None else {"did_you_mean": near}
        return self._failure(entry, Error.of(message.METHOD_NOT_FOUND, **hint))

    async def _respond(self, entry: message.Request, procedure: Procedure) -> bytes | None:
        """Call a method, and give the response; None for a notification that has been made."""
        if (stopped := self.stopped) is not None:
            return self._failure(entry, _error_of(stopped()))
        try:
            place = await self.enter()
        except NoRoom:
            return self._failure(entry, self._refuse(procedure.export))
        try:
            read = partial(procedure.arguments, entry.params)
            try:
                arguments = await self.of_any_length(read) if self._long else read()
            except InvalidValue as invalid:
                pointer = f"/params{invalid.pointer}"
                error = Error.of(message.INVALID_PARAMS, pointer=pointer, expected=invalid.expected)
                return self._failure(entry, error)
            except InvocationError as failure:
                return self._failure(entry, self._not_made(failure, procedure.export))
            with self.call(procedure.export, arguments, place) as call:
                answer = await self.perform(call, procedure)
            if isinstance(answer, Exhausted):
                self._refused += 1
            else:
                self._made += 1
            self._outcome = call.outcome
            if entry.is_notification:
                return None
            if isinstance(answer, Exception):
                return self._failure(entry, _error_of(answer))
            return await self._written(entry, procedure, answer, large=call.invocation.large)
        finally:
            place.release()

    # --- responses -----------------------------------------------------------------------------------------

    async def _written(
        self, entry: message.Request, procedure: Procedure, answer: Ok | Err, *, large: bool
    ) -> bytes:
        """The response to a call whose function has returned, as it is sent."""

        def response() -> Any:
            value = procedure.encode(answer)
            if isinstance(answer, Err):
                return self._failed(entry.id, Error.returned(value))
            return message.result_response(entry.id, value)

        try:
            if large:
                room = self._room
                text = await self.in_pieces(lambda: dump_long(response(), max_size=room))
            else:
                text = dump(response())
        except ResultTooLarge:
            return self._too_large(entry)
        except InvocationError as failure:
            self._outcome = outcome_of(failure, answered=False)
            self.log_stopped(failure)
            return self._failure(entry, _error_of(failure))
        return self._fitting(entry, text)

    def _failure(self, entry: message.Request, error: Error) -> bytes:
        return self._fitting(entry, dump(self._failed(entry.id, error)))

    def _fitting(self, entry: message.Request, text: bytes) -> bytes:
        """A response, if there is room for it."""
        if len(text) > self._room:
            return self._too_large(entry)
        self._room -= len(text)
        return text

    def _too_large(self, entry: message.Request) -> bytes:
        self._outcome = Outcome.ERR
        larger = f"the response would be larger than {self._max_result} bytes"
        self._service.log.warning(
            "result too large",
            reason=f"{entry.method}: {larger}. Raise rpc_max_result, or ask for less in one batch",
            component=self._service.name,
            request_id=self._request.id,
        )
        return dump(self._failed(entry.id, Error.of(message.RESULT_TOO_LARGE)))

    def _failed(self, request_id: message.Id, error: Error) -> Any:
        return message.error_response(request_id, error.with_details(request_id=self._request.id))

    # --- calls that are not made ---------------------------------------------------------------------------

    def _refuse(self, export: Export | None) -> Error:
        """Note that there is no room, for a call of a function or for reading of which."""
        self._refused += 1
        self._tell_not_made(Outcome.EXHAUSTED, export)
        return Error.of(message.BUSY)

    def _not_made(self, failure: InvocationError, export: Export | None) -> Error:
        """Note that a call was stopped while it was still being read."""
        if isinstance(failure, Exhausted):
            self._refused += 1
        self._tell_not_made(outcome_of(failure, answered=False), export)
        self.log_stopped(failure)
        return _error_of(failure)

    def _tell_not_made(self, outcome: Outcome, export: Export | None) -> None:
        self._outcome = outcome
        self.not_made(outcome, export)


def _error_of(failure: Exception) -> Error:
    if isinstance(failure, ResultTooLarge):
        return Error.of(message.RESULT_TOO_LARGE)
    return Error.of(_ERRORS[outcome_of(failure, answered=False)])
