"""Resources that a component hands out to those that call it by links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host import guest_resource
from gateway.host.errors import ComponentError, TrapKind
from gateway.host.store import STORES
from gateway.observe.events import Kind, LinkedExportReturned, Outcome
from gateway.serving.service import Service
from tests.harness import GuestPath
from tests.links.counters import API, STEPS, Step, run, tally_of
from tests.links.driven import driven
from tests.patience import until
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

TRAPPED: Final = -32000
LATE: Final = -32001
HOUR: Final = 3_600_000

UNLUCKY: Final = 13
"""What a counter of C has that traps when it ends."""
ENDLESS: Final = 14
"""What one has that never comes to its end."""


Make = Callable[..., Sequence[ComponentConfig]]


def counters(source: Path, **keys: Any) -> ComponentConfig:
    """What has counters."""
    table = {"name": "counters", "source": source, "max_concurrency": 64, **keys}
    return ComponentConfig.model_validate(table)


def tally(source: Path, **keys: Any) -> ComponentConfig:
    """What calls it."""
    return tally_of({"component": "counters"}, source, **keys)


@pytest.fixture
def pair(guest: GuestPath) -> Make:
    def make(*, callee: dict[str, Any] | None = None, **keys: Any) -> Sequence[ComponentConfig]:
        return counters(guest("c/counters"), **(callee or {})), tally(guest("c/tally"), **keys)

    return make


def service(gateway: Talking, name: str = "counters") -> Service:
    return next(each for each in gateway.app.services if each.name == name)


def told(gateway: Talking) -> list[LinkedExportReturned]:
    """The events of calls so far."""
    gateway.app.runtime.channel.flush()
    return [event for event in gateway.events if isinstance(event, LinkedExportReturned)]


def functions(gateway: Talking) -> list[str]:
    """Which functions were called so far."""
    return [event.export.removeprefix(f"{API}#") for event in told(gateway)]


async def nothing_is_left(gateway: Talking) -> None:
    """Waits until all is free that was kept."""
    gates = [each.gate for each in gateway.app.services]
    await until(lambda: not STORES and not any(gate.in_flight + gate.queued for gate in gates))
    assert not any(each.under_way for each in gateway.app.services)
    assert gateway.app.runtime.admission.in_flight == 0


async def kept(gateway: Talking, *steps: Step) -> asyncio.Task[Any]:
    """A caller that takes steps and then waits for an hour, once it does."""
    before = len(told(gateway))
    task = asyncio.create_task(run(gateway, *steps, ("wait", HOUR)))
    await until(lambda: len(told(gateway)) == before + len(steps))
    return task


@pytest.mark.parametrize(
    ("callee", "caller"),
    [("c/counters", "c/tally"), ("python/counters", "c/tally"), ("c/counters", "js/tally")],
)
async def test_resources_go_in_every_place_of_a_type(
    guest: GuestPath, callee: str, caller: str
) -> None:
    configs = counters(guest(callee)), tally(guest(caller))
    async with talking(*configs) as gateway:
        assert await run(gateway, *(step for step, _ in STEPS)) == [came for _, came in STEPS]
        await nothing_is_left(gateway)


async def test_each_call_has_its_event_and_all_are_in_one_instance(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        steps = ("make", 0, 1), ("make", 1, 1), ("value", 0), ("live",), ("drop", 0), ("live",)
        assert await run(gateway, *steps) == [0, 0, 1, 2, 0, 1]
        events = told(gateway)
        assert functions(gateway) == [
            "[constructor]counter",
            "[constructor]counter",
            "[method]counter.value",
            "live",
            "[resource-drop]counter",
            "live",
        ]
        assert [event.instantiated for event in events] == [True, *[False] * 5]
        assert {event.outcome for event in events} == {Outcome.OK}
        assert {(event.kind, event.route) for event in events} == {(Kind.LINK, "tally")}
        assert len({event.request_id for event in events}) == 1
        calls = (
            'gateway_linked_calls_total{component="tally",function="[method]counter.value",'
            'interface="test:counters/api",outcome="ok",target="component"}'
        )
        assert await gateway.metric(calls) == 1


async def test_an_instance_lasts_until_its_last_resource_is_dropped(pair: Make) -> None:
    async with talking(*pair(callee={"max_concurrency": 1})) as gateway:
        task = await kept(gateway, ("make", 0, 1), ("drop", 0), ("make", 0, 1), ("live",))
        assert [event.instantiated for event in told(gateway)] == [True, False, True, False]
        assert service(gateway).gate.in_flight == 1
        task.cancel()
        await nothing_is_left(gateway)
        task = await kept(gateway, ("make", 0, 1), ("make", 1, 1), ("drop", 1), ("drop", 0))
        await until(lambda: not service(gateway).gate.in_flight)
        assert len(STORES) == 1  # the caller's own
        task.cancel()
        await nothing_is_left(gateway)


async def test_what_is_dropped_at_the_end_is_dropped_all_the_same(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        assert await run(gateway, ("make", 0, 1), ("make", 1, 1), ("drop", 1)) == [0, 0, 0]
        await nothing_is_left(gateway)
        assert functions(gateway)[2:] == ["[resource-drop]counter"]


_COUNTER: Final = f"""
  (import "{API}" (instance $api
    (export "counter" (type $counter (sub resource)))
    (export "[constructor]counter" (func (param "start" u32) (result (own $counter))))
    (export "live" (func (result u32)))))
"""


class _Telling(set[Any]):
    """What is under way, and tells when something is not any more."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def remove(self, work: Any) -> None:
        super().remove(work)
        self._tell()


async def test_what_is_dropped_just_after_another_is_dropped_too(
    guest: GuestPath, tmp_path: Path
) -> None:
    links = [{"import": API, "component": "counters"}]
    callee = counters(guest("c/counters"))
    async with driven(tmp_path, _COUNTER, callee, links=links) as (caller, gateway):
        first, second, _ = [await caller.call("api#[constructor]counter", 1) for _ in range(3)]
        left = [second]

        def drop_one_more() -> None:
            if left:
                caller.tell("api#drop counter", left.pop())

        service(gateway).under_way = _Telling(drop_one_more)
        await caller.call("api#drop counter", first)
        await caller.returned("api#drop counter")
        assert await caller.call("api#live") == 1


async def test_a_caller_that_traps_frees_what_it_has(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        assert await run(gateway, ("make", 0, 1), ("trap",)) == TRAPPED
        await nothing_is_left(gateway)
        assert functions(gateway) == ["[constructor]counter"]


async def test_a_caller_that_is_late_frees_what_it_has(pair: Make) -> None:
    async with talking(*pair(max_execution_time="200ms")) as gateway:
        assert await run(gateway, ("make", 0, 1), ("wait", HOUR)) == LATE
        await nothing_is_left(gateway)


async def test_a_client_that_leaves_frees_what_its_caller_has(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        task = await kept(gateway, ("make", 0, 1), ("value", 0))
        assert len(STORES) == 2
        task.cancel()
        await nothing_is_left(gateway)


async def test_a_method_that_traps_frees_its_instance_and_stops_its_caller(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        with structlog.testing.capture_logs() as logs:
            assert await run(gateway, ("make", 0, 1), ("break-off", 0)) == TRAPPED
        made, broken = told(gateway)
        assert (made.outcome, broken.outcome) == (Outcome.OK, Outcome.TRAP)
        assert broken.trap is TrapKind.UNREACHABLE
        (failed,) = (line for line in logs if line["event"] == "linked call failed")
        assert (failed["function"], failed["outcome"]) == ("[method]counter.break-off", "trapped")
        await nothing_is_left(gateway)


async def test_a_method_that_is_late_frees_its_instance_and_stops_its_caller(pair: Make) -> None:
    async with talking(*pair(callee={"max_execution_time": "1s"})) as gateway:
        assert await run(gateway, ("make", 0, 1), ("spin", 0)) == TRAPPED
        assert told(gateway)[-1].outcome is Outcome.DEADLINE
        await nothing_is_left(gateway)


async def test_each_call_has_the_time_that_its_component_has(pair: Make) -> None:
    async with talking(*pair(callee={"max_execution_time": "1s"})) as gateway:
        steps = ("make", 0, 1), ("wait", 1100), ("value", 0)
        assert await run(gateway, *steps) == [0, 0, 1]


async def test_a_resource_of_an_instance_that_is_gone_is_of_no_use(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        with structlog.testing.capture_logs() as logs:
            steps = ("make", 0, 1), ("make", 1, UNLUCKY), ("drop", 1), ("value", 0)
            assert await run(gateway, *steps) == TRAPPED
        assert [event.outcome for event in told(gateway)[2:]] == [Outcome.TRAP, Outcome.REJECTED]
        (failed,) = (line for line in logs if line["event"] == "linked call failed")
        assert failed["outcome"] == "failed"
        assert "of another instance, or its own has ended" in failed["reason"]
        await nothing_is_left(gateway)


async def test_a_drop_has_the_time_that_its_component_has(pair: Make) -> None:
    async with talking(*pair(callee={"max_execution_time": "1s"})) as gateway:
        assert await run(gateway, ("make", 0, ENDLESS), ("drop", 0)) == [0, 0]
        await nothing_is_left(gateway)
        assert told(gateway)[-1].outcome is Outcome.DEADLINE


async def test_a_caller_has_one_place_of_its_callee(pair: Make) -> None:
    limits = {"max_concurrency": 1, "max_queue": 1, "max_queue_time": "1h"}
    async with talking(*pair(callee=limits)) as gateway:
        first = await kept(gateway, ("make", 0, 1), ("make", 1, 2), ("value", 1))
        second = asyncio.create_task(run(gateway, ("make", 0, 1), ("value", 0)))
        await until(lambda: service(gateway).gate.queued == 1)
        assert await run(gateway, ("make", 0, 1)) == TRAPPED  # there is no room to wait
        first.cancel()
        assert await second == [0, 1]
        await nothing_is_left(gateway)


async def test_others_hold_no_more_resources_than_they_may(
    pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_resource, "MAX_HANDED_OUT", 8)
    async with talking(*pair()) as gateway:
        assert await run(gateway, ("make", 0, 1), ("split", 0, 8), ("sum", 0, 8)) == [0, 8, 36]
        assert await run(gateway, ("make", 0, 1), ("split", 0, 9)) == TRAPPED
        await nothing_is_left(gateway)


async def test_thousands_cross_at_once(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        steps = ("make", 0, 1), ("split", 0, 5000), ("sum", 0, 5000), ("same", 0, 5000), ("live",)
        assert await run(gateway, *steps) == [0, 5000, 5000 * 5001 // 2, 5000, 5000]
        await nothing_is_left(gateway)


async def test_what_is_kept_stays_through_a_reload(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        steps = ("make", 0, 1), ("value", 0), ("wait", 500), ("add", 0, 1), ("drop", 0)
        task = asyncio.create_task(run(gateway, *steps))
        await until(lambda: len(told(gateway)) == 2)
        before = service(gateway)
        configs = tuple(pair(callee={"max_concurrency": 2}))
        await gateway.app.reload(GatewayConfig(components=configs))
        assert service(gateway) is not before
        assert await run(gateway, ("make", 0, 7), ("value", 0)) == [0, 7]
        assert await task == [0, 1, 0, 2, 0]
        await until(lambda: before.gate.is_saturated)  # closed
        await nothing_is_left(gateway)
        assert functions(gateway).count("[resource-drop]counter") == 1


async def test_a_gateway_that_stops_frees_what_is_kept(pair: Make) -> None:
    async with talking(*pair()) as gateway:
        task = await kept(gateway, ("make", 0, 1), ("make", 1, ENDLESS), ("live",))
        gateway.app.stop_calls()
        assert await task == -32003
        await nothing_is_left(gateway)


async def test_hundreds_of_callers_at_once_leave_nothing(pair: Make) -> None:
    limits = {"max_concurrency": 8, "max_queue": 8, "max_queue_time": "20ms"}
    configs = pair(callee=limits, max_concurrency=400, max_execution_time="120s")
    async with talking(*configs, max_in_flight=400) as gateway:
        scripts: Sequence[Sequence[Step]] = (
            [("make", 0, 1), ("wait", 5), ("value", 0), ("drop", 0)],
            [("make", 0, 1), ("trap",)],
            [("make", 0, 1), ("break-off", 0)],
            [("make", 0, 1), ("split", 0, 9), ("drop", 3), ("sum", 4, 4)],
            [("make", 0, UNLUCKY), ("drop", 0), ("make", 0, 1)],
        )
        answers = await asyncio.gather(
            *(run(gateway, *scripts[number % len(scripts)]) for number in range(400))
        )
        assert TRAPPED in answers
        await nothing_is_left(gateway)
        assert await run(gateway, ("make", 0, 1), ("value", 0)) == [0, 1]


async def test_of_several_targets_one_is_called_while_an_instance_is_kept(
    guest: GuestPath,
) -> None:
    names = ["one", "two"]
    targets = [counters(guest("c/counters"), name=name) for name in names]
    links = [{"import": API, "component": names}]
    async with talking(*targets, tally(guest("c/tally"), links=links)) as gateway:
        for _ in range(2):
            steps = ("make", 0, 1), ("make", 1, 2), ("beyond", 1, 0), ("sum", 0, 2)
            assert await run(gateway, *steps) == [0, 0, 1, 3]
        called = [event.component for event in told(gateway)]
        assert set(called[:4]) | set(called[4:]) == set(names)
        assert len(set(called[:4])) == len(set(called[4:])) == 1


# --- several components -------------------------------------------------------------------------------------

_THING: Final = """
(component
  (core module $module
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (result i32) (call $new (i32.const 7))))
  (type $own (resource (rep i32)))
  (core func $new (canon resource.new $own))
  (core instance $core (instantiate $module (with "" (instance (export "new" (func $new))))))
  (func $make (result (own $own)) (canon lift (core func $core "make")))
  (component $api
    (import "thing" (type $thing (sub resource)))
    (import "make" (func $make (result (own $thing))))
    (export $named "thing" (type $thing))
    (export "make" (func $make) (func (result (own $named)))))
  (instance $instance (instantiate $api (with "thing" (type $own)) (with "make" (func $make))))
  (export "NAME" (instance $instance)))
"""
"""Hands out things that nothing can be done with."""

_BOTH: Final = """
(component
  (type $api (instance
    (export "thing" (type $thing (sub resource)))
    (export "make" (func (result (own $thing))))))
  (import "test:things/one@1.0.0" (instance $one (type $api)))
  (import "test:things/two@1.0.0" (instance $two (type $api)))
  (core func $one (canon lower (func $one "make")))
  (core func $two (canon lower (func $two "make")))
  (core module $module
    (import "" "one" (func $one (result i32)))
    (import "" "two" (func $two (result i32)))
    (func (export "run") (param $first i32) (result i32)
      (if (i32.eqz (local.get $first))
        (then (drop (call $one)) (drop (call $two)))
        (else (drop (call $two)) (drop (call $one))))
      (i32.const 1)))
  (core instance $core (instantiate $module
    (with "" (instance (export "one" (func $one)) (export "two" (func $two))))))
  (func (export "run") (param "first" u32) (result u32) (canon lift (core func $core "run"))))
"""
"""Takes one of each, in the one order or the other."""


def written(folder: Path, name: str, text: str, **keys: Any) -> ComponentConfig:
    """A component of this text."""
    (source := folder / f"{name}.wat").write_text(text)
    return ComponentConfig.model_validate({"name": name, "source": source, **keys})


async def test_callers_that_keep_what_the_other_waits_for_get_their_answers(
    tmp_path: Path,
) -> None:
    limits = {"max_concurrency": 1, "max_queue": 12, "max_queue_time": "50ms"}
    ways = ("one", "two")
    things = [
        written(tmp_path, way, _THING.replace("NAME", f"test:things/{way}@1.0.0"), **limits)
        for way in ways
    ]
    links = [{"import": f"test:things/{way}@1.0.0", "component": way} for way in ways]
    both = written(tmp_path, "both", _BOTH, links=links, max_concurrency=12)
    async with talking(*things, both) as gateway:
        calls = (gateway.call("run", number % 2, name="both") for number in range(12))
        assert {1, TRAPPED} >= set(await asyncio.gather(*calls))
        assert await gateway.call("run", 0, name="both") == 1
        await nothing_is_left(gateway)


_TAKER: Final = """
(component
  (import "test:things/one@1.0.0" (instance $one
    (export "thing" (type $thing (sub resource)))
    (export "make" (func (result (own $thing))))))
  (alias export $one "thing" (type $thing))
  (import "test:things/taker@1.0.0" (instance $taker
    (alias outer 1 $thing (type $given))
    (export "thing" (type $here (eq $given)))
    (export "take" (func (param "it" (own $here))))))
  (core module $module (func (export "run")))
  (core instance $core (instantiate $module))
  (func (export "run") (canon lift (core func $core "run"))))
"""


def test_a_third_component_is_not_given_a_resource(tmp_path: Path) -> None:
    one = written(tmp_path, "one", _THING.replace("NAME", "test:things/one@1.0.0"))
    text = _THING.replace("NAME", "test:things/taker@1.0.0").replace('"make"', '"take"')
    third = written(tmp_path, "third", text)
    links = [
        {"import": "test:things/one@1.0.0", "component": "one"},
        {"import": "test:things/taker@1.0.0", "component": "third"},
    ]
    caller = written(tmp_path, "caller", _TAKER, links=links)
    with pytest.raises(ComponentError) as refused:
        create_app(GatewayConfig(components=(one, third, caller)))
    assert "take: takes or gives the resource thing" in str(refused.value)
