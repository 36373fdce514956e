"""Links with several targets: which one is called, and what becomes of those that are away."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Final

import anyio
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.bindings.context import Caller, WasiCtx
from gateway.host import wit
from gateway.links.json_rpc import JsonRpcTarget
from gateway.links.python import PythonTarget
from gateway.links.remote import Means
from gateway.links.several import Answer, Balance, SeveralTargets
from gateway.links.target import CallFailed, LinkedCall
from gateway.observe.events import Outcome
from tests.harness import GuestPath
from tests.links.peer import Peer, http
from tests.links.relays import callee, relay
from tests.patience import PATIENCE, until
from tests.transports.talking import talking

pytestmark = pytest.mark.anyio

API: Final = "acme:pricing/api"
PRICES: Final = wit.Interface(
    {
        "price": wit.Function((), None),
        "count": wit.Function((("n", wit.Integer(32, signed=False)),), None),
    }
)
SHOP: Final = WasiCtx(caller=Caller("shop", "request"))
DONE: Final = http(b'{"jsonrpc":"2.0","id":1,"result":null}')
TRAPPED: Final = -32000


class Provider:
    """Counts its calls, which end when they may.

    Attributes:
        begun: how many there were.
        may_end: whether they may.
    """

    def __init__(self, *, may_end: bool = True) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        if may_end:
            self.may_end.set()

    async def price(self) -> None:
        self.begun += 1
        await self.may_end.wait()

    async def count(self, _n: int) -> None:
        await self.price()


def among(providers: Sequence[Provider], balance: Balance = "round-robin") -> dict[str, LinkedCall]:
    handed = {str(number): provider for number, provider in enumerate(providers)}
    targets = {name: PythonTarget(name, handed) for name in handed}
    return dict(SeveralTargets(targets, balance).calls(API, PRICES))


# --- whose turn it is --------------------------------------------------------------------------------------


@given(
    st.integers(2, 7),
    st.lists(st.booleans(), max_size=40),
    st.sampled_from(("round-robin", "least-in-flight")),
)
def test_each_has_as_many_calls_as_the_others(
    targets: int, functions: list[bool], balance: Balance
) -> None:
    async def run() -> list[int]:
        providers = [Provider() for _ in range(targets)]
        calls = among(providers, balance)
        for counts in functions:
            await (calls["count"](SHOP, [1]) if counts else calls["price"](SHOP, []))
        return [provider.begun for provider in providers]

    begun = anyio.run(run)
    assert sum(begun) == len(functions)
    assert max(begun) - min(begun) <= 1


async def test_the_one_with_the_fewest_under_way_is_called() -> None:
    slow, fast = Provider(may_end=False), Provider()
    price = among([slow, fast], "least-in-flight")["price"]
    waiting = [asyncio.ensure_future(price(SHOP, [])) for _ in range(2)]
    await until(lambda: slow.begun and fast.begun)
    for _ in range(10):
        await price(SHOP, [])
    assert (slow.begun, fast.begun) == (1, 11)
    slow.may_end.set()
    await asyncio.gather(*waiting)


# --- which one is away -------------------------------------------------------------------------------------


class Servers:
    """A link to several servers.

    Attributes:
        peers: the servers.
        told: what became of calls, by the server's number.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.peers = peers
        self.told: list[tuple[int, Answer]] = []
        tls = ssl.create_default_context()
        urls = [peer.url for peer in peers]
        self._target = SeveralTargets(
            {url: JsonRpcTarget(url, Means(tls, 99)) for url in urls},
            on_call=lambda _component, _interface, url, answer: self.told.append(
                (urls.index(url), answer)
            ),
        )
        self._calls = self._target.calls(API, PRICES)

    async def call(self, number: int = 0, ctx: WasiCtx = SHOP) -> None:
        await self._calls["count"](ctx, [number])

    def away(self) -> list[str]:
        return list(self._target.troubles())

    def asked(self) -> Counter[int]:
        """How often each number was asked of any of them."""
        return Counter(body["params"][0] for peer in self.peers for body, _ in peer.asked)

    async def aclose(self) -> None:
        await self._target.aclose()
        for peer in self.peers:
            await peer.stop()


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    peers = [Peer(), Peer()]
    for peer in peers:
        peer.answer = DONE
        await peer.start()
    servers = Servers(peers)
    yield servers
    await servers.aclose()


async def test_one_that_cannot_be_reached_is_left_out_until_one_call_has_found_it_there(
    servers: Servers,
) -> None:
    await servers.peers[1].stop()
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            await servers.call()
        assert (1, Answer.NOT_BEGUN) in servers.told
        (away,) = servers.away()
        assert away.startswith(f"{servers.peers[1].url} is left out: ConnectError")
        await servers.peers[1].start()
        while servers.away():
            await servers.call()
    before = [len(peer.asked) for peer in servers.peers]
    for _ in range(10):
        await servers.call()
    assert [len(peer.asked) for peer in servers.peers] == [before[0] + 5, before[1] + 5]
    lines = [(line["event"], line["target"], line["interface"]) for line in logs]
    assert lines == [
        ("link target left out", servers.peers[1].url, API),
        ("link target is back", servers.peers[1].url, API),
    ]


async def test_a_call_that_may_have_begun_is_not_made_again(servers: Servers) -> None:
    for peer in servers.peers:
        peer.answer, peer.closes = b"", True
    for number in range(2):
        with pytest.raises(CallFailed, match="RemoteProtocolError") as failed:
            await servers.call(number)
        assert failed.value.target in {peer.url for peer in servers.peers}
    assert servers.asked() == {0: 1, 1: 1}
    assert sorted(servers.told) == [(0, Answer.UNANSWERED), (1, Answer.UNANSWERED)]
    assert len(servers.away()) == 2


async def test_one_that_says_nothing_is_left_out(servers: Servers) -> None:
    await servers.call()
    ((answering, _),) = servers.told
    silent = 1 - answering  # whose turn it is
    servers.peers[silent].answer = None
    late = WasiCtx(caller=SHOP.caller._replace(deadline=monotonic() + 0.05))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 0.1):
            await servers.call(ctx=late)
    assert servers.told[1:] == [(silent, Answer.UNANSWERED)]
    assert len(servers.away()) == 1
    for _ in range(2):
        await servers.call()
        assert servers.told[-1] == (answering, Answer.ANSWERED)


async def test_a_caller_that_leaves_says_nothing_of_the_target(servers: Servers) -> None:
    servers.peers[0].answer = servers.peers[1].answer = None
    task = asyncio.create_task(servers.call())
    await until(servers.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [answer for _, answer in servers.told] == [Answer.CANCELLED]
    assert not servers.away()


async def test_an_error_is_an_answer(servers: Servers) -> None:
    for peer in servers.peers:
        peer.answer = http(b"", "503 Service Unavailable", "text/plain")
    for number in range(2):
        with pytest.raises(CallFailed):
            await servers.call(number)
    assert servers.asked() == {0: 1, 1: 1}
    assert not servers.away()


async def test_where_all_are_away_the_first_call_after_one_has_begun_is_answered(
    servers: Servers,
) -> None:
    for peer in servers.peers:
        await peer.stop()
    with pytest.raises(CallFailed, match="ConnectError"):
        await servers.call()
    assert len(servers.told) == len(servers.away()) == 2
    with pytest.raises(CallFailed):
        await servers.call()
    for peer in servers.peers:
        await peer.start()
    await servers.call()


async def test_each_call_has_one_answer_while_one_is_killed_and_started_again(
    servers: Servers,
) -> None:
    answers: Counter[str] = Counter()

    async def client(first: int) -> None:
        for number in range(first, first + 50):
            try:
                await servers.call(number)
                answers["ok"] += 1
            except CallFailed as failure:
                answers["begun" if failure.begun else "not begun"] += 1

    clients = [asyncio.create_task(client(100 * each)) for each in range(8)]
    for _ in range(2):
        count = len(servers.told)
        await until(lambda count=count: len(servers.told) > count + 50)  # type: ignore[misc]
        await servers.peers[1].stop()
        await until(servers.away)
        await servers.peers[1].start()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*clients)
    assert answers.total() == 400
    assert answers["not begun"] == 0
    assert answers["begun"] == sum(answer is Answer.UNANSWERED for _, answer in servers.told)
    assert set(servers.asked().values()) == {1}


# --- in a gateway ------------------------------------------------------------------------------------------


async def test_with_one_of_two_servers_dead_everyone_is_served(guest: GuestPath) -> None:
    peer, dead = Peer(), Peer()
    peer.answer = http(b'{"jsonrpc":"2.0","id":1,"result":"there"}')
    await peer.start()
    await dead.start()
    await dead.stop()
    link = {"url": [dead.url, peer.url], "balance": "least-in-flight"}
    async with talking(relay(guest("c/relay"), link=link)) as gateway:
        answers = await asyncio.gather(
            *(gateway.call("outcomes.settle", {"ok": ""}, name="relay") for _ in range(20))
        )
        assert answers == ["there"] * 20
        labels = 'component="relay",interface="test:rpc/outcomes",target'
        answered = f'gateway_link_target_calls_total{{answer="answered",{labels}="{peer.url}"}}'
        assert await gateway.metric(answered) == 20
        not_begun = f'gateway_link_target_calls_total{{answer="not-begun",{labels}="{dead.url}"}}'
        assert await gateway.metric(not_begun) >= 1
        (warning,) = (await gateway.client.get("/readyz")).json()["warnings"]
        where = f"component relay, link of test:rpc/outcomes@1.2.3: {dead.url} is left out: "
        (caller,) = gateway.app.services
        status = list(caller.links.statuses())[-1]
        assert (status.subject, status.name) == ("test:rpc/outcomes@1.2.3", "default")
        assert warning.endswith(f": {status.troubles[0]}")
        assert dead.url in status.targets
        assert warning.startswith(where)
        await peer.stop()
        with structlog.testing.capture_logs() as logs:
            assert await gateway.call("outcomes.settle", {"ok": ""}, name="relay") == TRAPPED
        (failed,) = (line for line in logs if line["event"] == "linked call failed")
        assert failed["target"] in {peer.url, dead.url}


async def test_a_component_without_a_place_is_passed_over(guest: GuestPath) -> None:
    configs = [
        callee(guest("c/rpc"), name=name, rpc=False, max_concurrency=1) for name in ("a", "b")
    ]
    caller = relay(guest("c/relay"), link={"component": ["a", "b"]})
    async with talking(*configs, caller) as gateway:
        a, b = (service.gate for service in gateway.app.services[:2])
        with a.try_enter() or pytest.fail("no place"):
            for _ in range(4):
                assert await gateway.call("outcomes.settle-ok", {"ok": 1}, name="relay") == 1
            with b.try_enter() or pytest.fail("no place"):
                busy = await gateway.call("outcomes.settle-ok", {"ok": 1}, name="relay")
        assert busy == TRAPPED
        for _ in range(2):
            assert await gateway.call("outcomes.settle-ok", {"ok": 1}, name="relay") == 1
        await until(lambda: gateway.outcomes.count(Outcome.OK) == 6)
        answered = [event.component for event in gateway.events if event.outcome is Outcome.OK]
        assert sorted(answered) == ["a", *["b"] * 5]
