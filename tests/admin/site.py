"""The admin API on a real socket, over a small gateway that is kept in memory."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import __version__
from gateway.admin.api import AdminApi
from gateway.admin.contents import Contents
from gateway.admin.endpoints import PREFIX
from gateway.admin.token import Verifier
from gateway.config import ComponentConfig, ConfigError, Problem, Route, ServerConfig
from gateway.config.admin import AdminConfig
from gateway.config.route import RouteConflict
from gateway.host.errors import ComponentError
from gateway.lifecycle.status import ComponentStatus, ServerStatus
from gateway.observe.events import Outcome
from gateway.routes.dispatcher import Dispatcher
from tests.admin.issuer import AUDIENCE, ISSUER, SECRET
from tests.harness import PATIENCE

STARTED: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class MemoryGateway:
    """A gateway of components that are loaded and never run: a file that begins as WebAssembly is one.

    Attributes:
        broken: what is wrong with the configuration, for `reload`.
        configs: what the components were made of, by name.
    """

    def __init__(self) -> None:
        self.broken: str | None = None
        self.crash = False
        self.configs: dict[str, ComponentConfig] = {}
        self._components: dict[str, ComponentStatus] = {}
        self._generation = 1
        self._draining = False

    def defaults(self) -> dict[str, Any]:
        return {}

    def components(self) -> list[ComponentStatus]:
        if self.crash:
            raise RuntimeError("out of order")
        return list(self._components.values())

    def configurations(self) -> Mapping[str, ComponentConfig]:
        return self.configs

    async def put_component(self, config: ComponentConfig) -> tuple[ComponentStatus, bool]:
        content = config.source.read_bytes()
        await asyncio.sleep(0)  # as if it were compiled beside the loop
        if not content.startswith(b"\0asm"):
            raise ComponentError(f"{config.source}: is not WebAssembly. Build a component.")
        for other in self._components.values():
            if other.name != config.name and {*other.routes} & {*config.routes}:
                raise RouteConflict(f'component "{other.name}" answers one of its routes')
        self._generation += 1
        created = config.name not in self._components
        self.configs[config.name] = config
        self._components[config.name] = ComponentStatus(
            name=config.name,
            digest=hashlib.sha256(content).hexdigest(),
            size=len(content),
            source=str(config.source),
            routes=config.routes,
            methods=("greet",),
            exports=("wasi:http/incoming-handler@0.2.0", "greet"),
            in_flight=1,
            queued=0,
            invocations={Outcome.OK: 3, Outcome.TRAP: 1},
            loaded_at=STARTED,
            generation=self._generation,
        )
        return self._components[config.name], created

    async def delete_component(self, name: str) -> bool:
        self.configs.pop(name, None)
        return self._components.pop(name, None) is not None

    async def reload(self) -> None:
        if self.broken is not None:
            raise ConfigError([Problem("gateway.toml", "server.port", self.broken)])
        self._generation += 1
        for name, component in self._components.items():
            self._components[name] = replace(component, generation=self._generation)

    def drain(self) -> None:
        self._draining = True

    def status(self) -> ServerStatus:
        return ServerStatus(
            version=__version__,
            started_at=STARTED,
            generation=self._generation,
            draining=self._draining,
            ready=not self._draining,
            reasons=("draining",) if self._draining else (),
            workers=1,
        )


def admin_api(gateway: MemoryGateway, folder: Path, *, keeps: bool = True) -> Dispatcher:
    """The admin API of a gateway. The secret is put in `folder`, where components are too, sent ones in `sent`."""
    secret = folder / "secret"
    secret.write_text(SECRET)
    config = AdminConfig(secret_file=secret, issuer=ISSUER, audience=AUDIENCE)
    (folder / "sent").mkdir(exist_ok=True)
    contents = Contents(folder / "sent") if keeps else None
    api = AdminApi(gateway, Verifier(config), folder, contents)
    return Dispatcher((), ServerConfig(), {}, beside=[(Route(path=PREFIX), api)])


class Stage:
    """An application whose place others take, so that all tests have one server.

    Attributes:
        app: what answers now.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serves an application; gives the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        )
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/admin/v1"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()
