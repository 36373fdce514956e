"""Requests that are answered in the process: what each side sees of the other, and when it waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.http import outgoing_handler
from gateway.bindings.http.body import IncomingContent, OutgoingContent, Queue, relay
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound import (
    Exchange,
    LinkedRequest,
    OutboundRequest,
    OutboundRequests,
    Timeouts,
    outbound_request,
)
from gateway.bindings.http.types import IncomingRequest, OutgoingResponse
from gateway.host.values import Variant
from tests.bindings.outbound.component import component, until
from tests.bindings.outbound.test_streaming import (
    SIZE,
    flat_memory,
    pattern,
    read_all,
    response_of,
    write_all,
)

pytestmark = pytest.mark.anyio

HOST: Final = "pricing.internal"
BOUND: Final = 1 << 20
"""More bytes than wait between two sides of which one does not read."""


class Callee:
    """What answers; a test says what is done with each request.

    Attributes:
        request: the request, once it has come.
        caller: on whose behalf.
        response: the response.
        ended: how that ended.
    """

    def __init__(self, does: Callable[[Callee], Awaitable[None]]) -> None:
        self._does = does
        self.request: IncomingRequest | None = None
        self.caller: Caller | None = None
        self.response = OutgoingResponse(Fields())
        self.ended = ""

    @property
    def received(self) -> IncomingContent:
        assert self.request is not None
        assert self.request.content is not None
        return self.request.content

    def body(self) -> OutgoingContent:
        """Begin the body of the response."""
        content = OutgoingContent(Queue(), None, "HTTP-response-body-size")
        content.begin()
        self.response.content = content
        return content

    async def __call__(self, caller: Caller, request: LinkedRequest) -> None:
        self.caller = caller
        self.request = request.make(IncomingRequest, None)
        self.respond = request.respond
        try:
            await self._does(self)
            self.ended = "returned"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


@asynccontextmanager
async def answered_by(
    does: Callable[[Callee], Awaitable[None]],
) -> AsyncIterator[tuple[Callee, OutboundRequests]]:
    callee = Callee(does)
    async with component(linked={"default": {HOST: callee}}) as client:
        yield callee, client.invocation(Caller("tested", "request-1"))


def to_send(
    content: OutgoingContent | None = None,
    *,
    method: str = "POST",
    scheme: str = "http",
    headers: Fields | None = None,
    **timeouts: float,
) -> OutboundRequest:
    return outbound_request(
        method=method,
        scheme=scheme,
        authority=f"{HOST}:8080",
        path_with_query="/a?b",
        headers=headers or Fields(),
        content=content,
        timeouts=Timeouts(**timeouts),
    )


def send(
    requests: OutboundRequests, content: OutgoingContent | None = None, **keys: Any
) -> Exchange:
    return requests.send(to_send(content, **keys))


def outgoing() -> OutgoingContent:
    content = OutgoingContent(Queue(), None, "HTTP-request-body-size")
    content.begin()
    return content


async def echo(callee: Callee) -> None:
    body = callee.body()
    callee.respond(callee.response)
    await relay(callee.received, body)


async def hello(callee: Callee) -> None:
    body = callee.body()
    callee.respond(callee.response)
    body.write(b"hello")
    body.finish(None)


async def nothing(_callee: Callee) -> None:
    await asyncio.Event().wait()


async def failure_of(exchange: Exchange) -> Variant:
    result = await exchange.settled()
    assert isinstance(result, Variant)
    return result


# --- what passes -------------------------------------------------------------------------------------------


async def test_both_ways_at_once_nothing_is_lost_and_memory_is_flat() -> None:
    async with answered_by(echo) as (callee, requests):
        with flat_memory():
            content = outgoing()
            exchange = send(requests, content)
            writing = asyncio.create_task(write_all(content, pattern(SIZE)))
            response = await response_of(exchange)
            assert await read_all(response.content) == await writing
        await until(lambda: callee.ended == "returned")


async def test_who_does_not_read_has_the_other_wait() -> None:
    async def floods(callee: Callee) -> None:
        body = callee.body()
        callee.respond(callee.response)
        while True:
            body.write(bytes(body.check_write()))
            await asyncio.sleep(0)

    async with answered_by(floods) as (callee, requests):
        content = outgoing()
        exchange = send(requests, content)
        for _ in range(1000):
            content.write(bytes(content.check_write()))
            await asyncio.sleep(0)
        assert callee.response.content is not None
        assert not content.check_write()
        assert not callee.response.content.check_write()
        assert max(content.written, callee.response.content.written) < BOUND
        callee.received.read(BOUND)
        (await response_of(exchange)).content.read(BOUND)
        await until(content.check_write)
        await until(
            lambda: callee.response.content and callee.response.content.written > BOUND // 4
        )


async def test_the_callee_has_the_request_as_it_is() -> None:
    async with answered_by(hello) as (callee, requests):
        headers = Fields.from_list([("x-one", b"1"), ("host", b"x")][:1])
        exchange = send(requests, scheme="https", headers=headers)
        response = await response_of(exchange)
        await until(lambda: response.content.ended)
        assert (response.status, response.content.read(9)) == (200, b"hello")
        request = callee.request
        assert request is not None
        assert (request.method, request.scheme) == ("POST", "https")
        assert (request.authority, request.path_with_query) == (f"{HOST}:8080", "/a?b")
        assert request.headers.get("x-one") == [b"1"]
        assert callee.received.empty


async def test_a_request_is_for_the_call_that_is_under_way_in_an_instance_that_is_kept() -> None:
    async with answered_by(hello) as (callee, requests):
        ctx = WasiCtx(requests, caller=Caller("tested", "request-1", deadline=1.0))
        ctx.caller = later = Caller("tested", "request-1", deadline=2.0)
        await response_of(outgoing_handler.send(ctx, to_send()))
        assert callee.caller == later


async def test_trailers_pass_both_ways() -> None:
    async def trailed(callee: Callee) -> None:
        await until(lambda: callee.received.ended)
        body = callee.body()
        callee.respond(callee.response)
        body.finish(callee.received.trailers)

    async with answered_by(trailed) as (_, requests):
        content = outgoing()
        exchange = send(requests, content, headers=Fields.from_list([("trailer", b"x-sum")]))
        content.finish(Fields.from_list([("x-sum", b"1"), ("x-unsaid", b"2")]))
        response = await response_of(exchange)
        await until(lambda: response.content.ended)
        assert response.content.trailers is not None
        assert response.content.trailers.entries() == [("x-sum", b"1")]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_response_that_can_have_no_content_has_none(method: str, status: int) -> None:
    async def says(callee: Callee) -> None:
        callee.response.status = status
        await hello(callee)

    async with answered_by(says) as (_, requests):
        response = await response_of(send(requests, method=method))
        await until(lambda: response.content.ended)
        assert response.content.empty


@pytest.mark.parametrize(
    ("case", "payload", "left"),
    [
        ("internal-error", "a detail", None),
        ("DNS-error", {"rcode": "a detail", "info-code": 5}, {"rcode": None, "info-code": 5}),
        ("HTTP-response-body-size", 7, 7),
    ],
)
async def test_an_error_of_the_callee_has_no_words_of_its_own(
    case: str, payload: object, left: object
) -> None:
    async def fails(callee: Callee) -> None:
        callee.respond(Variant(case, payload))

    async with answered_by(fails) as (_, requests):
        assert await failure_of(send(requests)) == Variant(case, left)


# --- who leaves --------------------------------------------------------------------------------------------


async def test_a_caller_that_gives_up_its_request_ends_the_callee() -> None:
    async with answered_by(nothing) as (callee, requests):
        exchange = send(requests)
        await until(lambda: callee.request)
        exchange.cancel()
        await exchange.wait()
        assert callee.ended == "cancelled"


async def test_a_caller_that_lets_go_of_the_response_ends_the_callee() -> None:
    async with answered_by(echo) as (callee, requests):
        content = outgoing()
        exchange = send(requests, content)
        (await response_of(exchange)).content.abandon()
        await exchange.wait()
        assert callee.ended == "cancelled"
        assert content.unwanted


async def test_a_caller_that_has_the_whole_response_leaves_the_callee_to_itself() -> None:
    over = asyncio.Event()

    async def goes_on(callee: Callee) -> None:
        await hello(callee)
        await over.wait()

    async with answered_by(goes_on) as (callee, requests):
        content = outgoing()
        exchange = send(requests, content)
        response = await response_of(exchange)
        await until(lambda: response.content.ended)
        await asyncio.sleep(0)
        response.content.abandon()
        requests.close()
        assert callee.received.error == Variant("connection-terminated")
        over.set()
        await exchange.wait()
        assert (callee.ended, exchange.outcome) == ("returned", "response")


async def test_a_caller_that_does_not_finish_its_body_ends_the_callee() -> None:
    async with answered_by(echo) as (callee, requests):
        content = outgoing()
        exchange = send(requests, content)
        response = await response_of(exchange)
        content.abort()
        await exchange.wait()
        assert callee.ended == "cancelled"
        assert response.content.error == Variant("HTTP-protocol-error")


async def test_a_callee_has_as_long_as_the_request_says() -> None:
    async with answered_by(nothing) as (callee, requests):
        exchange = send(requests, first_byte=0.01)
        assert await failure_of(exchange) == Variant("connection-read-timeout")
        await exchange.wait()
        assert callee.ended == "cancelled"


async def test_a_callee_that_ends_without_a_response_has_gone() -> None:
    async def leaves(_callee: Callee) -> None:
        await asyncio.sleep(0)

    async with answered_by(leaves) as (_, requests):
        assert await failure_of(send(requests)) == Variant("connection-terminated")
