"""The server at a Unix socket: what is different from TCP, and what is not."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.observe.connection_end import ConnectionEnd
from tests.patience import PATIENCE
from tests.server.client import head
from tests.server.conftest import KINDS
from tests.server.running import LIMIT, Running

UNREAD = 1 << 20
"""Bytes of a body, more than the server takes from a socket for an application that does not read."""


@pytest.fixture(scope="module")
def at_unix() -> Iterator[dict[str, Running]]:
    """A server of each kind at a Unix socket, which waits half a second for who takes nothing."""
    with ExitStack() as started:
        folder = Path(started.enter_context(TemporaryDirectory()))
        yield {
            kind: started.enter_context(
                Running(uds=folder / f"{kind}.sock", write_timeout=0.5, **KINDS[kind])
            )
            for kind in KINDS
        }


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, at_unix: dict[str, Running]) -> Running:
    return at_unix[request.param]


def test_requests_are_answered(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/first", "Content-Length: 5", method="POST") + b"hello")
        first = connection.response().json
        assert (first["path"], first["body"], first["client"]) == ("/first", "hello", None)
        connection.send(head("/second") + head("/third"))
        assert connection.response().json["path"] == "/second"
        assert connection.response().json["path"] == "/third"


def test_a_long_response_is_whole(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/large", "Connection: close"))
        assert connection.read_to_end().endswith(b"\r\n0\r\n\r\n")


def test_a_refusal_is_told(server: Running) -> None:
    with server.connect() as connection:
        connection.send(head("/" + "a" * LIMIT))
        connection.refusal(431, "headers-too-large")


def test_a_client_that_sends_no_more_is_answered(server: Running) -> None:
    path = f"/watch/unix/{id(server)}"
    with server.connect() as connection:
        connection.send(head(path))
        connection.finish()
        server.app.open(path)
        assert connection.final_response().json["path"] == path
        assert connection.read_to_end() == b""


@pytest.mark.skipif(
    importlib.util.find_spec("select") is None, reason="departures are told by epoll"
)
def test_a_client_that_is_gone_is_noticed_though_nothing_is_read(server: Running) -> None:
    path = f"/watch/gone/{id(server)}"
    with server.connect() as connection:
        connection.send(head(path, f"Content-Length: {UNREAD}", method="POST"))
        server.app.wait_until_seen(path)
    server.app.wait_until_gone(path)


def test_a_client_that_takes_nothing_is_left(server: Running) -> None:
    def left() -> int:
        return server.app.connection_metrics.ended[ConnectionEnd.WRITE_TIMEOUT.value]

    before, deadline = left(), time.monotonic() + PATIENCE
    with server.connect() as connection:
        connection.send(head("/large"))
        connection.head()
        while left() == before:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_it_stops_as_at_any_address(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with Running(uds=path) as running, running.connect() as connection:
        connection.send(head("/hold/last"))
        running.app.wait_until_seen("/hold/last")
        running.stop()
        while path.exists():
            time.sleep(0.001)
        running.app.open("/hold/last")
        assert connection.response().headers["connection"] == "close"
