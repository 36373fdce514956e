"""The process that keeps the workers of a gateway running, and speaks for them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from gateway.config import ComponentConfig, ConfigError, GatewayConfig
from gateway.lifecycle import starting
from gateway.lifecycle.overlay import Overlay
from gateway.lifecycle.watch import Watch
from gateway.observe.worker_metrics import WorkerMetrics
from gateway.server.application import AppFactory
from gateway.server.code import Code
from gateway.server.listening import Sockets
from gateway.server.reloading import Configuration, Reloader, log_refused
from gateway.server.server import STOP_TIME
from gateway.server.worker import Outcome, Plan, Worker
from gateway.server.workers_dir import workers_dir

__all__ = ["Supervisor", "restart_delay", "supervise"]

_log = structlog.get_logger("gateway.server")

STABLE: Final = 10.0
"""Seconds after which the end of a worker says nothing about how its successor will fare. Arbitrary."""

MAX_DELAY: Final = 30.0
"""Seconds between two starts of a worker that ends again and again. Threat: processes that are started as fast as
they end, each of which loads everything. Precedent: `RestartMaxDelaySec` of systemd, which has no default."""

SPREAD: Final = 30.0
"""Seconds in which workers make a change that one of them was asked for and has made, until who asked is told that
they go on. Arbitrary: what is in the compile cache takes fractions of one; less than clients commonly wait."""

HUNG: Final = 60.0
"""Seconds in which a worker tells nothing until it is taken for hung and killed. Threat: an event loop that stands
still, so that connections which it has accepted wait for ever. Precedent: `timeout` of gunicorn, 30 s; twice that,
for machines that are busy."""


def restart_delay(failures: int) -> float:
    """Seconds to wait before a worker is started again.

    Args:
        failures: how many in a row have ended before they were stable. The first is replaced at once.
    """
    return 0.0 if failures < 2 else min(MAX_DELAY, 0.1 * 2.0 ** min(failures, 16))


def supervise(
    configuration: Configuration,
    create_app: AppFactory,
    sockets: Sockets,
    announce: Callable[[], None],
    watch: Watch | None,
) -> int:
    """Serve with workers until a signal ends it.

    Args:
        configuration: what is served, and how it is read again.
        create_app: makes the application, in each worker, which finds it by its import path.
        sockets: where; they listen.
        announce: called when all workers accept connections.
        watch: the files whose changes are loaded.

    Returns:
        The status to exit with: 0 after a signal, 1 if a worker failed to start.
    """
    with workers_dir(configuration.current.server.workers) as directory:
        plan = Plan(create_app, sockets, directory)
        starting.end()
        return asyncio.run(Supervisor(configuration, plan, announce, watch).run())


class Supervisor:
    """Keeps workers running. What it is told by signals, it tells all of them."""

    def __init__(
        self,
        configuration: Configuration,
        plan: Plan,
        announce: Callable[[], None],
        watch: Watch | None,
    ) -> None:
        self._configuration = configuration
        self._plan = plan
        self._announce: Callable[[], None] | None = announce
        self._watch = watch
        self._code = Code()
        self._metrics = WorkerMetrics(plan.workers_dir)
        self._workers: dict[int, Worker] = {}
        self._reloader = Reloader(self._reload)
        self._stopping = asyncio.Event()
        self._changing = asyncio.Lock()
        self._overlay = Overlay()
        self._served = configuration.current
        self._draining = False
        self._asked: set[asyncio.Task[None]] = set()
        self._cut_off = 0
        self._status = 0

    async def run(self) -> int:
        """Run until the last worker has stopped; returns the status to exit with."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.request)
        if starting.hung_up():
            self._reloader.request()
        beside = [asyncio.create_task(self._reloader.run()), asyncio.create_task(self._look())]
        try:
            async with (
                self._configuration.rebuilding(self._reloader.request),
                asyncio.TaskGroup() as keeping,
            ):
                for slot in range(self._configuration.current.server.workers):
                    keeping.create_task(self._keep(slot))
        finally:
            for task in beside:
                task.cancel()
        if not self._status:
            tell = _log.warning if self._cut_off else _log.info
            tell("stopped", cut_off=self._cut_off)
        return self._status

    async def _keep(self, slot: int) -> None:
        """Keep one worker running, until all are to stop."""
        loop = asyncio.get_running_loop()
        failures = 0
        ended: int | None = None
        while not self._stopping.is_set():
            if ended is not None and not await self._may_replace(ended):
                return
            started = loop.time()
            try:
                worker = Worker(
                    self._plan, self._served, self._hear, ended, draining=self._draining
                )
            except OSError as error:  # the system has no room for one more process
                failures += 1
                delay = restart_delay(failures)
                _log.error("worker not started", reason=str(error), restart_in=delay)
                await self._pause(delay)
                continue
            self._workers[slot] = worker
            status = await worker.ended()
            del self._workers[slot]
            self._cut_off += worker.cut_off
            await self._forget(worker.pid)
            if self._stopping.is_set():
                return
            if self._announce is not None and status > 0:
                # So would another one. Later, it may be the file that has changed: the others go on.
                self._status = 1
                self._stop()
                return
            ended = worker.pid
            failures = failures + 1 if loop.time() - started < STABLE else 0
            delay = restart_delay(failures)
            _log.warning("worker ended", pid=ended, status=status, restart_in=delay)
            await self._pause(delay)

    async def _may_replace(self, pid: int) -> bool:
        """Wait until a worker that has ended can be replaced by one of the same code; tells whether it can.

        Where no worker is left, that is the end: whoever supervises the gateway starts the new code.
        """
        told = False
        while (file := await asyncio.to_thread(self._code.changed)) is not None:
            if not told:
                _log.error(
                    "worker not replaced",
                    pid=pid,
                    reason="the code of the gateway has changed since it was started",
                    file=file,
                    effect="the other workers go on" if self._workers else "the gateway ends",
                    remedy="restart the gateway",
                )
                told = True
            if not self._workers:
                self._status = 1
                self._stop()
            await self._pause(MAX_DELAY)
            if self._stopping.is_set():
                return False
        return True

    async def _forget(self, pid: int) -> None:
        """Have metrics tell no more of a worker that has ended."""
        try:
            await asyncio.to_thread(self._metrics.forget, pid)
        except OSError as error:
            _log.error("metrics of a worker not forgotten", pid=pid, reason=str(error))

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _hear(self, worker: Worker, event: str, fields: dict[str, Any]) -> None:
        match event:
            case "listening":
                if worker.replaces is not None:
                    _log.warning("worker replaced", pid=worker.pid, replaces=worker.replaces)
                wanted = self._configuration.current.server.workers
                if self._announce is not None and wanted == sum(
                    worker.listening for worker in self._workers.values()
                ):
                    self._announce()
                    self._announce = None
            case "stopping" if self._stopping.is_set():
                self._plan.sockets.remove()  # while the grace period lasts, clients still connect
            case "reload all":
                self._begin(self._reload(worker, fields["number"]))
            case "change all":
                self._begin(self._change(worker, **fields))
            case "out of service":
                self._draining = True
                for each in self._workers.values():
                    each.drain()

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _look(self) -> None:
        """Look every second whether workers hang, and files have changed."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            for worker in self._workers.values():
                if worker.listening and loop.time() - worker.heard > HUNG:
                    _log.error("worker hangs", pid=worker.pid, effect="it is killed")
                    worker.kill()
            if self._watch is not None and self._watch.changed():
                self._reloader.request()

    # --- change ------------------------------------------------------------------------------------

    async def _reload(self, asker: Worker | None = None, number: int = 0) -> None:
        """Have all workers load what is written now.

        Args:
            asker: the worker that asked for it, if one did.
            number: of what it asked for.
        """
        async with self._changing:
            try:
                config = await asyncio.to_thread(self._configuration.read)
            except ConfigError as error:
                refusal: str | None = str(error)
                log_refused(str(error))
                for worker in self._workers.values():
                    worker.reload_failed(str(error))
            else:
                refusal = await self._load(self._overlay.apply(config), None, asker, number)
                if refusal is None:
                    self._configuration.current = config
            if asker is not None:
                asker.answer(Outcome(number, refusal))

    async def _change(
        self, asker: Worker, *, number: int, name: str, component: ComponentConfig | None
    ) -> None:
        """Have all workers serve a component, or none of them; the one that asks does already."""
        async with self._changing:
            before = self._served
            overlay = self._overlay.changed(name, component)
            config = overlay.apply(self._configuration.current)
            refusal = await self._load(config, name, asker, number)
            if refusal is None:
                self._overlay = overlay
            else:
                await asker.reload(before, name)
            asker.answer(Outcome(number, refusal))

    async def _load(
        self, config: GatewayConfig, changed: str | None, asker: Worker | None, number: int
    ) -> str | None:
        """Have all workers serve a configuration: one alone at first, whose refusal spares the others.

        Args:
            config: the configuration.
            changed: the one component whose file may have changed; None for all.
            asker: the first one, which is told after a time that others take longer; None for any.
            number: of what it asked for.

        Returns:
            Why it was refused; None if it was not.
        """
        loop = asyncio.get_running_loop()
        telling: asyncio.TimerHandle | None = None
        tried: set[Worker] = set()
        accepted = False
        while left := [
            worker
            for worker in self._workers.values()
            if worker not in tried and worker.config is not config
        ]:
            worker = min(left, key=lambda it: (it is not asker, not it.listening))
            tried.add(worker)
            failure = await worker.reload(config, changed)
            if failure is None and not accepted:
                accepted = True
                self._served = config  # what workers that are started from now on start with
                if asker is not None:
                    late = Outcome(number, everywhere=False)
                    telling = loop.call_later(SPREAD, asker.answer, late)
            elif failure is not None and accepted:
                if worker in self._workers.values():
                    _log.error("workers differ", pid=worker.pid, reason=failure)
            elif failure is not None and self._stopping.is_set():  # which stops what compiles
                return failure
            elif failure is not None:
                log_refused(failure)
                for other in self._workers.values():
                    if other is not worker:
                        other.reload_failed(failure)
                return failure
        self._served = config
        if telling is not None:
            telling.cancel()
        return None

    # --- stop --------------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if not self._stopping.is_set():
            server = self._configuration.current.server
            _log.info("draining", workers=len(self._workers), grace=server.drain_grace)
            self._stop()
            return
        for worker in self._workers.values():
            if number == signal.SIGINT and not worker.listening:
                worker.kill()
            else:
                worker.signal(number)

    def _stop(self) -> None:
        self._stopping.set()
        # The kernel accepts connections as long as anyone has the sockets open.
        self._plan.sockets.close()
        for worker in self._workers.values():
            worker.stop()
        server = self._configuration.current.server
        time = server.drain_grace + server.shutdown_timeout + STOP_TIME
        asyncio.get_running_loop().call_later(time, self._kill)

    def _kill(self) -> None:
        for worker in self._workers.values():
            _log.error("worker does not stop", pid=worker.pid, effect="it is killed")
            worker.kill()
