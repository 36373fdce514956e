"""Another configuration while the gateway serves. The server is scripted, all else is real."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from anyio.lowlevel import checkpoint
from starlette.types import Message
from structlog.testing import capture_logs

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, Route, ServerConfig
from gateway.host.errors import ComponentError
from gateway.host.store import STORES
from tests.harness import GuestPath
from tests.host.slow import slow_component
from tests.routes.test_asgi import Server

pytestmark = pytest.mark.anyio


def configured(*components: ComponentConfig, **server: Any) -> GatewayConfig:
    return GatewayConfig(server=ServerConfig(**server), components=components)


@pytest.fixture
def hello(guest: GuestPath) -> ComponentConfig:
    return ComponentConfig(name="hello", source=guest("c/hello"))


@pytest.fixture
def fail(guest: GuestPath) -> ComponentConfig:
    return ComponentConfig(name="fail", source=guest("c/fail"), routes=(Route(path="/fail"),))


async def status(app: Gateway, target: str) -> int:
    server = Server(target)
    await server.run(app)
    return int(server.sent[0]["status"])


async def readiness(app: Gateway) -> tuple[int, Any]:
    server = Server("/readyz")
    await server.run(app)
    return int(server.sent[0]["status"]), json.loads(server.body)


async def test_components_come_and_go(hello: ComponentConfig, fail: ComponentConfig) -> None:
    app = create_app(configured(hello, operational_routes="first"))
    assert await status(app, "/fail/sleep?ms=1") == 200  # of the component that answers all
    await app.reload(configured(fail, operational_routes="first"))
    assert await status(app, "/") == 404
    assert (await readiness(app))[1]["components"] == ["fail"]
    await app.aclose()


async def test_a_changed_file_is_another_component(tmp_path: Path, guest: GuestPath) -> None:
    source = tmp_path / "app.wasm"
    source.write_bytes(guest("c/hello").read_bytes())
    config = configured(ComponentConfig(name="app", source=source))
    app = create_app(config)
    before = app.services[0].digest
    server = Server("/")
    await server.run(app)
    source.write_bytes(
        wasmtime.wat2wasm((Path(__file__).parents[1] / "guests/wat/hello.wat").read_text())
    )
    await app.reload(config)
    changed = Server("/")
    await changed.run(app)
    assert app.services[0].digest != before
    assert changed.body == b"Hello from WAT!\n"
    await app.aclose()


class Uploading(Server):
    """A server whose client sends its body when it is told to."""

    def __init__(self, target: str) -> None:
        headers = [(b"host", b"gateway.test"), (b"transfer-encoding", b"chunked")]
        super().__init__(target, method="POST", headers=headers)
        self.told = asyncio.Event()

    async def receive(self) -> Message:
        await self.told.wait()
        return await super().receive()


async def test_what_has_begun_ends_where_it_began(hello: ComponentConfig, guest: GuestPath) -> None:
    echo = ComponentConfig(name="echo", source=guest("c/echo"))
    app = create_app(configured(echo))
    upload = Uploading("/")
    upload._request = [{"type": "http.request", "body": b"sent late", "more_body": False}]
    task = asyncio.create_task(upload.run(app))
    old = app.services[0]
    while not old.under_way:
        await checkpoint()
    await app.reload(configured(hello))
    assert old.under_way
    new = Server("/")
    await new.run(app)
    assert new.sent[0]["status"] == 200
    upload.told.set()
    await task
    assert (upload.sent[0]["status"], upload.body) == (200, b"sent late")
    assert not old.under_way
    assert not STORES
    await app.aclose()


async def test_what_is_refused_changes_nothing(hello: ComponentConfig, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(b"\0asm\x0d\0\x01\0 and no component")
    app = create_app(configured(hello, operational_routes="first"))
    bad = configured(ComponentConfig(name="hello", source=broken), operational_routes="first")
    with pytest.raises(ComponentError, match="damaged"):
        await app.reload(bad)
    assert await status(app, "/") == 200
    ready, told = await readiness(app)
    assert ready == 200
    assert told["warnings"][0].startswith("the last reload failed: ")
    metrics = app.runtime.metrics
    assert metrics is not None
    value = metrics.registry.get_sample_value
    assert value("gateway_component_load_failed") == 1
    with capture_logs() as logs:
        await app.reload(configured(hello, operational_routes="first"))
        await app.reload(configured(hello, operational_routes="first"))
    told = [(log["log_level"], log["event"], log.get("mends")) for log in logs]
    assert told == [
        ("info", "reload changed nothing", "the reload that failed before"),
        ("info", "reload changed nothing", None),
    ]
    assert value("gateway_component_load_failed") == 0
    assert (await readiness(app))[1]["warnings"] == []
    await app.aclose()


async def test_the_loop_turns_while_a_component_is_compiled(
    hello: ComponentConfig, tmp_path: Path
) -> None:
    app = create_app(configured(hello))
    source = tmp_path / "large.wasm"
    source.write_bytes(slow_component(functions=5))
    large = ComponentConfig(name="large", source=source, routes=())
    reload = asyncio.create_task(app.reload(configured(hello, large, cache=False)))
    served = 0
    while not reload.done():
        assert await status(app, "/") == 200
        served += 1
        await asyncio.sleep(0)
    await reload
    assert served > 10
    assert app.components() == ["hello", "large"]
    await app.aclose()


async def test_several_at_once_are_taken_in_turn(hello: ComponentConfig) -> None:
    app = create_app(configured(hello))
    await asyncio.gather(*(app.reload(configured(hello)) for _ in range(3)))
    assert await status(app, "/") == 200
    await app.aclose()
