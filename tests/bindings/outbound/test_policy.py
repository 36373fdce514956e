"""wasi:http/outgoing-handler: what the egress policy keeps a guest from, at every step to a connection."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from structlog.testing import capture_logs

from gateway.bindings.http.outbound import Resolve
from gateway.host.values import Err, Variant
from gateway.policy.egress import IPAddress
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import CLOSED, http_guest, request
from tests.bindings.outbound.peer import Wire, answers, peer

pytestmark = pytest.mark.anyio

DENIED = Variant("HTTP-request-denied")


class Names:
    """A resolver whose answers a test writes; each is given once, the last for ever.

    Attributes:
        asked: the names that were looked up.
    """

    def __init__(self, *answers: str) -> None:
        self.asked: list[str] = []
        self._answers = [list(map(ip_address, answer.split())) for answer in answers]

    async def __call__(self, name: str) -> Sequence[IPAddress]:
        self.asked.append(name)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def refusal(allowed: Sequence[str], authority: str, resolve: Resolve | None = None) -> str:
    """The rule in the log of a request that is refused."""
    with capture_logs() as logs:
        async with component(allowed, resolve=resolve) as client, http_guest(client) as guest:
            assert await guest.failure(request(authority)) == DENIED
    [record] = logs
    rule: str = record.pop("rule")
    assert record == {
        "event": "outbound request refused",
        "log_level": "warning",
        "component": "tested",
        "request_id": "request-1",
        "origin": f"http://{authority}:80",
    }
    return rule


# --- the target --------------------------------------------------------------------------------------------


async def test_nothing_is_reached_by_default() -> None:
    resolve = Names("93.184.216.34")
    rule = await refusal([], "name.test", resolve)
    assert rule == "no entry of allowed_outbound_hosts matches http://name.test:80"
    assert not resolve.asked


async def test_a_component_without_outbound_requests_is_refused_all() -> None:
    async with http_guest(None) as guest:
        assert await guest.handle(request("name.test")) == Err(DENIED)


async def test_a_target_is_refused_by_handle_and_the_body_closed() -> None:
    async with component() as client, http_guest(client) as guest:
        made = await guest.own(request("name.test", method="POST"))
        _, stream = await guest.open_body(made)
        assert await guest.handle(made) == Err(DENIED)
        assert await guest.write(stream, b"content") == CLOSED


@pytest.mark.parametrize(
    "entry", ["http://127.0.0.1:81", "https://127.0.0.1:80", "http://localhost.test"]
)
async def test_what_is_near_an_entry_is_refused_too(entry: str) -> None:
    assert "no entry" in await refusal([entry], "127.0.0.1")


# --- the address -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - nobody binds to it
        ("10.0.0.1", "private"),
        ("169.254.169.254", "metadata"),
        ("[fd00:ec2::254]", "metadata"),
        ("[64:ff9b::a9fe:a9fe]", "metadata"),
        # Names for the parser, addresses for the system's resolver.
        ("127.1", "loopback"),
        ("0x7f000001", "loopback"),
        ("2130706433", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("localhost", "loopback"),
    ],
)
async def test_special_addresses_are_refused_however_they_are_written(
    authority: str, kind: str
) -> None:
    assert f"is a {kind} address, which no entry" in await refusal(["http://*:*"], authority)


async def test_a_name_that_stands_for_a_special_address_is_refused() -> None:
    rule = await refusal(["http://name.test"], "name.test", Names("10.0.0.1"))
    assert rule.startswith("10.0.0.1 is a private address")


async def test_localhost_is_reached_where_it_is_named() -> None:
    async with (
        component(["http://localhost:*"]) as client,
        peer(answers()) as server,
        http_guest(client) as guest,
    ):
        for host in ("localhost", "LOCALHOST.", "127.0.0.1"):
            response = await guest.fetch(request(f"{host}:{server.port}"))
            assert await guest.text(response) == b"ok"


async def test_a_name_may_stand_for_a_special_address_that_is_named() -> None:
    resolve = Names("127.0.0.1")
    allowed = ["http://name.test:*", "http://127.0.0.0/8:*"]
    async with (
        component(allowed, resolve=resolve) as client,
        peer(answers()) as server,
        http_guest(client) as guest,
    ):
        response = await guest.fetch(request(f"name.test:{server.port}"))
        assert await guest.text(response) == b"ok"
    assert resolve.asked == ["name.test"]


async def test_of_several_addresses_only_the_allowed_ones_are_connected_to() -> None:
    async def script(wire: Wire) -> None:
        raise AssertionError("connected to an address that is not allowed")

    resolve = Names("127.0.0.1 127.0.0.2")
    allowed = ["http://name.test:*", "http://127.0.0.2:*"]
    async with (
        component(allowed, resolve=resolve) as client,
        peer(script) as server,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request(f"name.test:{server.port}"))
        assert code == Variant("connection-refused")


async def test_a_name_that_changes_its_mind_is_not_asked_twice_for_a_connection() -> None:
    """DNS rebinding: what was checked is what is connected to; the next answer is checked anew."""
    resolve = Names("127.0.0.2", "127.0.0.1")
    allowed = ["http://name.test:*", "http://127.0.0.2:*"]

    async def script(wire: Wire) -> None:
        raise AssertionError("connected to an address that is not allowed")

    async with (
        component(allowed, resolve=resolve) as client,
        peer(script) as server,
        http_guest(client) as guest,
    ):
        made = f"name.test:{server.port}"
        # Allowed, and not answered there; 127.0.0.1 would be.
        assert await guest.failure(request(made)) == Variant("connection-refused")
        assert resolve.asked == ["name.test"]
        assert await guest.failure(request(made)) == DENIED
    assert resolve.asked == ["name.test", "name.test"]


async def test_the_next_address_is_tried_where_one_refuses() -> None:
    resolve = Names("::1 127.0.0.2 127.0.0.1")
    allowed = ["http://name.test:*", "http://localhost:*"]
    async with (
        component(allowed, resolve=resolve) as client,
        peer(answers()) as server,
        http_guest(client) as guest,
    ):
        response = await guest.fetch(request(f"name.test:{server.port}"))
        assert await guest.text(response) == b"ok"


async def test_connections_are_not_shared_between_components() -> None:
    async with (
        component() as one,
        component() as other,
        peer(answers()) as server,
        http_guest(one) as guest,
        http_guest(other) as other_guest,
    ):
        for either in (guest, other_guest):
            assert await either.text(await either.fetch(request(server.authority))) == b"ok"
        assert server.connections == 2


# --- names -------------------------------------------------------------------------------------------------


async def test_a_name_that_does_not_exist() -> None:
    """RFC 6761 section 6.4: nothing ends in .invalid, though a resolver out of reach cannot tell."""
    async with component(["http://*"]) as client, http_guest(client) as guest:
        code = await guest.failure(request("nothing.invalid"))
        assert code.case == "DNS-error"
        assert code.payload in (
            {"rcode": "NXDOMAIN", "info-code": None},
            {"rcode": "SERVFAIL", "info-code": None},
        )


@pytest.mark.parametrize("name", ["a..b", ".", f"{'a' * 64}.test", "a%20b", "[v1.x]"])
async def test_what_can_be_no_name(name: str) -> None:
    async with component(["http://*"]) as client, http_guest(client) as guest:
        assert (await guest.failure(request(name))).case == "DNS-error"


async def test_a_failure_is_logged_without_the_target() -> None:
    with capture_logs() as logs:
        async with component() as client, http_guest(client) as guest:
            await guest.failure(request("127.0.0.1:1", "/secret?token=1"))
    [record] = logs
    assert record == {
        "event": "outbound request failed",
        "log_level": "info",
        "component": "tested",
        "request_id": "request-1",
        "origin": "http://127.0.0.1:1",
        "error": "connection-refused",
        "reason": "127.0.0.1: Connection refused",
    }
