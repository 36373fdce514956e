"""The engine of components of WASI 0.3: what it is wrong about, and when its guests are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.host.binding import HostInterface
from gateway.host.engine import Engine
from gateway.host.errors import Trap
from gateway.host.idle import Idle
from tests.host.guests import API, call_now, load_component
from tests.host.shop import Thing

TWO = f"""
(component
  (import "{API}" (instance $api (export "thing" (type $thing (sub resource)))
    (export "make" (func (result (own $thing))))
    (export "two" (func (param "one" (borrow $thing)) (param "other" (borrow $thing))))))
  (core func $make (canon lower (func $api "make")))
  (core func $two (canon lower (func $api "two")))
  (core module $m
    (import "" "make" (func $make (result i32))) (import "" "two" (func $two (param i32 i32)))
    (func (export "run") (call $two (call $make) (call $make))))
  (core instance $i (instantiate $m (with "" (instance
    (export "make" (func $make)) (export "two" (func $two))))))
  (func (export "run") (canon lift (core func $i "run"))))
"""


@pytest.mark.parametrize("concurrent", [False, True])
def test_only_it_cannot_be_lent_two_handles(tmp_path: Path, concurrent: bool) -> None:
    """Where this fails, the engine is mended, and `gateway.wasm.wasip3` need not stand in between any more."""
    lent: list[Any] = []
    api = HostInterface(API, None)
    api.function("make")(lambda _data: Thing())
    api.function("two")(lambda _data, *things: lent.extend(things))
    linked = load_component(Engine(concurrent=concurrent), TWO, tmp_path, api)
    if concurrent:
        with pytest.raises(Trap):
            call_now(linked)
    else:
        call_now(linked)
        assert len(lent) == 2


def test_a_guest_is_idle_when_only_its_pump_has_yielded_between_two_idle_turns() -> None:
    idle = Idle()
    for yields, did, left_alone in [
        (1, True, False),
        (1, False, False),  # what has yielded may stand behind the pump
        (2, False, False),  # and did
        (1, False, True),
        (1, True, False),
        (1, False, False),
        (1, False, True),
    ]:
        idle.yields = yields
        assert idle.turn(did=did) is left_alone
