"""Calls by links within a gateway: how they are bounded, how they fail, and what is told of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
import structlog

from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError, TrapKind
from gateway.host.store import STORES
from gateway.observe.events import Kind, LinkedExportReturned, Outcome, ReturnEvent
from gateway.serving.service import Service
from tests.harness import GuestPath
from tests.links.relays import OUTCOMES, callee, relay
from tests.patience import until
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

TRAPPED: Final = -32000
LATE: Final = -32001
STOPPING: Final = -32003

HOUR: Final = 3_600_000
"""In milliseconds: longer than any deadline here."""


@pytest.fixture
def pair(guest: GuestPath) -> Callable[..., Sequence[ComponentConfig]]:
    """A relay and what it calls."""

    def make(
        *, link: dict[str, Any] | None = None, rpc: dict[str, Any] | None = None, **keys: Any
    ) -> Sequence[ComponentConfig]:
        link = {"component": "rpc", **(link or {})}
        return callee(guest("c/rpc"), **(rpc or {})), relay(guest("c/relay"), link=link, **keys)

    return make


class Told:
    """What was told of invocations."""

    def __init__(self, gateway: Talking) -> None:
        self._events: list[ReturnEvent] = []
        self._channel = gateway.app.runtime.channel
        self._channel.add_sink(self._events.append)

    @property
    def all(self) -> list[ReturnEvent]:
        """Every event so far."""
        self._channel.flush()
        return self._events

    def of(self, component: str) -> ReturnEvent:
        """The only event of a component."""
        (event,) = (event for event in self.all if event.component == component)
        return event


def service(gateway: Talking, name: str) -> Service:
    return next(each for each in gateway.app.services if each.name == name)


async def call(gateway: Talking, function: str, *params: Any, name: str = "relay") -> Any:
    return await gateway.call(f"outcomes.{function}", *params, name=name)


async def waiting(gateway: Talking, name: str) -> asyncio.Task[Any]:
    """A call whose callee waits for an hour, once that is under way."""
    task = asyncio.create_task(call(gateway, "wait", HOUR, name=name))
    await until(lambda: service(gateway, "rpc").under_way)
    return task


async def test_each_call_is_an_invocation_of_its_own(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        told = Told(gateway)
        assert await gateway.call("types.echo-string", "hello", name="relay") == "hello"
        caller, event = told.of("relay"), told.of("rpc")
        assert isinstance(event, LinkedExportReturned)
        assert (event.kind, event.outcome, event.route) == (Kind.LINK, Outcome.OK, "relay")
        assert event.export == "test:rpc/types@1.2.3#echo-string"
        assert (event.request_id, event.trace_id) == (caller.request_id, caller.trace_id)
        assert caller.host_calls == {"test:rpc/types@1.2.3": 1}
        assert caller.phases.host >= event.phases.instantiate + event.phases.guest > 0
        calls = (
            'gateway_linked_calls_total{component="relay",function="echo-string",'
            'interface="test:rpc/types",outcome="ok",target="component"}'
        )
        assert await gateway.metric(calls) == 1
        assert not STORES


async def test_a_callee_that_traps_stops_its_caller(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        told = Told(gateway)
        with structlog.testing.capture_logs() as logs:
            assert await call(gateway, "trap") == TRAPPED
        assert told.of("rpc").trap is TrapKind.UNREACHABLE
        assert told.of("relay").trap is TrapKind.CALLEE_TRAPPED
        (failed,) = (line for line in logs if line["event"] == "linked call failed")
        assert (failed["outcome"], failed["component"]) == ("trapped", "relay")
        assert (failed["interface"], failed["function"]) == (OUTCOMES, "trap")
        assert failed["target"] == 'component "rpc"'
        assert "unreachable" in failed["reason"]


async def test_a_callee_that_exits_has_returned_where_it_owes_nothing(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        assert await call(gateway, "exit", {"ok": None}) is None


async def test_a_callee_that_is_late_stops_its_caller(pair: Any) -> None:
    async with talking(*pair(rpc={"max_execution_time": "1s"})) as gateway:
        told = Told(gateway)
        assert await call(gateway, "spin") == TRAPPED
        assert told.of("rpc").outcome is Outcome.DEADLINE
        assert told.of("relay").trap is TrapKind.CALLEE_LATE


async def test_a_callee_has_its_own_time_to_compute(pair: Any) -> None:
    async with talking(*pair(rpc={"max_cpu_time": "50ms"}, max_cpu_time="10ms")) as gateway:
        told = Told(gateway)
        assert await call(gateway, "spin") == TRAPPED
        assert told.of("rpc").outcome is Outcome.CPU_TIME
        # The caller only waits for it.
        assert told.of("relay").trap is TrapKind.CALLEE_LATE


@pytest.mark.parametrize("function", [("wait", HOUR), ("spin",)])
async def test_the_callers_deadline_bounds_the_callee(pair: Any, function: Sequence[Any]) -> None:
    async with talking(*pair(max_execution_time="1s")) as gateway:
        told = Told(gateway)
        assert await call(gateway, *function) == LATE
        assert told.of("rpc").outcome is Outcome.DEADLINE
        assert told.of("relay").outcome is Outcome.DEADLINE
        late = (
            f'gateway_linked_calls_total{{component="relay",function="{function[0]}",'
            'interface="test:rpc/outcomes",outcome="late",target="component"}'
        )
        assert await gateway.metric(late) == 1
        assert not STORES


async def test_a_callee_without_a_place_stops_its_caller(pair: Any) -> None:
    async with talking(*pair(rpc={"max_concurrency": 1})) as gateway:
        told = Told(gateway)
        with service(gateway, "rpc").gate.try_enter() or pytest.fail("no place"):
            assert await call(gateway, "settle-none", {"ok": None}) == TRAPPED
        assert told.of("rpc").outcome is Outcome.EXHAUSTED
        assert told.of("relay").trap is TrapKind.CALLEE_BUSY
        assert await call(gateway, "settle-none", {"ok": None}) is None


async def test_a_caller_waits_for_its_callees_place(pair: Any) -> None:
    limits = {"max_concurrency": 1, "max_queue": 1, "max_queue_time": "1h"}
    async with talking(*pair(rpc=limits)) as gateway:
        gate = service(gateway, "rpc").gate
        with gate.try_enter() or pytest.fail("no place"):
            task = asyncio.create_task(call(gateway, "settle-none", {"ok": None}))
            await until(lambda: gate.queued == 1)
            assert await call(gateway, "settle-none", {"ok": None}) == TRAPPED
        assert await task is None
        assert (gate.in_flight, gate.queued) == (0, 0)


async def test_a_caller_waits_no_longer_than_its_callees_queue(pair: Any) -> None:
    limits = {"max_concurrency": 1, "max_queue": 1, "max_queue_time": "50ms"}
    async with talking(*pair(rpc=limits)) as gateway:
        gate = service(gateway, "rpc").gate
        with gate.try_enter() or pytest.fail("no place"):
            assert await call(gateway, "settle-none", {"ok": None}) == TRAPPED
        assert (gate.in_flight, gate.queued) == (0, 0)


async def test_callers_that_hold_all_places_of_the_worker_do_not_keep_out_their_callees(
    pair: Any,
) -> None:
    async with talking(*pair(), max_in_flight=1) as gateway:
        assert await call(gateway, "settle-ok", {"ok": 1}) == 1


async def test_a_circle_of_calls_ends_at_the_depth_that_is_configured(guest: GuestPath) -> None:
    there = relay(guest("c/relay"), name="there", link={"component": "back"})
    back = relay(guest("c/relay"), name="back", link={"component": "there"})
    async with talking(there, back, max_call_depth=32) as gateway:
        told = Told(gateway)
        assert await call(gateway, "trap", name="there") == TRAPPED
        traps = [event.trap for event in told.all]
        assert traps == [TrapKind.CALL_DEPTH, *[TrapKind.CALLEE_TRAPPED] * 32]
        assert not STORES


async def test_a_component_may_call_itself(guest: GuestPath) -> None:
    async with talking(relay(guest("c/relay"), link={"component": "relay"})) as gateway:
        told = Told(gateway)
        assert await call(gateway, "trap") == TRAPPED
        assert len(told.all) == 9


async def test_a_failure_is_an_err_where_the_result_can_carry_it(pair: Any) -> None:
    configs = pair(link={"errors": "result"}, rpc={"max_concurrency": 1})
    async with talking(*configs) as gateway:
        with service(gateway, "rpc").gate.try_enter() or pytest.fail("no place"):
            busy = await gateway.response("outcomes.settle-err", {"ok": None}, name="relay")
            assert busy["error"]["data"] == 'component "rpc" is busy'
            none = await gateway.response("outcomes.settle-none", {"ok": None}, name="relay")
            assert (none["error"]["code"], none["error"]["data"]) == (1, None)
            # A variant of the interface's own has no place for words, and `u32` is no error.
            assert await call(gateway, "settle", {"ok": ""}) == TRAPPED
            assert await call(gateway, "print", "", "") == TRAPPED


async def test_a_client_that_leaves_ends_caller_and_callee(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        told = Told(gateway)
        task = await waiting(gateway, "relay")
        task.cancel()
        await until(lambda: not service(gateway, "relay").under_way)
        assert told.of("rpc").outcome is Outcome.CANCELLED
        assert not STORES


async def test_a_gateway_that_stops_ends_caller_and_callee(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        told = Told(gateway)
        task = await waiting(gateway, "relay")
        assert gateway.app.stop_calls() == 2
        assert await task == STOPPING
    assert [event.outcome for event in told.all] == [Outcome.CANCELLED, Outcome.CANCELLED]
    assert not STORES


async def test_a_call_ends_with_the_configuration_that_it_began_with(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        task = asyncio.create_task(call(gateway, "wait", 300))
        before = service(gateway, "rpc")
        await until(lambda: before.under_way)
        await gateway.app.reload(GatewayConfig(components=tuple(pair(rpc={"max_concurrency": 2}))))
        assert service(gateway, "rpc") is not before
        assert await call(gateway, "settle-ok", {"ok": 1}) == 1
        assert await task is None
        await until(lambda: before.gate.is_saturated)  # closed


async def test_a_configuration_without_the_callee_is_refused(pair: Any) -> None:
    rpc, caller = pair()
    async with talking(rpc, caller) as gateway:
        with pytest.raises(ComponentError, match='there is no component "rpc"'):
            await gateway.app.reload(GatewayConfig(components=(caller,)))
        assert await call(gateway, "settle-ok", {"ok": 1}) == 1


async def test_what_nothing_else_leads_to_is_served_for_its_callers(pair: Any) -> None:
    async with talking(*pair(rpc={"rpc": False})) as gateway:
        assert await call(gateway, "settle-ok", {"ok": 1}) == 1


async def test_values_of_any_size_come_back(pair: Any) -> None:
    points = [{"x": at, "y": -at} for at in range(8192)]
    async with talking(*pair(), rpc_max_body="4MiB") as gateway:
        assert await gateway.call("types.echo-list-point", points, name="relay") == points


async def test_an_argument_larger_than_host_functions_take_traps(pair: Any) -> None:
    async with talking(*pair()) as gateway:
        assert await gateway.call("types.echo-list-u16", [0] * 8193, name="relay") == TRAPPED


async def test_a_thousand_calls_at_once_of_mixed_outcomes_leave_nothing(pair: Any) -> None:
    limits = {"max_concurrency": 8, "max_queue": 8, "max_queue_time": "20ms"}
    configs = pair(rpc=limits, max_concurrency=1000, max_execution_time="120s")
    async with talking(*configs, max_in_flight=1000) as gateway:
        functions: Sequence[Sequence[Any]] = (
            ("settle-ok", {"ok": 1}),
            ("trap",),
            ("wait", 5),
            ("settle-err", {"err": "no"}),
            ("exit", {"err": None}),
        )
        answers = await asyncio.gather(
            *(call(gateway, *functions[number % len(functions)]) for number in range(1000))
        )
        assert len(answers) == 1000
        assert {1, TRAPPED} <= {answer for answer in answers if answer is not None}
        for each in ("relay", "rpc"):
            gate = service(gateway, each).gate
            assert (gate.in_flight, gate.queued) == (0, 0)
        assert gateway.app.runtime.admission.in_flight == 0
        assert not STORES
        assert await call(gateway, "settle-ok", {"ok": 1}) == 1
