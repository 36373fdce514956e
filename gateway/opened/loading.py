"""Compiling and linking a component that is opened, and what its opening has then."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from gateway.capabilities.worker import Lent
from gateway.config import ComponentConfig, GatewayConfig
from gateway.config.file import opened
from gateway.host.compiler import Compiler
from gateway.lifecycle.generation import Generation
from gateway.links.asgi import AsgiHosts
from gateway.observe import log
from gateway.observe.event_queue import Sink
from gateway.opened.shelf import LOADED, SHELF, Kept
from gateway.serving.loading import compile_limits, prepare
from gateway.serving.runtime import Runtime

__all__ = ["Loaded", "Loading", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a component is opened: as of `gateway.open`."""

    keys: Mapping[str, Any]
    on_event: Sink | None
    hosts: Mapping[str, ASGIApp] | None
    wall_clock: Callable[[], int] | None
    backends: Lent
    providers: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one opening has."""

    kept: Kept
    runtime: Runtime
    generation: Generation

    async def aclose(self) -> None:
        """Stop what is under way, and close what it has open."""
        try:
            self.generation.stop_calls()
            await self.generation.retire()
        finally:
            self.runtime.channel.flush()
            SHELF.give_back(self.kept)


class Loading:
    """Compiles and links a component, or takes what was before.

    Args:
        content: the component, or where it is.
        options: how it is to be opened.
    """

    def __init__(self, content: Path | bytes, options: Options) -> None:
        self._content = content
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._compiler: Compiler | None = None
        self._stopped = False

    async def in_thread(self) -> Loaded:
        """Do it, while others run."""
        loading = self._loop.create_task(asyncio.to_thread(self._load))
        try:
            return await asyncio.shield(loading)
        except asyncio.CancelledError:
            self._stopped = True
            if self._compiler is not None:
                self._compiler.stop()
            await asyncio.wait([loading])
            if not loading.cancelled() and loading.exception() is None:
                await loading.result().aclose()
            raise

    def _load(self) -> Loaded:
        with contextlib.ExitStack() as exits:
            if isinstance(self._content, Path):
                path = self._content
            else:
                folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="gateway-"))
                path = Path(folder, "component.wasm")
                path.write_bytes(self._content)
            config = opened(path, **{"metrics": False, **self._options.keys})
            log.embed(config.server)
            (component,) = config.components
            with contextlib.ExitStack() as taken:
                kept = SHELF.take(Kept.of(component, config.server), self._loop)
                taken.callback(SHELF.give_back, kept)
                runtime = Runtime(
                    config.server,
                    lent=self._options.backends,
                    providers=self._options.providers,
                    admission=kept.admission,
                    loaded=LOADED,
                )
                if self._options.on_event is not None:
                    runtime.channel.add_sink(self._options.on_event)
                if self._options.hosts is not None:
                    runtime.hosts = AsgiHosts(self._options.hosts)
                runtime.wall_clock = self._options.wall_clock
                with kept.making:
                    generation = self._make(kept, component, config, runtime)
                taken.pop_all()
            return Loaded(kept, runtime, generation)

    def _make(
        self, kept: Kept, component: ComponentConfig, config: GatewayConfig, runtime: Runtime
    ) -> Generation:
        if kept.prepared is None:
            self._compiler = Compiler(compile_limits(config.server))
            if self._stopped:
                self._compiler.stop()
            (kept.prepared,) = prepare([component], config.server, runtime, self._compiler)
        generation = Generation(1, config, [kept.prepared._replace(config=component)], runtime, {})
        if not component.links:
            (service,) = generation.services
            kept.exports = service.exports
        return generation
