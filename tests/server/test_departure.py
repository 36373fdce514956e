"""Clients that send no more, and clients that have gone away: which is which, and who is answered."""

from __future__ import annotations

import socket

import pytest

from gateway.server.endpoint import Endpoint
from tests.patience import until
from tests.server.client import Connection, head
from tests.server.conftest import KINDS
from tests.server.echo import Echo
from tests.server.endpoints import play
from tests.server.running import Running

UNREAD = 1 << 20
"""Bytes of a body, more than the server takes from a socket for an application that does not read."""


@pytest.fixture
def path(server: Running, request: pytest.FixtureRequest) -> str:
    return f"/watch/{id(server)}/{id(request)}"


def test_a_client_that_sends_no_more_is_answered(server: Running, path: str) -> None:
    with server.connect() as connection:
        connection.send(head(path))
        connection.finish()
        server.app.open(path)
        response = connection.final_response()
        assert response.json["path"] == path
        assert connection.read_to_end() == b""


def test_one_whose_end_arrives_with_its_request_is_answered(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/first", "Content-Length: 5", method="POST") + b"hello")
        connection.finish()
        assert connection.final_response().json["body"] == "hello"
        assert connection.read_to_end() == b""


def test_all_of_its_requests_are(server: Running, path: str) -> None:
    with server.connect() as connection:
        connection.send(head(path) + head("/second") + head("/third"))
        connection.finish()
        server.app.open(path)
        for answered in (path, "/second", "/third"):
            assert connection.final_response().json["path"] == answered
        assert connection.read_to_end() == b""


def test_it_has_the_whole_of_a_long_response(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/large"))
        connection.finish()
        assert connection.read_to_end().endswith(b"\r\n0\r\n\r\n")


def test_a_broken_request_behind_its_last_is_not_answered(server: Running, path: str) -> None:
    with server.connect() as connection:
        connection.send(head(path) + b"GET /half")
        connection.finish()
        server.app.open(path)
        assert connection.final_response().json["path"] == path
        assert connection.read_to_end() == b""


def test_one_that_ends_in_the_midst_of_a_body_is_gone(server: Running) -> None:
    path = f"/half/{id(server)}"
    with server.connect() as connection:
        connection.send(head(path, "Content-Length: 10", method="POST") + b"hello")
        connection.finish()
        server.app.wait_until_gone(path)
        assert connection.read_to_end() == b""


def test_one_that_waits_for_long_is_asked_whether_it_does(server: Running, path: str) -> None:
    with server.connect() as connection:
        connection.send(head(path))
        connection.finish()
        for _ in range(2):
            assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        server.app.open(path)
        assert connection.final_response().json["path"] == path


def test_one_of_http_1_0_is_not_asked(server: Running, path: str) -> None:
    with server.connect() as asked, server.connect() as connection:
        asked.send(head(f"{path}/asked"))
        connection.send(head(path, version="1.0"))
        asked.finish()
        connection.finish()
        for _ in range(2):
            asked.read_until(b"100 Continue\r\n\r\n")
        server.app.open(path)
        server.app.open(f"{path}/asked")
        assert connection.response().status == 200


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("behind", ["", "request", "body"])
def test_a_client_that_is_gone_is_noticed(
    server: Running, path: str, behind: str, how: str
) -> None:
    path = f"{path}/{how}/{behind}"
    connection = server.connect()
    if behind == "body":
        connection.send(head(path, f"Content-Length: {UNREAD // 4}", method="POST"))
        connection.send(bytes(UNREAD // 4))
    else:
        connection.send(head(path) + (head("/next") if behind else b""))
    server.app.wait_until_seen(path)
    if how == "close":
        connection.close()
    else:
        connection.reset()
    server.app.wait_until_gone(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_may_end_a_connection_that_was_reset_in_the_same_turn(kind: str) -> None:
    async def scene(endpoint: Endpoint, _app: Echo, client: socket.socket) -> None:
        client.sendall(head("/body", "Content-Length: 10", method="POST"))
        (connection,) = endpoint.connections
        await until(connection.guard.answering)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        connection.transport.close()
        await until(lambda: not endpoint.connections)

    play(KINDS[kind], scene)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_one_that_was_reset_while_it_was_queued_is_dropped(kind: str) -> None:
    """Its address cannot be told any more, and no address is what peers of a Unix socket have."""

    def leave(port: int) -> None:
        connection = Connection(port, 1 << 20)
        connection.send(head("/forged", "X-Forwarded-For: 192.0.2.1"))
        connection.reset()

    with Running(leave, **KINDS[kind]) as running, running.connect() as connection:
        connection.send(head("/honest"))
        assert connection.response().json["client"] == "127.0.0.1"
    assert running.app.seen == ["/honest"]
