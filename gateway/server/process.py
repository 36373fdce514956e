"""A gateway that serves in the process it was started in."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable

import structlog

from gateway.config import ConfigError
from gateway.host.errors import ComponentError
from gateway.lifecycle import starting
from gateway.lifecycle.watch import Watch
from gateway.server import ending
from gateway.server.application import Application
from gateway.server.listening import Sockets
from gateway.server.reloading import Configuration, Reloader, log_refused
from gateway.server.server import Server

__all__ = ["collect_rarely", "serve_here"]

_log = structlog.get_logger("gateway.server")


def serve_here(
    configuration: Configuration,
    app: Application,
    sockets: Sockets,
    announce: Callable[[], None],
    watch: Watch | None,
) -> None:
    """Serve until a signal ends it.

    Args:
        configuration: what is served, and how it is read again.
        app: what was made of it.
        sockets: where; they listen.
        announce: called when connections are accepted.
        watch: the files whose changes are loaded.

    Raises:
        SystemExit: the application did not start.
    """

    def tell(event: str, **fields: object) -> None:
        if event == "listening":
            announce()
            if starting.hung_up():
                reloader.request()
        elif fields.get("cut_off"):
            _log.warning(event, **fields)
        else:
            _log.info(event, **fields)

    async def reload() -> None:
        async with changing:  # what is read last is served last
            try:
                config = await asyncio.to_thread(configuration.read)
                await app.reload(config)
            except ConfigError as error:
                app.reload_failed(str(error))
                log_refused(str(error))
                raise
            except ComponentError as error:
                if not server.stopping:  # which stops what compiles
                    log_refused(str(error))
                raise
            configuration.current = server.config = config

    async def reload_unasked() -> None:
        with contextlib.suppress(ConfigError, ComponentError):  # which the log has
            await reload()

    def look() -> None:
        if watch is not None and watch.changed():
            reloader.request()

    async def run() -> None:
        reloading = asyncio.create_task(reloader.run())
        app.owner.reload = reload
        try:
            async with configuration.rebuilding(reloader.request):
                await server.serve(sockets, {**server.stops(), signal.SIGHUP: reloader.request})
        finally:
            app.owner.reload = None
            reloading.cancel()

    server = Server(configuration.current, app, tell, look)
    changing = asyncio.Lock()
    reloader = Reloader(reload_unasked)
    starting.end()
    server.run(run())
    ending.begin()


def collect_rarely() -> None:
    """Have the garbage collector look for cycles less often, and not in what is there for good.

    An invocation's objects are freed by their reference counts. With thousands of invocations under way, the
    collector's default rhythm walks all of them again and again: 2,000 guests that wait were served at two thirds
    of the rate (loadtests.sleepers). So full collections come rarely. Younger generations are small, since each of
    their collections holds the loop: 0.8 ms (at most 3) and 2 ms (3). With 20,000 objects in the youngest it was
    3 ms (13) and 19 ms (34), and all of them together took as long (beside loadtests.hostile_clients).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 4, 700)
