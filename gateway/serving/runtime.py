"""What a worker has that outlives a configuration: where events go, and the places that invocations take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from gateway.bindings.descriptors import Descriptors
from gateway.bindings.http.outbound import LinkedHandler
from gateway.capabilities.worker import Lent, WorkerBackends
from gateway.config import ServerConfig
from gateway.host.ahead import Ahead
from gateway.observe import telemetry
from gateway.observe.event_queue import Channel, LogSink
from gateway.observe.metrics import Metrics
from gateway.observe.watchdog import Stall, StallLog, Watchdog
from gateway.serving.admission import Admission
from gateway.serving.loaded import Loaded

__all__ = ["Runtime"]


class Runtime:
    """The parts of a worker that its components share, whatever is loaded.

    Attributes:
        admission: the places of invocations.
        loaded: the engines, and what is compiled and linked for them.
        channel: where return events go.
        metrics: what Prometheus is told; None for nothing.
        tracer: what is told of requests, invocations and outbound requests as they go on; None for nothing.
        descriptors: the file descriptors that guests may hold.
        backends: what stands behind the capabilities of components.
        providers: objects that links of components may name, by name.
        hosts: what answers HTTP requests of components to names in the place of servers, by name; it may change.
        wall_clock: gives the time of day that components see, in nanoseconds since 1970; None for what it is.
        ahead: the instances that are made ahead of calls; None where none are, which who serves changes.
        watchdog: what sees to it that nothing holds the event loop; started and stopped by who runs the loop.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        workers_dir: Path | None = None,
        lent: Lent = MappingProxyType({}),
        providers: Mapping[str, object] = MappingProxyType({}),
        admission: Admission | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Make them.

        Args:
            config: what the operator said of the server.
            workers_dir: a folder that the workers of one gateway share; None for one alone.
            lent: backends that stay their owner's.
            providers: ditto, objects that links may name.
            admission: places that are shared with others of the same event loop; None for those of this one.
            loaded: what is shared with others of the same process; None for an own one, without pools.

        Raises:
            ValueError: one of those has no family, or no scheme of its own.
            TelemetryError: tracing cannot be had.
        """
        self.tracer = telemetry.start() if config.tracing else None
        self.admission = admission or Admission(config.max_in_flight)
        self.loaded = loaded or Loaded(0)
        self.channel = Channel()
        self.metrics: Metrics | None = None
        if config.metrics:
            self.metrics = metrics = Metrics(workers_dir)
            flush = metrics.flush if metrics.is_shared else None
            self.channel.add_sink(metrics, name="metrics", timed=False, flush=flush)
            self.channel.on_dropped = self.metrics.dropped
        if config.log_events:
            self.channel.add_sink(LogSink(), name="log", timed=False)
        self.descriptors = Descriptors.of_process(self._descriptor_refused)
        told = None if self.metrics is None else self.metrics.backend_changed
        self.backends = WorkerBackends(
            lent, told, workers_dir=workers_dir, on_messages_lost=self._messages_lost
        )
        self.providers = providers
        self.hosts: Mapping[str, LinkedHandler] | None = None
        self.wall_clock: Callable[[], int] | None = None
        self.ahead: Ahead | None = None
        self.watchdog = Watchdog(self._held)
        self._stall_log = StallLog()

    def reopen(self, config: ServerConfig) -> None:
        """Trace again, after the tracer was closed.

        Raises:
            TelemetryError: tracing cannot be had.
        """
        if config.tracing:
            self.tracer = telemetry.start()

    @classmethod
    def quiet(cls, *, modular: bool = False) -> Self:
        """One whose events nobody hears, for a single call or a look at the components.

        Args:
            modular: as of `Loaded`.
        """
        return cls(ServerConfig(metrics=False), loaded=Loaded(0, modular=modular))

    def _held(self, stall: Stall) -> None:
        if self.metrics is not None:
            self.metrics.held(stall)
        self._stall_log(stall)

    def _messages_lost(self, count: int) -> None:
        if self.metrics is not None:
            self.metrics.messages_lost(count)

    def _descriptor_refused(self, component: str) -> None:
        if self.metrics is not None:
            self.metrics.descriptor_refused(component)
