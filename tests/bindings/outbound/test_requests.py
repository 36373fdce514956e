"""wasi:http/outgoing-handler: what goes out on the wire, and what `handle` refuses to send."""

from __future__ import annotations

import pytest

from gateway.bindings.http.types import OutgoingRequest
from gateway.host.values import Err, Ok, Variant
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import CLOSED, HttpGuest, fields, http_guest, request
from tests.bindings.outbound.peer import RESPONSE, Wire, peer

pytestmark = pytest.mark.anyio

NOWHERE = "127.0.0.1:9"


async def head_of(made: OutgoingRequest) -> bytes:
    """The head of a request, whose authority is the peer's if it is None, as it arrives."""
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        heads.append(await wire.head())
        await wire.send(RESPONSE)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made.authority = server.authority
        await guest.fetch(made)
    return heads[0].replace(server.authority.encode(), b"AUTHORITY")


# --- the head ----------------------------------------------------------------------------------------------


async def test_nothing_is_sent_that_http_does_not_require() -> None:
    assert await head_of(request(None)) == b"GET / HTTP/1.1\r\nhost: AUTHORITY\r\n\r\n"


async def test_headers_go_out_in_order_with_repeats_and_byte_for_byte() -> None:
    headers = [
        ("X-First", b"1"),
        ("cookie", b"a=1"),
        ("x-bytes", b"\xff\xfe caf\xe9"),
        ("cookie", b"b=2"),
        ("x-empty", b""),
        ("te", b"trailers"),
    ]
    assert await head_of(request(None, headers=headers)) == (
        b"GET / HTTP/1.1\r\nhost: AUTHORITY\r\nx-first: 1\r\ncookie: a=1\r\n"
        b"x-bytes: \xff\xfe caf\xe9\r\ncookie: b=2\r\nx-empty: \r\nte: trailers\r\n"
        b"connection: te\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", b"/"),
        ("", b"/"),
        ("?a", b"/?a"),
        ("/p?", b"/p?"),
        ("/%7Euser/%2f//./../x?q=%20+&a=[1]", b"/%7Euser/%2f//./../x?q=%20+&a=[1]"),
    ],
)
async def test_the_target_goes_out_as_it_is(path: str, target: bytes) -> None:
    assert (await head_of(request(None, path))).startswith(b"GET " + target + b" HTTP/1.1\r\n")


async def test_options_of_the_server_itself() -> None:
    assert (await head_of(request(None, "*", method="OPTIONS"))).startswith(b"OPTIONS * HTTP/1.1")


async def test_methods_of_any_name() -> None:
    assert (await head_of(request(None, method="PROPFIND"))).startswith(b"PROPFIND / HTTP/1.1")


async def test_connect_has_a_target_of_its_own_kind() -> None:
    """RFC 9112 section 3.2.3; the answer has no content, whatever follows it."""

    async def script(wire: Wire) -> None:
        assert (await wire.head()).startswith(f"CONNECT {server.authority} HTTP/1.1\r\n".encode())
        await wire.send(b"HTTP/1.1 200 Connected\r\n\r\nSSH-2.0-x")
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        response = await guest.fetch(request(server.authority, method="CONNECT"))
        assert await guest.text(response) == b""
        await server.finished()


# --- content -----------------------------------------------------------------------------------------------


async def sent(
    method: str, headers: list[tuple[str, bytes]], content: bytes, trailers: dict[str, bytes]
) -> bytes:
    """All that arrives after the request line and `host`, of a request with a body of this content."""
    arrived = b""

    async def script(wire: Wire) -> None:
        nonlocal arrived
        arrived = (await wire.head()).split(b"\r\n", 2)[2]
        if b"chunked" in arrived:
            async for chunk in wire.chunks():
                arrived += chunk
            arrived += b"".join(b"\r\n" + line for line in await wire.trailers())
        elif b"content-length: " in arrived:
            arrived += await wire.read(len(content))
        await wire.send(RESPONSE)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method=method, headers=headers))
        body, stream = await guest.open_body(made)
        if content:
            assert await guest.write(stream, content) == Ok()
        made_trailers = fields(*trailers.items()) if trailers else None
        assert await guest.finish(body, stream, made_trailers) == Ok()
        assert await guest.status(await guest.fetch(made)) == 200
    return arrived


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_a_body_of_unknown_length_is_chunked(method: str) -> None:
    """wasi:http/types, bodies: other methods than GET, HEAD and CONNECT."""
    assert await sent(method, [], b"content", {}) == b"transfer-encoding: chunked\r\n\r\ncontent"


async def test_an_empty_body_is_chunked_too() -> None:
    assert await sent("POST", [], b"", {}) == b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_body_of_announced_length_is_sent_as_it_is(method: str) -> None:
    headers = [("content-length", b"7")]
    assert await sent(method, headers, b"content", {}) == b"content-length: 7\r\n\r\ncontent"


@pytest.mark.parametrize("method", ["GET", "HEAD", "CONNECT"])
async def test_a_body_that_a_method_gives_no_meaning_is_not_sent(method: str) -> None:
    """wasi:http/types, bodies: GET, HEAD and CONNECT with a body but without content-length."""
    async with component() as client, peer(_no_content) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method=method))
        _, stream = await guest.open_body(made)
        response = await guest.fetch(made)
        assert await guest.write(stream, b"content") == CLOSED
        assert await guest.status(response) == 200


async def _no_content(wire: Wire) -> None:
    head = await wire.head()
    assert b"chunked" not in head
    assert b"content-length" not in head
    await wire.send(RESPONSE)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_no_body_is_told_where_one_is_expected(method: str) -> None:
    """RFC 9110 section 8.6."""
    head = await head_of(request(None, method=method))
    assert head.endswith(b"host: AUTHORITY\r\ncontent-length: 0\r\n\r\n")


async def test_no_body_may_be_announced_as_none() -> None:
    head = await head_of(request(None, method="PUT", headers=[("content-length", b"0")]))
    assert head.endswith(b"host: AUTHORITY\r\ncontent-length: 0\r\n\r\n")


async def test_trailers_go_out_if_they_are_announced() -> None:
    """wasi:http/types, bodies: only after chunks, and named in `trailer`."""
    trailers = {"x-sum": b"1", "x-secret": b"2", "X-Late": b"3", "content-length": b"9"}
    announced = [("trailer", b"X-Sum, content-length"), ("trailer", b"x-late")]
    assert await sent("POST", announced, b"content", trailers) == (
        b"trailer: X-Sum, content-length\r\ntrailer: x-late\r\ntransfer-encoding: chunked\r\n\r\n"
        b"content\r\nx-sum: 1\r\nx-late: 3"
    )


async def test_trailers_that_announce_lengths_do_no_harm() -> None:
    trailers = fields(("content-length", b"1"), ("content-length", b"2"), ("x-sum", b" 1 "))

    async def script(wire: Wire) -> None:
        await wire.head()
        assert [chunk async for chunk in wire.chunks()] == []
        assert await wire.trailers() == [b"x-sum: 1"]
        await wire.send(RESPONSE)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        announced = [("trailer", b"x-sum")]
        made = await guest.own(request(server.authority, method="POST", headers=announced))
        body, stream = await guest.open_body(made)
        assert await guest.finish(body, stream, trailers) == Ok()
        assert await guest.status(await guest.fetch(made)) == 200


async def test_trailers_are_not_sent_after_content_of_known_length() -> None:
    headers = [("trailer", b"x-sum"), ("content-length", b"7")]
    assert (await sent("POST", headers, b"content", {"x-sum": b"1"})).endswith(b"\r\n\r\ncontent")


async def test_a_body_can_be_written_in_full_before_its_request_is_handled() -> None:
    arrived = b""

    async def script(wire: Wire) -> None:
        nonlocal arrived
        await wire.head()
        async for chunk in wire.chunks():
            arrived += chunk
        await wire.trailers()
        await wire.send(RESPONSE)

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        body, stream = await guest.open_body(made)
        for part in range(100):
            assert await guest.write(stream, bytes([part]) * 4096) == Ok()
        assert await guest.finish(body, stream) == Ok()
        assert await guest.status(await guest.fetch(made)) == 200
    assert arrived == b"".join(bytes([part]) * 4096 for part in range(100))


async def test_a_body_that_is_dropped_breaks_the_request() -> None:
    """wasi:http/types, outgoing-body: dropped without `finish`, its recipient must not take it for whole."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        made = await guest.own(request(server.authority, method="POST"))
        body, stream = await guest.open_body(made)
        await guest.write(stream, b"half")
        future = await guest.begin(made)
        await guest.driven.call("streams#drop output-stream", stream)
        await guest.call("drop outgoing-body", body)
        assert await guest.outcome(future) == Err(Variant("HTTP-protocol-error"))
        await server.finished()


async def test_a_body_of_the_wrong_length_breaks_the_request() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.hung_up()

    async with component() as client, peer(script) as server, http_guest(client) as guest:
        headers = [("content-length", b"7")]
        made = await guest.own(request(server.authority, method="POST", headers=headers))
        body, stream = await guest.open_body(made)
        future = await guest.begin(made)
        assert await guest.write(stream, b"half") == Ok()
        size = Err(Variant("HTTP-request-body-size", 4))
        assert await guest.finish(body, stream) == size
        assert await guest.outcome(future) == Err(Variant("HTTP-protocol-error"))
        await server.finished()


# --- what handle refuses -----------------------------------------------------------------------------------

REFUSED = {
    "an unsupported scheme": (
        request(NOWHERE, scheme=Variant("other", "ws")),
        "HTTP-protocol-error",
    ),
    "no authority": (request(None), "HTTP-request-URI-invalid"),
    "port 0": (request("127.0.0.1:0"), "HTTP-request-URI-invalid"),
    "no path": (request(NOWHERE, None), "HTTP-protocol-error"),
    "a path that only OPTIONS has": (request(NOWHERE, "*"), "HTTP-request-URI-invalid"),
    "contradictory lengths": (
        request(NOWHERE, headers=[("content-length", b"1"), ("content-length", b"2")]),
        "HTTP-protocol-error",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_request_that_cannot_be_sent(name: str) -> None:
    """wasi:http/outgoing-handler: the error of `handle` itself."""
    made, case = REFUSED[name]
    async with component() as client, http_guest(client) as guest:
        assert await guest.handle(made) == Err(Variant(case))


async def test_a_length_without_a_body() -> None:
    made = request(NOWHERE, method="POST", headers=[("content-length", b"7")])
    async with component() as client, http_guest(client) as guest:
        assert await guest.handle(made) == Err(Variant("HTTP-request-body-size", 0))


async def test_a_request_that_is_refused_is_consumed_and_its_body_closed() -> None:
    async with component() as client, http_guest(client) as guest:
        made = await guest.own(request(NOWHERE, None, method="POST"))
        _, stream = await guest.open_body(made)
        assert isinstance(await guest.handle(made), Err)
        assert await guest.write(stream, b"content") == CLOSED
        await _is_consumed(guest, made)


async def _is_consumed(guest: HttpGuest, made: int) -> None:
    with pytest.raises(Exception, match="unknown handle index"):
        await guest.call("outgoing-request.body", made)


async def test_no_scheme_is_https() -> None:
    async with component(["https://127.0.0.1:9"]) as client, http_guest(client) as guest:
        assert await guest.failure(request(NOWHERE, scheme=None)) == Variant("connection-refused")
        made = request(NOWHERE, scheme=Variant("HTTP"))
        assert await guest.failure(made) == Variant("HTTP-request-denied")
