"""Components that are opened without a server."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

import gateway
from gateway.host.store import STORES
from gateway.observe.events import DynamicExportReturned, Outcome, ReturnEvent
from gateway.opened import shelf
from tests.harness import GuestPath
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def linked(component: gateway.Component) -> object:
    """What of it is shared by all that have it open."""
    (service,) = component._generation.services
    return service.linked


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), 5000):
        yield content[begin : begin + 5000]


async def test_a_component_is_opened_from_whatever_has_it(guest: GuestPath) -> None:
    path = guest("c/rpc")
    content = path.read_bytes()
    async with await anyio.open_file(path, "rb") as asynchronous:
        with path.open("rb") as file:
            sources: list[Any] = [path, str(path), content, bytearray(content), io.BytesIO(content)]
            sources += [file, asynchronous, in_pieces(content)]
            found = set()
            for source in sources:
                async with gateway.open(source, name="rpc") as component:
                    assert await component.call("add", 1, 2) == 3
                    found.add((component.name, component.digest, id(linked(component))))
    assert len(found) == 1  # it was linked once


async def test_what_differs_in_its_keys_is_another_of_the_same_code(guest: GuestPath) -> None:
    async with (
        gateway.open(guest("c/rpc")) as one,
        gateway.open(guest("c/rpc"), max_memory="32MiB") as other,
        gateway.open(guest("c/rpc")) as again,
    ):
        assert linked(one) is linked(again) is linked(other)
        assert len({id(each) for each in shelf.SHELF._kept if each.users}) == 2
        assert one.types.Point is other.types.Point
        sums = await asyncio.gather(*(each.call("add", 1, 2) for each in (one, other, again)))
        assert sums == [3, 3, 3]


async def test_the_last_ones_stay_and_no_more(guest: GuestPath) -> None:
    for number in range(shelf.MAX_KEPT + 2):
        async with gateway.open(guest("wat/exports"), environment={"N": str(number)}) as component:
            last = linked(component)
    assert len(shelf.SHELF._kept) <= shelf.MAX_KEPT
    async with gateway.open(guest("wat/exports"), environment={"N": str(number)}) as component:
        assert linked(component) is last


async def test_stores_are_of_one_opening(guest: GuestPath) -> None:
    def counter() -> Any:
        return gateway.open(guest("examples/counter"), keyvalue={"default": "memory:"})

    async with counter() as one, counter() as other:
        assert linked(one) is linked(other)
        assert [await one.call("visit", "home") for _ in range(2)] == [1, 2]
        assert await other.call("visit", "home") == 1


async def test_each_call_is_told_of(guest: GuestPath) -> None:
    events: list[ReturnEvent] = []
    async with gateway.open(guest("c/rpc"), on_event=events.append, name="told") as component:
        await component.call("add", 1, 2)
        with pytest.raises(gateway.CallError):
            await component.call("divide", 1, 0)
        with pytest.raises(gateway.Trapped) as trapped:
            await component.call("outcomes.trap")
        with pytest.raises(gateway.InvalidArguments):
            await component.call("add")
    assert [(type(each), each.component, each.export, each.outcome) for each in events] == [
        (DynamicExportReturned, "told", "add", Outcome.OK),
        (DynamicExportReturned, "told", "divide", Outcome.ERR),
        (DynamicExportReturned, "told", "test:rpc/outcomes@1.2.3#trap", Outcome.TRAP),
    ]
    assert events[-1].request_id == trapped.value.request_id
    assert events[-1].trap is gateway.TrapKind.UNREACHABLE


async def under_way(number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(STORES) < number:  # noqa: ASYNC110 - nothing tells of them
            await asyncio.sleep(0)


async def test_one_more_than_there_is_room_for_is_busy(guest: GuestPath) -> None:
    events: list[ReturnEvent] = []
    async with gateway.open(
        guest("c/rpc"), on_event=events.append, max_concurrency=1, max_queue=0
    ) as component:
        waiting = asyncio.create_task(component.call("outcomes.wait", 60_000))
        await under_way(1)
        with pytest.raises(gateway.Busy):
            await component.call("add", 1, 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not STORES
        assert await component.call("add", 1, 2) == 3
    assert [each.outcome for each in events] == [
        Outcome.EXHAUSTED,
        Outcome.CANCELLED,
        Outcome.OK,
    ]


async def test_openings_of_one_component_share_its_places(guest: GuestPath) -> None:
    keys: Any = {"max_concurrency": 1, "max_queue": 0}
    async with gateway.open(guest("c/rpc"), **keys) as one:
        waiting = asyncio.create_task(one.call("outcomes.wait", 60_000))
        await under_way(1)
        async with gateway.open(guest("c/rpc"), **keys) as same:
            with pytest.raises(gateway.Busy):
                await same.call("add", 1, 2)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_what_is_closed_is_stopped(guest: GuestPath) -> None:
    async with gateway.open(guest("c/rpc")) as component:
        waiting = asyncio.create_task(component.call("outcomes.wait", 60_000))
        await under_way(1)
    with pytest.raises(gateway.Stopped, match="the gateway is stopping"):
        await waiting
    with pytest.raises(gateway.Stopped, match="is closed"):
        await component.call("add", 1, 2)
    assert not STORES


async def test_what_returns_too_much_is_refused(guest: GuestPath) -> None:
    async with gateway.open(guest("c/rpc"), rpc_max_result="64KiB") as component:
        assert await component.call("types.echo-bytes", bytes(1000)) == bytes(1000)
        with pytest.raises(gateway.ResultTooLarge):
            await component.call("types.echo-string", "x" * (1 << 17))


async def test_what_cannot_be_opened_is_refused(guest: GuestPath, tmp_path: Path) -> None:
    async def no_bytes() -> AsyncIterator[Any]:
        yield "text"

    refused: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (b"\0asm junk", {}, gateway.ComponentError, "component.wasm"),
        (tmp_path / "none.wasm", {}, gateway.ConfigError, "No such file"),
        (
            guest("c/rpc"),
            {"max_memory": "some"},
            gateway.ConfigError,
            "gateway.open: max_memory",
        ),
        (guest("c/rpc"), {"max_memori": 1}, TypeError, 'did you mean "max_memory"'),
        (7, {}, TypeError, "not 7"),
        (io.StringIO("text"), {}, TypeError, "gives str"),
        (no_bytes(), {}, TypeError, "gives str"),
    ]
    for source, keys, kind, said in refused:
        with pytest.raises(kind) as told:
            async with gateway.open(source, **keys):
                pass
        assert said in str(told.value)
    assert all(each.prepared is not None for each in shelf.SHELF._kept)


async def test_who_is_cancelled_has_opened_nothing(guest: GuestPath) -> None:
    async def enter() -> None:
        async with gateway.open(guest("c/rpc"), environment={"CANCELLED": "1"}):
            raise AssertionError

    opening = asyncio.create_task(enter())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not [each for each in shelf.SHELF._kept if each.users]


async def test_it_answers_http_requests_too(guest: GuestPath) -> None:
    async with gateway.open(guest("wat/hello")) as component:
        transport = httpx.ASGITransport(component)
        async with httpx.AsyncClient(transport=transport, base_url="http://opened") as client:
            assert (await client.get("/")).status_code == 200


async def test_another_event_loop_is_told_where_calls_belong(guest: GuestPath) -> None:
    async with gateway.open(guest("c/rpc")) as component:
        with pytest.raises(RuntimeError, match="was opened on another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(component.call("add", 1, 2)))
        assert await component.call("add", 1, 2) == 3


def test_threads_may_call_what_blocks(guest: GuestPath) -> None:
    with gateway.open(guest("c/rpc")) as component, ThreadPoolExecutor(8) as threads:
        sums = threads.map(lambda number: component.call("add", number, 1), range(40))
        assert list(sums) == list(range(1, 41))
        assert "add" in component.methods
    with pytest.raises(RuntimeError):
        component.call("add", 1, 2)


def test_what_blocks_is_linked_once_too(guest: GuestPath) -> None:
    found = set()
    for _ in range(2):
        with gateway.open(guest("c/rpc").read_bytes()) as component:
            found.add(id(linked(component.component)))
    assert len(found) == 1


def test_python_provides_what_it_imports(guest: GuestPath) -> None:
    class Types:
        def echo_u8(self, value: int) -> int:
            return value + 1

    link = {"import": "test:rpc/types@1.2.3", "python": "types"}
    with (
        pytest.raises(gateway.ComponentError, match="echo-s8"),
        gateway.open(guest("c/relay"), links=[link], providers={"types": Types()}),
    ):
        pass


# --- the package ----------------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_else() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; before = set(sys.modules); import gateway; print(*(set(sys.modules) - before))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in told.stdout.split()}
    assert loaded <= {"gateway", "importlib", "typing", "__future__"} | set(sys.stdlib_module_names)
    assert "gateway.app" not in told.stdout


def test_type_checkers_see_the_same_names() -> None:
    stub = Path(gateway.__file__).with_suffix(".pyi").read_text()
    for name, module in gateway._MODULES.items():  # type: ignore[attr-defined]
        assert f"from {module} import" in stub
        assert f"{name} as {name}" in stub
        assert getattr(gateway, name).__module__.startswith("gateway.")
    assert stub.count(" as ") == len(gateway._MODULES)  # type: ignore[attr-defined]
    assert set(dir(gateway)) >= set(gateway._MODULES)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        gateway.nothing  # type: ignore[attr-defined]  # noqa: B018
