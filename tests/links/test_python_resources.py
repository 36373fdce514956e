"""Resources whose objects are Python's, behind links."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host import wit
from gateway.host.errors import ComponentError
from gateway.host.store import STORES
from tests.harness import GuestPath
from tests.links.counters import API, STEPS, run, tally_of
from tests.links.driven import Stopped, driven
from tests.links.test_names import LATTICE, choose
from tests.links.test_python import module_of
from tests.patience import until
from tests.rpc.python_client import component_of
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

TRAPPED: Final = -32000
LATE: Final = -32001
HOUR: Final = 3_600_000


def tally(source: Path, **keys: Any) -> ComponentConfig:
    """What calls the object `it`."""
    return tally_of({"python": "it"}, source, **keys)


class Counters:
    """An object of the class that `gateway stubs` writes.

    Attributes:
        api: the module.
        it: the object.
        live: its counters that are still referred to.
        made: how many there were.
        waits: whether one is in a method that never returns.
    """

    def __init__(self, imports: Mapping[str, wit.Item]) -> None:
        self.api: Any = module_of(API, imports)
        self.live: weakref.WeakSet[Any] = weakref.WeakSet()
        self.made = 0
        self.waits = False
        self.it = _object(self, self.api)

    @property
    def counts(self) -> list[int]:
        """What those that are left have counted."""
        return sorted(each.count for each in self.live)

    async def none_is_left(self) -> None:
        """Waits until nobody refers to any of them."""
        await until(lambda: gc.collect() is not None and not self.live and not STORES)


def _object(counters: Counters, api: Any) -> Any:
    class Counter(api.Counter):  # type: ignore[misc]
        def __init__(self, start: int) -> None:
            self.count = start
            counters.made += 1
            counters.live.add(self)

        @classmethod
        def open(cls, name: str) -> Any:
            if not name:
                raise api.CounterOpenError("no name")
            return cls(len(name))

        def value(self) -> int:
            return self.count

        def add(self, by: int) -> int:
            self.count += by
            return self.count

        def beyond(self, other: Any) -> bool:
            return self.count > int(other.count)

        def fold(self, other: Any) -> None:
            self.count += other.count

        def break_off(self) -> None:
            raise RuntimeError("broken")

        async def spin(self) -> None:
            counters.waits = True
            await asyncio.sleep(HOUR)

    class Api(api.Api):  # type: ignore[misc]
        counter = Counter

        def split(self, it: Any, parts: int) -> Any:
            return [Counter(it.count + part) for part in range(parts)]

        def label(self, it: Any, label: str) -> Any:
            return api.Labelled(label, it)

        def unlabel(self, it: Any) -> Any:
            return api.ChoiceOne(it.it)

        def same(self, it: Any) -> Any:
            return it

        def sum(self, counters: Any) -> int:
            return sum(each.count for each in counters)

        def live(self) -> int:
            return len(counters.live)

    return Api()


@pytest.fixture(scope="module")
def imports(guest: GuestPath) -> Mapping[str, wit.Item]:
    return component_of(guest("c/tally")).imports


@pytest.fixture
def counters(imports: Mapping[str, wit.Item]) -> Counters:
    return Counters(imports)


@asynccontextmanager
async def linked(source: Path, counters: Counters, **keys: Any) -> AsyncIterator[Talking]:
    async with talking(tally(source, **keys), providers={"it": counters.it}) as gateway:
        yield gateway


@pytest.mark.parametrize("language", ["c", "js"])
async def test_objects_go_in_every_place_of_a_type(
    guest: GuestPath, counters: Counters, language: str
) -> None:
    async with linked(guest(f"{language}/tally"), counters) as gateway:
        assert await run(gateway, *(step for step, _ in STEPS)) == [came for _, came in STEPS]
        await counters.none_is_left()
        calls = (
            'gateway_linked_calls_total{component="tally",function="[method]counter.value",'
            'interface="test:counters/api",outcome="ok",target="python"}'
        )
        assert await gateway.metric(calls) == 3


@pytest.mark.parametrize("language", ["c", "js"])
async def test_an_object_lives_until_it_is_dropped_or_given_back(
    guest: GuestPath, counters: Counters, language: str
) -> None:
    async with linked(guest(f"{language}/tally"), counters) as gateway:
        makes = [("make", at, at) for at in range(4)]
        steps = ("drop", 0), ("fold", 1, 2), ("wait", HOUR)
        task = asyncio.create_task(run(gateway, *makes, *steps))
        await until(lambda: counters.made == 4 and counters.counts == [3, 3])
        task.cancel()
        del task
        await counters.none_is_left()


async def test_an_exception_of_a_method_stops_the_caller_and_frees_all(
    guest: GuestPath, counters: Counters
) -> None:
    async with linked(guest("c/tally"), counters) as gateway:
        with structlog.testing.capture_logs() as logs:
            assert await run(gateway, ("make", 0, 1), ("break-off", 0)) == TRAPPED
        (failed,) = (line for line in logs if line["event"] == "linked call failed")
        assert failed["function"] == "[method]counter.break-off"
        assert failed["reason"] == "it raised RuntimeError"
        logs.clear()
        del failed
        await counters.none_is_left()
        assert counters.made == 1


async def test_a_caller_that_traps_frees_its_objects(guest: GuestPath, counters: Counters) -> None:
    async with linked(guest("c/tally"), counters) as gateway:
        assert await run(gateway, ("make", 0, 1), ("split", 0, 100), ("trap",)) == TRAPPED
        assert counters.made == 101
        await counters.none_is_left()


async def test_a_caller_that_is_late_frees_its_objects(
    guest: GuestPath, counters: Counters
) -> None:
    async with linked(guest("c/tally"), counters, max_execution_time="200ms") as gateway:
        assert await run(gateway, ("make", 0, 1), ("spin", 0)) == LATE
        await counters.none_is_left()


async def test_a_client_that_leaves_frees_the_objects_of_its_caller(
    guest: GuestPath, counters: Counters
) -> None:
    async with linked(guest("c/tally"), counters) as gateway:
        task = asyncio.create_task(run(gateway, ("make", 0, 1), ("spin", 0)))
        await until(lambda: counters.waits)
        task.cancel()
        del task
        await counters.none_is_left()


_COUNTER: Final = f"""
  (import "{API}" (instance $api
    (export "counter" (type $counter (sub resource)))
    (export "[constructor]counter" (func (param "start" u32) (result (own $counter))))
    (export "[method]counter.value" (func (param "self" (borrow $counter)) (result u32)))))
"""


class _Other:
    """Another object with counters."""

    class Counter:
        def __init__(self, start: int) -> None:
            self.start = start

        def value(self) -> int:
            return self.start

    counter = Counter


async def test_an_object_of_one_link_is_none_of_another(tmp_path: Path, counters: Counters) -> None:
    links = [
        {"import": API, "python": "it"},
        {"import": API, "name": "other", "python": "others"},
    ]
    providers = {"it": counters.it, "others": _Other()}
    with structlog.testing.capture_logs() as logs:
        async with driven(tmp_path, LATTICE + _COUNTER, links=links, providers=providers) as (
            caller,
            _,
        ):
            counter = await caller.call("api#[constructor]counter", 7)
            assert await caller.call("api#counter.value", counter) == 7
            await choose(caller, "other", "test:counters/api")
            other = await caller.call("api#[constructor]counter", 8)
            assert await caller.call("api#counter.value", other) == 8
            with pytest.raises(Stopped):
                await caller.call("api#counter.value", counter)
    (failed,) = (line for line in logs if line["event"] == "linked call failed")
    assert failed["reason"] == (
        "it was given what it has not made: expected Counter of others, got Instance"
    )
    await counters.none_is_left()


REFUSED: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "none": ({"counter": None}, "resource counter: it.counter is not there: it must be the class"),
    "an object": ({"counter": 7}, "resource counter: it.counter is no class"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_object_without_the_class_is_refused(
    guest: GuestPath, counters: Counters, case: str
) -> None:
    attributes, why = REFUSED[case]
    vars(counters.it).update(attributes)
    assert refusal(guest, counters.it) == [why]


def test_all_that_a_class_lacks_is_told_at_once(guest: GuestPath, counters: Counters) -> None:
    api: Any = counters.api
    kind = counters.it.counter

    class Less(api.Counter):  # type: ignore[misc]
        value = None

        @classmethod
        def open(cls) -> Any:
            return cls()

        def add(self, by: str) -> int:
            return len(by)

        def beyond(self, other: int) -> bool:
            return bool(other)

        fold, break_off = kind.fold, kind.break_off

    vars(counters.it)["counter"] = Less
    assert refusal(guest, counters.it) == [
        "[constructor]counter: it.counter.__init__ makes no object, for the class lacks __init__, spin",
        "[method]counter.add: it.counter.add has by is of another type: u32 is int, not str",
        "[method]counter.beyond: it.counter.beyond has other is of another type: borrow<counter> is Less, not int",
        "[method]counter.value: it.counter.value is not there",
        "[static]counter.open: it.counter.open cannot be called with (name): too many positional arguments",
    ]


def refusal(guest: GuestPath, provider: object) -> list[str]:
    """Why a caller with such a link is refused."""
    config = GatewayConfig.model_validate({"components": [tally(guest("c/tally"))]})
    with pytest.raises(ComponentError) as caught:
        create_app(config, providers={"it": provider})
    where = f'the link of "{API}": '
    return sorted(line.partition(where)[2] for line in str(caught.value).splitlines())
