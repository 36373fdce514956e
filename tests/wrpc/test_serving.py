"""A gateway that is served by wRPC: invocations as peers make them, and peers that do not behave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.config import ComponentConfig, GatewayConfig
from gateway.host import wit
from gateway.host.store import STORES
from gateway.lifecycle import generation
from gateway.observe.events import Interrupted, Kind, Outcome, ReturnEvent
from gateway.transports import wrpc
from gateway.transports.socket_file import remove_stale
from gateway.wrpc.encode import writer
from gateway.wrpc.frames import BROKEN, MAX_NAME, Header, frame, invocation
from tests.harness import GuestPath
from tests.links.relays import OUTCOMES, TYPES
from tests.patience import until
from tests.transports.talking import Talking, talking
from tests.wrpc.hello import HELLO
from tests.wrpc.streams import exchange, listener, port_of

pytestmark = pytest.mark.anyio

Serve = Callable[..., AbstractAsyncContextManager[Talking]]


def encoded(ty: wit.Type, value: Any) -> bytearray:
    out = bytearray()
    writer(ty)(out, value)
    return out


def text(value: str) -> bytearray:
    return encoded(wit.String(), value)


def ask(name: str, params: bytearray | None = None, instance: str = OUTCOMES) -> bytes:
    return invocation(Header(instance, name), frame(params or bytearray()))


ECHO: Final = ask("echo-string", text("größer"), TYPES)
ECHOED: Final = bytes(frame(text("größer")))
TRAP: Final = ask("trap")
HOUR: Final = ask("wait", encoded(wit.Integer(32, signed=False), 3_600_000))


@pytest.fixture
def serve(guest: GuestPath) -> Serve:
    def make(server: dict[str, Any] | None = None, **keys: Any) -> Any:
        table = {"name": "rpc", "source": guest("c/rpc"), "wrpc_listen": ("127.0.0.1:0",), **keys}
        return talking(ComponentConfig.model_validate(table), **(server or {}))

    return make


@pytest.fixture(scope="module")
async def shared(guest: GuestPath) -> AsyncIterator[Talking]:
    """A gateway that no test here changes."""
    table = {"name": "rpc", "source": guest("c/rpc"), "wrpc_listen": ("127.0.0.1:0",)}
    async with talking(ComponentConfig.model_validate(table), rpc_max_body="64KiB") as gateway:
        yield gateway


class Told:
    """What was told of invocations since."""

    def __init__(self, gateway: Talking) -> None:
        self.events: list[ReturnEvent] = []
        self._channel = gateway.app.runtime.channel
        self._channel.add_sink(self.events.append)

    def all(self) -> list[tuple[Outcome, str | None]]:
        self._channel.flush()
        return [(event.outcome, event.route) for event in self.events]


async def test_each_invocation_is_one_event(shared: Talking) -> None:
    told = Told(shared)
    assert await exchange(port_of(shared), ECHO) == ECHOED
    assert told.all() == [(Outcome.OK, "wrpc+tcp://127.0.0.1:0")]
    (event,) = told.events
    assert event.kind is Kind.RPC
    assert event.export == f"{TYPES}#echo-string"
    assert (event.bytes_in, event.bytes_out) == (len(text("größer")), len(ECHOED))
    assert not STORES


async def test_a_stream_may_come_in_any_pieces(shared: Talking) -> None:
    assert (
        await exchange(port_of(shared), *(ECHO[at : at + 1] for at in range(len(ECHO)))) == ECHOED
    )
    params = text("größer")
    head = ask("echo-string", bytearray(), TYPES)
    frames = [bytes(frame(params[at : at + 1])) for at in range(len(params))]
    assert await exchange(port_of(shared), head, *frames) == ECHOED


async def test_a_version_that_is_as_good_will_do(shared: Talking) -> None:
    for version, answer in (("1.9.0", ECHOED), ("2.0.0", BROKEN)):
        instance = TYPES.replace("1.2.3", version)
        request = ask("echo-string", text("größer"), instance)
        assert await exchange(port_of(shared), request) == answer


async def test_a_function_that_returns_nothing_answers_with_an_empty_frame(shared: Talking) -> None:
    request = ask("print", text("") + text(""))
    assert await exchange(port_of(shared), request) == bytes(frame(bytearray()))


async def test_a_trap_is_no_answer(shared: Talking) -> None:
    told = Told(shared)
    assert await exchange(port_of(shared), TRAP) == BROKEN
    assert told.all() == [(Outcome.TRAP, "wrpc+tcp://127.0.0.1:0")]


REFUSED: Final = {
    "nothing": (b"", "ends too early"),
    "another version": (b"\1" + ECHO[1:], "version 1"),
    "HTTP": (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "version 71"),
    "a name without end": (b"\0\xff\xff\xff\xff\x0f", f"more than {MAX_NAME} bytes"),
    "a length without end": (b"\0" + b"\x80" * 20, "LEB128"),
    "a name that is no text": (b"\0\1\xff", "UTF-8"),
    "an unknown interface": (ask("trap", instance="a:b/c"), "no function trap of a:b/c"),
    "an unknown function": (ask("nobody"), "no function nobody"),
    "a path": (ECHO + b"\1\0\0", "path"),
    "a frame without end": (ask("trap") + b"\0" + b"\xff" * 9 + b"\1", "more than 65536 bytes"),
    "frames without end": (ask("trap") + b"\0\0" * 5000, "more than 4096 frames"),
    "a frame that breaks off": (ECHO[:-1], "ends too early"),
    "too few arguments": (ask("echo-string", instance=TYPES), "one more byte"),
    "too many arguments": (ask("trap", text("x")), "2 bytes follow"),
    "other arguments": (ask("echo-string", bytearray(b"\1\xff"), TYPES), "UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_invocation_is_refused(shared: Talking, case: str) -> None:
    stream, reason = REFUSED[case]
    told = Told(shared)
    source, sink = await asyncio.open_connection("127.0.0.1", port_of(shared))
    with structlog.testing.capture_logs() as logs:
        sink.write(stream)
        sink.write_eof()
        # Where it was not read to its end, the system may reset the connection.
        with suppress(ConnectionResetError):
            assert await source.read() in {BROKEN, b""}
        await until(lambda: not listener(shared).busy)
    sink.transport.abort()
    (line,) = (line for line in logs if line["event"] == "invocation refused")
    assert reason in line["reason"]
    assert line["component"] == "rpc"
    assert told.all() == []


@pytest.mark.parametrize("sent", [b"", ECHO[:10], ECHO])
async def test_a_peer_that_does_not_go_on_is_left(serve: Serve, sent: bytes) -> None:
    limits = {"header_timeout": "100ms", "body_timeout": "100ms"}
    async with serve(limits) as gateway:
        assert await exchange(port_of(gateway), sent, ends=False) == BROKEN
        await until(lambda: not listener(gateway).busy)


async def test_a_peer_that_does_not_read_is_left(serve: Serve) -> None:
    limits = {"write_timeout": "100ms", "rpc_max_body": "8MiB", "rpc_max_result": "32MiB"}
    async with serve(limits) as gateway:
        request = ask("echo-string", text("x" * (8_000_000)), TYPES)
        _, sink = await asyncio.open_connection("127.0.0.1", port_of(gateway), limit=1)
        sink.transport.pause_reading()  # type: ignore[attr-defined]
        sink.write(request)
        sink.write_eof()
        await until(lambda: listener(gateway).busy)
        await until(lambda: not listener(gateway).busy)
        sink.transport.abort()
        assert not STORES


async def test_a_component_without_a_place_gives_no_answer(serve: Serve) -> None:
    async with serve(max_concurrency=1) as gateway:
        told = Told(gateway)
        (service,) = gateway.app.services
        with service.gate.try_enter() or pytest.fail("no place"):
            assert await exchange(port_of(gateway), ECHO) == BROKEN
        assert await exchange(port_of(gateway), ECHO) == ECHOED
        assert [outcome for outcome, _ in told.all()] == [Outcome.EXHAUSTED, Outcome.OK]


async def test_what_takes_too_long_gives_no_answer(serve: Serve) -> None:
    async with serve(max_execution_time="200ms") as gateway:
        told = Told(gateway)
        assert await exchange(port_of(gateway), HOUR) == BROKEN
        assert [outcome for outcome, _ in told.all()] == [Outcome.DEADLINE]


async def test_more_peers_than_there_may_be_wait(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrpc, "MAX_CONNECTIONS", 2)
    async with serve() as gateway:
        port = port_of(gateway)
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: len(listener(gateway).connections) == 2)
        task = asyncio.create_task(exchange(port, ECHO))
        for _, sink in idle:
            sink.close()
        assert await task == ECHOED


async def test_many_invocations_at_once_leave_nothing(serve: Serve) -> None:
    async with serve() as gateway:
        port = port_of(gateway)
        answers = await asyncio.gather(
            *(exchange(port, TRAP if n % 5 else ECHO) for n in range(200))
        )
        assert answers.count(ECHOED) == 40
        await until(lambda: not listener(gateway).busy)
        assert not STORES


async def test_a_reload_keeps_the_address_and_what_is_under_way(serve: Serve) -> None:
    async with serve() as gateway:
        port = port_of(gateway)
        first = listener(gateway)
        task = asyncio.create_task(exchange(port, HOUR))
        (service,) = gateway.app.services
        await until(lambda: service.under_way)
        config = gateway.app._deployment.config
        server = config.server.model_copy(update={"access_log": False})
        await gateway.app.reload(config.model_copy(update={"server": server}))
        assert listener(gateway) is not first
        assert port_of(gateway) == port
        assert await exchange(port, ECHO) == ECHOED
        assert first.busy
        for work in list(service.under_way):
            work.stop(Interrupted("it is enough"))
        assert await task == BROKEN


async def test_the_address_is_free_when_the_gateway_has_gone(serve: Serve) -> None:
    async with serve() as gateway:
        port = port_of(gateway)
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_an_address_that_is_taken_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wrpc, "RETRY", 0.01)
    monkeypatch.setattr(generation, "READY", 0.01)
    path = tmp_path / "rpc.sock"
    (source := tmp_path / "hello.wat").write_text(HELLO)
    table = {"name": "rpc", "source": source, "wrpc_listen": (f"unix:{path}",)}
    path.write_text("not a socket")
    async with talking(ComponentConfig.model_validate(table)) as gateway:
        troubles = gateway.app._deployment.generation.troubles
        await until(troubles)
        (said,) = (record.message for record in caplog.records if "cannot listen" in record.message)
        assert f"wrpc+unix:{path}" in said
        assert troubles() == [
            f"component rpc: cannot listen on wrpc+unix:{path}: Address already in use"
        ]
        path.unlink()
        await listener(gateway).ready()
        assert path.is_socket()
        assert not troubles()
    assert not path.exists()


async def test_a_socket_that_is_left_over_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rpc.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        remove_stale(str(path))
        assert path.exists()
    remove_stale(str(path))
    assert not path.exists()
    remove_stale(str(path))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("localhost:1", "must be an IP address and a port"),
        ("127.0.0.1", "must be an IP address and a port"),
        ("127.0.0.1:65536", "must be an IP address and a port"),
        ("1.2.3:1", "does not appear to be"),
        ("unix:rpc.sock", "must be an absolute path"),
        (f"unix:/{'x' * 107}", "must be an absolute path"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ComponentConfig.model_validate({"name": "a", "source": "a.wasm", "wrpc_listen": [address]})


@pytest.mark.parametrize(
    ("first", "second", "workers"),
    [(":7761", "127.0.0.1:7761", 1), ("unix:/a", "127.0.0.1:1", 2), (":0", ":7761", 2)],
)
def test_addresses_that_cannot_be_had_together_are_refused(
    first: str, second: str, workers: int
) -> None:
    components = [
        {"name": name, "source": "a.wasm", "wrpc_listen": [address], "routes": []}
        for name, address in (("a", first), ("b", second))
    ]
    with pytest.raises(ValueError, match="wrpc_listen of component"):
        GatewayConfig.model_validate({"components": components, "server": {"workers": workers}})
