"""A component in service: linked, limited, counted."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping
from time import time
from typing import Any, Protocol, cast

from gateway.bindings.context import DEFAULT_LINK
from gateway.bindings.http.outbound import LinkedHandler
from gateway.config import ComponentConfig, Route, ServerConfig
from gateway.host.errors import ComponentError, InvocationError
from gateway.host.linker import Export, LinkedComponent
from gateway.observe import log
from gateway.observe.event_queue import Channel
from gateway.observe.events import Outcome, ReturnEvent
from gateway.observe.metrics import Metrics
from gateway.rpc.procedure import Procedure
from gateway.serving.admission import Place
from gateway.serving.grants import Grants
from gateway.serving.guest_log import GuestLog
from gateway.serving.handlers import Handlers
from gateway.serving.links import Links
from gateway.serving.loaded import INCOMING_HANDLER, Exports
from gateway.serving.provenance import Provenance
from gateway.serving.runtime import Runtime

__all__ = ["Service", "Work"]


class Work(Protocol):
    """What is under way for somebody, and can be stopped."""

    def stop(self, error: InvocationError) -> None:
        """End it with this error, unless it is done first."""


class Service:
    """A component that serves requests, calls, or both.

    Attributes:
        name: the component's name.
        config: what the operator said of it.
        exports: what the component exports.
        linked: the component.
        links: its links to others.
        digest: the SHA-256 of its file, in hexadecimal.
        handler: its `wasi:http/handler` or `wasi:http/incoming-handler`; None if it has neither.
        routes: the HTTP requests that go there.
        handlers: what is called for that which comes of its grants.
        methods: what it offers to callers with JSON.
        procedures: the same ready to be called, by every name; empty where JSON-RPC is off.
        grants: what it is given, and may reach.
        gate: where invocations wait for their places.
        channel: where their return events go.
        tracer: what is told of them as they go on.
        under_way: its invocations, and what is done for them before and after they run.
        going_on: what may outlast the callers that it is for: drops of resources that it has handed out to them,
            and answers to their HTTP requests.
        log: for lines about them, at the component's own level.
        access_log: as `log`, for a line for each request.
        server_timing: whether its responses tell where their time went.
        loaded_at: when it was loaded, in seconds since the epoch.
        compile_seconds: what it took to compile it, or to load its compiled form.
        provenance: what is proven of its origin.
        ahead: the instances of the worker that are made ahead of calls, if any are.
    """

    def __init__(
        self,
        config: ComponentConfig,
        exports: Exports,
        links: Links,
        *,
        tls: ssl.SSLContext,
        runtime: Runtime,
        server: ServerConfig,
    ) -> None:
        """Find what can be called, and open what the component is granted.

        Args:
            config: what the operator said of the component.
            exports: what the component exports.
            links: its links to others, and theirs to it.
            tls: what makes the servers that it talks to trusted.
            runtime: where its invocations find their places, and their events go.
            server: what the operator said of the server.

        Raises:
            ComponentError: there is nothing to serve, or nothing at its routes, or a folder cannot be opened.
        """
        self.name = config.name
        self.config = config
        self.exports = exports
        linked = self.linked = exports.linked
        self.links = links
        self.digest = linked.component.digest
        self.handler = exports.handler
        self.handlers = exports.handlers
        self.methods = exports.methods
        self.procedures: Mapping[str, Procedure] = {}
        if server.rpc and config.rpc:
            self.procedures = exports.procedures
        callable_ = "called by links" if links.called else ""
        if config.wrpc or config.wrpc_listen:
            callable_ = "served by wRPC"
        if self.procedures:
            callable_ = "served by JSON-RPC"
        self.routes = _routes(config, linked, self.handler, callable_, self.handlers)
        metrics = runtime.metrics
        self.log = log.logger("gateway.call", config.log_level)
        dropped = None
        if metrics is not None:
            dropped = functools.partial(metrics.guest_log_lines_dropped, config.name)
        self.grants = Grants(
            config,
            linked.component.imports,
            tls,
            runtime.descriptors,
            runtime.backends,
            log=GuestLog(self.log, config.name, config.log_max_rate, dropped),
            tracer=runtime.tracer,
            on_outbound_request=None
            if metrics is None
            else functools.partial(metrics.outbound_requested, config.name),
            on_operation=None if metrics is None else metrics.operation_performed,
            linked=_hosts(links, runtime),
            wall_clock=runtime.wall_clock,
        )
        self.tracer = runtime.tracer
        self.gate = runtime.admission.gate(
            config.name,
            max_in_flight=config.max_concurrency,
            max_queue=config.max_queue,
            max_wait=config.max_queue_time,
        )
        self.channel: Channel = runtime.channel
        self.ahead = runtime.ahead
        self._metrics = metrics
        self._in_flight_told = 0
        self._telling = False
        self.under_way: set[Work] = set()
        self.going_on: set[asyncio.Task[Any]] = set()
        self.access_log = log.logger("gateway.access", config.log_level)
        self.server_timing = server.server_timing
        self.loaded_at = time()
        self.compile_seconds = 0.0
        self.provenance = Provenance()

    @property
    def in_flight(self) -> int:
        """How many invocations of it there are now."""
        return self.gate.in_flight

    async def wait(self, enter: Callable[[], Awaitable[Place]] | None = None) -> Place:
        """Wait for a place, where there is none at once.

        Args:
            enter: how: a method of its gate, `Gate.enter` by default.

        Raises:
            NoRoom: there is none, and no room to wait for one, or not in time.
        """
        metrics = self._metrics
        enter = enter or self.gate.enter
        if metrics is None:
            return await enter()
        metrics.queued_changed(self.name, 1)
        try:
            return await enter()
        finally:
            metrics.queued_changed(self.name, -1)

    def delivery_dropped(self, what: str, reason: str) -> None:
        """Count a message, say, that came and was not handled."""
        if self._metrics is not None:
            self._metrics.delivery_dropped(self.name, what, reason)

    def message_redelivered(self) -> None:
        """Count a message that came again."""
        if self._metrics is not None:
            self._metrics.message_redelivered(self.name)

    def message_dead_lettered(self, reason: str) -> None:
        """Count a message that was not handled, and became a dead letter."""
        if self._metrics is not None:
            self._metrics.message_dead_lettered(self.name, reason)

    def pending_changed(self, what: str, by: int) -> None:
        """Tell that so many more of them wait to be handled, or fewer."""
        if self._metrics is not None:
            self._metrics.pending_changed(self.name, what, by)

    def ended(self, work: Work) -> None:
        """Note that something is under way no more."""
        self.under_way.remove(work)
        if self._in_flight_told:
            self.tell_in_flight()

    def tell_in_flight(self) -> None:
        """Have metrics tell how many are under way, when this turn of the loop is over.

        For one that is not done in the turn in which it began. Most are, and change nothing that anyone could see.
        """
        if self._metrics is not None and not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_in_flight, self._metrics)

    def _tell_in_flight(self, metrics: Metrics) -> None:
        # The difference, not the number: one that a reload has replaced still counts under the same name.
        self._telling = False
        change = len(self.under_way) - self._in_flight_told
        if change:
            self._in_flight_told += change
            metrics.in_flight_changed(self.name, change)

    def goes_on(self, task: asyncio.Task[Any]) -> None:
        """Note that a task is `going_on` until it is done."""
        self.going_on.add(task)
        task.add_done_callback(self.going_on.discard)

    async def finished(self) -> None:
        """Wait for what goes on for callers that have ended: no longer than twice its `max_execution_time`."""
        while self.going_on:
            await asyncio.wait(self.going_on)

    async def aclose(self) -> None:
        """Close what it has open outside of itself. May be called again."""
        for task in self.going_on:
            task.cancel()
        await self.finished()
        if self.ahead is not None:
            self.ahead.forget(self.linked)
        await self.links.aclose()
        await self.grants.aclose()

    def refused(
        self, event: type[ReturnEvent], outcome: Outcome, export: Export | None, request_id: str
    ) -> None:
        """Send the event of an invocation that was not made; of no export, where it was not known yet of which."""
        name = "" if export is None else export.name
        self.channel.send(event(self.name, self.digest, name, request_id, outcome))


def _hosts(links: Links, runtime: Runtime) -> Mapping[str, Mapping[str, LinkedHandler]]:
    """What answers a component's requests to names: its links, then what is in the place of servers for all."""
    own: Mapping[str, Mapping[str, LinkedHandler]] = links.hosts
    if runtime.hosts is None:
        return own
    # It is looked at anew for each request, for those of all may change.
    of_all = cast("dict[str, LinkedHandler]", runtime.hosts)
    return {name: ChainMap(dict(own.get(name, {})), of_all) for name in {DEFAULT_LINK, *own}}


def _routes(
    config: ComponentConfig,
    linked: LinkedComponent,
    handler: Export | None,
    callable_: str,
    handlers: Handlers,
) -> tuple[Route, ...]:
    """The HTTP requests that a component answers: none by default for one that only has methods."""
    heard = handlers.needed(config)
    told = "routes" in config.model_fields_set and bool(config.routes)
    if handler is not None and (config.routes or callable_ or heard):
        return config.routes
    if handler is None and (callable_ or heard) and not told:
        return ()
    exports = ", ".join(linked.component.exports) or "nothing"
    if handler is not None:
        raise ComponentError(
            f"{config.source}: nothing is left to serve of it: routes is empty, and it exports no functions for "
            f"JSON-RPC, or that is off (it exports {exports}). Give it a route."
        )
    if callable_ or heard:
        other = f"its functions are {callable_}" if callable_ else "what it handles comes to it"
        raise ComponentError(
            f"{config.source}: exports no {INCOMING_HANDLER}, so it cannot answer the HTTP requests of its routes "
            f"(it exports {exports}). Leave routes out: {other}."
        )
    if handlers.idle is not None:
        raise ComponentError(f"{config.source}: {handlers.idle} (it exports {exports}).")
    raise ComponentError(
        f"{config.source}: exports no {INCOMING_HANDLER}, so it cannot answer HTTP requests, and no functions for "
        f"JSON-RPC, or that is off (it exports {exports}). Build it for a world that exports that interface, such "
        "as wasi:http/proxy, or functions of its own."
    )
