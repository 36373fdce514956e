"""The metrics as scrapers read them."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)

from gateway.host.errors import TrapKind
from gateway.observe.events import Outcome
from gateway.observe.metrics import Metrics
from gateway.routes.metrics import exposition
from tests.harness import PATIENCE
from tests.observe.metrics.happened import DIGEST, TRACE_ID, returned
from tests.observe.metrics.tools import program

PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""The Accept header of Prometheus 2.42."""


def busy() -> Metrics:
    """Metrics with a value of each kind."""
    metrics = Metrics()
    metrics.loaded("shop", digest=DIGEST, compile_seconds=0.5, memory_limit=1 << 20)
    metrics.load_ended(failed=False)
    metrics.in_flight_changed("shop", 2)
    metrics.queued_changed("shop", 1)
    metrics.dropped()
    metrics.outbound_requested("shop", "failed")
    metrics(returned(trace_id=TRACE_ID, instantiated=True))
    metrics(returned(outcome=Outcome.TRAP, trap=TrapKind.UNREACHABLE))
    return metrics


def check_metrics(text: bytes) -> None:
    """Lets Prometheus' own linter judge the names, the types and the format.

    Raises:
        AssertionError: it has objections.
    """
    command = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(
        command,
        check=False,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    objections = checked.stdout.decode()
    assert (checked.returncode, objections) == (0, ""), objections


def test_promtool_has_no_objections() -> None:
    content_type, text = exposition(busy(), "text/plain")
    assert content_type == b"text/plain; version=0.0.4; charset=utf-8"
    check_metrics(text)


def test_promtool_objects_to_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match="counter metrics should have"):
        check_metrics(b"# HELP requests Requests.\n# TYPE requests counter\nrequests 1\n")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html,*/*;q=0.8", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain; version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (
            PROMETHEUS_ACCEPTS,
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        # Versions that nobody writes.
        ("application/openmetrics-text; version=7.0", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=x", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain; version=1.x", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=2.\xe9",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
    ],
)
def test_the_format_that_is_accepted(accept: str, content_type: str) -> None:
    assert exposition(busy(), accept.encode("latin-1"))[0].decode() == content_type


TOKENS = st.sampled_from(
    [*"0123456789.=;, ", "application/openmetrics-text", "text/plain", "version", "escaping", "q"]
)


@given(st.lists(TOKENS | st.characters(max_codepoint=255)).map("".join))
def test_no_accept_header_is_too_strange(accept: str) -> None:
    content_type, text = exposition(Metrics(), accept)
    assert content_type.startswith((b"text/plain; ", b"application/openmetrics-text; "))
    assert text.endswith(b"# EOF\n") == content_type.startswith(b"application/openmetrics-text")


def test_exemplars_carry_the_trace_where_openmetrics_is_asked_for() -> None:
    metrics = busy()
    _type, text = exposition(metrics, PROMETHEUS_ACCEPTS)
    exemplars = {
        sample.name: (sample.exemplar.labels, sample.exemplar.value)
        for family in openmetrics_families(text.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert exemplars == {
        "gateway_invocations_total": ({"trace_id": TRACE_ID}, 1),
        "gateway_invocation_duration_seconds_bucket": ({"trace_id": TRACE_ID}, 0.002),
    }
    assert TRACE_ID.encode() not in exposition(metrics, "text/plain")[1]


def test_no_creation_times() -> None:
    for accept in ("text/plain", PROMETHEUS_ACCEPTS):
        assert b"_created" not in exposition(busy(), accept)[1]
