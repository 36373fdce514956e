"""Components that are told of changes in stores, by each store that tells."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.app import create_app, verify
from gateway.cli.description import describe
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError, TrapKind
from gateway.observe.events import (
    KeyvalueWatcherOnDeleteReturned,
    KeyvalueWatcherOnSetReturned,
    Outcome,
)
from tests.capabilities.servers import Redis, memory_or_nats
from tests.harness import GuestPath
from tests.patience import until
from tests.transports.talking import Talking, calling, lifespan, talking

pytestmark = pytest.mark.anyio

Grant = Mapping[str, Any]


_numbers = itertools.count()


@pytest.fixture(params=["memory", "redis", "nats"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store that tells of changes."""
    if request.param == "redis":
        server: Redis = request.getfixturevalue("redis_server")
        return f"{server.url}/{next(_numbers) % 64}"
    nats = memory_or_nats(request)
    return "memory:" if nats is None else f"{nats.url}-changes-{next(_numbers)}"


@pytest.fixture(params=["c/watcher", "js/observer"])
def source(request: pytest.FixtureRequest, guest: GuestPath) -> Path:
    """A component that is told of changes, by either draft."""
    return guest(request.param)


@pytest.fixture
def c(guest: GuestPath) -> Path:
    """A component that does what values say."""
    return guest("c/watcher")


def component(source: Path, url: str, name: str = "m", **keys: Any) -> ComponentConfig:
    """One with the store "default", which it watches, unless its name is "writer", and "told" of its own."""
    watched = {} if name == "writer" else {"watch": True, **keys.pop("limits", {})}
    keyvalue: dict[str, Grant] = {
        "default": {"url": url, "prefix": "p/", **watched},
        "told": {"url": "memory:told", "prefix": name},
    }
    return ComponentConfig.model_validate(
        {"name": name, "source": source, "keyvalue": keyvalue, **keys}
    )


async def write(gateway: Talking, key: str, value: str, name: str = "writer") -> None:
    """Have a component set a key."""
    assert await gateway.call("set", "default", key, value, name=name) is None


async def test_a_guest_is_told_of_what_others_write(source: Path, url: str) -> None:
    """wasi:keyvalue/watcher: `on-set` and `on-delete` of either draft, with the bucket."""
    draft = "0.2.0-draft2" if "js" in source.parts else "0.2.0-draft"
    async with talking(component(source, url), component(source, url, "writer")) as gateway:
        await write(gateway, "key", "abc")
        await gateway.ended(1)
        assert await gateway.call("get", "told", "key") == "abc"
        assert await gateway.call("delete", "default", "key", name="writer") is None
        await gateway.ended(2)
        assert await gateway.call("get", "told", "key") == "deleted"
        on_set, on_delete = gateway.events
        assert isinstance(on_set, KeyvalueWatcherOnSetReturned)
        assert isinstance(on_delete, KeyvalueWatcherOnDeleteReturned)
        assert on_set.export == f"wasi:keyvalue/watcher@{draft}#on-set"
        assert on_delete.export == f"wasi:keyvalue/watcher@{draft}#on-delete"
        assert (on_set.component, on_set.outcome, on_set.route) == ("m", Outcome.OK, "default")
        assert (on_set.bytes_in, on_delete.bytes_in) == (3, 0)
        assert on_set.request_id != on_delete.request_id
        assert on_set.trace_id
        kinds = 'gateway_invocations_total{component="m",kind="keyvalue",outcome="ok"}'
        assert await gateway.metric(kinds) == 2


async def test_what_it_writes_itself_it_is_not_told(c: Path, url: str) -> None:
    async with talking(component(c, url), component(c, url, "writer")) as gateway:
        await write(gateway, "key", "abc", name="m")
        await write(gateway, "key", "w")  # which it answers by a write of its own
        await gateway.ended(1)
        await write(gateway, "key", "end")
        await gateway.ended(2)
        assert await gateway.call("get", "told", "key") == "end"
        assert len(gateway.events) == 2


async def test_every_watcher_is_told_and_two_may_go_on_for_ever(c: Path, url: str) -> None:
    limits = {"max_concurrency": 1, "max_pending": 4}
    components = [component(c, url, name, limits=limits) for name in ("m", "n")]
    async with talking(*components, component(c, url, "writer")) as gateway:
        await write(gateway, "key", "w")
        await gateway.ended(200)
        assert {event.component for event in gateway.events} == {"m", "n"}
        for transport in gateway.app._deployment.generation._transports:
            assert len(transport._pending) <= 4  # type: ignore[attr-defined]
        # Others are answered all the while, and the end is one.
        await write(gateway, "other", "x")
        gateway.app.drain()
    assert not gateway.app.busy


async def test_a_trap_ends_its_change_alone(c: Path, url: str) -> None:
    async with talking(component(c, url), component(c, url, "writer")) as gateway:
        await write(gateway, "key", "t")
        await write(gateway, "key", "abc")
        await gateway.ended(2)
        assert sorted(gateway.outcomes) == [Outcome.OK, Outcome.TRAP]
        (trapped,) = (event for event in gateway.events if event.outcome is Outcome.TRAP)
        assert trapped.trap is TrapKind.UNREACHABLE


async def test_a_watcher_has_the_deadline_of_its_component(c: Path) -> None:
    short = component(c, "memory:", max_execution_time=0.05)
    async with talking(short, component(c, "memory:", "writer")) as gateway:
        await write(gateway, "key", "s")
        await gateway.ended(1)
        assert gateway.outcomes == [Outcome.DEADLINE]


async def test_the_bucket_is_as_it_is_granted(c: Path, url: str) -> None:
    read_only = component(c, url, limits={"read_only": True})
    async with talking(read_only, component(c, url, "writer")) as gateway:
        await write(gateway, "key", "w")
        await gateway.ended(1)
        refused = (
            f'gateway_capability_operations_total{{backend="{url.partition(":")[0]}",component="m",'
            'function="set",interface="wasi:keyvalue/store",outcome="refused"}'
        )
        assert await gateway.metric(refused) == 1


# --- what is granted ---------------------------------------------------------------------------------------


def test_watching_needs_a_watcher(guest: GuestPath) -> None:
    config = component(guest("c/hello"), "memory:")
    with pytest.raises(ComponentError, match="exports no wasi:keyvalue/watcher"):
        create_app(GatewayConfig(components=(config,)))


def test_a_store_that_does_not_tell_is_refused(c: Path, tmp_path: Path) -> None:
    config = component(c, f"sqlite:{tmp_path}/store.db")
    with pytest.raises(ComponentError, match='"default" of component m: is a store that does not'):
        create_app(GatewayConfig(components=(config,)))


def test_bounds_are_of_what_is_watched(c: Path) -> None:
    with pytest.raises(ValidationError, match="must have watch = true for max_pending"):
        ComponentConfig.model_validate(
            {"name": "m", "source": c, "keyvalue": {"a": {"url": "memory:", "max_pending": 1}}}
        )


async def test_without_a_grant_nothing_is_told(c: Path) -> None:
    async with talking(component(c, "memory:", "writer")) as gateway:
        await write(gateway, "key", "t")
        assert gateway.app._deployment.generation._transports == ()
    with pytest.raises(ComponentError, match="watches stores, and none is granted for that"):
        verify(GatewayConfig(components=(component(c, "memory:", "writer", rpc=False),)))


async def test_a_component_that_watches_alone_is_served(c: Path, url: str) -> None:
    alone = component(c, url, rpc=False)
    async with talking(alone, component(c, url, "writer")) as gateway:
        await write(gateway, "key", "abc")
        await gateway.ended(1)
        assert gateway.outcomes == [Outcome.OK]


async def test_on_set_is_no_method(c: Path) -> None:
    async with talking(component(c, "memory:")) as gateway:
        assert await gateway.call("watcher.on-set", 1, "key", "") == -32601


# --- what is bounded, and what ends ------------------------------------------------------------------------


async def test_so_many_are_told_at_once_and_so_many_wait(c: Path, url: str) -> None:
    held = component(c, url, limits={"max_concurrency": 2, "max_pending": 3})
    async with talking(held, component(c, url, "writer")) as gateway:
        gate = next(it for it in gateway.app.services if it.name == "m").gate
        places = [gate.try_enter() for _ in range(1024)]
        for number in range(7):
            await write(gateway, f"{number}", "x")
        dropped = 'gateway_keyvalue_changes_dropped_total{component="m",reason="pending"}'
        await gateway.told(dropped, 2)
        assert await gateway.metric('gateway_keyvalue_changes_pending{component="m"}') == 3
        for place in places:
            assert place is not None
            place.release()
        await gateway.ended(5)
        assert gateway.outcomes == [Outcome.OK] * 5
        assert await gateway.metric('gateway_keyvalue_changes_pending{component="m"}') == 0


@pytest.mark.parametrize("url", ["memory", "nats"], indirect=True)  # Redis tells the last value
async def test_one_at_a_time_is_in_order(c: Path, url: str) -> None:
    ordered = component(c, url, limits={"max_concurrency": 1})
    async with talking(ordered, component(c, url, "writer")) as gateway:
        sizes = [number % 7 for number in range(50)]
        for size in sizes:
            await write(gateway, "key", "x" * size)
        await gateway.ended(50)
        assert [event.bytes_in for event in gateway.events] == sizes


async def test_a_value_that_is_too_large_is_dropped(c: Path, url: str) -> None:
    small = component(c, url, limits={"max_value": 10})
    async with talking(small, component(c, url, "writer")) as gateway:
        await write(gateway, "large", "x" * 11)
        await write(gateway, "small", "x" * 10)
        await gateway.ended(1)
        assert [event.bytes_in for event in gateway.events] == [10]
        dropped = 'gateway_keyvalue_changes_dropped_total{component="m",reason="too-large"}'
        assert await gateway.metric(dropped) == 1


async def test_a_reload_loses_no_change_and_tells_none_twice(c: Path, url: str) -> None:
    writer = component(c, url, "writer")
    configs = [
        GatewayConfig(components=(component(c, url, environment={"N": str(n)}), writer))
        for n in range(2)
    ]
    async with talking(*configs[0].components) as gateway:
        written = 0
        reloading = asyncio.create_task(_reload_often(gateway, configs))
        while not reloading.done():
            await write(gateway, f"{written}", "x")
            written += 1
        await reloading
        await gateway.ended(written)
        await write(gateway, "last", "x")
        await gateway.ended(written + 1)
        assert gateway.outcomes == [Outcome.OK] * (written + 1)


async def _reload_often(gateway: Talking, configs: list[GatewayConfig]) -> None:
    for number in range(6):
        await gateway.app.reload(configs[(number + 1) % 2])


async def test_another_prefix_is_another_store(c: Path, url: str) -> None:
    writer = component(c, url, "writer")
    elsewhere = component(c, url, limits={"prefix": "q/"})
    async with talking(component(c, url), writer) as gateway:
        await gateway.app.reload(GatewayConfig(components=(elsewhere, writer)))
        await until(lambda: not gateway.app._deployment._retiring)
        await write(gateway, "key", "x")
        moved = component(c, url, "writer", keyvalue={"default": {"url": url, "prefix": "q/"}})
        await gateway.app.reload(GatewayConfig(components=(elsewhere, moved)))
        await write(gateway, "key", "four")
        await gateway.ended(1)
        assert [event.bytes_in for event in gateway.events] == [4]


async def test_a_component_that_goes_is_told_no_more(c: Path, url: str) -> None:
    writer = component(c, url, "writer")
    async with talking(component(c, url), writer) as gateway:
        await gateway.app.reload(GatewayConfig(components=(writer,)))
        await until(lambda: not gateway.app._deployment._retiring)
        await write(gateway, "key", "x")
        assert gateway.events == []


async def test_the_end_of_the_lifespan_finishes_what_was_told(c: Path, url: str) -> None:
    watching = component(c, url, limits={"max_concurrency": 2})
    async with talking(watching, component(c, url, "writer")) as gateway:
        for number in range(20):
            await write(gateway, f"{number}", "x")
    gateway.app.runtime.channel.flush()
    assert gateway.outcomes == [Outcome.OK] * 20
    # And it can begin again.
    async with lifespan(gateway.app), calling(gateway.app) as again:
        await write(again, "key", "x")
        await again.ended(1)


def test_inspect_tells_of_a_watcher(c: Path) -> None:
    assert "It is told of changes in stores: those that have watch = true" in describe(c)
