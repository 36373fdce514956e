"""The application as any ASGI server may treat it: senders that fail, tasks that are cancelled, odd scopes.

The server is scripted here. Everything behind it is real.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from starlette.types import Message, Scope

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.store import STORES
from gateway.routes.exchange import ResponseAborted
from tests.harness import PATIENCE, GuestPath, probe_headers

pytestmark = pytest.mark.anyio


def one_component(guest: GuestPath, name: str) -> Gateway:
    component = ComponentConfig(name="guest", source=guest(name), max_concurrency=8)
    return create_app(GatewayConfig(server=ServerConfig(cache=True), components=(component,)))


@pytest.fixture(scope="module")
def app(guest: GuestPath) -> Gateway:
    """An application with the guest `c/fail`."""
    return one_component(guest, "c/fail")


class Server:
    """One request of a server that does as it is told.

    Attributes:
        sent: What the application has sent.
        begun: Set when the response has.
    """

    def __init__(self, target: str, **scope: Any) -> None:
        path, _, query = target.partition("?")
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"gateway.test")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            **scope,
        }
        self.sent: list[Message] = []
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()
        self._request: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._request:
            return self._request.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.begun.set()

    async def run(self, app: Gateway) -> None:
        async with asyncio.timeout(PATIENCE):
            await app(self.scope, self.receive, self.send)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Patient(Server):
    """A server whose client sends the body of its request, one byte, once the response has begun."""

    def __init__(self, target: str, **scope: Any) -> None:
        super().__init__(target, **scope)
        self.scope["headers"].append((b"content-length", b"1"))
        self._request = [{"type": "http.request", "body": b".", "more_body": False}]

    async def receive(self) -> Message:
        await self.begun.wait()
        return await super().receive()


class Failing(Server):
    """A server whose `send` fails from the message of this number on."""

    def __init__(self, target: str, failure: Exception, number: int) -> None:
        super().__init__(target)
        self._failure = failure
        self._number = number

    async def send(self, message: Message) -> None:
        if len(self.sent) == self._number:
            raise self._failure
        await super().send(message)


def outcomes(app: Gateway) -> Callable[[], dict[str, float]]:
    """A function that gives the outcomes counted since this one was called."""
    counted = app.runtime.metrics
    assert counted is not None

    def count() -> dict[str, float]:
        app.runtime.channel.flush()
        return {
            sample.labels["outcome"]: sample.value
            for metric in counted.registry.collect()
            for sample in metric.samples
            if sample.name == "gateway_invocations_total"
        }

    before = count()

    def since() -> dict[str, float]:
        counts = {outcome: number - before.get(outcome, 0) for outcome, number in count().items()}
        return {outcome: number for outcome, number in counts.items() if number}

    return since


def assert_nothing_is_left(app: Gateway) -> None:
    assert not STORES
    assert [service.in_flight for service in app.services] == [0]
    assert [task for task in asyncio.all_tasks() if "Exchange" in str(task.get_coro())] == []


async def test_a_request_is_answered(app: Gateway) -> None:
    server = Server("/status?code=201")
    await server.run(app)
    assert (server.sent[0]["status"], server.body) == (201, b"status\n")
    assert_nothing_is_left(app)


# --- senders that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("path", ["/status", "/trap", "/noset", "/sleep?ms=1", "/slow?ms=1"])
async def test_a_client_that_left_is_no_error(app: Gateway, path: str, number: int) -> None:
    # ASGI: "Disconnected Client".
    await Failing(path, OSError("gone"), number).run(app)
    assert_nothing_is_left(app)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("path", ["/slow?n=2&ms=60000", "/flood?mib=4096", "/spin-after"])
async def test_a_guest_is_stopped_when_sending_says_that_its_client_left(
    app: Gateway, path: str, number: int
) -> None:
    since = outcomes(app)
    await Failing(path, OSError("gone"), number).run(app)
    assert since() == {"cancelled": 1}
    assert_nothing_is_left(app)


@pytest.mark.parametrize("path", ["/slow?n=2&ms=60000", "/flood?mib=4096", "/spin-after"])
async def test_a_guest_is_stopped_when_receiving_says_that_its_client_left(
    app: Gateway, path: str
) -> None:
    since = outcomes(app)
    server = Server(path)
    task = asyncio.create_task(server.run(app))
    await server.begun.wait()
    server.gone.set()
    await task
    assert since() == {"cancelled": 1}
    assert_nothing_is_left(app)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("path", ["/slow?n=2&ms=60000", "/flood?mib=4096", "/spin-after"])
async def test_a_guest_is_stopped_when_the_server_fails(
    app: Gateway, path: str, number: int
) -> None:
    since = outcomes(app)
    with pytest.raises(ResponseAborted):
        await Failing(path, RuntimeError("a bug of the server"), number).run(app)
    assert since() == {"failed": 1}
    assert_nothing_is_left(app)


# --- cancellation --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sleep?ms=60000", "/spin"])
async def test_a_task_that_is_cancelled_before_the_response(app: Gateway, path: str) -> None:
    since = outcomes(app)
    server = Server(path)
    task = asyncio.create_task(server.run(app))
    while not STORES:
        await checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.sent == []
    assert since() == {"cancelled": 1}
    assert_nothing_is_left(app)


@pytest.mark.parametrize("path", ["/slow?n=2&ms=60000", "/spin-after", "/sleep-after?ms=60000"])
async def test_a_task_that_is_cancelled_after_the_head(app: Gateway, path: str) -> None:
    since = outcomes(app)
    server = Server(path)
    task = asyncio.create_task(server.run(app))
    await server.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert since() == {"cancelled": 1}
    assert_nothing_is_left(app)


async def test_a_task_that_is_cancelled_while_only_the_client_is_late(app: Gateway) -> None:
    class Late(Server):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

    server = Late("/slow?n=2&ms=1")
    task = asyncio.create_task(server.run(app))
    await server.begun.wait()
    while STORES:
        await checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_nothing_is_left(app)


# --- scopes --------------------------------------------------------------------------------------


async def test_a_scope_without_the_raw_path_is_made_do_with(guest: GuestPath) -> None:
    app = one_component(guest, "python/probe")
    source = probe_headers("result = request.path_with_query()")
    headers = [(name.encode(), value.encode()) for name, value in source.items()]
    server = Server("/", path="/a b/\u00e9", raw_path=None, query_string=b"c=%20")
    server.scope["headers"] += headers
    await server.run(app)
    assert json.loads(server.body) == {"ok": "/a%20b/%C3%A9?c=%20"}


@pytest.mark.parametrize(
    ("trailers", "sent"),
    [
        ('types.Fields.from_list([("x-checksum", b"1")])', [(b"x-checksum", b"1")]),
        ("None", []),
    ],
)
@pytest.mark.parametrize("server_type", [Server, Patient])
async def test_trailers_go_to_a_server_that_carries_them(
    guest: GuestPath,
    trailers: str,
    sent: list[tuple[bytes, bytes]],
    server_type: type[Server],
) -> None:
    app = one_component(guest, "python/probe")
    source = probe_headers(f"""
        response = types.OutgoingResponse(types.Fields())
        body = response.body()
        types.ResponseOutparam.set(response_out, Ok(response))
        response_set = True
        if {server_type is Patient}:
            with request.consume() as incoming, incoming.stream() as told:
                told.blocking_read(1)
        with body.write() as stream:
            stream.blocking_write_and_flush(b"content")
        types.OutgoingBody.finish(body, {trailers})
    """)
    server = server_type("/", extensions={"http.response.trailers": {}})
    server.scope["headers"] += [(name.encode(), value.encode()) for name, value in source.items()]
    await server.run(app)
    assert server.body == b"content"
    if server_type is Server and not sent and "trailers" not in server.sent[0]:
        # Known to have none before its head was sent, as when the guest was not interrupted until its end.
        assert (b"content-length", b"7") in server.sent[0]["headers"]
        assert server.sent[-1]["type"] == "http.response.body"
        return
    assert server.sent[0]["trailers"] is True
    assert server.sent[-1] == {
        "type": "http.response.trailers",
        "headers": sent,
        "more_trailers": False,
    }


@pytest.mark.parametrize(
    ("server", "scheme", "authority"),
    [
        (("10.0.0.1", 8080), "http", "10.0.0.1:8080"),
        (("10.0.0.1", 80), "http", "10.0.0.1"),
        (("10.0.0.1", 80), "https", "10.0.0.1:80"),
        (("::1", 443), "https", "[::1]"),
        (("fe80::1%eth0", 8080), "http", "[fe80::1]:8080"),
        (("/run/gateway.sock", None), "http", "localhost"),
        (None, "http", "localhost"),
    ],
)
async def test_a_request_of_http_1_0_without_a_host_is_for_the_server(
    guest: GuestPath, server: tuple[str, int | None] | None, scheme: str, authority: str
) -> None:
    source = probe_headers("result = request.authority()")
    headers = [(name.encode(), value.encode()) for name, value in source.items()]
    client = Server("/", http_version="1.0", server=server, scheme=scheme, headers=headers)
    await client.run(one_component(guest, "python/probe"))
    assert json.loads(client.body) == {"ok": authority}


@pytest.mark.parametrize("date", [None, b"Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_a_server_that_dates_every_response_is_given_no_date(
    guest: GuestPath, date: bytes | None
) -> None:
    fields = [] if date is None else [("date", date)]
    source = probe_headers(f"""
        response = types.OutgoingResponse(types.Fields.from_list({fields}))
        types.ResponseOutparam.set(response_out, Ok(response))
        response_set = True
    """)
    server = Server("/")
    server.scope["headers"] += [(name.encode(), value.encode()) for name, value in source.items()]
    await server.run(one_component(guest, "python/probe"))
    assert "date" not in {name.decode() for name, _ in server.sent[0]["headers"]}


async def test_a_websocket_is_refused(app: Gateway) -> None:
    server = Server("/", type="websocket")
    await server.run(app)
    assert server.sent == [{"type": "websocket.close", "code": 1000}]


async def test_another_kind_of_scope_is_an_error(app: Gateway) -> None:
    with pytest.raises(ValueError, match="telepathy"):
        await Server("/", type="telepathy").run(app)
