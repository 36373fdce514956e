"""Outbound requests of a component that a whole gateway serves."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bindings.outbound.component import until
from tests.bindings.outbound.peer import Peer, Wire, peer
from tests.bindings.outbound.probe import WORDS, proxy
from tests.bindings.outbound.test_streaming import echo, pattern
from tests.harness import PATIENCE, GatewayProcess, GuestPath, probe, probe_headers

pytestmark = pytest.mark.anyio

MIB = 1 << 20

CONFIG = """
[[components]]
name = "proxy"
source = "{source}"
allowed_outbound_hosts = ["http://127.0.0.1:*"]

[[components]]
name = "alone"
source = "{source}"
routes = [{{ path = "/alone" }}]
"""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop of the tests' side; that of the gateway is another."""
    return "asyncio"


@pytest.fixture(scope="module")
def config(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with the guest `python/probe`, twice: with outbound requests, and without."""
    path: Path = tmp_path_factory.mktemp("outbound") / "gateway.toml"
    path.write_text(CONFIG.format(source=guest("python/probe")))
    return path


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def gateway(request: pytest.FixtureRequest, config: Path) -> Iterator[GatewayProcess]:
    """A gateway, on each of its loops."""
    with GatewayProcess(config, "--loop", request.param) as running:
        yield running


async def test_a_component_without_allowed_hosts_is_refused(gateway: GatewayProcess) -> None:
    source = (
        WORDS + "result = attempt(outgoing_handler.handle, outgoing_request('name.test'), None)"
    )
    result = await asyncio.to_thread(probe, f"{gateway.url}/alone", source)
    assert result == {"Err": "ErrorCode_HttpRequestDenied"}
    record = await asyncio.to_thread(gateway.wait_for_log, event="outbound request refused")
    assert record["component"] == "alone"
    assert record["rule"] == "no entry of allowed_outbound_hosts matches http://name.test:80"


class Client:
    """A client whose request and response are under way at the same time."""

    def __init__(self, gateway: GatewayProcess, server: Peer) -> None:
        self._port = gateway.port
        self._source = proxy(server.authority)

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        carrier = [f"{name}: {value}" for name, value in probe_headers(self._source).items()]
        head = [
            "POST / HTTP/1.1",
            "host: proxy.test",
            "transfer-encoding: chunked",
            *carrier,
            "",
            "",
        ]
        self._writer.write("\r\n".join(head).encode())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def send(self, blocks: Iterator[bytes]) -> str:
        """Send the body; returns its digest."""
        digest = hashlib.blake2b()
        for block in blocks:
            digest.update(block)
            self._writer.write(b"%x\r\n%b\r\n" % (len(block), block))
            await self._writer.drain()
        self._writer.write(b"0\r\n\r\n")
        return digest.hexdigest()

    async def receive(self) -> str:
        """Receive the response; returns the digest of its content."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        digest = hashlib.blake2b()
        async for chunk in Wire(self._reader, self._writer).chunks():
            digest.update(chunk)
        return digest.hexdigest()


async def test_a_proxy_forwards_both_ways_without_keeping_anything(gateway: GatewayProcess) -> None:
    """256 MiB pass through the worker, there and back: its memory stays flat, and no byte is lost."""
    seen: list[int] = []

    def watched() -> Iterator[bytes]:
        for number, block in enumerate(pattern(256 * MIB)):
            if number % 256 == 0:
                seen.append(gateway.rss())
            yield block

    async with peer(echo) as server:
        async with Client(gateway, server) as client:
            assert await client.send(pattern(MIB)) == await client.receive()
        async with Client(gateway, server) as client:
            sending = asyncio.create_task(client.send(watched()))
            received = await client.receive()
            assert await sending == received
    assert max(seen) - seen[0] < 32 * MIB


async def test_a_client_that_goes_away_ends_the_requests_of_its_guest(
    gateway: GatewayProcess,
) -> None:
    arrived = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        arrived.set()
        await wire.hung_up()

    async with peer(script) as server:
        async with Client(gateway, server), asyncio.timeout(PATIENCE):
            await arrived.wait()
        await server.finished()


async def test_a_gateway_that_stops_closes_its_connections(config: Path) -> None:
    closed: list[bool] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await wire.hung_up()
        closed.append(True)

    async with peer(script) as server:
        with GatewayProcess(config) as running:
            source = (
                WORDS
                + f"""
response = response_of(outgoing_handler.handle(outgoing_request("{server.authority}"), None))
result = content_of(response)
"""
            )
            assert await asyncio.to_thread(probe, running.url, source) == "ok"
            status = await asyncio.to_thread(running.stop)
        assert status == 0
        await until(lambda: closed)
