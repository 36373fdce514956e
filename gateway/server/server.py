"""One event loop that serves an application until it is told to stop, and how it stops.

A stop loses no request that could be answered. In this order:

1. The application is not ready any more, and each response is the last on its connection. It takes no more of what
   comes otherwise than by requests, such as messages. All else goes on being served for the grace period, in
   which load balancers notice.
2. Nothing is accepted any more. What is under way has the shutdown timeout to end.
3. What has not ended is stopped, and its clients are told.
4. The admin endpoint, which could be asked until now, is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias

import structlog
from uvicorn.config import STARTUP_FAILURE

from gateway.config import GatewayConfig
from gateway.server.application import Application
from gateway.server.endpoint import Endpoint
from gateway.server.heap import Heap
from gateway.server.listening import Sockets
from gateway.server.settings import uvicorn_config

__all__ = ["STOP_TIME", "Handlers", "Server", "Tell"]

_log = structlog.get_logger("gateway.server")

Handlers: TypeAlias = Mapping[signal.Signals, Callable[[], None]]
"""What is called at which signals."""

ANSWER_TIME: Final = 2.0
"""Seconds for the answers of requests that were stopped to be sent. Arbitrary: each is a few hundred bytes."""

CLOSE_TIME: Final = 5.0
"""Seconds for the application to close what it has open. Threat: a peer that does not answer a goodbye."""

STOP_TIME: Final = 2 * ANSWER_TIME + CLOSE_TIME
"""Seconds that a stop may take, besides the grace period and the shutdown timeout."""


class Tell(Protocol):
    """Hears how far the server is: "listening", "draining", "stopping" and "stopped"."""

    def __call__(self, event: str, **fields: object) -> None:
        """Hear of an event."""


class Server:
    """Serves an application in the process that it is made in, once.

    Attributes:
        config: how; its times are those that are in effect when they begin.
        app: what.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        config: GatewayConfig,
        app: Application,
        tell: Tell,
        every_second: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to serve.

        Args:
            config: how.
            app: what.
            tell: hears how far the server is.
            every_second: called so often, by the event loop.
        """
        self.config = config
        self.app = app
        self._tell = tell
        self._every_second = every_second
        self._uvicorn = uvicorn_config(app, config.server)
        self._stop = asyncio.Event()
        self._no_grace = asyncio.Event()
        self._no_wait = asyncio.Event()

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that awaits `serve` in a new loop, of the kind that the configuration wants.

        Raises:
            SystemExit: the application did not start; uvicorn has logged why.
        """
        with asyncio.Runner(loop_factory=self._uvicorn.get_loop_factory()) as runner:
            runner.run(main)

    def stop(self) -> None:
        """Stop, as SIGTERM does. May be called from any thread, once it listens."""
        # An event of asyncio that another thread sets wakes no loop: it would sleep on until something else comes.
        self._loop.call_soon_threadsafe(self._stop.set)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def begin_stop(self) -> None:
        """Stop, if that has not begun; once more changes nothing. For the loop's thread."""
        self._stop.set()

    def signalled(self, number: int) -> None:
        """Stop, or do it sooner: what a signal does.

        The first one begins. Another one ends the grace period; after that, SIGINT ends the wait for requests, but
        SIGTERM, which supervisors repeat, does not.
        """
        if not self._stop.is_set():
            self._stop.set()
        elif not self._no_grace.is_set():
            self._no_grace.set()
        elif number == signal.SIGINT:
            self._no_wait.set()

    def stops(self) -> Handlers:
        """What a server that is alone does at the signals to stop."""
        return {
            number: functools.partial(self.signalled, number)
            for number in (signal.SIGTERM, signal.SIGINT)
        }

    async def serve(self, sockets: Sockets, handlers: Handlers | None = None) -> None:
        """Serve until it is told to stop.

        Args:
            sockets: where; they are closed when it stops.
            handlers: what the event loop calls at which signals; others are left alone.

        Raises:
            SystemExit: the application did not start; uvicorn has logged why.
        """
        self._loop = asyncio.get_running_loop()
        lifespan = self._uvicorn.lifespan_class(self._uvicorn)
        main = Endpoint(
            self._uvicorn,
            lifespan.state,
            sockets.main,
            self.config.server,
            self.app.connection_metrics,
        )
        admin = self._admin_endpoint(sockets)
        with _handling(handlers or {}):
            # Nothing is accepted before the application can answer it.
            await lifespan.startup()
            if lifespan.should_exit:
                raise SystemExit(STARTUP_FAILURE)
            backlog = self.config.server.backlog
            await main.open(backlog)
            if admin is not None:
                await admin.open(backlog)
            ticking = self._loop.create_task(self._tick(main, admin))
            try:
                self._tell("listening")
                await self._stop.wait()
                # Seconds go on meanwhile, or clients that are late would hold up the end.
                cut_off = await self._drain(sockets, main, admin)
            finally:
                ticking.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIME):
                    await lifespan.shutdown()
        self._tell("stopped", cut_off=cut_off)

    def _admin_endpoint(self, sockets: Sockets) -> Endpoint | None:
        if not sockets.admin or self.app.admin is None:
            return None
        server = self.config.server
        config = uvicorn_config(self.app.admin, server)
        return Endpoint(config, {}, sockets.admin, server, has_guests=False)

    async def _drain(self, sockets: Sockets, main: Endpoint, admin: Endpoint | None) -> int:
        """Stop; returns how many requests were not answered as they should have been."""
        # Step 1.
        self.app.drain()
        main.drain()
        self._tell("draining", grace=self.config.server.drain_grace)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.server.drain_grace):
                await self._no_grace.wait()
        # It is over also where nobody has ended it: from here on SIGINT ends the wait for requests (`signalled`).
        self._no_grace.set()

        # Step 2. Where there are workers, their supervisor has the files.
        sockets.remove()
        await main.close()
        self._tell("stopping", connections=len(main.connections))
        cut_off = 0
        timeout = self.config.server.shutdown_timeout
        if not await main.ended(timeout, self._no_wait, busy=lambda: self.app.busy):
            # Step 3. Counted before they are stopped: after that, all of them have some answer.
            cut_off = main.unanswered()
            if self.app.stop_calls():
                await main.ended(ANSWER_TIME, busy=lambda: self.app.busy)
            await main.abort()

        # Step 4.
        if admin is not None:
            admin.drain()
            await admin.close()
            await admin.ended(ANSWER_TIME)
            await admin.abort()
        return cut_off

    async def _tick(self, main: Endpoint, admin: Endpoint | None) -> None:
        heap = Heap()
        while True:
            await asyncio.sleep(1)
            try:
                main.tick()
                if admin is not None:
                    admin.tick()
                heap.tick(len(main.connections))
                self._every_second()
            except Exception:
                # Without a next second, clients that are late would never be noticed again.
                _log.exception("gateway failed")


@contextlib.contextmanager
def _handling(handlers: Handlers) -> Iterator[None]:
    """Heed signals, which only the main thread can."""
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
            # It would end the process with what it still has to close, and with a status that is not a stop's.
            signal.signal(number, signal.SIG_IGN)
