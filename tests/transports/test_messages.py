"""Messages that components take and send, by each broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.app import create_app, verify
from gateway.bindings import provided, provided_to
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError, TrapKind
from gateway.observe.events import MessagingHandlerHandleMessageReturned, Outcome
from tests.capabilities.servers import Nats, broker_url
from tests.harness import GuestPath
from tests.patience import until
from tests.transports.talking import calling, component, lifespan, talking

pytestmark = pytest.mark.anyio

Logs = list[MutableMapping[str, Any]]


@pytest.fixture(params=["memory", "nats"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a broker."""
    return broker_url(request)


@pytest.fixture(params=["c/messages", "js/messages"])
def source(request: pytest.FixtureRequest, guest: GuestPath) -> Path:
    """A component that takes messages and sends some."""
    return guest(request.param)


@pytest.fixture
def c(guest: GuestPath) -> Path:
    """The one that does what messages say."""
    return guest("c/messages")


@pytest.fixture
def logs() -> Iterator[Logs]:
    """The lines of the log, from before there is a gateway."""
    # One that an application has configured is left as it is.
    structlog.configure(processors=[*structlog.get_config()["processors"]])
    with capture_logs() as found:
        yield found


async def test_a_guest_answers_requests_of_another(source: Path, url: str) -> None:
    """wasmcloud:messaging: a `request` is answered by what the export `handler` publishes."""
    async with talking(component(source, url, "t.*|q")) as gateway:
        answer = await gateway.ask("t.a", "abc")
        assert answer in {"abc", "t.a: abc"}
        await gateway.ended(1)
        (event,) = gateway.events
        assert isinstance(event, MessagingHandlerHandleMessageReturned)
        assert event.component == "m"
        assert event.export == "wasmcloud:messaging/handler@0.2.0#handle-message"
        assert (event.outcome, event.route, event.bytes_in) == (Outcome.OK, "t.*|q", 3)
        assert event.host_calls["wasmcloud:messaging/consumer@0.2.0"] == 1


async def test_an_err_of_the_handler_is_logged(source: Path, url: str, logs: Logs) -> None:
    """wasmcloud:messaging/handler: an err is logged, and the message dropped."""
    refused = "refuse" if "js" in str(source) else "eit was refused"
    async with talking(component(source, url, "t.*")) as gateway:
        assert await gateway.send("t.a", refused) is None
        await gateway.ended(1)
        assert gateway.outcomes == [Outcome.ERR]
    (line,) = [line for line in logs if line["event"] == "message handler failed"]
    assert (line["reason"], line["component"]) == ("it was refused", "m")
    assert line["trace_id"]


async def test_a_message_says_where_an_answer_goes(source: Path, url: str) -> None:
    """wasmcloud:messaging/consumer: `publish` with a `reply-to` sets the subject of the answer."""
    other = component(source, url, "t.b", name="other")
    async with talking(component(source, url, "t.a"), other) as gateway:
        assert await gateway.send("t.a", "abc", "t.b") is None
        await gateway.ended(2)
        told = [(event.component, event.route) for event in gateway.events]
        assert sorted(told) == [("m", "t.a"), ("other", "t.b")]


async def test_a_request_without_an_answer_is_an_err(c: Path, url: str) -> None:
    """wasmcloud:messaging/consumer: a `request` that has no answer within `timeout-ms` is an err that says so."""
    async with talking(component(c, url, "t.*")) as gateway:
        assert "timed out" in await gateway.ask("t.a", "x", 1)


async def test_a_trap_ends_its_message_alone(c: Path, url: str, logs: Logs) -> None:
    """wasmcloud:messaging/handler: a trap is logged, and the message dropped."""
    async with talking(component(c, url, "t.*")) as gateway:
        assert await gateway.send("t.a", "t") is None
        await gateway.ended(1)
        assert await gateway.ask("t.a", "again") == "again"
        await gateway.ended(2)
        assert gateway.outcomes == [Outcome.TRAP, Outcome.OK]
        assert gateway.events[0].trap is TrapKind.UNREACHABLE
        kinds = 'gateway_invocations_total{component="m",kind="messaging",outcome="trap"}'
        assert await gateway.metric(kinds) == 1
    assert [line["trap"] for line in logs if line["event"] == "component trapped"] == [
        "unreachable"
    ]


async def test_a_handler_has_the_deadline_of_its_component(c: Path) -> None:
    async with talking(component(c, "memory:", "t.*", max_execution_time=0.05)) as gateway:
        await gateway.send("t.a", "s")
        await gateway.ended(1)
        assert gateway.outcomes == [Outcome.DEADLINE]


async def test_a_message_goes_on_with_the_trace_of_who_sent_it(c: Path, url: str) -> None:
    async with talking(component(c, url, "t.*", "forwarded")) as gateway:
        await gateway.send("t.a", "f.")
        await gateway.ended(2)
        first, second = gateway.events
        assert first.trace_id == second.trace_id
        assert first.request_id != second.request_id


# --- what is granted ---------------------------------------------------------------------------------------


async def test_a_subject_that_is_not_granted_is_an_err(source: Path, url: str) -> None:
    """wasmcloud:messaging/consumer: failures are err(string)."""
    async with talking(component(source, url, "t.*")) as gateway:
        for subject in ("other", "t", "$SYS.a", "_INBOX.a"):
            assert "may not publish" in await gateway.send(subject, "")
            assert "may not publish" in await gateway.ask(subject, "")
        for subject in ("", "t.*", "t.a b", "t..a", "t.>"):
            assert "a subject must" in await gateway.send(subject, "")
            assert "a subject must" in await gateway.ask(subject, "")
        assert "may not have answers" in await gateway.send("t.a", "", "other")
        assert "a subject must" in await gateway.send("t.a", "", "a b")
        assert gateway.events == []
        refused = (
            f'gateway_capability_operations_total{{backend="{url.partition(":")[0]}",component="m",'
            'function="publish",interface="wasmcloud:messaging/consumer",outcome="refused"}'
        )
        assert await gateway.metric(refused) == 5


async def test_a_handler_may_answer_whoever_asks(c: Path, url: str) -> None:
    silent = component(c, url, "t.a", name="silent")
    silent = silent.model_copy(
        update={"messaging": silent.messaging.model_copy(update={"publish": ()})}  # type: ignore[union-attr]
    )
    async with talking(component(c, url), silent) as gateway:
        assert await gateway.ask("t.a", "answer") == "answer"
        await gateway.send("t.a", "answer", "t.b")
        await gateway.ended(2)
        assert gateway.outcomes == [Outcome.OK, Outcome.OK]
        # The subject of a message that is over is none any more; nor is another's.
        assert "may not publish" in await gateway.call("send", "t.b", "", None, name="silent")


async def test_a_message_that_is_too_large_is_an_err_or_dropped(c: Path, url: str) -> None:
    small = component(c, url, "t.*", name="small")
    small = small.model_copy(
        update={"messaging": small.messaging.model_copy(update={"max_message": 10})}  # type: ignore[union-attr]
    )
    async with talking(component(c, url), small) as gateway:
        assert "at most" in await gateway.call("send", "t.a", "x" * 11, None, name="small")
        await gateway.send("t.a", "x" * 11)
        await gateway.send("t.a", "x" * 10)
        await gateway.ended(1)
        assert [event.bytes_in for event in gateway.events] == [10]
        dropped = 'gateway_messages_dropped_total{component="small",reason="too-large"}'
        assert await gateway.metric(dropped) == 1


async def test_a_component_without_a_broker_traps_with_the_imports_name(
    guest: GuestPath, logs: Logs
) -> None:
    """wasmcloud:messaging/consumer: traps where it is not linked."""
    config = ComponentConfig(name="m", source=guest("c/messages"))
    consumer = "wasmcloud:messaging/consumer@0.2.0"
    assert provided_to(config).interface(consumer) is None
    assert provided().interface(consumer) is not None
    async with talking(config) as gateway:
        assert await gateway.send("t.a", "") == -32000
    (line,) = [line for line in logs if line["event"] == "component trapped"]
    assert consumer in line["reason"]
    assert line["trap"] == TrapKind.UNKNOWN_IMPORT
    (line,) = [line for line in logs if line["event"] == "imports not granted"]
    assert (line["imports"], line["granted_by"]) == ([consumer], ["messaging"])


async def test_handle_message_is_no_method(c: Path) -> None:
    async with talking(component(c, "memory:", "t.*")) as gateway:
        message = {"subject": "t.a", "body": ""}
        assert await gateway.call("handler.handle-message", message) == -32601


def test_subscriptions_need_a_handler(guest: GuestPath) -> None:
    config = component(guest("c/hello"), "memory:", "t.*")
    with pytest.raises(ComponentError, match="exports no wasmcloud:messaging/handler"):
        create_app(GatewayConfig(components=(config,)))


@pytest.mark.parametrize(
    "url", ["memory:///x", "nats:localhost", "nats://", "http://localhost", "nats://a,,b"]
)
def test_a_url_that_cannot_be_used_is_refused(c: Path, url: str) -> None:
    with pytest.raises(ComponentError, match="messaging of component m"):
        create_app(GatewayConfig(components=(component(c, url),)))


async def test_a_component_that_handles_messages_alone_is_served(c: Path) -> None:
    alone = component(c, "memory:", "t.*", rpc=False)
    async with talking(alone, component(c, "memory:", name="other")) as gateway:
        assert await gateway.call("ask", "t.a", "abc", 60_000, name="other") == "abc"
    with pytest.raises(ComponentError, match="handles messages, and has no subscriptions"):
        verify(GatewayConfig(components=(component(c, "memory:", rpc=False),)))


# --- what is bounded ---------------------------------------------------------------------------------------


async def test_so_many_are_handled_at_once_and_so_many_wait(c: Path, url: str) -> None:
    limits = {"max_concurrency": 2, "max_pending": 3}
    held = component(c, url, "t.held", limits=limits)
    async with talking(held, component(c, url, "t.latch", name="latch")) as gateway:
        # Those that are held ask at "t.latch", whose handler finds no place for now.
        service = next(it for it in gateway.app.services if it.name == "m")
        gate = next(it for it in gateway.app.services if it.name == "latch").gate
        places = [gate.try_enter() for _ in range(1024)]  # the latch waits for a place
        for _ in range(7):
            await gateway.send("t.held", "ht.latch")
        dropped = 'gateway_messages_dropped_total{component="m",reason="pending"}'
        await gateway.told(dropped, 2)
        assert service.in_flight == 2
        assert await gateway.metric('gateway_messages_pending{component="m"}') == 3
        for place in places:
            assert place is not None
            place.release()
        await until(lambda: [e.component for e in gateway.events].count("m") == 5)
        assert await gateway.metric('gateway_messages_pending{component="m"}') == 0
        assert await gateway.metric(dropped) == 2


async def test_messages_wait_for_a_place_among_those_of_requests(c: Path) -> None:
    async with talking(
        component(c, "memory:", "t.*", max_concurrency=1), component(c, "memory:", name="other")
    ) as gateway:
        service = gateway.app.services[0]
        place = service.gate.try_enter()
        assert place is not None
        for _ in range(3):
            await gateway.call("send", "t.a", "", None, name="other")
        await until(lambda: service.gate.queued == 3)
        assert gateway.events == []
        place.release()
        await gateway.ended(3)
        assert gateway.outcomes == [Outcome.OK] * 3
        assert service.in_flight == 0


async def test_what_is_sent_beyond_the_rate_is_an_err(c: Path) -> None:
    sender = component(c, "memory:", "t.*", name="sender")
    sender = sender.model_copy(
        update={"messaging": sender.messaging.model_copy(update={"max_publish_rate": 1})}  # type: ignore[union-attr]
    )
    async with talking(component(c, "memory:", "t.*"), sender) as gateway:
        # Each of them is far quicker than a second.
        answers = await asyncio.gather(
            *(gateway.call("send", "t.a", "", None, name="sender") for _ in range(20)),
            *(gateway.call("ask", "t.a", "a", 60_000, name="sender") for _ in range(20)),
        )
        refused = [each for each in answers if each not in {None, "a"}]
        assert 0 < len(refused) < 40
        assert {*refused} == {"this component may send 1 messages a second, and has done so"}
        # Another has a rate of its own.
        assert await gateway.ask("t.a", "abc") == "abc"
        labels = 'backend="memory",component="sender",function="{}",interface="{}",outcome="error"'
        told = 0.0
        for function in ("publish", "request"):
            each = labels.format(function, "wasmcloud:messaging/consumer")
            told += await gateway.metric(f"gateway_capability_operations_total{{{each}}}")
        assert told >= len(refused)  # answers count too


async def test_so_many_are_handled_in_a_second(c: Path) -> None:
    limits = {"max_rate": 50, "max_concurrency": 100}
    async with talking(component(c, "memory:", "t.*", limits=limits)) as gateway:
        began = monotonic()
        for _ in range(75):
            await gateway.send("t.a", "x")
        await gateway.ended(75)
        assert monotonic() - began >= 0.5
        # What waits for its turn has no place, and is given up as such when the gateway stops.
        for _ in range(40):
            await gateway.send("t.a", "x")
        service = gateway.app.services[0]
        gateway.app.drain()
        gateway.app.stop_calls()
        await until(lambda: not gateway.app.busy)
        assert service.in_flight == 0


# --- beginnings and ends -----------------------------------------------------------------------------------


async def test_a_reload_loses_no_message_and_repeats_none(c: Path, url: str) -> None:
    sender = component(c, url, name="sender")
    configs = [
        GatewayConfig(components=(component(c, url, "t.*", environment={"N": str(n)}), sender))
        for n in range(2)
    ]
    async with talking(*configs[0].components) as gateway:
        sent = 0
        reloading = asyncio.create_task(reload_often(gateway.app.reload, configs))
        while not reloading.done():
            await gateway.call("send", "t.a", "x", None, name="sender")
            sent += 1
        await reloading
        await gateway.ended(sent)
        assert await gateway.call("ask", "t.a", "abc", 60_000, name="sender") == "abc"
        await gateway.ended(sent + 1)
        assert gateway.outcomes == [Outcome.OK] * (sent + 1)
        assert sent > 6


async def reload_often(reload: object, configs: list[GatewayConfig]) -> None:
    for number in range(20):
        await reload(configs[(number + 1) % 2])  # type: ignore[operator]


async def test_a_component_that_goes_takes_no_more(c: Path, url: str) -> None:
    sender = component(c, url, name="sender")
    async with talking(component(c, url, "t.*"), sender) as gateway:
        await gateway.app.reload(GatewayConfig(components=(sender,)))
        await until(lambda: not gateway.app._deployment._retiring)
        answer = await gateway.call("ask", "t.a", "abc", 60_000, name="sender")
        assert "nobody answers" in answer


async def test_a_drain_finishes_what_was_taken(c: Path, nats_server: Nats) -> None:
    url = nats_server.broker
    async with talking(component(c, url, "t.*", limits={"max_concurrency": 1})) as gateway:
        app = gateway.app
        place = app.services[0].gate
        taken = [place.try_enter() for _ in range(1023)]  # one is left, for who sends
        for _ in range(20):
            await gateway.send("t.a", "x")
        app.drain()
        await gateway.ended(20)
        await until(lambda: not app.busy)
        assert gateway.outcomes == [Outcome.OK] * 20
        assert "nobody answers" in await gateway.ask("t.a", "abc")
        for each in taken:
            assert each is not None
            each.release()


async def test_what_cannot_be_finished_is_stopped(c: Path, url: str) -> None:
    limits = {"max_concurrency": 1}
    async with talking(component(c, url, "t.held", limits=limits, max_concurrency=4)) as gateway:
        app = gateway.app
        for _ in range(3):
            await gateway.send("t.held", "s")
        await until(lambda: app.services[0].in_flight == 1)
        app.drain()
        await until(lambda: len(app._deployment.generation._transports[0]._pending) == 2)  # type: ignore[attr-defined]
        assert app.busy
        assert app.stop_calls() == 1
        await gateway.ended(1)
        await until(lambda: not app.busy)
        assert gateway.outcomes == [Outcome.CANCELLED]
        assert (
            await gateway.metric('gateway_messages_dropped_total{component="m",reason="stopped"}')
            == 2
        )


async def test_the_end_of_the_lifespan_finishes_what_was_taken(c: Path, url: str) -> None:
    async with talking(component(c, url, "t.*", limits={"max_concurrency": 2})) as gateway:
        for _ in range(20):
            await gateway.send("t.a", "x")
    gateway.app.runtime.channel.flush()
    assert gateway.outcomes == [Outcome.OK] * 20
    # And it can begin again.
    async with lifespan(gateway.app), calling(gateway.app) as again:
        assert await again.ask("t.a", "abc") == "abc"


async def test_without_a_lifespan_messages_come_from_the_first_request_on(c: Path) -> None:
    app = create_app(GatewayConfig(components=(component(c, "memory:", "t.*"),)))
    other = component(c, "memory:", name="other")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.aclose)
        assert not app._deployment.started
        gateway = await stack.enter_async_context(calling(app))
        assert await gateway.ask("t.a", "abc") == "abc"
        await app.reload(GatewayConfig(components=(component(c, "memory:", "t.*"), other)))
        assert await gateway.call("ask", "t.a", "abc", 60_000, name="other") == "abc"


def test_a_check_takes_no_message(c: Path) -> None:
    verify(GatewayConfig(components=(component(c, "nats://127.0.0.1:1", "t.*"),)))
