"""Stores and brokers in trouble, through a gateway: what their users are told, and that nobody else notices."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import nats
import pytest
import redis

from tests import ask
from tests.capabilities.servers import Nats, Redis, Server
from tests.harness import GuestPath
from tests.production.cramped import cramped
from tests.production.gateways import Gateway, until
from tests.production.load import Load

USERS = 8
PAUSE = 0.02
"""Seconds between an answer and the next question: most of the time of these tests servers do not answer."""

MIB = 1 << 20

OK = "ok"
AWAY = frozenset(("the store is not available", "the store did not answer in time"))
UNREACHED = frozenset(
    (
        "the broker cannot be reached",
        "the broker did not answer in time",
        "the request timed out: no answer within 1 s",
        "nobody answers requests at this subject",  # until it knows of the subscription again
    )
)


class Users:
    """Who asks a component again and again, from several threads.

    Attributes:
        answers: how often each answer was given.
    """

    def __init__(self, ask_once: Callable[[httpx.Client, str], str]) -> None:
        self.answers: Counter[str] = Counter()
        self._ask = ask_once
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(USERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def until(self, *answers: str) -> None:
        """Wait until one of these was given often, from now on."""

        def given() -> int:
            return sum(self.answers[answer] for answer in answers)

        before = given()
        until(lambda: given() >= before + 3 * USERS)

    def _run(self, number: int) -> None:
        with ask.Client() as client:
            while not self._stop.wait(PAUSE):
                try:
                    answer = self._ask(client, f"{number}")
                except httpx.HTTPError as error:
                    answer = repr(error)
                with self._lock:
                    self.answers[answer] += 1


class World(NamedTuple):
    """A gateway of components that have a store in each server, that send each other messages, and that have none.

    Attributes:
        gateway: the gateway.
        redis: one server.
        nats: the other.
        others: clients of the components that have none.
    """

    gateway: Gateway
    redis: Redis
    nats: Nats
    others: Load

    def write(self, component: str, client: httpx.Client, name: str, size: int = 100) -> str:
        """Set a key; gives what came of that."""
        return self.keyvalue(component, client, f"/set/default/{name}", bytes(size))

    def keyvalue(self, component: str, client: httpx.Client, path: str, body: bytes = b"") -> str:
        """Have a component do something with its store; gives what came of that."""
        host = {"host": f"{component}.example"}
        answer = client.post(self.gateway.url + path, headers=host, content=body)
        if answer.status_code == 200:
            return OK
        return answer.text if answer.status_code == 502 else f"{answer.status_code}: {answer.text}"

    def exchange(self, client: httpx.Client, name: str) -> str:
        """Have a component ask itself something; gives what came of that."""
        params = ["t.a", f"a{name}", 1000]
        asked = {"jsonrpc": "2.0", "id": 1, "method": "ask", "params": params}
        answer = client.post(f"{self.gateway.url}/rpc/messages", json=asked).json()
        return OK if "result" in answer else str(answer["error"]["data"])

    def others_go_on(self) -> None:
        """Wait until those who have nothing to do with any server were answered often."""
        before = self.others.count
        until(lambda: self.others.count > before + 40)

    def warnings(self) -> list[str]:
        """What the operator should see to."""
        found: list[str] = self.gateway.ready().json()["warnings"]
        return found

    def up(self, capability: str, backend: str) -> float:
        """What Prometheus is told of whether servers can be used."""
        sample = f'gateway_capability_backend_up{{backend="{backend}",capability="{capability}"}} '
        lines = ask.get(f"{self.gateway.admin_url}/metrics").text.splitlines()
        (value,) = [line.removeprefix(sample) for line in lines if line.startswith(sample)]
        return float(value)


COMPONENTS = """
[[components]]
name = "hello"
source = "{hello}"

[[components]]
name = "echo"
source = "{echo}"
routes = [{{ path = "/echo" }}]

[[components]]
name = "messages"
source = "{messages}"
[components.messaging]
url = "nats://shop:secret@{nats}"
publish = ["t.>"]
subscriptions = [{{ subject = "t.*", queue = "q" }}]
timeout = "1s"
"""

KEYVALUE = """
[[components]]
name = "{name}"
source = "{source}"
routes = [{{ host = "{name}.example" }}]
keyvalue.default = {{ url = "{url}", timeout = "3s" }}
"""


def config(guest: GuestPath, path: Path, nats: str, stores: dict[str, str]) -> Path:
    """A configuration with a component for each store, by name and URL."""
    sources = {name: guest(f"c/{name}") for name in ("hello", "echo", "messages", "keyvalue")}
    text = COMPONENTS.format(**sources, nats=nats)
    for name, url in stores.items():
        text += KEYVALUE.format(name=name, source=sources["keyvalue"], url=url)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def world(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("trouble")
    for name in ("redis", "nats"):
        (folder / name).mkdir()
    with ExitStack() as stack:
        user = ("--user", "shop", "on", ">secret", "~*", "&*", "+@all")
        redis_server = stack.enter_context(Redis(folder / "redis", *user))
        nats_server = stack.enter_context(
            Nats(folder / "nats", "--user", "shop", "--pass", "secret")
        )
        asyncio.run(make_bucket(nats_server))
        stores = {
            f"{who}{kind}": f"{kind}://shop:{password}@127.0.0.1:{server.port}/{name}"
            for kind, server, name in (("redis", redis_server, "0"), ("nats", nats_server, "b"))
            for who, password in (("", "secret"), ("stranger-", "guess"))
        }
        path = config(guest, folder / "gateway.toml", f"127.0.0.1:{nats_server.port}", stores)
        gateway = stack.enter_context(Gateway(path, "--admin-addr", "127.0.0.1:0"))
        others = stack.enter_context(Load(gateway.port, clients=1, pause=0.005))
        yield World(gateway, redis_server, nats_server, others)
        others.stop()
        assert {status for _, status in others.answers} == {200}, others.troubles
        assert gateway.stop() == 0


async def make_bucket(server: Nats) -> None:
    client = await nats.connect(server.broker, user="shop", password="secret")  # noqa: S106
    await client.jetstream().create_key_value(bucket="b", max_bytes=6 * MIB, direct=True)
    await client.close()


def in_trouble(world: World, server: Server, *users: tuple[Users, frozenset[str]]) -> None:
    """Hold, and kill, a server under load: it is told, and it goes on when the server does."""
    for begin, end in ((server.hold, server.let_go), (server.kill, server.start)):
        for some, _ in users:
            some.until(OK)
        begin()
        for some, failures in users:
            some.until(*failures)
        world.others_go_on()
        until(lambda: any(f":{server.port}" in warning for warning in world.warnings()))
        end()
        for some, _ in users:
            some.until(OK)
    for some, failures in users:
        assert set(some.answers) <= {OK, *failures}


def strangers_are_refused(world: World, kind: str, server: Server) -> None:
    """A password that is wrong is told to the operator, and that it is none to nobody else."""
    with ask.Client() as client:
        for name in "abc":
            answer = world.write(f"stranger-{kind}", client, name)
            assert answer in AWAY
    told = until(lambda: [it for it in world.warnings() if f":{server.port}" in it])
    assert any("uthorization" in it or "password" in it for it in told), told
    known = json.dumps([*told, *world.gateway.logs])
    assert "guess" not in known
    assert "secret" not in known


def test_redis_in_trouble(world: World) -> None:
    strangers_are_refused(world, "redis", world.redis)
    with (
        Users(partial(world.write, "redis")) as users,
        Users(partial(world.write, "nats")) as elsewhere,
    ):
        in_trouble(world, world.redis, (users, AWAY))
        assert set(elsewhere.answers) == {OK}
        with redis.Redis(port=world.redis.port) as client:
            client.config_set("maxmemory", "1")
            users.until("the store is full")
            elsewhere.until(OK)
            world.others_go_on()
            with ask.Client() as reader:
                assert world.keyvalue("redis", reader, "/get/default/0") == OK
            client.config_set("maxmemory", "0")
            assert len(client.client_list()) < 20  # however often it was killed
        users.until(OK)
        # Only that of the stranger is left.
        until(lambda: len(world.warnings()) == 1)


def test_nats_in_trouble(world: World) -> None:
    strangers_are_refused(world, "nats", world.nats)
    with (
        Users(partial(world.write, "nats")) as users,
        Users(world.exchange) as talkers,
        Users(partial(world.write, "redis")) as elsewhere,
    ):
        in_trouble(world, world.nats, (users, AWAY), (talkers, UNREACHED))
        until(lambda: world.up("messaging", "nats") == 1)
        # More than there is room for: most of these have a place, and write on there.
        with Users(lambda client, name: world.write("nats", client, f"large-{name}", MIB)) as large:
            large.until("the store is full")
            for each in (users, talkers, elsewhere):
                each.until(OK)
            world.others_go_on()
        assert set(large.answers) <= {OK, "the store is full", *AWAY}
        assert set(elsewhere.answers) == {OK}


def test_a_full_disk_below_sqlite(guest: GuestPath, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    stores = {"sqlite": "sqlite:/dev/shm/app.db"}
    config(guest, path, "127.0.0.1:1", stores)
    with cramped(path) as gateway, Load(gateway.port, clients=1, pause=0.005) as others:
        world = World(gateway, Any, Any, others)  # type: ignore[arg-type]
        with Users(partial(world.write, "sqlite", size=1000)) as users:
            users.until(OK)
            full = gateway.fill()
            users.until("the store is full")
            world.others_go_on()
            with ask.Client() as client:
                assert world.keyvalue("sqlite", client, "/get/default/0") == OK
            full.unlink()
            users.until(OK)
        assert set(users.answers) <= {OK, "the store is full"}
        others.stop()
        assert {status for _, status in others.answers} == {200}, others.troubles
