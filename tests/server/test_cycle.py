"""How responses are framed, and what is answered for an application whose response HTTP has not."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.config import ServerConfig
from gateway.server.app_server import serving
from tests.patience import PATIENCE

Headers = list[tuple[bytes, bytes]]


def start(headers: Headers, status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content: bytes | bytearray, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def answered(*messages: Message, request: bytes = b"GET / HTTP/1.1") -> tuple[bytes, bytes]:
    """The head, in lower case, and the content that a client gets of an application that sends messages."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def ask() -> bytes:
        async with (
            asyncio.timeout(PATIENCE),
            serving(app, ServerConfig(host="127.0.0.1", port=0)) as url,
        ):
            loop = asyncio.get_running_loop()
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", int(url.rpartition(":")[2])))
                await loop.sock_sendall(
                    client, request + b"\r\nHost: a\r\nConnection: close\r\n\r\n"
                )
                received = b""
                while part := await loop.sock_recv(client, 65536):
                    received += part
                return received

    head, _, content = asyncio.run(ask()).partition(b"\r\n\r\n")
    return head.lower(), content


UNSENDABLE: dict[str, Message] = {
    "a line in a value": start([(b"x-a", b"1\r\nx-b: 2")]),
    "a carriage return in a value": start([(b"x-a", b"1\rx")]),
    "a control character in a value": start([(b"x-a", b"1\0")]),
    "a space in a name": start([(b"x a", b"1")]),
    "a line in a name": start([(b"x\r\ny", b"1")]),
    "no name": start([(b"", b"1")]),
    "two lengths": start([(b"content-length", b"1"), (b"content-length", b"2")]),
    "a length that is none": start([(b"content-length", b"-1")]),
    "no final status": start([], status=101),
    "the content first": body(b"x"),
}


@pytest.mark.parametrize("message", UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_http_has_not_is_never_sent(
    message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    head, content = answered(message, body(b"x"))
    assert head.startswith(b"http/1.1 500 ")
    assert content == b"Internal Server Error"
    assert "Exception in ASGI application" in caplog.text
    caplog.clear()


@pytest.mark.parametrize("content", [b"", b"four", b"longer"])
def test_a_response_of_another_length_than_announced_is_broken(
    content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        _, got = answered(start([(b"content-length", b"5")]), body(content))
    except ConnectionResetError:
        got = b""
    assert len(got) < 5
    assert "not as long as was announced" in caplog.text
    caplog.clear()


def test_content_without_a_length_comes_in_chunks_however_it_is_announced() -> None:
    headers = [(b"Transfer-Encoding", b"gzip"), (b"X-Upper", b"1")]
    last = bytearray()
    head, content = answered(
        start(headers), body(b"one", more=True), body(b"", more=True), body(last)
    )
    assert not last
    assert head.count(b"transfer-encoding") == 1
    assert b"\r\ntransfer-encoding: chunked" in head
    assert b"\r\nx-upper: 1\r\n" in head
    assert content == b"3\r\none\r\n0\r\n\r\n"


def test_content_of_a_length_comes_as_it_is() -> None:
    head, content = answered(start([(b"Content-Length", b"3")]), body(b"on", more=True), body(b"e"))
    assert b"transfer-encoding" not in head
    assert content == b"one"


@pytest.mark.parametrize(("line", "status"), [(b"HEAD / HTTP/1.1", 200), (b"GET / HTTP/1.1", 304)])
def test_a_response_without_content_may_announce_its_length(line: bytes, status: int) -> None:
    head, content = answered(start([(b"content-length", b"3")], status), body(b""), request=line)
    assert b"\r\ncontent-length: 3" in head
    assert content == b""


@pytest.mark.parametrize("date", [[], [(b"date", b"Tue, 15 Nov 1994 08:12:31 GMT")]])
def test_there_is_one_date(date: Headers) -> None:
    head, _ = answered(start(date), body(b""))
    assert head.count(b"\r\ndate: ") == 1
    assert (b"15 nov 1994" in head) == bool(date)


def test_the_end_of_a_connection_is_told_once() -> None:
    head, _ = answered(start([(b"connection", b"close")]), body(b""))
    assert head.count(b"connection: close") == 1
    head, _ = answered(start([(b"connection", b"keep-alive")]), body(b""))
    assert b"keep-alive" not in head
    assert head.count(b"connection: close") == 1
