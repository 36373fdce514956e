"""wasi:sockets, name lookup: which names are resolved, to what, and what goes wrong."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias

import pytest

from gateway.bindings.http.outbound.resolver import SystemResolver
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.sockets.addresses import SocketAddress
from gateway.bindings.sockets.context import MAX_LOOKUPS, MAX_NAMES
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from gateway.policy.egress import IPAddress
from tests.bindings.sockets.guest import BLOCK, READY, SocketsGuest, at, networked, policy
from tests.bindings.sockets.peer import listening
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

RESOLVE = "ip-name-lookup#resolve-addresses"
NEXT = "ip-name-lookup#resolve-address-stream.resolve-next-address"
SUBSCRIBE = "ip-name-lookup#resolve-address-stream.subscribe"
DROP = "ip-name-lookup#drop resolve-address-stream"

EVERY_NAME = "tcp://*:443"


Answer: TypeAlias = asyncio.Future[Sequence[IPAddress]]


class Names:
    """A resolver whose answers the test gives, when it likes to.

    Attributes:
        asked: the names that were asked for, with what takes their answers.
    """

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[str, Answer]] = asyncio.Queue()

    async def __call__(self, name: str) -> Sequence[IPAddress]:
        answer: Answer = asyncio.get_running_loop().create_future()
        self.asked.put_nowait((name, answer))
        return await answer

    async def lookup(self) -> Answer:
        """What takes the answer of the next lookup, once that has begun."""
        _, answer = await asyncio.wait_for(self.asked.get(), PATIENCE)
        return answer


def addresses(*texts: str) -> list[IPAddress]:
    return [ip_address(text) for text in texts]


def answering(*texts: str) -> Any:
    """A resolver that gives every name these addresses."""

    async def resolve(_name: str) -> Sequence[IPAddress]:
        return addresses(*texts)

    return resolve


def ip(text: str) -> Variant:
    """An `ip-address`."""
    address = at(text)
    return Variant(address.case, address.payload["address"])


async def begin(guest: SocketsGuest, name: str) -> int:
    stream = await guest.call(RESOLVE, guest.network, name)
    assert isinstance(stream, Ok), stream
    handle: int = stream.value
    return handle


async def resolve_all(guest: SocketsGuest, name: str) -> list[Variant]:
    """Every address that a guest gets for a name."""
    resolved = await guest.resolve(name)
    assert isinstance(resolved, Ok), resolved
    found: list[Variant] = resolved.value
    return found


# --- names and addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.0", "192.0.2.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("[::]", "::"),
        ("2001:0db8:0:0:0:0:0:0", "2001:db8::"),
        ("dead:beef::", "dead:beef::"),
        ("DEAD:BEEF::0", "dead:beef::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
async def test_an_address_is_its_own_result_at_once_and_nobody_is_asked(
    text: str, address: str
) -> None:
    async with networked() as guest:
        stream = await begin(guest, text)
        pollable = await guest.call(SUBSCRIBE, stream)
        assert await guest.call(READY, pollable)
        assert await guest.call(NEXT, stream) == Ok(ip(address))
        assert await guest.call(NEXT, stream) == Ok(None)


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    "name", ["", " ", "a.b<&>", "127.0.0.1:80", "[::]:80", "http://example.com/", "example.com:80"]
)
async def test_what_is_neither_name_nor_address_is_an_invalid_argument(name: str) -> None:
    async with networked(EVERY_NAME) as guest:
        assert await guest.resolve(name) == Err("invalid-argument")


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("entries", [(), (EVERY_NAME,), ("tcp://localhost:443",)])
@pytest.mark.parametrize("name", ["localhost", "LocalHost", "localhost."])
async def test_localhost_is_the_guests_own_loopback_and_nobody_is_asked(
    name: str, entries: tuple[str, ...]
) -> None:
    async with networked(*entries) as guest:
        assert await resolve_all(guest, name) == [ip("127.0.0.1"), ip("::1")]


@pytest.mark.usefixtures("version")
async def test_the_addresses_come_in_their_order_once_each_and_never_as_mapped_ones() -> None:
    resolve = answering("2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "fe80::1%2")
    async with networked(EVERY_NAME, resolve=resolve) as guest:
        found = await resolve_all(guest, "example.com")
    assert found == [ip(text) for text in ("2001:db8::1", "192.0.2.1", "192.0.2.2", "fe80::1")]


async def test_a_name_in_unicode_is_resolved_in_ascii() -> None:
    names = Names()
    async with networked("tcp://xn--mnchen-3ya.de:443", resolve=names) as guest:
        await begin(guest, "MÜNCHEN.de")
        asked, _ = await asyncio.wait_for(names.asked.get(), PATIENCE)
    assert asked == "xn--mnchen-3ya.de"


# --- waiting -----------------------------------------------------------------------------------------------


async def test_a_lookup_would_block_until_it_has_ended() -> None:
    names = Names()
    async with networked(EVERY_NAME, resolve=names) as guest:
        stream = await begin(guest, "example.com")
        pollable = await guest.call(SUBSCRIBE, stream)
        answer = await names.lookup()
        assert not await guest.call(READY, pollable)
        assert await guest.call(NEXT, stream) == Err("would-block")
        waiting = asyncio.create_task(guest.call(BLOCK, pollable))
        answer.set_result(addresses("192.0.2.1"))
        await asyncio.wait_for(waiting, PATIENCE)
        assert await guest.call(NEXT, stream) == Ok(ip("192.0.2.1"))
        assert await guest.call(NEXT, stream) == Ok(None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name-unresolvable"),
        (socket.gaierror(socket.EAI_NODATA, "No address"), "name-unresolvable"),
        (socket.gaierror(socket.EAI_AGAIN, "Try again"), "temporary-resolver-failure"),
        (socket.gaierror(socket.EAI_FAIL, "Server failed"), "permanent-resolver-failure"),
        (socket.gaierror(socket.EAI_MEMORY, "No memory"), "out-of-memory"),
        (socket.gaierror(socket.EAI_SYSTEM, "Whatever"), "unknown"),
        (OSError(24, "Too many open files"), "temporary-resolver-failure"),
        (UnicodeError("no name in DNS"), "name-unresolvable"),
    ],
)
async def test_a_lookup_that_fails_tells_why_whenever_it_is_asked(
    error: Exception, code: str
) -> None:
    names = Names()
    async with networked(EVERY_NAME, resolve=names) as guest:
        stream = await begin(guest, "example.com")
        (await names.lookup()).set_exception(error)
        await guest.block("ip-name-lookup#resolve-address-stream", stream)
        for _ in range(2):
            assert await guest.call(NEXT, stream) == Err(code)


async def test_a_name_that_nobody_has_is_unresolvable() -> None:
    resolver = SystemResolver()
    try:
        async with networked(EVERY_NAME, resolve=resolver) as guest:
            stream = await begin(guest, "gateway-test.invalid")
            await guest.block("ip-name-lookup#resolve-address-stream", stream)
            # RFC 6761 section 6.4; a machine without any name server cannot know.
            assert await guest.call(NEXT, stream) in {
                Err("name-unresolvable"),
                Err("temporary-resolver-failure"),
            }
    finally:
        resolver.close()


async def test_a_fault_of_the_resolvers_own_ends_the_lookup_and_is_reported() -> None:
    names = Names()
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: reported.append(about))
    async with networked(EVERY_NAME, resolve=names) as guest:
        stream = await begin(guest, "example.com")
        (await names.lookup()).set_exception(ZeroDivisionError("a bug"))
        await guest.block("ip-name-lookup#resolve-address-stream", stream)
        assert await guest.call(NEXT, stream) == Err("unknown")
    [about] = reported
    assert isinstance(about["exception"], ZeroDivisionError)


# --- cancelling --------------------------------------------------------------------------------------------


async def cancelled(answer: Answer) -> None:
    """Wait until a lookup is cancelled."""
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(answer), PATIENCE)


async def test_dropping_the_stream_cancels_its_lookup() -> None:
    names = Names()
    async with networked(EVERY_NAME, resolve=names) as guest:
        stream = await begin(guest, "example.com")
        answer = await names.lookup()
        await guest.call(DROP, stream)
        await cancelled(answer)


@pytest.mark.parametrize("end", ["returns", "is cancelled"])
async def test_the_end_of_the_guest_cancels_its_lookups(end: str) -> None:
    names = Names()
    async with networked(EVERY_NAME, resolve=names) as guest:
        await begin(guest, "example.com")
        answer = await names.lookup()
        if end == "is cancelled":
            await guest.abort()
            await cancelled(answer)
            return
    await cancelled(answer)


async def test_a_stream_with_a_pollable_cannot_be_dropped() -> None:
    async with networked(EVERY_NAME) as guest:
        stream = await begin(guest, "192.0.2.1")
        await guest.call(SUBSCRIBE, stream)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call(DROP, stream)


# --- policy ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("name", ["example.com", "api.example.org"])
async def test_a_name_that_no_entry_allows_is_not_looked_up(name: str) -> None:
    entries = ("tcp://example.org:443", "https://example.com:443", "udp://192.0.2.1:53")
    async with networked(*entries) as guest:
        assert await guest.resolve(name) == Err("permanent-resolver-failure")


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("name", ["db.example.org", "DB.example.org", "db.example.org."])
async def test_a_name_is_compared_as_names_are(name: str) -> None:
    async with networked("udp://*.example.org:53", resolve=answering("192.0.2.1")) as guest:
        assert await resolve_all(guest, name) == [ip("192.0.2.1")]


async def test_a_name_that_is_allowed_leads_to_its_addresses() -> None:
    with listening() as listener:
        host, port = listener.address
        entries = (f"tcp://db.example.org:{port}", f"tcp://127.0.0.1:{port}")
        async with networked(*entries, resolve=answering(host)) as guest:
            assert await resolve_all(guest, "db.example.org") == [ip(host)]
            await guest.connect(listener.address)


async def test_a_name_allows_the_addresses_that_it_was_resolved_to_and_no_others() -> None:
    granted = WasiSocketsCtx(policy(["tcp://db.example.org:5432"]), answering("93.184.216.34"))
    peer = SocketAddress(ip_address("93.184.216.34"), 5432)
    assert not granted.allows("tcp", peer)
    await granted.look_up("db.example.org.")
    assert granted.allows("tcp", peer)
    assert not granted.allows("udp", peer)
    assert not granted.allows("tcp", SocketAddress(peer.ip, 5433))
    assert not granted.allows("tcp", SocketAddress(ip_address("93.184.216.35"), 5432))


@pytest.mark.parametrize("special", ["127.0.0.1", "10.0.0.5", "169.254.169.254", "::1", "fe80::1"])
async def test_a_name_does_not_lead_to_a_special_address_unless_that_is_named_too(
    special: str,
) -> None:
    name, address = "tcp://db.example.org:5432", ip_address(special)
    peer = SocketAddress(address, 5432)
    granted = WasiSocketsCtx(policy([name]), answering(special))
    await granted.look_up("db.example.org")
    assert not granted.allows("tcp", peer)
    literal = f"[{special}]" if address.version == 6 else special
    granted = WasiSocketsCtx(policy([name, f"tcp://{literal}:5432"]), answering(special))
    assert granted.allows("tcp", peer)


# --- limits ------------------------------------------------------------------------------------------------


async def test_too_many_lookups_at_once_are_a_temporary_failure() -> None:
    names = Names()
    async with networked(EVERY_NAME, resolve=names) as guest:
        streams = [await begin(guest, f"{number}.test") for number in range(MAX_LOOKUPS)]
        too_many = await guest.call(RESOLVE, guest.network, "one-more.test")
        assert too_many == Err("temporary-resolver-failure")
        (await names.lookup()).set_result(addresses("192.0.2.1"))
        await guest.block("ip-name-lookup#resolve-address-stream", streams[0])
        await begin(guest, "one-more.test")


async def test_a_lookup_that_is_given_up_counts_for_ever() -> None:
    names = Names()
    async with networked(EVERY_NAME, resolve=names) as guest:
        for number in range(MAX_LOOKUPS):
            await guest.call(DROP, await begin(guest, f"{number}.test"))
        too_many = await guest.call(RESOLVE, guest.network, "one-more.test")
        assert too_many == Err("temporary-resolver-failure")


async def test_the_names_that_were_resolved_last_are_remembered() -> None:
    public = addresses("93.184.216.34", *(f"11.0.{n // 256}.{n % 256}" for n in range(MAX_NAMES)))
    answers: list[IPAddress] = []

    async def resolve(_name: str) -> Sequence[IPAddress]:
        return [answers[-1]]

    granted = WasiSocketsCtx(policy(["tcp://*.example.org:1"]), resolve)
    # The first one again before the last one, which leaves room for all but the second.
    for address in (*public[:-1], public[0], public[-1]):
        answers.append(address)
        await granted.look_up("some.example.org")
    assert [
        address for address in public if not granted.allows("tcp", SocketAddress(address, 1))
    ] == [public[1]]
