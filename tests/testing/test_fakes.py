"""Components under test, with fakes for what they reach."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

import gateway
from gateway.observe.events import HttpIncomingHandlerHandleReturned, Outcome
from gateway.pytest_plugin import open_component as open_component  # noqa: PLC0414
from gateway.pytest_plugin import serve_component as serve_component  # noqa: PLC0414
from gateway.testing import Clock, KeyValue, Outbound, Secrets, TestedComponent, with_fakes
from tests.harness import GuestPath

Open = Callable[..., TestedComponent]

CLOCK = b"""
(component
  (import "wasi:clocks/wall-clock@0.2.0" (instance $clock
    (type $fields (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $fields)))
    (export "now" (func (result $datetime)))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $now (canon lower (func $clock "now") (memory (core memory $memory "memory"))))
  (core module $code
    (import "host" "memory" (memory 1))
    (import "host" "now" (func $now (param i32)))
    (func (export "seconds") (result i64)
      (call $now (i32.const 8)) (i64.load (i32.const 8)))
    (func (export "nanoseconds") (result i32)
      (call $now (i32.const 8)) (i32.load (i32.const 16))))
  (core instance $code (instantiate $code (with "host" (instance
    (export "memory" (memory $memory "memory")) (export "now" (func $now))))))
  (func (export "seconds") (result u64) (canon lift (core func $code "seconds")))
  (func (export "nanoseconds") (result u32) (canon lift (core func $code "nanoseconds"))))
"""


def test_a_clock_is_set(open_component: Open) -> None:
    clock = Clock(datetime(2030, 1, 2, tzinfo=UTC))
    component = open_component(CLOCK, clock=clock)
    began = int(clock.now.timestamp())
    assert component.call("seconds") == began
    clock.advance(1.5)
    assert component.call("seconds") == began + 1
    assert component.call("nanoseconds") == 500_000_000
    clock.advance(timedelta(days=-2))
    assert component.call("seconds") == began + 1 - 2 * 86400
    with pytest.raises(ValueError, match="no time zone"):
        clock.now = datetime(2030, 1, 1)
    assert open_component(CLOCK).call("seconds") == 946_684_800  # the beginning of 2000


def test_nobody_else_sees_that_clock(open_component: Open) -> None:
    open_component(CLOCK)
    with gateway.open(CLOCK) as real:
        assert real.call("seconds") > 1_600_000_000


def test_requests_are_recorded_and_answered(guest: GuestPath, open_component: Open) -> None:
    outbound = Outbound()
    outbound.answer("POST", "http://api.example.com/items", status=201, json={"id": 1})
    outbound.answer("POST", "http://api.example.com/items", status=409, body="again")
    outbound.fail("POST", "http://api.example.com/down", "connection-timeout")
    component = open_component(guest("c/proxy"), outbound=outbound)
    first = component.request("POST", "/api.example.com/items", content=b"abc")
    assert (first.status_code, first.json()) == (201, {"id": 1})
    for _ in range(2):
        again = component.request("POST", "/api.example.com/items", content=b"")
        assert (again.status_code, again.text) == (409, "again")
    sent = outbound.requests[0]
    assert (sent.method, sent.url) == ("POST", "http://api.example.com/items")
    assert sent.body == b"abc"
    outbound.requests.clear()
    for path in ("/api.example.com/down", "/api.example.com/other", "/elsewhere.example.com/"):
        assert component.request("POST", path).status_code >= 500
    # What has no answer is recorded too, and what goes elsewhere never comes here.
    assert [each.url for each in outbound.requests] == [
        "http://api.example.com/down",
        "http://api.example.com/other",
    ]


def test_an_answer_may_come_after_it_was_opened(guest: GuestPath, open_component: Open) -> None:
    component = open_component(guest("c/proxy"))
    assert component.request("POST", "/late.example.com/").status_code >= 500
    component.outbound.answer("POST", "http://late.example.com/", body=b"x" * 300_000)
    answer = component.request("POST", "/late.example.com/", content=b"y" * 300_000)
    assert answer.content == b"x" * 300_000
    assert component.outbound.requests[-1].body == b"y" * 300_000


def test_an_application_answers_in_the_place_of_a_server(guest: GuestPath) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("of the application")

    component = with_fakes(guest("c/proxy"))
    with component as opened, gateway.open(guest("c/proxy"), hosts={"app.internal": app}) as mine:
        assert opened.request("POST", "/app.internal/").status_code >= 500
        transport = httpx.ASGITransport(mine.component)

        async def ask() -> int:
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return (await client.post("/app.internal/")).status_code

        assert mine.portal.call(ask) >= 500


def test_an_application_is_told_once_that_the_response_is_whole(guest: GuestPath) -> None:
    told: list[str] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        departure = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        told.append("departed" if departure.done() else "there")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole"})
        told.append((await departure)["type"])

    with gateway.open(guest("c/proxy"), hosts={"app.internal": app}) as component:
        transport = httpx.ASGITransport(component.component)

        async def ask() -> str:
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return (await client.post("/app.internal/", content=b"x")).text

        assert component.portal.call(ask) == "whole"
    assert told == ["there", "http.disconnect"]


def test_stores_are_filled_and_looked_into(guest: GuestPath, open_component: Open) -> None:
    store = KeyValue({"home": b"41"})
    component = open_component(guest("examples/counter"), keyvalue={"default": store})
    assert component.call("visit", "home") == 42
    assert component.call("visit", "other") == 1
    assert store.entries == {"home": b"42", "other": b"1"}
    store.entries.clear()
    assert component.call("visits") == []


def test_events_are_there_when_the_call_is_over(guest: GuestPath, open_component: Open) -> None:
    component = open_component(guest("c/rpc"))
    with pytest.raises(component.types.DivideError):
        component.call("divide", 1, 0)
    assert [(each.export, each.outcome) for each in component.events] == [("divide", Outcome.ERR)]
    component.call("add", 1, 2)
    assert component.events[-1].success


def test_a_component_is_served(guest: GuestPath, serve_component: Open) -> None:
    one, other = serve_component(guest("wat/hello")), serve_component(guest("wat/hello"))
    assert one.url != other.url
    for component in (one, other):
        assert httpx.get(component.url, trust_env=False).status_code == 200
        # By the gateway's own server, which has bounds.
        large = httpx.get(component.url, trust_env=False, headers={"x": "x" * (64 << 10)})
        assert large.status_code == 431
        assert component.request("GET", "/").status_code == 200
        assert [type(each) for each in component.events] == [HttpIncomingHandlerHandleReturned] * 2


def test_secrets_are_revealed(guest: GuestPath, open_component: Open) -> None:
    secrets = Secrets({"api-key": "s3cret"})
    component = open_component(guest("c/secrets"), secrets=secrets)
    assert component.request("GET", "/api-key").text == "string s3cret"
    assert secrets.revealed == ["api-key"]


# --- the plugin -----------------------------------------------------------------------------------------


def test_the_plugin_costs_others_nothing() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (module,) = project["project"]["entry-points"]["pytest11"].values()
    listed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, pytest; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(listed.stdout.split()) <= {"gateway", "gateway.pytest_plugin"} | set(
        sys.stdlib_module_names
    )


def test_the_fixtures_are_used_as_they_are_told_of(guest: GuestPath, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        f"def test_add(open_component):\n"
        f"    component = open_component({str(guest('c/rpc'))!r})\n"
        f"    assert component.call('add', 40, 2) == 42\n"
        f"    assert component.events[-1].success\n"
    )
    # Once, whether or not what is installed has its entry point already.
    options = ["-q", "-p", "no:component-gateway", "-p", "gateway.pytest_plugin"]
    options += ["-p", "no:cacheprovider", "-W", "error"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
