"""Links to peers that speak wRPC and answer otherwise than they should; all values are in `test_values`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from pydantic import ValidationError

from gateway.config.link import LinkConfig
from gateway.wrpc.frames import BROKEN, Header, frame, invocation
from tests.harness import GuestPath
from tests.links.driven import driven
from tests.links.relays import OUTCOMES, relay
from tests.links.test_over_time import HANDLER
from tests.patience import until
from tests.transports.talking import Talking, talking
from tests.wrpc.echo import STREAMS_INTERFACE

pytestmark = pytest.mark.anyio

TRAPPED: Final = -32000


class Peer:
    """A server that answers as it is told.

    Attributes:
        url: where it is.
        asked: the streams so far.
        connections: how many are open.
        answer: what it answers; None for never.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[bytes] = []
        self.connections = 0
        self.answer: bytes | None = None

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """A connection."""
        self.connections += 1
        try:
            self.asked.append(await source.read())
            if self.answer is None:
                # The other side has ended already, so that it goes is seen when something is written.
                while not sink.transport.is_closing():
                    sink.write(b"\0\0")
                    await asyncio.sleep(0.01)
            else:
                sink.write(self.answer)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            self.connections -= 1
            sink.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        peer.url = f"wrpc+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield peer


@pytest.fixture
def linked(guest: GuestPath, peer: Peer) -> Callable[..., Any]:
    def make(*, link: dict[str, Any] | None = None, **keys: Any) -> Any:
        config = relay(guest("c/relay"), link={"url": peer.url, **(link or {})}, **keys)
        return talking(config, rpc_max_result="64KiB")

    return make


async def call(gateway: Talking, function: str, *params: Any) -> Any:
    return await gateway.call(f"outcomes.{function}", *params, name="relay")


async def test_a_call_is_a_stream_of_its_own(linked: Any, peer: Peer) -> None:
    peer.answer = bytes(frame(bytearray(b"\0\x07")))
    async with linked() as gateway:
        for _ in range(2):
            assert await call(gateway, "settle-ok", {"ok": 1}) == 7
        calls = (
            'gateway_linked_calls_total{component="relay",function="settle-ok",'
            'interface="test:rpc/outcomes",outcome="ok",target="wrpc"}'
        )
        assert await gateway.metric(calls) == 2
    header = Header(OUTCOMES, "settle-ok")
    assert peer.asked == [invocation(header, frame(bytearray(b"\0\x01")))] * 2
    await until(lambda: peer.connections == 0)


async def test_a_result_may_come_in_several_frames(linked: Any, peer: Peer) -> None:
    peer.answer = b"\0\1\0" + b"\0\0" + b"\0\1\x07"
    async with linked() as gateway:
        assert await call(gateway, "settle-ok", {"ok": 1}) == 7


@pytest.mark.parametrize("answer", [b"", b"\0\0"])
async def test_nothing_is_what_a_function_without_a_result_returns(
    linked: Any, peer: Peer, answer: bytes
) -> None:
    peer.answer = answer
    async with linked() as gateway:
        assert await call(gateway, "print", "", "") is None


FAILURES: Final = {
    "nothing": (b"", "without a result"),
    "an empty frame": (b"\0\0", "without a result"),
    "a frame that breaks off": (BROKEN, "ends too early"),
    "a path": (b"\1\0\1\0", "path"),
    "another type": (b"\0\1\2", "expected one of 2 cases"),
    "too little": (b"\0\1\0", "expected one more byte"),
    "too much": (b"\0\3\0\1\2", "1 bytes follow"),
    "more than there may be": (b"\0\x81\x80\4" + b"x" * 65537, "more than 65536 bytes"),
    "frames without end": (b"\0\0" * 5000, "more than 4096 frames"),
    "no frames": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "path"),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_an_answer_that_is_none_stops_the_caller(linked: Any, peer: Peer, case: str) -> None:
    peer.answer, reason = FAILURES[case]
    async with linked() as gateway:
        with structlog.testing.capture_logs() as logs:
            assert await call(gateway, "settle-ok", {"ok": 1}) == TRAPPED
        (told,) = (line for line in logs if line["event"] == "linked call failed")
        assert told["outcome"] == "failed"
        assert told["target"] == peer.url
        assert reason in told["reason"]


@pytest.mark.parametrize(
    "url", ["wrpc+tcp://127.0.0.1:1", "wrpc+unix:/nowhere", "wrpc+http://127.0.0.1:1/"]
)
async def test_a_peer_that_is_not_there(linked: Any, url: str) -> None:
    async with linked(link={"url": url, "errors": "result"}) as gateway:
        assert await call(gateway, "settle-err", {"ok": None}) == "its server cannot be reached"


async def test_a_peer_that_never_answers_is_left_at_the_callers_deadline(
    linked: Any, peer: Peer
) -> None:
    async with linked(max_execution_time="200ms") as gateway:
        assert await call(gateway, "settle-ok", {"ok": 1}) == -32001
        await until(lambda: peer.connections == 0)


async def test_a_peer_may_answer_before_it_has_read_all(tmp_path: Path) -> None:
    """As one does that answers a stream while it reads it: neither waits for the other."""
    size = 768 << 10
    answer = frame(bytearray(b"\0\x80\x80\x30" + b"b" * size))

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            sink.write(answer)
            await sink.drain()
            await source.read()
        sink.close()

    path = tmp_path / "peer"
    links = [{"import": STREAMS_INTERFACE, "url": f"wrpc+unix:{path}"}]
    async with (
        await asyncio.start_unix_server(serve, path),
        driven(tmp_path, HANDLER, links=links, max_execution_time="30s") as (guest, _),
    ):
        given = {"numbers": [], "bytes": b"a" * size}
        assert await guest.call("handler#echo", given) == ([], b"b" * size)


async def test_a_peer_may_be_asked_by_http(guest: GuestPath) -> None:
    """By hand: one server that takes one request, as the peers' own HTTP transport does."""
    asked: list[bytes] = []
    body = b"\0\2\0\7"
    status = b"200 OK"

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        head = await source.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        asked.append(head.partition(b"\r\n")[0])
        asked.append(await source.readexactly(length))
        sink.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
        await sink.drain()
        sink.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"wrpc+http://127.0.0.1:{server.sockets[0].getsockname()[1]}/some/where"
        async with talking(relay(guest("c/relay"), link={"url": url})) as gateway:
            assert await call(gateway, "settle-ok", {"ok": 1}) == 7
            status = b"404 Not Found"
            with structlog.testing.capture_logs() as logs:
                assert await call(gateway, "settle-ok", {"ok": 1}) == TRAPPED
            (told,) = (line for line in logs if line["event"] == "linked call failed")
            assert told["outcome"] == "not-found"
    request = invocation(Header(OUTCOMES, "settle-ok"), frame(bytearray(b"\0\x01")))
    assert asked == [b"POST /some/where HTTP/1.1", request] * 2


@pytest.mark.parametrize(
    "url",
    [
        "wrpc+tcp://127.0.0.1",
        "wrpc+tcp://:1",
        "wrpc+tcp://127.0.0.1:1/path",
        "wrpc+unix:relative",
        "wrpc+unix://host/path",
        "wrpc+quic://127.0.0.1:1",
        "wrpc+http://",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be the URL of"):
        LinkConfig.model_validate({"import": "a:b/c", "url": url})


def test_a_url_on_the_command_line() -> None:
    for url in ("wrpc+tcp://[::1]:1", "wrpc+unix:/run/x.sock", "https://x.test"):
        assert LinkConfig.parse(f"a:b/c={url}") == {"import": "a:b/c", "url": url}
