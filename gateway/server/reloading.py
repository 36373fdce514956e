"""Change without restart: reading the configuration again, and what of it can change while a gateway runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from gateway.config import GatewayConfig, ServerConfig
from gateway.config.key import RESTART
from gateway.lifecycle.builds import Builds

__all__ = ["FIXED", "Configuration", "Reloader", "log_refused", "with_fixed"]

_log = structlog.get_logger("gateway.server")

Read = Callable[[], GatewayConfig]

FIXED: Final = tuple(
    key for key, field in ServerConfig.model_fields.items() if RESTART in field.metadata
)
"""Keys of the server that only a restart changes."""


def with_fixed(running: GatewayConfig, read: GatewayConfig) -> tuple[GatewayConfig, list[str]]:
    """Keep what cannot change.

    Args:
        running: how the gateway was started.
        read: the configuration as it is written now.

    Returns:
        The configuration that can be loaded, and the keys that were kept against what is written.
    """
    fixed = {key: getattr(running.server, key) for key in FIXED}
    kept = [key for key in FIXED if fixed[key] != getattr(read.server, key)]
    if running.admin != read.admin:
        kept.append("admin")
    server = read.server.model_copy(update=fixed)
    return read.model_copy(update={"server": server, "admin": running.admin}), kept


class Configuration:
    """A configuration, and how to read it again.

    Attributes:
        current: the one that is served.
    """

    def __init__(
        self, started: GatewayConfig, read: Read | None, builds: Builds | None = None
    ) -> None:
        """Begin with what the gateway was started with; wait until what is built has been, or failed.

        Args:
            started: the configuration.
            read: reads it again; None where only the components can have changed.
            builds: builds its components; None where nobody does.

        Raises:
            ConfigError: a component has never been built.
        """
        self._written = started
        self._builds = builds
        if builds is not None:
            builds.update(started.components)
            builds.wait()
        self.current = self._started = self._present()
        self._read: Read = read or (lambda: started)

    def read(self) -> GatewayConfig:
        """Read it again, and warn of what cannot change.

        Raises:
            ConfigError: it cannot be read.
        """
        self._written = self._read()
        if self._builds is not None:
            self._builds.update(self._written.components)
        config, kept = with_fixed(self._started, self._present())
        if kept:
            _log.warning("restart needed", keys=kept, effect="these keys stay as they were")
        return config

    def sources(self) -> list[Path]:
        """The files that the configuration names: of components, loaded or not, their values, and pages.

        Not those that are built: they are whole when their build has ended, which is told.
        """
        components = self._written.components
        return [
            *(it.source for it in components if self._builds is None or it.build is None),
            *(component.config_file.path for component in components if component.config_file),
            *(page.path for page in self._written.server.pages.values()),
        ]

    def _present(self) -> GatewayConfig:
        return self._written if self._builds is None else self._builds.present(self._written)

    @asynccontextmanager
    async def rebuilding(self, reload: Callable[[], None]) -> AsyncIterator[None]:
        """Have what is built loaded, by the running loop, until this is left; then nothing is built any more.

        Args:
            reload: asks for that.
        """
        if self._builds is None:
            yield
            return
        loop = asyncio.get_running_loop()
        self._builds.built = lambda: loop.call_soon_threadsafe(reload)
        try:
            yield
        finally:
            await asyncio.to_thread(self._builds.stop)


def log_refused(reason: str) -> None:
    """Say that a change was refused."""
    _log.error("reload failed", reason=reason, effect="what was loaded before is served on")


class Reloader:
    """Reloads when asked, one time after another; asked during a reload, once more after it."""

    def __init__(self, reload: Callable[[], Awaitable[None]]) -> None:
        self._reload = reload
        self._wanted = asyncio.Event()

    def request(self) -> None:
        """Ask for a reload."""
        self._wanted.set()

    async def run(self) -> None:
        """Reload until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._reload()
            except Exception:  # a bug in it must not end the gateway, nor later reloads
                _log.exception("reload failed", effect="what was loaded before is served on")
