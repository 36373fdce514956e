"""How a connection comes about, or does not: the errors of the system, and addresses tried side by side."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from gateway.bindings.http.outbound.connector import first_of
from gateway.bindings.http.outbound.failure import (
    MAX_REASON,
    OutboundFailure,
    connect_failure,
    lookup_failure,
    lost_failure,
    tls_failure,
)
from gateway.host.values import Variant
from gateway.policy.egress import IPAddress
from tests.bindings.outbound.component import component, until
from tests.bindings.outbound.guest import http_guest, request

pytestmark = pytest.mark.anyio


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "case"),
    [
        (errno.ECONNREFUSED, "connection-refused"),
        (errno.EACCES, "connection-refused"),
        (errno.ETIMEDOUT, "connection-timeout"),
        (errno.ECONNRESET, "connection-terminated"),
        (errno.EHOSTUNREACH, "destination-IP-unroutable"),
        (errno.ENETUNREACH, "destination-IP-unroutable"),
        (errno.EADDRNOTAVAIL, "destination-IP-unroutable"),
        (errno.EMFILE, "connection-limit-reached"),
    ],
)
def test_what_keeps_from_connecting(number: int, case: str) -> None:
    failure = connect_failure("192.0.2.1", OSError(number, "in asyncio's words"))
    assert (failure.code, failure.reason) == (Variant(case), f"192.0.2.1: {os.strerror(number)}")


@pytest.mark.parametrize(
    ("number", "rcode"),
    [
        (socket.EAI_NONAME, "NXDOMAIN"),
        (socket.EAI_NODATA, "NXDOMAIN"),
        (socket.EAI_AGAIN, "SERVFAIL"),
        (socket.EAI_FAIL, None),
    ],
)
def test_what_keeps_from_finding_a_name(number: int, rcode: str | None) -> None:
    failure = lookup_failure("name.test", socket.gaierror(number, "for a reason"))
    assert failure.code == Variant("DNS-error", {"rcode": rcode, "info-code": None})
    assert failure.reason == "name.test: for a reason"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            Variant("TLS-alert-received", {"alert-id": 40, "alert-message": "handshake_failure"}),
        ),
        (
            "TLSV1_UNRECOGNIZED_NAME",
            Variant("TLS-alert-received", {"alert-id": 112, "alert-message": "unrecognized_name"}),
        ),
        ("TLSV1_ALERT_FROM_THE_FUTURE", Variant("TLS-protocol-error")),
        ("WRONG_VERSION_NUMBER", Variant("TLS-protocol-error")),
        (None, Variant("TLS-protocol-error")),
    ],
)
def test_what_tls_refuses(reason: str | None, code: Variant) -> None:
    error = ssl.SSLError(1, "refused")
    error.reason = reason  # type: ignore[assignment]
    assert tls_failure(error).code == code


def test_what_ends_a_connection() -> None:
    assert lost_failure(None).code == Variant("connection-terminated")
    assert lost_failure(ConnectionResetError()).code == Variant("connection-terminated")
    assert lost_failure(ssl.SSLError(1, "broken record")).code == Variant("TLS-protocol-error")


def test_what_a_peer_says_does_not_fill_the_log() -> None:
    assert len(OutboundFailure(Variant("HTTP-protocol-error"), "x" * 100_000).reason) == MAX_REASON


async def test_a_mistake_of_the_gateway_is_an_internal_error() -> None:
    async def resolve(_name: str) -> Sequence[IPAddress]:
        raise ZeroDivisionError

    with capture_logs() as logs:
        async with (
            component(["http://name.test"], resolve=resolve) as client,
            http_guest(client) as guest,
        ):
            assert await guest.failure(request("name.test")) == Variant("internal-error")
    [record] = logs
    assert (record["event"], record["log_level"]) == ("gateway failed", "error")
    assert record["origin"] == "http://name.test:80"


# --- several addresses -------------------------------------------------------------------------------------


class Attempt:
    """An attempt whose end is the test's to decide.

    Attributes:
        begun: whether it has begun.
        cancelled: whether it was given up.
        made: the socket that it gives, if it ends well.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = False
        self.made = socket.socket()
        self._outcome: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> socket.socket:
        self.begun.set()
        try:
            return await self._outcome
        except asyncio.CancelledError:
            self.cancelled = True
            self.made.close()
            raise

    def succeed(self) -> None:
        self._outcome.set_result(self.made)

    def fail(self, case: str) -> None:
        self.made.close()
        self._outcome.set_exception(OutboundFailure(Variant(case), "as the test says"))

    @property
    def closed(self) -> bool:
        return self.made.fileno() == -1


NEVER = 3600.0


async def test_an_address_that_fails_makes_way_for_the_next_at_once() -> None:
    first, second = Attempt(), Attempt()
    racing = asyncio.create_task(first_of([first, second], NEVER))
    await first.begun.wait()
    assert not second.begun.is_set()
    first.fail("connection-refused")
    await second.begun.wait()
    second.succeed()
    assert await racing is second.made
    second.made.close()


async def test_an_address_that_says_nothing_does_not_hold_up_the_next() -> None:
    """RFC 8305 section 5: the first stays in the race, until another has won it."""
    first, second = Attempt(), Attempt()
    racing = asyncio.create_task(first_of([first, second], 0.001))
    await second.begun.wait()
    assert not first.cancelled
    second.succeed()
    assert await racing is second.made
    await until(lambda: first.cancelled)
    second.made.close()


async def test_of_two_connections_one_is_closed() -> None:
    first, second = Attempt(), Attempt()
    racing = asyncio.create_task(first_of([first, second], 0.001))
    await second.begun.wait()
    first.succeed()
    second.succeed()
    won = await racing
    [lost] = {first.made, second.made} - {won}
    await until(lambda: lost.fileno() == -1)
    assert won.fileno() != -1
    won.close()


async def test_the_failure_of_all_is_that_of_the_first() -> None:
    first, second = Attempt(), Attempt()
    racing = asyncio.create_task(first_of([first, second], NEVER))
    first.fail("connection-refused")
    second.fail("connection-timeout")
    with pytest.raises(OutboundFailure, match="connection-refused"):
        await racing


async def test_who_gives_up_gives_up_all() -> None:
    first, second = Attempt(), Attempt()
    racing = asyncio.create_task(first_of([first, second], 0.001))
    await second.begun.wait()
    second.succeed()
    racing.cancel()
    await asyncio.wait((racing,))
    assert racing.cancelled()
    await until(lambda: first.closed and second.closed)
