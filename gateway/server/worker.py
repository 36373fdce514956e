"""One of several processes that serve a gateway: what runs in it, and how its supervisor sees it.

The two are connected by a pipe. The supervisor sends what to do: ("stop", None), ("signal", number),
("reload", (config, changed)), ("reload failed", reason), ("out of service", None). The worker tells what
`gateway.server.server.Tell` hears, and also "alive", "reloaded" and "out of service". What it asks for all workers
("change all", "reload all") has a number, under which the supervisor sends ("done", outcome). When the supervisor
is gone, however it ended, the pipe ends with it, and the worker stops as if it was told to.

A signal to the whole process group, as a terminal or a service manager sends it, reaches a worker directly and by
its supervisor too, in either order, and counts once: a worker never heeds SIGINT and SIGHUP, and to SIGTERM, any
number of times, it stops gracefully. That a stop should be quicker, it hears from the supervisor alone. A worker
that does not listen yet has the default action of SIGTERM, which ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import select
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, cast

import structlog
from uvicorn.config import STARTUP_FAILURE

from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError
from gateway.lifecycle.reload import Spreading
from gateway.observe import log
from gateway.server.application import AppFactory, Application
from gateway.server.listening import Sockets
from gateway.server.process import collect_rarely
from gateway.server.reloading import Reloader
from gateway.server.server import Server

__all__ = ["Outcome", "Plan", "Worker"]

_log = structlog.get_logger("gateway.server")

_SPAWN: Final = multiprocessing.get_context("spawn")
multiprocessing.allow_connection_pickling()

_FOR_SUPERVISOR: Final = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal or an operator may send to the whole process group. The supervisor passes them on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for all workers of a gateway.

    Attributes:
        create_app: makes the application.
        sockets: where they serve; they listen.
        workers_dir: a folder that they share: for their metrics, and to find each other.
    """

    create_app: AppFactory
    sockets: Sockets
    workers_dir: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of something that a worker asked for all of them.

    Attributes:
        number: which it was.
        refusal: why it was not done; None if it was.
        everywhere: whether each worker has done it.
    """

    number: int
    refusal: str | None = None
    everywhere: bool = True


# --- seen by the supervisor ----------------------------------------------------------------------


class Worker:
    """A worker process that has been started.

    Attributes:
        pid: its process id.
        config: what it was started with, or has accepted since.
        replaces: the process id of the worker in whose place it was started; None for one of the first.
        listening: whether it serves.
        cut_off: how many requests it did not answer as it should have; known when it has stopped.
        heard: when it last told anything, by the loop's clock.
    """

    def __init__(
        self,
        plan: Plan,
        config: GatewayConfig,
        hear: Callable[[Worker, str, dict[str, Any]], None],
        replaces: int | None = None,
        *,
        draining: bool = False,
    ) -> None:
        """Start it.

        Args:
            plan: what is the same for all workers.
            config: what it is to serve.
            hear: called with the worker, the event and its fields when it tells something.
            replaces: the process id of the worker that it replaces.
            draining: whether the gateway is going out of service.
        """
        self.config = config
        self.replaces = replaces
        self.listening = False
        self.cut_off = 0
        self._loop = asyncio.get_running_loop()
        self.heard = self._loop.time()
        self._hear = hear
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._reloaded: asyncio.Future[str | None] | None = None
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_run, args=(plan, config, draining, theirs))
        with _held(_FOR_SUPERVISOR):
            self._process.start()
        self.pid = cast("int", self._process.pid)
        # As long as this end were open here too, the pipe would not end with the worker.
        theirs.close()
        self._loop.add_reader(self._connection.fileno(), self._read)
        self._loop.add_reader(self._process.sentinel, self._reap)

    async def ended(self) -> int:
        """Wait until it has ended; gives its exit status, the number of a signal that killed it being negative."""
        return await asyncio.shield(self._ended)

    def stop(self) -> None:
        """Have it stop; at once if it does not serve yet."""
        self._send(("stop", None))
        if not self.listening:
            # If it has begun to listen, which it has told but nobody has read, it stops as it does at the order.
            self._process.terminate()

    def signal(self, number: int) -> None:
        """Have it stop sooner, as a further signal does."""
        self._send(("signal", number))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def reload(self, config: GatewayConfig, changed: str | None = None) -> str | None:
        """Have it serve another configuration; gives the reason if it does not.

        Args:
            config: the configuration.
            changed: the one component whose file may have changed; None for all.
        """
        reloaded: asyncio.Future[str | None] = self._loop.create_future()
        self._reloaded = reloaded
        self._send(("reload", (config, changed)))
        await asyncio.wait((reloaded, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if not reloaded.done():
            return "the worker ended"
        failure = reloaded.result()
        if failure is None:
            self.config = config
        return failure

    def reload_failed(self, reason: str) -> None:
        """Have it tell those who ask that there was a change which could not be loaded."""
        self._send(("reload failed", reason))

    def drain(self) -> None:
        """Have it go out of service."""
        self._send(("out of service", None))

    def answer(self, outcome: Outcome) -> None:
        """Tell it what came of what it asked for all workers."""
        self._send(("done", outcome))

    def _send(self, message: tuple[str, object]) -> None:
        with contextlib.suppress(OSError):  # it has just ended
            self._connection.send(message)

    def _read(self) -> None:
        """Take what it has told."""
        try:
            while self._connection.poll():
                event, fields = self._connection.recv()
                self._take(event, fields)
        except (EOFError, OSError):
            self._loop.remove_reader(self._connection.fileno())

    def _take(self, event: str, fields: dict[str, Any]) -> None:
        self.heard = self._loop.time()
        match event:
            case "listening":
                self.listening = True
            case "stopped":
                self.cut_off = fields["cut_off"]
            case "reloaded" if self._reloaded is not None and not self._reloaded.done():
                self._reloaded.set_result(fields["failure"])
        self._hear(self, event, fields)

    def _reap(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._read()  # its last words
        self._loop.remove_reader(self._connection.fileno())
        self._connection.close()
        self._process.join()
        self._ended.set_result(cast("int", self._process.exitcode))


@contextlib.contextmanager
def _held(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Have signals wait, here and in a process that is started, until it ignores them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        # It is started with the first process, and lets SIGINT through again when it has been.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in the process itself -----------------------------------------------------------------------


def _run(plan: Plan, config: GatewayConfig, draining: bool, connection: Connection) -> None:
    for number in _FOR_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_SUPERVISOR)
    log.serve(config.server.log_format, config.server.log_level)
    try:
        app = plan.create_app(config, workers_dir=plan.workers_dir)
    except ComponentError as error:
        _log.critical("component refused", reason=str(error))
        sys.exit(STARTUP_FAILURE)
    if draining:
        app.drain()
    collect_rarely()
    server = _WorkerServer(config, app, connection)
    server.run(server.serve_supervised(plan.sockets))


class _WorkerServer(Server):
    """A server whose supervisor hears how far it is, and tells it what to do.

    To its application it is the peers that it is one of (`gateway.lifecycle.reload.Peers`).
    """

    def __init__(self, config: GatewayConfig, app: Application, connection: Connection) -> None:
        super().__init__(config, app, self._tell_supervisor, self._say_alive)
        app.owner.peers = self
        self._connection = connection
        self._reloader = Reloader(self._reload)
        self._next: tuple[GatewayConfig, str | None] = config, None
        self._refusal: ComponentError | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Outcome]] = {}

    async def serve_supervised(self, sockets: Sockets) -> None:
        """Serve until the supervisor, its end, or SIGTERM ends it."""
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._obey)
        reloading = asyncio.create_task(self._reloader.run())
        try:
            await self.serve(sockets, {signal.SIGTERM: self.begin_stop})
        finally:
            reloading.cancel()

    # --- peers ---

    async def change(self, name: str, component: ComponentConfig | None) -> None:
        """Have all workers serve a component, or none of them, see `gateway.lifecycle.reload.Peers`."""
        await self._ask("change all", name=name, component=component)

    async def reload(self) -> None:
        """Have all workers reload, see `gateway.lifecycle.reload.Peers`."""
        await self._ask("reload all")

    def drain(self) -> None:
        """Have all workers go out of service."""
        self._tell_supervisor("out of service")

    async def _ask(self, what: str, **fields: object) -> None:
        number = next(self._numbers)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._tell_supervisor(what, number=number, **fields)
            outcome = await asked
        finally:
            del self._asked[number]
        if outcome.refusal is not None:
            # This worker is asked first: so it is mostly its own, which says more.
            mine, self._refusal = self._refusal, None
            if mine is not None and str(mine) == outcome.refusal:
                raise mine
            raise ComponentError(outcome.refusal)
        if not outcome.everywhere:
            raise Spreading

    def _done(self, outcome: Outcome) -> None:
        asked = self._asked.get(outcome.number)
        if asked is not None and not asked.done():
            asked.set_result(outcome)

    # --- supervisor ---

    def _tell_supervisor(self, event: str, **fields: object) -> None:
        with contextlib.suppress(OSError):  # it is gone, which `_obey` sees too
            self._connection.send((event, fields))

    def _say_alive(self) -> None:
        # A supervisor that does not listen, because it was stopped, must not stop its workers too.
        poll = select.poll()
        poll.register(self._connection, select.POLLOUT)
        if poll.poll(0):
            self._tell_supervisor("alive")

    def _obey(self) -> None:
        try:
            while self._connection.poll():
                self._do(*self._connection.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            _log.error("supervisor gone", effect="the worker stops")
            for number in list(self._asked):
                self._done(Outcome(number, "The gateway is stopping."))
            self.begin_stop()

    def _do(self, order: str, value: Any) -> None:
        match order:
            case "stop":
                self.begin_stop()
            case "signal":
                self.signalled(value)
            case "reload":
                self._next = value
                self._reloader.request()
            case "reload failed":
                self.app.reload_failed(value)
            case "out of service":
                self.app.drain()
            case "done":
                self._done(value)

    async def _reload(self) -> None:
        config, changed = self._next
        failure: str | None = "an error of the gateway; the log has it"
        try:
            await self.app.reload(config, changed)
            self.config = config
            failure = None
        except ComponentError as error:
            failure, self._refusal = str(error), error
        finally:
            self._tell_supervisor("reloaded", failure=failure)
