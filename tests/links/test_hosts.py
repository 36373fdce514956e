"""Names that components send HTTP requests to, and that lead to other components."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import structlog

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError
from gateway.host.store import STORES
from gateway.observe.events import LinkedExportReturned, Outcome
from gateway.routes.exchange import ResponseAborted
from tests.harness import GuestPath
from tests.links.test_calls import Told, service
from tests.patience import until
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

HOST: Final = "pricing.internal"
MIB: Final = 1 << 20


def proxy(source: Path, *, then: Any = "next", name: str = "proxy", **keys: Any) -> ComponentConfig:
    """What forwards requests to the host that begins their paths."""
    links = [{"host": HOST, "component": then}]
    routes = [{"host": "proxy.test"}]
    limits = {"max_concurrency": 64}
    table = {"name": name, "source": source, "links": links, "routes": routes, **limits, **keys}
    return ComponentConfig.model_validate(table)


def behind(source: Path, *, name: str = "next", **keys: Any) -> ComponentConfig:
    table = {"name": name, "source": source, "routes": (), "max_concurrency": 64, **keys}
    return ComponentConfig.model_validate(table)


async def ask(gateway: Talking, path: str = "/", content: bytes = b"") -> httpx.Response:
    """What the proxy answers that forwards a request to the host."""
    return await gateway.client.post(f"http://proxy.test/{HOST}{path}", content=content)


async def handled(gateway: Talking, outcome: str) -> float:
    """How many calls by the link have ended so."""
    return await gateway.metric(
        'gateway_linked_calls_total{component="proxy",function="handle",'
        f'interface="wasi:http/outgoing-handler",outcome="{outcome}",target="component"}}'
    )


async def refused(gateway: Talking, path: str, content: bytes = b"") -> str:
    """The `error-code` of the only request of the proxy that fails when it is asked so."""
    with structlog.testing.capture_logs() as logs, suppress(ResponseAborted):
        response = await ask(gateway, path, content)
        assert (response.status_code, response.content) == (502, b"")
    await until(lambda: not STORES)
    (line,) = (line for line in logs if line["event"] == "outbound request failed")
    return str(line["error"])


@pytest.fixture
async def echo(guest: GuestPath) -> AsyncIterator[Talking]:
    async with talking(proxy(guest("c/proxy")), behind(guest("c/echo"))) as gateway:
        yield gateway


@pytest.fixture
def fail(guest: GuestPath) -> Callable[..., Any]:
    def make(rest: dict[str, Any] | None = None, **keys: Any) -> Any:
        return talking(proxy(guest("c/proxy"), **(rest or {})), behind(guest("c/fail"), **keys))

    return make


@pytest.mark.parametrize("authority", [HOST, f"{HOST}:8080", "Pricing.Internal."])
async def test_a_component_answers_what_is_sent_to_the_host(echo: Talking, authority: str) -> None:
    told = Told(echo)
    url = f"http://proxy.test/{authority}/echo?a=b"
    response = await echo.client.post(url, content=b"x" * 3 * MIB)
    assert (response.status_code, response.content) == (200, b"x" * 3 * MIB)
    await until(lambda: not STORES)
    caller, event = told.of("proxy"), told.of("next")
    assert isinstance(event, LinkedExportReturned)
    assert (event.outcome, event.route) == (Outcome.OK, "proxy")
    assert (event.request_id, event.trace_id) == (caller.request_id, caller.trace_id)
    assert await handled(echo, "ok") == 1
    requests = 'gateway_outbound_requests_total{component="proxy",outcome="response"}'
    assert await echo.metric(requests) == 1


async def test_what_is_linked_needs_no_grant_and_gives_none(echo: Talking) -> None:
    with structlog.testing.capture_logs() as logs:
        response = await echo.client.post(f"http://proxy.test/other.{HOST}/")
    assert response.status_code == 502
    assert "outbound request refused" in {line["event"] for line in logs}


@pytest.mark.parametrize(
    ("caller", "callee", "path"),
    [
        ("c/proxy", "wat/wasi-0-3", f"/{HOST}/b"),
        ("wat/wasi-0-3-client", "c/echo", f"/f{HOST}/b"),
        ("wat/wasi-0-3-client", "wat/wasi-0-3", f"/f{HOST}/b"),
    ],
)
async def test_wasi_0_3_at_either_end(
    guest: GuestPath, caller: str, callee: str, path: str
) -> None:
    async with talking(proxy(guest(caller)), behind(guest(callee))) as gateway:
        response = await gateway.client.post(f"http://proxy.test{path}", content=b"x" * 3 * MIB)
        assert (response.status_code, response.content) == (200, b"x" * 3 * MIB)


async def test_a_response_that_is_handed_on_passes_whole(guest: GuestPath) -> None:
    between = behind(
        guest("wat/wasi-0-3-client"),
        name="between",
        links=[{"host": "fnext.internal", "component": "next"}],
    )
    client = proxy(guest("c/proxy"), then="between")
    async with talking(client, between, behind(guest("c/echo"))) as gateway:
        response = await ask(gateway, "/ffnext.internal/", b"x" * 3 * MIB)
        assert (response.status_code, response.content) == (200, b"x" * 3 * MIB)
        await until(lambda: not STORES)


@pytest.mark.parametrize(
    ("path", "code", "outcome"),
    [
        ("/trap", "connection-terminated", "trapped"),
        ("/noset", "connection-terminated", "failed"),
        ("/seterr/DNS-timeout", "DNS-timeout", "ok"),
        ("/status?code=100", "HTTP-protocol-error", "ok"),
        ("/trap-after", "HTTP-response-incomplete", "trapped"),
        ("/drop-after", "HTTP-response-incomplete", "ok"),
    ],
)
async def test_a_callee_that_fails_is_an_error_code(
    fail: Any, path: str, code: str, outcome: str
) -> None:
    async with fail() as gateway:
        assert await refused(gateway, path) == code
        # One that is not at its end when its answer is found to be of no use ends with the exchange.
        stopped = await handled(gateway, "cancelled") if outcome == "ok" else 0
        assert await handled(gateway, outcome) + stopped == 1


async def test_a_response_that_is_whole_is_one_whatever_comes_after(fail: Any) -> None:
    async with fail() as gateway:
        for path in ("/trap-last", "/sleep-after?ms=20"):
            assert (await ask(gateway, path)).text == "answered\n"
        await until(lambda: not STORES)
        assert await handled(gateway, "trapped") == await handled(gateway, "ok") == 1


async def test_a_reload_lets_a_callee_finish_that_has_answered(guest: GuestPath) -> None:
    def components(**keys: Any) -> tuple[ComponentConfig, ...]:
        return behind(guest("c/fail"), **keys), proxy(guest("c/proxy"))

    async with talking(*components()) as gateway:
        told = Told(gateway)
        assert (await ask(gateway, "/sleep-after?ms=1000")).text == "answered\n"
        before = service(gateway, "next")
        await gateway.app.reload(GatewayConfig(components=components(max_concurrency=2)))
        await until(lambda: before.gate.is_saturated)  # closed
        assert not before.under_way
        assert told.of("next").outcome is Outcome.OK


async def test_a_callee_that_has_answered_has_a_place_of_its_own_in_the_worker(
    guest: GuestPath,
) -> None:
    callee = behind(guest("c/fail"), max_execution_time="1h")
    async with talking(callee, proxy(guest("c/proxy"))) as gateway:
        assert (await ask(gateway, "/sleep-after?ms=3600000")).text == "answered\n"
        await until(lambda: not service(gateway, "proxy").gate.in_flight)
        admission = gateway.app.runtime.admission
        assert admission.in_flight == service(gateway, "next").gate.in_flight == 1
        for task in service(gateway, "next").going_on:
            task.cancel()
        await until(lambda: not admission.in_flight)
        assert not service(gateway, "next").gate.in_flight


async def test_limits_of_the_callee_are_error_codes(fail: Any) -> None:
    limits = {"max_concurrency": 1, "max_execution_time": "1s", "max_body": "64KiB"}
    async with fail(**limits) as gateway:
        assert await refused(gateway, "/spin") == "HTTP-response-timeout"
        with service(gateway, "next").gate.try_enter() or pytest.fail("no place"):
            assert await refused(gateway, "/trap") == "destination-unavailable"
        assert await refused(gateway, "/drop-after", bytes(MIB)) == "HTTP-request-body-size"


async def test_a_circle_of_requests_ends_at_the_depth_that_is_configured(
    guest: GuestPath,
) -> None:
    async with talking(proxy(guest("c/proxy"), then="proxy")) as gateway:
        assert await refused(gateway, f"/{HOST}" * 12) == "loop-detected"
        assert await handled(gateway, "depth") == 1
        assert await handled(gateway, "ok") == 8


async def test_a_circle_through_several_components_ends_there_too(guest: GuestPath) -> None:
    circle = [
        proxy(
            guest("c/proxy"),
            name=name,
            links=[{"host": f"{after}.internal", "component": after}],
            routes=[{"host": f"{name}.test"}],
        )
        for name, after in zip("abc", "bca", strict=True)
    ]
    async with talking(*circle, max_call_depth=5) as gateway:
        told = Told(gateway)
        with structlog.testing.capture_logs() as logs:
            path = "/b.internal/c.internal/a.internal" * 3
            response = await gateway.client.post(f"http://a.test{path}/end")
        assert (response.status_code, response.content) == (502, b"")
        await until(lambda: not STORES)
        (line,) = (line for line in logs if line["event"] == "outbound request failed")
        assert (line["error"], line["component"]) == ("loop-detected", "c")
        assert Counter(event.component for event in told.all) == {"a": 2, "b": 2, "c": 2}


async def test_the_callers_deadline_bounds_the_callee(fail: Any) -> None:
    async with fail({"max_execution_time": "1s"}) as gateway:
        told = Told(gateway)
        assert (await ask(gateway, "/sleep?ms=3600000")).status_code == 504
        await until(lambda: not STORES)
        assert told.of("next").outcome is Outcome.DEADLINE
        assert await handled(gateway, "late") == 1


async def test_a_client_that_leaves_ends_caller_and_callee(fail: Any) -> None:
    async with fail() as gateway:
        told = Told(gateway)
        task = asyncio.create_task(ask(gateway, "/sleep?ms=3600000"))
        await until(lambda: service(gateway, "next").under_way)
        task.cancel()
        await until(lambda: not STORES)
        assert told.of("next").outcome is Outcome.CANCELLED


async def test_several_components_may_answer(guest: GuestPath) -> None:
    ends = [behind(guest("c/hello"), name=name, max_concurrency=1) for name in ("a", "b")]
    async with talking(proxy(guest("c/proxy"), then=["a", "b"]), *ends) as gateway:
        with service(gateway, "a").gate.try_enter() or pytest.fail("no place"):
            assert [(await ask(gateway)).status_code for _ in range(3)] == [200] * 3
        for _ in range(2):
            assert (await ask(gateway)).status_code == 200
        await gateway.ended(5)


def refusal(*components: ComponentConfig) -> str:
    with pytest.raises(ComponentError) as refused:
        create_app(GatewayConfig(components=components))
    where, _, said = str(refused.value).partition(f'the link of "{HOST}": ')
    assert where.endswith(": ")
    return said


def test_a_link_of_a_host_that_leads_nowhere(guest: GuestPath) -> None:
    caller = proxy(guest("c/proxy"))
    assert refusal(caller).startswith('there is no component "next"')
    said = refusal(caller, behind(guest("c/rpc"), rpc=True))
    assert said == (
        'component "next" exports no wasi:http/incoming-handler and no wasi:http/handler '
        "(it exports test:rpc/types@1.2.3, test:rpc/outcomes@1.2.3, test:rpc/twins@1.2.3, "
        "test:other/twins@0.1.0)"
    )
    said = refusal(proxy(guest("c/hello")), behind(guest("c/hello")))
    assert said.startswith("the component does not import wasi:http/outgoing-handler (it imports ")
