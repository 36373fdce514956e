"""How a gateway stops."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from tests import ask
from tests.production.conftest import StartGateway
from tests.production.gateways import Asking, until
from tests.server.client import Connection, head

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def hasty(config: Path, tmp_path: Path) -> Path:
    """The same components, in a gateway that does not wait for requests when it stops."""
    path = tmp_path / "gateway.toml"
    path.write_text('[server]\nshutdown_timeout = "1ms"\n' + config.read_text())
    return path


@WORKERS
def test_readiness_fails_at_once_while_serving_goes_on(start: StartGateway, workers: str) -> None:
    gateway = start("--drain-grace", "10m", "--workers", workers)
    assert gateway.ready().status_code == 200
    with Connection(gateway.port) as kept:
        kept.send(head("/"))
        assert "connection" not in _answer(kept)
        seen = gateway.signal(signal.SIGTERM)
        gateway.wait_for_log(after=seen, event="draining", grace=600)
        refused = until(lambda: (it := gateway.ready()).status_code == 503 and it)
        assert refused.json()["reasons"] == ["draining"]
        # The connection that a load balancer kept is told to end, and so is a new one.
        kept.send(head("/"))
        assert _answer(kept)["connection"] == "close"
        assert kept.read_to_end() == b""
        response = ask.get(gateway.url)
        assert (response.status_code, response.headers["connection"]) == (200, "close")
    # Another signal ends the grace period.
    gateway.signal(signal.SIGTERM)
    assert gateway.ended() == 0
    gateway.wait_for_log(event="stopped", cut_off=0)


@WORKERS
def test_a_request_that_is_under_way_is_answered(start: StartGateway, workers: str) -> None:
    gateway = start("--workers", workers)
    with Connection(gateway.port) as connection:
        connection.send(head("/echo", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        connection.read_until(b"100 Continue\r\n\r\n")
        gateway.signal(signal.SIGTERM)
        until(lambda: _refuses(gateway.port))
        connection.send(b"hello")
        assert connection.framed_response().body == b"hello"
        assert connection.read_to_end() == b""
    assert gateway.ended() == 0
    gateway.wait_for_log(event="stopped", cut_off=0)


def test_a_signal_that_comes_too_late_changes_nothing(start: StartGateway) -> None:
    gateway = start()
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_log(event="stopped")
    with contextlib.suppress(ProcessLookupError):
        while gateway.running:
            gateway.signal(signal.SIGINT)
    assert gateway.ended() == 0


def _answer(connection: Connection) -> dict[str, str]:
    """Read an answer of `c/hello`; gives its headers."""
    answer = connection.framed_response()
    assert (answer.status, answer.body) == (200, b"Hello, World!\n")
    return answer.headers


def _refuses(port: int) -> bool:
    try:
        Connection(port).__exit__(None, None, None)
    except (ConnectionRefusedError, ConnectionResetError):  # reset in the moment of closing
        return True
    return False


@WORKERS
def test_a_request_that_takes_too_long_is_answered_503(
    start: StartGateway, hasty: Path, workers: str
) -> None:
    gateway = start("--workers", workers, target=hasty)
    asking = Asking(f"{gateway.url}/sleep?ms=600000")
    until(lambda: gateway.in_flight("fail") == 1)
    gateway.signal(signal.SIGTERM)
    response = asking.wait()
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["connection"] == "close"
    assert gateway.ended() == 0
    gateway.wait_for_log(event="stopped", level="warning", cut_off=1)


def test_a_response_that_takes_too_long_does_not_look_whole(
    start: StartGateway, hasty: Path
) -> None:
    gateway = start(target=hasty)
    with Connection(gateway.port) as connection:
        connection.send(head("/slow?n=2&ms=600000"))
        connection.head()
        gateway.signal(signal.SIGTERM)
        assert not connection.read_to_end().endswith(b"0\r\n\r\n")
    assert gateway.ended() == 0
    gateway.wait_for_log(event="stopped", level="warning", cut_off=1)


@WORKERS
def test_a_second_interrupt_does_not_wait(start: StartGateway, workers: str) -> None:
    gateway = start("--workers", workers, "--drain-grace", "10m")
    asking = Asking(f"{gateway.url}/sleep?ms=600000")
    until(lambda: gateway.in_flight("fail") == 1)
    gateway.signal(signal.SIGINT)
    gateway.wait_for_log(event="draining")
    gateway.signal(signal.SIGINT)  # ends the grace period
    until(lambda: _refuses(gateway.port))
    gateway.signal(signal.SIGINT)  # and this one the wait
    assert asking.wait().status_code == 503
    assert gateway.ended() == 0


def test_the_admin_address_answers_to_the_end(start: StartGateway) -> None:
    gateway = start()
    asking = Asking(f"{gateway.url}/sleep?ms=600000")
    until(lambda: gateway.in_flight("fail") == 1)
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_log(event="stopping", connections=1)
    assert _refuses(gateway.port)
    assert gateway.ready().json()["reasons"] == ["draining"]
    assert gateway.in_flight("fail") == 1
    gateway.signal(signal.SIGINT)
    gateway.signal(signal.SIGINT)
    assert asking.wait().status_code == 503
    assert gateway.ended() == 0
