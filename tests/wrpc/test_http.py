"""A gateway that is served by wRPC over HTTP: invocations as peers make them, and what is none."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from pydantic import ValidationError
from starlette.types import Message

from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError
from gateway.host.store import STORES
from gateway.observe.events import Kind, Outcome
from gateway.wrpc.frames import frame
from tests.harness import GatewayProcess, GuestPath
from tests.links.relays import TYPES, callee, relay
from tests.patience import PATIENCE, until
from tests.transports.talking import Talking, talking
from tests.wrpc.hello import HELLO
from tests.wrpc.test_serving import ECHO, ECHOED, HOUR, REFUSED, TRAP, Told, ask, text

pytestmark = pytest.mark.anyio

URL: Final = "/wrpc/rpc"


@pytest.fixture(scope="module")
async def shared(guest: GuestPath) -> AsyncIterator[Talking]:
    """A gateway that no test here changes."""
    components = [
        callee(guest("c/rpc"), wrpc=True, rpc=False),
        callee(guest("c/rpc"), name="hidden"),
    ]
    async with talking(*components, rpc_max_body="64KiB") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One with a server of its own, for peers byte by byte."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "hello.wat").write_text(HELLO)
    (folder / "gateway.toml").write_text(
        '[[components]]\nname = "hello"\nsource = "hello.wat"\nwrpc = true\n'
    )
    with GatewayProcess(folder / "gateway.toml") as gateway:
        yield gateway


async def post(gateway: Talking, stream: bytes, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await gateway.client.post(URL, content=stream, headers=named)
    return response.status_code, response.content


async def problem(gateway: Talking, stream: bytes, **headers: str) -> tuple[int, str]:
    status, content = await post(gateway, stream, **headers)
    return status, json.loads(content)["type"].rpartition(":")[2]


async def test_each_request_is_one_invocation_and_one_event(shared: Talking) -> None:
    told = Told(shared)
    assert await post(shared, ECHO, x_request_id="0123456789abcdef") == (200, ECHOED)
    assert told.all() == [(Outcome.OK, "/wrpc")]
    (event,) = told.events
    assert (event.kind, event.component) == (Kind.RPC, "rpc")
    assert event.export == f"{TYPES}#echo-string"
    assert event.request_id == "0123456789abcdef"
    assert (event.bytes_in, event.bytes_out) == (len(text("größer")), len(ECHOED))
    assert not STORES


async def test_frames_may_be_many(shared: Talking) -> None:
    params = text("größer")
    head = ask("echo-string", params[:0], TYPES)[:-2]
    frames = b"".join(frame(params[at : at + 1]) for at in range(len(params)))
    assert await post(shared, head + frames) == (200, ECHOED)


async def test_a_call_without_an_answer_has_a_status(shared: Talking) -> None:
    told = Told(shared)
    assert await problem(shared, TRAP) == (500, "component-failed")
    assert told.all() == [(Outcome.TRAP, "/wrpc")]


async def test_a_call_that_is_late_has_a_status(guest: GuestPath) -> None:
    async with talking(callee(guest("c/rpc"), wrpc=True, max_execution_time=0.05)) as gateway:
        told = Told(gateway)
        assert await problem(gateway, HOUR) == (504, "deadline")
        assert told.all() == [(Outcome.DEADLINE, "/wrpc")]


async def test_a_component_that_is_full_is_busy(guest: GuestPath) -> None:
    config = callee(guest("c/rpc"), wrpc=True, max_concurrency=1)
    async with talking(config) as gateway:
        waiting = asyncio.create_task(post(gateway, HOUR))
        await until(lambda: len(STORES) == 1)
        told = Told(gateway)
        assert await problem(gateway, ECHO) == (503, "overloaded")
        assert told.all() == [(Outcome.EXHAUSTED, None)]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: not STORES)


STATUSES: Final = {
    "an unknown interface": (404, "no-function"),
    "an unknown function": (404, "no-function"),
}
SEEN_NO_MORE: Final = {"a path", "a frame without end", "frames without end"}
"""What comes after a frame that has all arguments."""


@pytest.mark.parametrize("case", [case for case in REFUSED if case not in SEEN_NO_MORE])
async def test_what_is_no_invocation_is_refused(shared: Talking, case: str) -> None:
    told = Told(shared)
    assert await problem(shared, REFUSED[case][0]) == STATUSES.get(case, (400, "no-invocation"))
    assert told.all() == []


async def test_what_is_too_large_is_said_to_be(shared: Talking) -> None:
    stream = ask("echo-string", text("x" * 65536), TYPES)
    assert await problem(shared, stream) == (413, "content-too-large")


async def test_a_long_value_comes_back_as_it_went(shared: Talking) -> None:
    """Longer than is done at once."""
    params = bytearray(b"\xb8\x17" + b"\1x" * 3000)
    stream = ask("echo-list-string", params, TYPES)
    assert await post(shared, stream) == (200, bytes(frame(params)))


@pytest.mark.parametrize("path", ["/wrpc", "/wrpc/hidden", "/wrpc/nobody", "/wrpc/rpc/x"])
async def test_what_is_not_served_is_not_there(shared: Talking, path: str) -> None:
    assert (await shared.client.post(path, content=ECHO)).status_code == 404


async def test_only_post_is_allowed(shared: Talking) -> None:
    response = await shared.client.get(URL)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec_fetch_site": "cross-site", "origin": "http://gateway.test"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "same-origin", "origin": "http://gateway.test"}, True),
        ({"origin": "http://gateway.test"}, True),
        ({"origin": "http://evil.test"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_pages_of_other_sites_may_not_invoke(
    shared: Talking, headers: dict[str, str], allowed: bool
) -> None:
    told = Told(shared)
    if allowed:
        assert await post(shared, ECHO, **headers) == (200, ECHOED)
    else:
        assert await problem(shared, ECHO, **headers) == (403, "other-site")
        assert told.all() == []


async def test_a_client_that_leaves_ends_its_invocation(shared: Talking) -> None:
    told = Told(shared)
    left = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": HOUR}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pytest.fail("nobody is there to be answered")

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": URL,
        "raw_path": URL.encode(),
        "query_string": b"",
        "headers": [(b"host", b"gateway.test")],
    }
    asking = asyncio.create_task(shared.app(scope, receive, send))
    await until(lambda: len(STORES) == 1)
    left.set()
    async with asyncio.timeout(PATIENCE):
        await asking
    assert told.all() == [(Outcome.CANCELLED, "/wrpc")]
    assert not STORES


async def test_a_link_tells_how_a_call_over_http_failed(
    guest: GuestPath, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = tmp_path_factory.mktemp("callee") / "gateway.toml"
    source = json.dumps(str(guest("c/rpc")))
    config.write_text(f'[[components]]\nname = "rpc"\nsource = {source}\nwrpc = true\n')
    with GatewayProcess(config) as callee_gateway:
        link = {"url": f"wrpc+{callee_gateway.url}{URL}"}
        wrong = {"url": f"wrpc+{callee_gateway.url}/wrpc/nobody"}
        async with talking(
            relay(guest("c/relay"), link=link), relay(guest("c/relay"), name="lost", link=wrong)
        ) as gateway:

            async def ended(name: str, outcome: str, function: str) -> float:
                return await gateway.metric(
                    f'gateway_linked_calls_total{{component="{name}",function="{function}",'
                    f'interface="test:rpc/outcomes",outcome="{outcome}",target="wrpc"}}'
                )

            assert await gateway.call("outcomes.settle-ok", {"ok": 7}, name="relay") == 7
            await gateway.call("outcomes.trap", name="relay")
            await gateway.call("outcomes.trap", name="lost")
            assert await ended("relay", "ok", "settle-ok") == 1
            assert await ended("relay", "trapped", "trap") == 1
            assert await ended("lost", "not-found", "trap") == 1


# --- byte by byte ------------------------------------------------------------------------------------------

INVOCATION: Final = b"\0\x1bwrpc-examples:hello/handler\5hello\0\0"
RESULT: Final = b"\0\x0e\x0dhello from Go"
RUST: Final = (
    b"POST /wrpc/hello HTTP/1.1\r\nhost: 127.0.0.1:45678\r\ntransfer-encoding: chunked\r\n\r\n"
    b"25\r\n" + INVOCATION + b"\r\n0\r\n\r\n"
)
"""What a client of the crate `wrpc-http` 0.1.0 sends, of its pool of connections."""


def answers(connection: socket.socket, count: int) -> bytes:
    """What comes until so many results have."""
    received = b""
    while received.count(RESULT) < count:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def test_a_rust_client_has_its_answer(server: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        for _ in range(2):
            connection.sendall(RUST)
            assert answers(connection, 1).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_may_wait_for_the_answer_before_it_ends_its_request(
    server: GatewayProcess,
) -> None:
    ending = b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        for _ in range(2):
            connection.sendall(RUST.removesuffix(ending))
            assert answers(connection, 1).startswith(b"HTTP/1.1 200 OK\r\n")
            connection.sendall(ending)


# --- configuration -----------------------------------------------------------------------------------------


def test_it_is_off_and_below_wrpc_by_default() -> None:
    config = GatewayConfig.model_validate({"components": [{"name": "a", "source": "a.wasm"}]})
    assert config.server.wrpc_prefix == "/wrpc"
    assert not config.components[0].wrpc


def test_two_prefixes_that_are_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="is the rpc_prefix too"):
        GatewayConfig.model_validate({"server": {"wrpc_prefix": "/rpc"}})


async def test_a_component_at_the_very_prefix_is_refused(guest: GuestPath) -> None:
    tables: list[dict[str, Any]] = [
        {"name": "rpc", "source": guest("c/rpc"), "wrpc": True},
        {"name": "site", "source": guest("c/hello"), "routes": [{"path": "/wrpc"}]},
    ]
    with pytest.raises(ComponentError, match=r"is where wRPC is served\. Choose another"):
        async with talking(*map(ComponentConfig.model_validate, tables)):
            pass
