"""Starting a gateway."""

from __future__ import annotations

import functools
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from gateway.config import GatewayConfig
from gateway.lifecycle import starting
from gateway.lifecycle.builds import Builds
from gateway.lifecycle.watch import Watch
from gateway.observe import log
from gateway.server.application import AppFactory
from gateway.server.handed_over import handed_over
from gateway.server.listening import Sockets
from gateway.server.process import collect_rarely, serve_here
from gateway.server.reloading import Configuration
from gateway.server.supervisor import supervise

__all__ = ["serve"]

_log = structlog.get_logger("gateway.server")


def serve(
    config: GatewayConfig,
    *,
    create_app: AppFactory,
    verify: Callable[[GatewayConfig], object],
    read: Callable[[], GatewayConfig] | None = None,
    watch: Path | None = None,
    builds: Builds | None = None,
) -> int:
    """Serve until a signal ends it.

    Nothing is accepted before every component was loaded. SIGTERM and SIGINT stop gracefully, see
    `gateway.server.server`. SIGHUP reads and loads everything again.

    Args:
        config: what, where and how.
        create_app: makes the application, here or in each worker, which finds it by its import path.
        verify: is called once before workers start, to fill the compile cache and to find errors.
        read: reads the configuration again; None where only the components can have changed.
        watch: a file, of the configuration or the component, that is loaded again when it or any component has
            changed; None to wait for SIGHUP.
        builds: builds what can be built of the configuration, then and whenever it has changed; None where nobody
            does. It is stopped at the end.

    Returns:
        The status to exit with: 0 after a signal, 1 if the server or a worker failed to start.

    Raises:
        ListenError: an address cannot be had.
        ComponentError: a component is refused.
        ConfigError: a component has never been built.
    """
    server = config.server
    log.serve(server.log_format, server.log_level)
    _raise_descriptor_limit()
    configuration = Configuration(config, read, builds)
    config = configuration.current
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # Until it can be heeded, it must not end the gateway. (The command line keeps it.)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Sockets.bind(server, handed_over()) as sockets:
        watching = None if watch is None else Watch(lambda: {watch, *configuration.sources()})
        if server.workers > 1:
            verify(config)
            announce = functools.partial(_announce, config, sockets.listen(server))
            return supervise(configuration, create_app, sockets, announce, watching)
        app = create_app(config)
        collect_rarely()
        announce = functools.partial(_announce, config, sockets.listen(server))
        try:
            serve_here(configuration, app, sockets, announce, watching)
        except starting.Stopped:
            raise
        except SystemExit:  # uvicorn has logged why the application did not start
            return 1
        return 0


def _raise_descriptor_limit() -> None:
    """Have this process and its workers open as many files as they may.

    The lower limit that a process begins with, often 1024, is for programs that use select(2), where a larger
    number overwrites memory; nothing here does. The same is done by Go, nginx and Caddy.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (
        OSError,
        ValueError,
    ) as error:  # macOS has another limit, below a hard one that says there is none
        _log.debug("limit of open files not raised", limit=soft, reason=str(error))


def _announce(config: GatewayConfig, urls: dict[str, Any]) -> None:
    _log.info(
        "listening",
        **urls,
        workers=config.server.workers,
        components=[component.name for component in config.components],
    )
