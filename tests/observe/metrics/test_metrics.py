"""What is counted, alone in a process."""

from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric

from gateway.host.errors import TrapKind
from gateway.observe.connection_end import ConnectionEnd
from gateway.observe.events import (
    DynamicExportReturned,
    KeyvalueWatcherOnDeleteReturned,
    KeyvalueWatcherOnSetReturned,
    MessagingHandlerHandleMessageReturned,
    Outcome,
    Phases,
)
from gateway.observe.metrics import Metrics
from gateway.routes.metrics import exposition
from tests.observe.metrics.happened import DIGEST, returned
from tests.observe.metrics.scraped import samples


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def told(metrics: Metrics, prefix: str = "gateway_") -> dict[str, float]:
    """The values that begin with a prefix."""
    _type, content = exposition(metrics, b"")
    return {
        name: value for name, value in samples(content.decode()).items() if name.startswith(prefix)
    }


def test_invocations_by_component_kind_and_outcome(metrics: Metrics) -> None:
    metrics(returned("shop"))
    metrics(returned("shop"))
    metrics(returned("shop", Outcome.DEADLINE))
    metrics(DynamicExportReturned("shop", DIGEST, "add", "request", Outcome.ERR))
    metrics(MessagingHandlerHandleMessageReturned("mill", DIGEST, "handle", "request", Outcome.OK))
    for event in (KeyvalueWatcherOnSetReturned, KeyvalueWatcherOnDeleteReturned):
        metrics(event("mill", DIGEST, "on", "request", Outcome.OK))

    assert told(metrics, "gateway_invocations_total") == {
        'gateway_invocations_total{component="shop",kind="http",outcome="ok"}': 2,
        'gateway_invocations_total{component="shop",kind="http",outcome="deadline"}': 1,
        'gateway_invocations_total{component="shop",kind="rpc",outcome="err"}': 1,
        'gateway_invocations_total{component="mill",kind="messaging",outcome="ok"}': 1,
        'gateway_invocations_total{component="mill",kind="keyvalue",outcome="ok"}': 2,
    }


def test_operations_on_capabilities_and_how_long_those_took_that_were_allowed(
    metrics: Metrics,
) -> None:
    operation = ("wasi:keyvalue/store", "set")
    metrics.operation_performed("shop", operation, "memory", "ok", 0.05)
    metrics.operation_performed("shop", operation, "memory", "refused", None)
    metrics.operation_performed("shop", operation, "memory", "refused", None)

    labels = 'backend="memory",component="shop",function="set",interface="wasi:keyvalue/store"'
    counted = "gateway_capability_operations_total"
    took = "gateway_capability_operation_duration_seconds"
    found = told(metrics, "gateway_capability_operation")
    assert {name: value for name, value in found.items() if "_bucket" not in name} == {
        f'{counted}{{{labels},outcome="ok"}}': 1,
        f'{counted}{{{labels},outcome="refused"}}': 2,
        f'{took}_count{{{labels},outcome="ok"}}': 1,
        f'{took}_sum{{{labels},outcome="ok"}}': 0.05,
    }


def test_durations_are_those_of_invocations_that_got_a_place(metrics: Metrics) -> None:
    phases = Phases(queue=0.25, instantiate=0.125, guest=0.5, host=0.125)
    metrics(returned(phases=phases))
    metrics(returned(outcome=Outcome.DEADLINE, phases=Phases(guest=31.0)))
    metrics(returned(outcome=Outcome.EXHAUSTED, phases=Phases()))

    durations = told(metrics, "gateway_invocation_duration_seconds")
    labels = 'component="shop",kind="http"'
    assert durations[f"gateway_invocation_duration_seconds_count{{{labels}}}"] == 2
    assert durations[f"gateway_invocation_duration_seconds_sum{{{labels}}}"] == 32.0
    buckets = {
        edge: durations[
            f'gateway_invocation_duration_seconds_bucket{{component="shop",kind="http",le="{edge}"}}'
        ]
        for edge in ("0.5", "1.0", "30.0", "60.0", "+Inf")
    }
    assert buckets == {"0.5": 0, "1.0": 1, "30.0": 1, "60.0": 2, "+Inf": 2}


def test_time_by_what_it_went_into(metrics: Metrics) -> None:
    phases = Phases(queue=0.25, instantiate=0.125, guest=0.5, host=1.0)
    metrics(returned(phases=phases))
    metrics(returned(outcome=Outcome.TRAP, phases=phases))

    assert told(metrics, "gateway_invocation_phase_seconds") == {
        'gateway_invocation_phase_seconds_total{component="shop",phase="queue"}': 0.5,
        'gateway_invocation_phase_seconds_total{component="shop",phase="instantiate"}': 0.25,
        'gateway_invocation_phase_seconds_total{component="shop",phase="guest"}': 1.0,
        'gateway_invocation_phase_seconds_total{component="shop",phase="host"}': 2.0,
    }


def test_traps_and_instances(metrics: Metrics) -> None:
    metrics(returned(outcome=Outcome.TRAP, trap=TrapKind.UNREACHABLE, instantiated=True))
    metrics(returned(outcome=Outcome.TRAP, trap=TrapKind.HOST, instantiated=True))
    metrics(returned(outcome=Outcome.EXHAUSTED))

    assert told(metrics, "gateway_traps") == {
        'gateway_traps_total{component="shop",trap="unreachable"}': 1,
        'gateway_traps_total{component="shop",trap="host"}': 1,
    }
    assert told(metrics, "gateway_instances") == {'gateway_instances_total{component="shop"}': 2}


def test_outbound_requests_by_how_they_ended(metrics: Metrics) -> None:
    metrics.outbound_requested("shop", "response")
    metrics.outbound_requested("shop", "response")
    metrics.outbound_requested("shop", "refused")

    assert told(metrics, "gateway_outbound") == {
        'gateway_outbound_requests_total{component="shop",outcome="response"}': 2,
        'gateway_outbound_requests_total{component="shop",outcome="refused"}': 1,
    }


def test_claims_by_what_is_wrong(metrics: Metrics) -> None:
    metrics.claims_refused("shop", "expired")

    assert told(metrics, "gateway_claims") == {
        'gateway_claims_refused_total{component="shop",reason="expired"}': 1,
    }


def test_a_component_that_is_loaded_replaced_and_unloaded(metrics: Metrics) -> None:
    def of_shop() -> dict[str, float]:
        return {name: value for name, value in told(metrics).items() if "shop" in name}

    metrics.loaded("shop", digest=DIGEST, compile_seconds=0.5, memory_limit=1 << 20)
    assert of_shop() == {
        'gateway_component_info{component="shop",digest="0123456789ab"}': 1,
        'gateway_component_compile_seconds{component="shop"}': 0.5,
        'gateway_guest_memory_limit_bytes{component="shop"}': 1 << 20,
        'gateway_invocations_in_flight{component="shop"}': 0,
        'gateway_invocations_queued{component="shop"}': 0,
    }

    metrics.in_flight_changed("shop", 1)
    metrics.loaded("shop", digest="f" * 64, compile_seconds=0.25, memory_limit=1 << 21)
    assert of_shop() == {
        'gateway_component_info{component="shop",digest="ffffffffffff"}': 1,
        'gateway_component_compile_seconds{component="shop"}': 0.25,
        'gateway_guest_memory_limit_bytes{component="shop"}': 1 << 21,
        'gateway_invocations_in_flight{component="shop"}': 1,
        'gateway_invocations_queued{component="shop"}': 0,
    }

    metrics.unloaded("shop")
    assert of_shop() == {'gateway_invocations_in_flight{component="shop"}': 1}

    metrics(returned("shop"))
    metrics.in_flight_changed("shop", -1)
    left = of_shop()
    assert left['gateway_invocations_total{component="shop",kind="http",outcome="ok"}'] == 1
    assert 'gateway_invocations_in_flight{component="shop"}' not in left


def test_places_that_old_and_new_versions_take_are_added_up(metrics: Metrics) -> None:
    for change in (1, 1, -1, 1):
        metrics.in_flight_changed("shop", change)
        metrics.queued_changed("shop", 2 * change)
    assert told(metrics, "gateway_invocations_") == {
        'gateway_invocations_in_flight{component="shop"}': 2,
        'gateway_invocations_queued{component="shop"}': 4,
    }


def test_loads_that_succeed_and_fail(metrics: Metrics) -> None:
    def loads() -> tuple[float, float, float]:
        values = told(metrics, "gateway_component_load")
        return (
            values['gateway_component_loads_total{result="ok"}'],
            values['gateway_component_loads_total{result="failed"}'],
            values["gateway_component_load_failed"],
        )

    assert loads() == (0, 0, 0)
    metrics.load_ended(failed=False)
    metrics.load_ended(failed=True)
    assert loads() == (1, 1, 1)
    metrics.load_ended(failed=False)
    assert loads() == (2, 1, 0)


def test_dropped_events(metrics: Metrics) -> None:
    metrics.dropped()
    assert told(metrics, "gateway_events") == {"gateway_events_dropped_total": 1}


def test_what_the_gateway_is_made_of(metrics: Metrics) -> None:
    (build,) = [metric for metric in metrics.registry.collect() if metric.name == "gateway_build"]
    (sample,) = build.samples
    assert sample.labels.keys() == {"version", "wasmtime", "python"}
    assert sample.value == 1


def test_several_applications_in_one_process() -> None:
    first, second = Metrics(), Metrics()
    first(returned())
    assert told(first, "gateway_invocations_total")
    assert not told(second, "gateway_invocations_total")


def test_every_label_is_one_of_the_bounded(metrics: Metrics) -> None:
    sent = "what-a-client-sends"
    metrics.loaded("shop", digest=DIGEST, compile_seconds=0.5, memory_limit=1 << 20)
    metrics.outbound_requested("shop", "failed")
    metrics(
        returned(
            outcome=Outcome.TRAP,
            trap=TrapKind.OTHER,
            instantiated=True,
            request_id=sent,
            trace_id=sent,
            host_calls={sent: 1},
        )
    )

    def labels() -> Iterator[str]:
        families: list[Metric] = list(metrics.registry.collect())
        for family in families:
            for sample in family.samples:
                yield from sample.labels
                assert sent not in sample.labels.values()

    assert set(labels()) == {
        *("component", "kind", "outcome", "phase", "trap", "le"),
        *("digest", "result", "reason", "version", "wasmtime", "python"),
    }

    assert {
        sample.labels["reason"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "gateway_connections_ended_total"
    } == {end.value for end in ConnectionEnd}


def test_connections_are_counted(metrics: Metrics) -> None:
    metrics.connections_open(3)
    metrics.connection_ended(ConnectionEnd.WRITE_TIMEOUT.value)
    metrics.accepting_stopped()
    assert told(metrics, "gateway_connections")["gateway_connections"] == 3
    assert told(metrics, "gateway_accepting_stops") == {"gateway_accepting_stops_total": 1}
