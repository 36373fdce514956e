"""What the gateway has done and is doing, in the terms of Prometheus.

`Metrics` is a sink of return events, and has a method for each other thing that is counted. It belongs to a
process rather than to what is loaded there: counters go on when a component is replaced.

Alone, its values are in this process. As one of many workers (`worker_metrics`), they are in files, and whoever is
scraped tells the sum of all workers: counters and histograms of those that have ended too, gauges of those that
live. `process_*` are sums as well, but for the start time, which is that of the oldest worker.

Every label is bounded: by the configuration (component, its digest) or by an enumeration of this package or of the
WIT. No path, no message and nothing else that a client or a guest chooses gets into one.

The engine's C API does not tell how much memory its pool holds, nor how large the memories of a component's
instances are. So there is only the limit of what a guest may take, and of what all of them hold there is the
resident memory of the process.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, values
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from gateway import __version__
from gateway.observe import log
from gateway.observe.connection_end import ConnectionEnd
from gateway.observe.events import Kind, Outcome, ReturnEvent
from gateway.observe.metric_file import use as use_metric_files
from gateway.observe.watchdog import BOUND, Stall
from gateway.observe.worker_metrics import ENVIRONMENT_VARIABLE, WorkerMetrics

__all__ = ["DURATION_BUCKETS", "Metrics"]

STALL_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. What takes less than `gateway.observe.watchdog.BOUND` is no stall."""

DURATION_BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Seconds. Steps of 2 to 2.5, so that a quantile is told within that factor, from a small guest without I/O
(below a millisecond) to the default `max_execution_time` (30 s) and one step beyond. Each is a time series
for every component and kind: 16, where the library's own default has 14 that start at 5 ms."""

OPERATION_BUCKETS: Final = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
"""Seconds, in steps of 10: there is a series of them for each function, backend and outcome."""

_DELIVERIES: Final = {
    "messages": ("messages", "Messages for components"),
    "changes": ("keyvalue_changes", "Changes of key-value stores for components that watch them"),
}
"""What comes to components by itself: its name in those of metrics, and what it is."""

_DIGEST_LENGTH: Final = 12
"""Hexadecimal digits of a component's digest in a label: 48 bits tell the files of one gateway apart."""

_OWN_INTERVAL: Final = 1.0
"""Seconds between two looks of a worker at its CPU time and its log. Arbitrary: shorter than usual scrape
intervals."""


class _Timed:
    """What is counted and timed, by labels. The series of those that occurred are kept: to find one takes long."""

    def __init__(self, counter: Counter, durations: Histogram) -> None:
        self._counter = counter
        self._durations = durations
        self._series: dict[tuple[str, ...], tuple[Counter, Histogram | None]] = {}

    def ended(self, labels: tuple[str, ...], seconds: float | None) -> None:
        """Count one; None for the seconds of what is not timed, which all with these labels are or none."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = (
                self._counter.labels(*labels),
                None if seconds is None else self._durations.labels(*labels),
            )
        counter, durations = series
        counter.inc()
        if durations is not None and seconds is not None:
            durations.observe(seconds)


class Metrics:
    """The metrics of one process.

    As one of many workers there can be only one in a process, since the values in its files belong to their names.
    Otherwise there can be several, each with a registry of its own.

    Attributes:
        registry: what a scrape collects.
        is_shared: whether other workers have to see what this one counts.
    """

    def __init__(self, multiprocess_dir: Path | None = None) -> None:
        """Start counting.

        Args:
            multiprocess_dir: the directory that this process shares with other workers. None for what
                prometheus_client was told when it was imported: to be alone, unless the environment named a
                directory, as it does under other servers' supervisors.

        Raises:
            RuntimeError: there is such a directory, but the library was imported before it was named.
        """
        self.registry = CollectorRegistry()
        self._workers = _shared(multiprocess_dir)
        self.is_shared = self._workers is not None
        self._process = ProcessCollector(registry=None)
        self._components: dict[str, _Component] = {}
        self._series: dict[tuple[str, Kind, Outcome], _Series] = {}
        # Those that events were added up in since somebody looked, which may be in any thread.
        self._untold: list[_Series] = []
        self._lock = threading.Lock()
        self._metrics: list[Counter | Gauge | Histogram] = []
        self._define()
        self._cpu_told = 0.0
        self._log_lines_told = 0
        self._own_due = 0.0
        self.registry.register(_Told(self._collect))

    def _define(self) -> None:
        component = ("component",)
        self._invocations = self._counter(
            "gateway_invocations",
            "Invocations of components, by what called them and how they ended.",
            (*component, "kind", "outcome"),
        )
        self._durations = Histogram(
            "gateway_invocation_duration_seconds",
            "Time from the wish to invoke to the end of the guest, of invocations that got a place.",
            (*component, "kind"),
            buckets=DURATION_BUCKETS,
            registry=None,
        )
        self._metrics.append(self._durations)
        self._phases = self._counter(
            "gateway_invocation_phase_seconds",
            "Time of invocations, by what it went into: queue, instantiate, guest or host.",
            (*component, "phase"),
        )
        self._instances = self._counter(
            "gateway_instances", "Instances of components that were made.", component
        )
        self._traps = self._counter(
            "gateway_traps", "Guests that were stopped, by why.", (*component, "trap")
        )
        self._outbound = self._counter(
            "gateway_outbound_requests",
            "HTTP requests that components made, by how they ended: response, refused, failed or cancelled.",
            (*component, "outcome"),
        )
        function = (*component, "interface", "function")
        self._operations = self._timed(
            "gateway_capability_operation",
            "What components did with the capabilities that they are granted, by how it ended.",
            "Time that such operations took, of those that were allowed.",
            (*function, "backend", "outcome"),
        )
        self._linked_calls = self._timed(
            "gateway_linked_call",
            "Calls that components made by links, by what is at the other end and how they ended.",
            "Time that such calls took.",
            (*function, "target", "outcome"),
        )
        self._link_target_calls = self._counter(
            "gateway_link_target_calls",
            "Calls of each target of links that have several, by what became of them: answered, not-begun, "
            "unanswered or cancelled.",
            (*component, "interface", "target", "answer"),
        )
        self._backend_up = Gauge(
            "gateway_capability_backend_up",
            "Whether all servers behind capabilities of this kind can be used, as far as any worker knows.",
            ("capability", "backend"),
            multiprocess_mode="livemin",
            registry=None,
        )
        self._metrics.append(self._backend_up)
        self._backend_degraded = Gauge(
            "gateway_capability_backend_degraded",
            "Whether any worker warns of something else about a backend of this kind, as of a token that is not "
            "renewed.",
            ("capability", "backend"),
            multiprocess_mode="livemax",
            registry=None,
        )
        self._metrics.append(self._backend_degraded)
        self._dropped = {
            what: self._counter(
                f"gateway_{name}_dropped",
                f"{said} that were not handled, by why: pending, too-large, stopped or given-up.",
                (*component, "reason"),
            )
            for what, (name, said) in _DELIVERIES.items()
        }
        self._redelivered = self._counter(
            "gateway_messages_redelivered", "Messages that came again.", component
        )
        self._dead_lettered = self._counter(
            "gateway_messages_dead_lettered",
            "Messages that were not handled and became dead letters, by why: too-large or given-up.",
            (*component, "reason"),
        )
        self._pending = {
            what: self._gauge(
                f"gateway_{name}_pending", f"{said} that wait to be handled now.", "livesum"
            )
            for what, (name, said) in _DELIVERIES.items()
        }
        self._messages_lost = self._counter(
            "gateway_messages_lost",
            "Messages of memory: that other workers did not take, of which too much waits for them.",
        )
        self._descriptors_refused = self._counter(
            "gateway_descriptors_refused",
            "Files, sockets and connections that components could not open for want of a file descriptor.",
            component,
        )
        self._guest_log_lines_dropped = self._counter(
            "gateway_guest_log_lines_dropped",
            "Lines of guests beyond log_max_lines, log_max_bytes or log_max_rate, which were not logged.",
            component,
        )
        self._claims = self._counter(
            "gateway_claims_refused",
            "Components whose claims did not hold when they were loaded, by what is wrong.",
            (*component, "reason"),
        )
        self._in_flight = self._gauge(
            "gateway_invocations_in_flight", "Invocations that have a place now.", "livesum"
        )
        self._queued = self._gauge(
            "gateway_invocations_queued", "Invocations that wait for a place now.", "livesum"
        )
        self._compile_seconds = self._gauge(
            "gateway_component_compile_seconds",
            "Time to compile the component, or to load it from the cache; in the slowest worker.",
            "livemax",
        )
        self._connections = Gauge(
            "gateway_connections",
            "Connections of clients that are open now.",
            multiprocess_mode="livesum",
            registry=None,
        )
        self._metrics.append(self._connections)
        self._connections_ended = self._counter(
            "gateway_connections_ended",
            "Connections that the server ended before their clients had finished with them, by why.",
            ("reason",),
        )
        for end in ConnectionEnd:
            self._connections_ended.labels(end.value)
        self._accepting_stops = self._counter(
            "gateway_accepting_stops",
            "Times that accepting stopped because there were max_connections.",
        )
        self._events_dropped = self._counter(
            "gateway_events_dropped",
            "Return events that were dropped: their invocations are missing in these metrics.",
        )
        self._log_lines_dropped = self._counter(
            "gateway_log_lines_dropped",
            "Lines of the log that were not written, because nobody read it or that failed.",
        )
        self._loads = self._counter(
            "gateway_component_loads",
            "Attempts to load the components, of each worker, by result; refused: what was put by the admin API.",
            ("result",),
        )
        for result in ("ok", "failed", "refused"):
            self._loads.labels(result)
        self._load_failed = Gauge(
            "gateway_component_load_failed",
            "Whether the last attempt to load components failed in any worker; what was loaded before serves on.",
            multiprocess_mode="livemax",
            registry=None,
        )
        self._metrics.append(self._load_failed)
        self._stalls = self._stall_histogram(
            "gateway_event_loop_stall_seconds",
            "How long something held the event loop, of what did so for more than 50 ms.",
        )
        self._stalls_cpu = self._stall_histogram(
            "gateway_event_loop_stall_cpu_seconds",
            "CPU time in which something held the event loop, of what did so for more than 50 ms of it.",
        )
        if self._workers is not None:
            self._cpu = self._counter(
                "process_cpu_seconds", "Total user and system CPU time spent in seconds."
            )

    def labels(self) -> dict[str, tuple[str, ...]]:
        """The names of the labels of each family that is counted, by the family's."""
        return {
            family.name: metric._labelnames
            for metric in self._metrics
            for family in metric.describe()
        }

    def _counter(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> Counter:
        counter = Counter(name, help_, labels, registry=None)
        self._metrics.append(counter)
        return counter

    def _timed(self, name: str, counted: str, timed: str, labels: tuple[str, ...]) -> _Timed:
        durations = Histogram(
            f"{name}_duration_seconds", timed, labels, buckets=OPERATION_BUCKETS, registry=None
        )
        self._metrics.append(durations)
        return _Timed(self._counter(f"{name}s", counted, labels), durations)

    def _gauge(self, name: str, help_: str, mode: str) -> Gauge:
        gauge = Gauge(name, help_, ("component",), multiprocess_mode=mode, registry=None)  # type: ignore[arg-type]
        self._metrics.append(gauge)
        return gauge

    def _stall_histogram(self, name: str, help_: str) -> Histogram:
        histogram = Histogram(name, help_, ("where",), buckets=STALL_BUCKETS, registry=None)
        self._metrics.append(histogram)
        return histogram

    # --- What happens ---

    def returned(self, event: ReturnEvent) -> None:
        """Count an invocation that has ended, or was refused. A sink of return events.

        Incrementing a counter of the library takes six calls, and there would be six counters for each event. So
        events are added up here, until somebody looks. An exemplar costs as much as all the rest: a bucket gets
        one, until then.
        """
        name, phases, outcome = event.component, event.phases, event.outcome
        series = self._series.get((name, event.kind, outcome))
        if series is None:
            series = self._new_series(name, event.kind, outcome)
        with self._lock:
            sums = series.untold
            if sums is None:
                sums = series.untold = _Sums()
                self._untold.append(series)
            exemplar: dict[str, str] | None = None
            seconds = sum(phases)
            if event.trace_id is not None and self._workers is None:
                bucket = bisect_left(DURATION_BUCKETS, seconds)
                if bucket not in sums.exemplars:
                    exemplar = sums.exemplars[bucket] = {"trace_id": event.trace_id}
            sums.invocations += 1
            sums.instances += event.instantiated
            sums.queue += phases.queue
            sums.instantiate += phases.instantiate
            sums.guest += phases.guest
            sums.host += phases.host
        if series.duration is not None:
            series.duration.observe(seconds, exemplar)
        if event.trap is not None:
            self._traps.labels(name, event.trap.value).inc()

    __call__ = returned

    def flush(self) -> None:
        """Have other workers see what events added up to. To be called after those that come together."""
        if self._workers is not None:
            self._tell_sums()
            if time.monotonic() >= self._own_due:
                self._tell_own()

    def _tell_sums(self) -> None:
        with self._lock:
            while self._untold:
                self._untold.pop().tell()

    def dropped(self) -> None:
        """Count an event that did not fit into the channel."""
        self._events_dropped.inc()

    def in_flight_changed(self, component: str, by: int) -> None:
        """Tell that so many more invocations of a component have a place in this process, or fewer.

        Adds up whoever tells: a component's old and new version may both be at work.
        """
        self._component(component).in_flight.inc(by)

    def queued_changed(self, component: str, by: int) -> None:
        """Tell that so many more invocations of a component wait for a place in this process, or fewer."""
        self._component(component).queued.inc(by)

    def outbound_requested(self, component: str, outcome: str) -> None:
        """Count an HTTP request that a component made and that has ended.

        Args:
            component: who made it.
            outcome: how it ended: `response`, `refused`, `failed` or `cancelled`.
        """
        self._outbound.labels(component, outcome).inc()

    def operation_performed(
        self,
        component: str,
        operation: tuple[str, str],
        backend: str,
        outcome: str,
        seconds: float | None,
    ) -> None:
        """Count something that a component did with a capability.

        Args:
            component: who did it.
            operation: the interface without its version, and the function.
            backend: the kind of what stands behind it.
            outcome: a value of `gateway.capabilities.operations.OperationOutcome`.
            seconds: what it took; None where it was not allowed.
        """
        self._operations.ended((component, *operation, backend, outcome), seconds)

    def linked_call_returned(
        self,
        component: str,
        operation: tuple[str, str],
        target: str,
        outcome: str,
        seconds: float,
    ) -> None:
        """Count a call that a component made by a link.

        Args:
            component: who made it.
            operation: the interface without its version, and the function.
            target: the kind of what is at the other end.
            outcome: a value of `gateway.links.target.CallOutcome`.
            seconds: what it took.
        """
        self._linked_calls.ended((component, *operation, target, outcome), seconds)

    def link_target_called(self, component: str, interface: str, target: str, answer: str) -> None:
        """Count a call of one of several targets of a link.

        Args:
            component: who made it.
            interface: the interface without its version.
            target: what the configuration calls the target.
            answer: a value of `gateway.links.several.Answer`.
        """
        self._link_target_calls.labels(component, interface, target, answer).inc()

    def backend_changed(self, capability: str, backend: str, up: bool, degraded: bool) -> None:
        """Tell how the servers behind a capability are. From any thread.

        Args:
            capability: the key of the configuration that grants it.
            backend: the kind of what stands behind it.
            up: whether all of that kind can be used.
            degraded: whether there is something else to see to.
        """
        self._backend_up.labels(capability, backend).set(int(up))
        self._backend_degraded.labels(capability, backend).set(int(degraded))

    def delivery_dropped(self, component: str, what: str, reason: str) -> None:
        """Count something that came to a component by itself and was not handled.

        Args:
            component: whose it was.
            what: what it was: `what` of `gateway.transports.deliveries.Deliveries`.
            reason: a value of `gateway.transports.deliveries.Dropped`.
        """
        self._dropped[what].labels(component, reason).inc()

    def message_redelivered(self, component: str) -> None:
        """Count a message that came again."""
        self._redelivered.labels(component).inc()

    def message_dead_lettered(self, component: str, reason: str) -> None:
        """Count a message that became a dead letter; the reason is one of `delivery_dropped`."""
        self._dead_lettered.labels(component, reason).inc()

    def messages_lost(self, count: int) -> None:
        """Count messages that another worker did not take."""
        self._messages_lost.inc(count)

    def pending_changed(self, component: str, what: str, by: int) -> None:
        """Tell that so many more of what came wait for a component in this process, or fewer."""
        self._pending[what].labels(component).inc(by)

    def descriptor_refused(self, component: str) -> None:
        """Count something that a component could not open for want of a file descriptor. From any thread."""
        self._descriptors_refused.labels(component).inc()

    def guest_log_lines_dropped(self, component: str, lines: int) -> None:
        """Count lines of a component's guests that were not logged."""
        self._guest_log_lines_dropped.labels(component).inc(lines)

    def claims_refused(self, component: str, kind: str) -> None:
        """Count something that is wrong with the claims of a component, whether it is served all the same or not.

        Args:
            component: its name.
            kind: the `kind` of a `gateway.wasm.claims.ClaimsError`.
        """
        self._claims.labels(component, kind).inc()

    def held(self, stall: Stall) -> None:
        """Count something that held the event loop."""
        self._stalls.labels(stall.where).observe(stall.seconds)
        if stall.cpu_seconds > BOUND:
            self._stalls_cpu.labels(stall.where).observe(stall.cpu_seconds)

    # --- Connections ---

    def connections_open(self, number: int) -> None:
        """Tell that there are so many at present."""
        self._connections.set(number)

    def connection_ended(self, reason: str) -> None:
        """Count a connection that the server has ended before its client had finished with it.

        Args:
            reason: a value of `gateway.observe.connection_end.ConnectionEnd`.
        """
        self._connections_ended.labels(reason).inc()

    def accepting_stopped(self) -> None:
        """Count that there were as many connections as there may be."""
        self._accepting_stops.inc()

    # --- What is loaded ---

    def loaded(
        self, component: str, *, digest: str, compile_seconds: float, memory_limit: int
    ) -> None:
        """Tell that a component is served now, in place of one of the same name if there was one.

        Args:
            component: its name.
            digest: the SHA-256 of its file, in hexadecimal.
            compile_seconds: the time that it took to compile it, or to load it from the cache.
            memory_limit: bytes that each linear memory of an instance may have.
        """
        known = self._component(component)
        known.digest = digest[:_DIGEST_LENGTH]
        known.memory_limit = memory_limit
        self._compile_seconds.labels(component).set(compile_seconds)

    def unloaded(self, component: str) -> None:
        """Tell that a component is not served any more. What has been counted of it stays."""
        known = self._component(component)
        known.digest = None
        self._compile_seconds.labels(component).set(0)

    def load_ended(self, *, failed: bool) -> None:
        """Count an attempt to load what the configuration has, at the start or while serving."""
        self._loads.labels("failed" if failed else "ok").inc()
        self._load_failed.set(int(failed))

    def load_refused(self) -> None:
        """Count a component that a caller of the admin API put, and that was refused: a fault of the caller's."""
        self._loads.labels("refused").inc()

    # --- Time series ---

    def _component(self, name: str) -> _Component:
        component = self._components.get(name)
        if component is None:
            component = _Component(self._in_flight.labels(name), self._queued.labels(name))
            self._components[name] = component
        return component

    def _new_series(self, name: str, kind: Kind, outcome: Outcome) -> _Series:
        """Where events of this kind are counted: looked up once, for that is most of the cost."""
        phase = partial(self._phases.labels, name)
        series = _Series(
            self._invocations.labels(name, kind.value, outcome.value),
            # One that got no place took next to no time: it would make the others look faster.
            None if outcome is Outcome.EXHAUSTED else self._durations.labels(name, kind.value),
            self._instances.labels(name),
            phase("queue"),
            phase("instantiate"),
            phase("guest"),
            phase("host"),
        )
        self._series[name, kind, outcome] = series
        return series

    # --- What is told ---

    def _collect(self) -> Iterable[Metric]:
        self._tell_sums()
        self._tell_own()
        if self._workers is None:
            for metric in self._metrics:
                yield from map(self._current, metric.collect())
            yield from self._process.collect()
        else:
            ours = {family.name for metric in self._metrics for family in metric.describe()}
            for family in self._workers.collect():
                if family.name in ours:
                    yield self._current(family)
            yield from _process_sums(self._workers.pids())
        yield from self._facts()

    def _current(self, family: Metric) -> Metric:
        """Leave out what nobody asks for.

        Gauges of components that are gone, which would be zero for ever (the library cannot remove values
        from files of workers), and the creation times that the library adds to each counter, a second time
        series for each.
        """
        family.samples = [
            sample
            for sample in family.samples
            if not sample.name.endswith("_created")
            and (family.type != "gauge" or sample.value or self._is_loaded(sample))
        ]
        return family

    def _is_loaded(self, sample: Sample) -> bool:
        component = sample.labels.get("component")
        if component is None:
            return True
        return component in self._components and self._components[component].digest is not None

    def _facts(self) -> Iterable[Metric]:
        """What is the same in every worker, and so can be told by any."""
        info = InfoMetricFamily("gateway_component", "The components that are served.")
        limit = GaugeMetricFamily(
            "gateway_guest_memory_limit_bytes",
            "Bytes that each linear memory of an instance may have.",
            labels=("component",),
        )
        for name, component in self._components.items():
            if component.digest is not None:
                info.add_metric((), {"component": name, "digest": component.digest})
                limit.add_metric((name,), component.memory_limit)
        yield info
        yield limit
        yield InfoMetricFamily("gateway_build", "What the gateway is made of.", _BUILD)

    def _tell_own(self) -> None:
        """Take over what this process counts elsewhere."""
        dropped = log.dropped_lines()
        self._log_lines_dropped.inc(dropped - self._log_lines_told)
        self._log_lines_told = dropped
        if self._workers is not None:
            # By the worker itself, while it lives: a sum over /proc would go down when one ends.
            self._own_due = time.monotonic() + _OWN_INTERVAL
            now = time.process_time()
            self._cpu.inc(now - self._cpu_told)
            self._cpu_told = now


@dataclass(slots=True)
class _Component:
    """What is known of a component: no digest of one that is not served (any more)."""

    in_flight: Gauge
    queued: Gauge
    digest: str | None = None
    memory_limit: int = 0


@dataclass(slots=True)
class _Series:
    """The time series of the events of one component, kind and outcome, and what they were not told of yet."""

    invocations: Counter
    duration: Histogram | None
    instances: Counter
    queue: Counter
    instantiate: Counter
    guest: Counter
    host: Counter
    untold: _Sums | None = None

    def tell(self) -> None:
        # Let go of first: what cannot be written is lost, and what comes later is not.
        sums, self.untold = self.untold, None
        if sums is None:
            return
        for exemplar in sums.exemplars.values():  # it is of one of them
            self.invocations.inc(1, exemplar)
            sums.invocations -= 1
        for counter, amount in (
            (self.invocations, sums.invocations),
            (self.instances, sums.instances),
            (self.queue, sums.queue),
            (self.instantiate, sums.instantiate),
            (self.guest, sums.guest),
            (self.host, sums.host),
        ):
            if amount:
                counter.inc(amount)


@dataclass(slots=True)
class _Sums:
    """What events add up to: numbers of them, times in seconds, and an exemplar for each bucket of durations."""

    invocations: int = 0
    instances: int = 0
    queue: float = 0.0
    instantiate: float = 0.0
    guest: float = 0.0
    host: float = 0.0
    exemplars: dict[int, dict[str, str]] = field(default_factory=dict)


class _Told(Collector):
    """What a registry collects: whatever a function gives."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _shared(directory: Path | None) -> WorkerMetrics | None:
    """The directory of the workers that this process is one of, if it is."""
    told = os.environ.get(ENVIRONMENT_VARIABLE)
    in_files = values.ValueClass is not values.MutexValue
    if in_files:
        use_metric_files()
    if directory is None:
        return WorkerMetrics(Path(told)) if in_files and told else None
    if not in_files or told is None or Path(told) != directory:
        raise RuntimeError(
            f"metrics cannot be shared in {directory}: {ENVIRONMENT_VARIABLE} must name this directory before "
            f"prometheus_client is imported (it is {told!r}, and the library keeps values "
            f"{'in files' if in_files else 'in this process'})"
        )
    return WorkerMetrics(directory)


def _process_sums(pids: Iterable[int]) -> Iterable[Metric]:
    """`process_*` of several processes: sums, and the earliest start."""
    found: dict[str, list[float]] = defaultdict(list)
    help_: dict[str, str] = {}
    for pid in pids:
        for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
            # Each worker counts its CPU time itself.
            if family.type == "gauge":
                help_[family.name] = family.documentation
                found[family.name] += (sample.value for sample in family.samples)
    for name, told in found.items():
        value = min(told) if name == "process_start_time_seconds" else sum(told)
        yield GaugeMetricFamily(name, help_[name], value=value)


_BUILD: Final = {
    "version": __version__,
    "wasmtime": version("wasmtime"),
    "python": platform.python_version(),
}
