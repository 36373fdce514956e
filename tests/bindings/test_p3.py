"""WASI 0.3, without a guest: messages that one makes, and the channels of its adapter."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.bindings.context import WasiCtx
from gateway.bindings.http.fields import MAX_SIZE, Fields
from gateway.bindings.http.types import FieldsHandle, OutgoingResponse, ResponseOutparam
from gateway.bindings.p3 import http
from gateway.bindings.p3 import sockets as p3_sockets
from gateway.bindings.p3.tasks import CLOSED, MAX_CHANNELS, Sink, Tasks
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from tests.bindings.sockets.guest import at, never, policy
from tests.patience import PATIENCE


@pytest.fixture
def ctx() -> WasiCtx:
    return WasiCtx()


def handle(*entries: tuple[str, bytes]) -> FieldsHandle:
    return FieldsHandle(Fields.from_list(entries))


def call(ctx: WasiCtx, name: str, *args: Any) -> Any:
    """What a plain function of `wasi:http/types` returns."""
    return http.types.functions[name].function(ctx, *args)


def made(ctx: WasiCtx, *, options: http.Options | None = None) -> http.Request:
    request, _ = http.request_new(ctx, handle(), False, options)
    return request


def test_values_that_are_deleted_are_given(ctx: WasiCtx) -> None:
    fields = handle(("a", b"1"), ("b", b"2"), ("a", b"3"))
    assert http.fields_get_and_delete(ctx, fields, "A") == [b"1", b"3"]
    assert call(ctx, "[method]fields.copy-all", fields) == [("b", b"2")]
    assert http.fields_get_and_delete(ctx, fields, "a") == []


def test_fields_that_are_too_large_are_an_error(ctx: WasiCtx) -> None:
    large = b"x" * MAX_SIZE
    assert http.fields_append(ctx, handle(), "a", large) == Err(Variant("size-exceeded"))
    assert http.fields_from_list(ctx, [("a", large)]) == Err(Variant("size-exceeded"))
    assert http.fields_set(ctx, handle(), "bad name", []) == Err(Variant("invalid-syntax"))


def test_headers_of_a_message_cannot_be_changed(ctx: WasiCtx) -> None:
    headers = call(ctx, "[method]request.get-headers", made(ctx))
    assert http.fields_append(ctx, headers, "a", b"1") == Err(Variant("immutable"))


def test_a_request_is_a_get_without_target(ctx: WasiCtx) -> None:
    request = made(ctx)
    names = ("get-method", "get-path-with-query", "get-scheme", "get-authority", "get-options")
    told = [call(ctx, f"[method]request.{name}", request) for name in names]
    assert told == [Variant("get"), None, None, None, None]


@pytest.mark.parametrize(
    ("what", "good", "bad"),
    [
        ("method", Variant("post"), Variant("other", "bad method")),
        ("method", Variant("other", "BREW"), Variant("other", "")),
        ("scheme", Variant("HTTPS"), Variant("other", "1")),
        ("scheme", Variant("other", "coap"), Variant("other", "a b")),
        ("scheme", None, Variant("other", "")),
        ("authority", "a.test:80", "a test"),
        ("path-with-query", "/a?b", "a b"),
    ],
)
def test_what_is_wrong_leaves_what_was_there(ctx: WasiCtx, what: str, good: Any, bad: Any) -> None:
    request = made(ctx)
    assert call(ctx, f"[method]request.set-{what}", request, good) is None
    assert call(ctx, f"[method]request.set-{what}", request, bad) == Err()
    assert call(ctx, f"[method]request.get-{what}", request) == good


def test_options_of_a_request_cannot_be_changed_but_a_copy_can(ctx: WasiCtx) -> None:
    options = http.Options()
    setter = "[method]request-options.set-connect-timeout"
    assert call(ctx, setter, options, 5) is None
    kept = http.request_options(ctx, made(ctx, options=options))
    assert kept is not None
    assert call(ctx, setter, kept, 6) == Err(Variant("immutable"))
    copied = call(ctx, "[method]request-options.clone", kept)
    assert call(ctx, setter, copied, 7) is None
    getter = "[method]request-options.get-connect-timeout"
    assert [call(ctx, getter, each) for each in (options, kept, copied)] == [5, 5, 7]


def respond(ctx: WasiCtx, *entries: tuple[str, bytes]) -> tuple[http.Response, int]:
    """A response with contents that is being sent, and their channel."""
    response, number = http.response_new(ctx, handle(*entries), True)
    sent: list[OutgoingResponse | Variant] = []
    http.respond(ctx, ResponseOutparam(sent.append), [Ok(response)])
    assert sent == [response]
    return response, number


def test_what_came_of_a_response_is_told(ctx: WasiCtx) -> None:
    response, number = respond(ctx)
    assert http.finish(ctx, number, [Ok(handle(("a", b"1")))]) is None
    assert response.content is not None
    assert response.content.ended
    assert response.content.trailers is not None


def test_a_response_of_another_length_than_announced_is_aborted(ctx: WasiCtx) -> None:
    response, number = respond(ctx, ("content-length", b"5"))
    wrong = Err(Variant("HTTP-response-body-size", 0))
    assert http.finish(ctx, number, [Ok(None)]) == wrong
    assert response.content is not None
    assert response.content.aborted


def test_an_error_in_place_of_trailers_aborts_a_response(ctx: WasiCtx) -> None:
    response, number = respond(ctx)
    error = Err(Variant("configuration-error"))
    assert http.finish(ctx, number, [error]) == error
    assert response.content is not None
    assert response.content.aborted


def test_a_response_that_is_never_returned_was_never_sent(ctx: WasiCtx) -> None:
    response, number = http.response_new(ctx, handle(), True)
    response.drop()
    assert ctx.of(Tasks).next(did=True) == number
    came = http.finish(ctx, number, [Ok(None)])
    assert came == Err(Variant("internal-error", "it was never sent"))


def test_the_contents_of_a_request_that_is_dropped_unsent_are_given_up(ctx: WasiCtx) -> None:
    request, number = http.request_new(ctx, handle(), True, None)
    tasks = ctx.of(Tasks)
    sink = tasks.channel(number)
    assert isinstance(sink, Sink)
    assert sink.room() > 0
    request.drop()
    assert tasks.next(did=True) == number
    assert sink.room() == CLOSED
    assert http.finish(ctx, number, [Ok(None)]) == Err(
        Variant("internal-error", "it was never sent")
    )


def test_channels_are_bounded_and_their_numbers_used_again(ctx: WasiCtx) -> None:
    tasks = ctx.of(Tasks)
    sinks = [Sink(tasks, None) for _ in range(MAX_CHANNELS)]
    assert {sink.number for sink in sinks} == set(range(1, MAX_CHANNELS + 1))
    with pytest.raises(Trap, match="more than 255 bodies"):
        Sink(tasks, None)
    tasks.go_on(sinks[6])
    tasks.forget(7)
    assert Sink(tasks, None).number == 7
    assert tasks.next(did=True) == 0  # nothing has the new one go on


def test_what_a_request_has_failed_with_is_told_twice(ctx: WasiCtx) -> None:
    request, number = http.request_new(ctx, handle(), True, None)
    assert http.begin_to_send(ctx, request, 8)
    missing = Err(Variant("HTTP-request-URI-invalid"))  # no authority
    assert http.sent(ctx, 8) == missing
    assert http.finish(ctx, number, [Ok(None)]) == missing


def test_a_request_that_is_not_granted_is_denied(ctx: WasiCtx) -> None:
    request = made(ctx)
    request.authority, request.path_with_query = "a.test", "/"
    assert http.begin_to_send(ctx, request, 8)
    assert http.sent(ctx, 8) == Err(Variant("HTTP-request-denied"))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_waits_for_a_datagram_gets_it_where_a_peer_is_chosen_meanwhile() -> None:
    network = WasiSocketsCtx(policy(()), never)
    ctx = WasiCtx(network)
    one, other = sockets = [p3_sockets.Udp(network, "ipv4") for _ in range(2)]
    for each in sockets:
        assert p3_sockets.bind(ctx, each, at("127.0.0.1")) is None
    here, there = (at("127.0.0.1", each.local.port) for each in sockets)
    waiting = asyncio.create_task(p3_sockets.udp_receive(ctx, one))
    await asyncio.sleep(0)
    p3_sockets.udp_connect(ctx, one, there)
    await p3_sockets.udp_send(ctx, other, b"ping", here)
    async with asyncio.timeout(PATIENCE):
        assert (await waiting)[0] == b"ping"
    for each in sockets:
        each.drop()
