"""Every type, and values of it, through a guest: lowered, echoed by a host function, lifted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from gateway.host import wit
from gateway.host.engine import Engine
from tests.host.guests import call_now, echo, host, load_component
from tests.wit_strategies import exact, types_with_values


@given(types_with_values())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_every_value_of_every_type_survives_the_way_in_and_out(
    engine: Engine, drawn: tuple[wit.Type, list[tuple[Any]]]
) -> None:
    ty, sent = drawn
    seen = []

    def f(_data: None, given: Any) -> Any:
        seen.append(given)
        return given

    with tempfile.TemporaryDirectory() as folder:
        linked = load_component(engine, echo(ty), Path(folder), host(f=f))
    assert exact(call_now(linked, sent)) == exact(sent)
    assert exact(seen) == exact([sent])
