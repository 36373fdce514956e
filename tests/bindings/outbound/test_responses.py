"""wasi:http/outgoing-handler: responses of servers that keep to the rules, and what a guest sees of them."""

from __future__ import annotations

import pytest

from gateway.host.values import Err, Ok, Variant
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import http_guest, request
from tests.bindings.outbound.peer import RESPONSE, Wire, answers, peer

pytestmark = pytest.mark.anyio


async def test_status_headers_and_content_arrive_as_they_are() -> None:
    response = (
        b"HTTP/1.1 299 What ever\r\nX-Repeat: 1\r\nset-cookie: a=\xff\r\nx-repeat: 2\r\n"
        b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"
    )
    async with (
        component() as client,
        peer(answers(response)) as server,
        http_guest(client) as guest,
    ):
        handle = await guest.fetch(request(server.authority))
        assert await guest.status(handle) == 299
        assert await guest.headers(handle) == [
            ("x-repeat", b"1"),
            ("set-cookie", b"a=\xff"),
            ("x-repeat", b"2"),
            ("content-encoding", b"gzip"),
            ("content-length", b"4"),
        ]
        assert await guest.text(handle) == b"\x1f\x8b\x08\x00"


async def test_headers_of_the_connection_are_not_the_guests() -> None:
    """wasi:http/types, fields: forbidden names are stripped from responses, and from trailers."""
    response = (
        b"HTTP/1.1 200 OK\r\nconnection: close, X-Hop\r\nx-hop: 1\r\n"
        b"keep-alive: timeout=5\r\nupgrade: h2c\r\n"
        b"proxy-authenticate: Basic\r\ntransfer-encoding: chunked\r\nx-kept: 1\r\n\r\n"
        b"0\r\nx-sum: 9\r\nhost: x\r\nx-hop: 2\r\n\r\n"
    )
    async with (
        component() as client,
        peer(answers(response)) as server,
        http_guest(client) as guest,
    ):
        handle = await guest.fetch(request(server.authority))
        assert await guest.headers(handle) == [("x-kept", b"1")]
        body, stream = await guest.consume(handle)
        assert await guest.read_all(stream) == (b"", Variant("closed"))
        await guest.driven.call("streams#drop input-stream", stream)
        trailers = (await guest.trailers(body)).value
        assert await guest.call("fields.entries", trailers) == [("x-sum", b"9")]


async def test_no_cookie_is_kept_and_no_redirect_followed() -> None:
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        for _ in range(2):
            heads.append(await wire.head())
            await wire.send(
                b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nset-cookie: a=1\r\n"
                b"content-length: 0\r\n\r\n"
            )

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        for _ in range(2):
            response = await guest.fetch(request(server.authority))
            assert await guest.status(response) == 302
            assert ("location", b"/elsewhere") in await guest.headers(response)
            assert await guest.text(response) == b""
    assert heads[0] == heads[1]
    assert b"cookie" not in heads[1]


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with component() as client, peer(answers()) as server, http_guest(client) as guest:
        assert await guest.status(await guest.fetch(request(server.authority))) == 200


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontent",
        b"HTTP/1.1 200\r\ncontent-length: 7\r\n\r\ncontent",
        b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 7\r\n\r\ncontent",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ncont\r\n3;ext=1\r\nent\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\ncontent",
        b"HTTP/1.0 200 OK\r\n\r\ncontent",
        b"HTTP/1.0 200 OK\r\ncontent-length: 7\r\n\r\ncontent",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n7\r\ncontent\r\n0\r\n\r\n",
    ],
    ids=[
        "content-length",
        "no reason phrase",
        "content-length, twice",
        "chunked",
        "until the end",
        "HTTP/1.0, until the end",
        "HTTP/1.0",
        "chunked wins over content-length",
    ],
)
@pytest.mark.parametrize("step", [1, 65536], ids=["byte by byte", "at once"])
async def test_framings(response: bytes, step: int) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        for at in range(0, len(response), step):
            await wire.send(response[at : at + step])
        if b"length" not in response and b"chunked" not in response:
            wire.close()
        else:
            await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        assert await guest.text(await guest.fetch(request(server.authority))) == b"content"


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n"),
    ],
)
async def test_responses_that_have_no_content(method: str, head: bytes) -> None:
    """wasi:http/types, bodies: HEAD, 204 and 304."""
    async with (
        component() as client,
        peer(answers(head + b"\r\n")) as server,
        http_guest(client) as guest,
    ):
        for _ in range(2):
            handle = await guest.fetch(request(server.authority, method=method))
            assert await guest.text(handle) == b""
    assert server.connections == 1


async def test_a_head_may_be_long() -> None:
    value = b"x" * 100_000
    response = b"HTTP/1.1 200 OK\r\nx-long: " + value + b"\r\ncontent-length: 0\r\n\r\n"
    async with (
        component() as client,
        peer(answers(response)) as server,
        http_guest(client) as guest,
    ):
        handle = await guest.fetch(request(server.authority))
        assert (await guest.headers(handle))[0] == ("x-long", value)


async def test_informational_responses_are_passed_over() -> None:
    response = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + RESPONSE
    )
    async with (
        component() as client,
        peer(answers(response)) as server,
        http_guest(client) as guest,
    ):
        handle = await guest.fetch(request(server.authority, headers=[("expect", b"100-continue")]))
        assert await guest.status(handle) == 200
        assert await guest.headers(handle) == [("content-length", b"2")]


async def test_trailers_are_given_once() -> None:
    """wasi:http/types, future-trailers: ready when the body has ended, then the trailers, then an error."""
    response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: 1\r\nx-a: 2\r\n\r\n"
    async with (
        component() as client,
        peer(answers(response)) as server,
        http_guest(client) as guest,
    ):
        handle = await guest.fetch(request(server.authority))
        body = (await guest.call("incoming-response.consume", handle)).value
        future = await guest.call("incoming-body.finish", body)
        await guest.block("types#future-trailers.subscribe", future)
        got = await guest.call("future-trailers.get", future)
        assert await guest.call("fields.entries", got.value.value) == [("x-a", b"1"), ("x-a", b"2")]
        assert await guest.call("future-trailers.get", future) == Err()


async def test_content_without_trailers_has_none() -> None:
    async with component() as client, peer(answers()) as server, http_guest(client) as guest:
        body, stream = await guest.consume(await guest.fetch(request(server.authority)))
        await guest.driven.call("streams#drop input-stream", stream)
        assert await guest.trailers(body) == Ok(None)


async def test_the_future_gives_its_response_once() -> None:
    """wasi:http/types, future-incoming-response: none, then the response once, then an error."""
    response = RESPONSE

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.read(1)
        await wire.send(response)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(
            request(server.authority, method="POST", headers=[("content-length", b"1")])
        )
        body, stream = await guest.open_body(made)
        future = await guest.begin(made)
        assert await guest.call("future-incoming-response.get", future) is None
        await guest.write(stream, b"x")
        await guest.finish(body, stream)
        assert isinstance(await guest.outcome(future), Ok)
        assert await guest.call("future-incoming-response.get", future) == Err()
        # It stays ready, and may go while its response is used.
        await guest.block("types#future-incoming-response.subscribe", future)
        await guest.call("drop future-incoming-response", future)


async def test_the_future_gives_its_error_once() -> None:
    async with component() as client, http_guest(client) as guest:
        future = await guest.begin(request("127.0.0.1:1"))
        assert await guest.outcome(future) == Err(Variant("connection-refused"))
        assert await guest.call("future-incoming-response.get", future) == Err()


async def test_a_response_may_outlive_its_future() -> None:
    async with component() as client, peer(answers()) as server, http_guest(client) as guest:
        future = await guest.begin(request(server.authority))
        response = (await guest.outcome(future)).value
        await guest.call("drop future-incoming-response", future)
        assert await guest.text(response) == b"ok"
