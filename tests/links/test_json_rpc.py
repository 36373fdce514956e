"""Links to JSON-RPC servers: another gateway, and servers that answer otherwise than they should."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import structlog

from gateway.links.json_rpc import JsonRpcTarget
from gateway.links.remote import Means
from tests.harness import GuestPath
from tests.links.peer import Peer, http
from tests.links.relays import relay
from tests.patience import until
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

TRAPPED: Final = -32000


def error(code: int, message: str = "no", data: Any = None) -> bytes:
    failure = {"code": code, "message": message, "data": data}
    return http(json.dumps({"jsonrpc": "2.0", "id": 1, "error": failure}).encode())


CHUNKED: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
)


def compressed(body: bytes) -> bytes:
    return http(gzip.compress(body), kind="application/json\r\ncontent-encoding: gzip")


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def linked(guest: GuestPath, peer: Peer) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(*, link: dict[str, Any] | None = None, **keys: Any) -> AsyncIterator[Talking]:
        link = {"url": peer.url, **(link or {})}
        config = relay(guest("c/relay"), link=link, **keys)
        async with talking(config, rpc_max_result="64KiB") as gateway:
            yield gateway

    return make


async def call(gateway: Talking, function: str, *params: Any) -> Any:
    return await gateway.call(f"outcomes.{function}", *params, name="relay")


async def test_what_a_server_is_asked(linked: Any, peer: Peer) -> None:
    peer.answer = http(b'{"jsonrpc":"2.0","id":1,"result":"there"}')
    async with linked() as gateway:
        for _ in range(3):
            assert await call(gateway, "settle", {"ok": "here"}) == "there"
        body, headers = peer.asked[0]
        assert body == {
            "jsonrpc": "2.0",
            "method": "test:rpc/outcomes@1.2.3#settle",
            "params": [{"ok": "here"}],
            "id": 1,
        }
        assert headers["content-type"] == "application/json"
        assert headers["accept-encoding"] == "identity"
        assert headers["traceparent"].split("-")[1] == headers["x-request-id"]
        assert peer.opened == 1
    await until(lambda: peer.connections == 0)


FAILURES: Final = {
    "trapped": (error(-32000), "trapped"),
    "not found": (error(-32601), "not-found"),
    "late": (error(-32001), "late"),
    "busy": (error(-32002), "busy"),
    "another code": (error(-1), "failed"),
    "an err that there is none of": (error(1, data={"no-such-case": None}), "failed"),
    "a code that is none": (http(b'{"jsonrpc":"2.0","id":1,"error":{"code":[]}}'), "failed"),
    "an error that is none": (http(b'{"jsonrpc":"2.0","id":1,"error":"no"}'), "failed"),
    "a result of another type": (http(b'{"jsonrpc":"2.0","id":1,"result":1}'), "failed"),
    "no result": (http(b'{"jsonrpc":"2.0","id":1}'), "failed"),
    "a batch": (http(b"[]"), "failed"),
    "no JSON": (http(b"{"), "failed"),
    "not UTF-8": (http(b'"\xff"'), "failed"),
    "nothing": (http(b""), "failed"),
    "a page": (http(b"<p>", kind="text/html"), "failed"),
    "no such path": (http(b"", "404 Not Found", "application/problem+json"), "not-found"),
    "unavailable": (http(b"", "503 Service Unavailable", "text/plain"), "busy"),
    "too many": (http(b"", "429 Too Many Requests", "text/plain"), "busy"),
    "timeout": (http(b"", "504 Gateway Timeout", "text/html"), "late"),
    "elsewhere": (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", "failed"),
    "cut off": (http(b'{"jsonrpc"')[:-3], "failed"),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", "failed"),
    "too large": (http(b'{"result":"' + b"x" * 100_000 + b'"}'), "failed"),
    "too deep": (http(b"[" * 60_000), "failed"),
    "compressed": (compressed(b'{"jsonrpc":"2.0","id":1,"result":"' + b" " * (1 << 25)), "failed"),
    "a chunk for each byte": (CHUNKED + b"1\r\nx\r\n" * 20_000, "failed"),
    "a chunk of no size": (CHUNKED + b"-1\r\nx\r\n", "failed"),
    "a chunk without end": (CHUNKED + b"f" * 200_000, "failed"),
    "interim responses alone": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, "failed"),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000, "failed"),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_an_answer_that_is_none_stops_the_caller(linked: Any, peer: Peer, case: str) -> None:
    peer.answer, outcome = FAILURES[case]
    peer.closes = case in {"cut off", "interim responses alone"}
    async with linked() as gateway:
        with structlog.testing.capture_logs() as logs:
            assert await call(gateway, "settle", {"ok": ""}) == TRAPPED
        (told,) = (line for line in logs if line["event"] == "linked call failed")
        assert told["outcome"] == outcome
        assert told["target"] == peer.url


async def test_a_server_that_is_not_there(linked: Any) -> None:
    async with linked(link={"url": "http://127.0.0.1:1", "errors": "result"}) as gateway:
        assert await call(gateway, "settle-err", {"ok": None}) == "its server cannot be reached"


async def test_a_server_that_never_answers_is_left_at_the_callers_deadline(
    linked: Any, peer: Peer
) -> None:
    async with linked(max_execution_time="200ms") as gateway:
        assert await call(gateway, "settle", {"ok": ""}) == -32001
        await until(lambda: peer.connections == 0)


async def test_an_err_of_the_server_is_that_of_the_function(linked: Any, peer: Peer) -> None:
    peer.answer = error(1, data={"invalid": "x"})
    async with linked() as gateway:
        assert await call(gateway, "settle", {"ok": ""}) == {"invalid": "x"}


async def test_nothing_is_opened_before_the_first_call_and_nothing_is_left() -> None:
    target = JsonRpcTarget("https://gateway.test", Means(ssl.create_default_context(), 1))
    await target.aclose()
    await target.aclose()
