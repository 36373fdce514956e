"""Components that keep values, in two languages and both drafts, as gateways serve them on each store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import ask
from tests.capabilities.servers import Redis
from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.production.gateways import until

SHARED = pytest.mark.parametrize("url", ["sqlite", "redis", "nats"], indirect=True)
"""Those stores that processes share."""

STORES = pytest.mark.parametrize("url", ["memory", "sqlite", "redis", "nats"], indirect=True)


class Shop:
    """A gateway with both components on one store, which they know as `default`, and may only read as `read-only`.

    Args:
        running: it.
        client: a client of it.
    """

    def __init__(self, running: GatewayProcess, client: httpx.Client) -> None:
        self.running = running
        self.client = client

    def c(self, path: str, body: bytes = b"") -> httpx.Response:
        """Ask the component in C, which uses the first draft."""
        return self.client.post(path, headers={"host": "c.example"}, content=body)

    def python(self, draft: int, *operations: Any, store: str = "default") -> Any:
        """Ask the component in Python, which uses either."""
        document = {"draft": draft, "store": store, "do": operations}
        answer = self.client.post("/", headers={"host": "python.example"}, json=document)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def start(gateway: StartGateway) -> Iterator[Callable[..., Shop]]:
    """Starts a gateway with options."""
    with ExitStack() as ends:

        def start(target: Path, *options: str) -> Shop:
            running = gateway(target, *options)
            return Shop(running, ends.enter_context(ask.Client(base_url=running.url)))

        yield start


@pytest.fixture
def serve(guest: GuestPath, start: Callable[..., Shop], url: str, tmp_path: Path) -> Any:
    """Starts a gateway with both components."""

    def serve(*options: str) -> Shop:
        path = tmp_path / "gateway.toml"
        path.write_text(
            "".join(
                f"""
                [[components]]
                name = "{name.partition("/")[0]}"
                source = "{guest(name)}"
                routes = [{{ host = "{name.partition("/")[0]}.example" }}]
                [components.keyvalue]
                default = "{url}"
                small = {{ url = "{url}", prefix = "small:", max_value = 10 }}
                read-only = {{ url = "{url}", read_only = true }}
                """
                for name in ("c/keyvalue", "python/keyvalue")
            )
        )
        return start(path, *options)

    return serve


@STORES
def test_components_keep_values(serve: Any) -> None:
    shop: Shop = serve()
    assert shop.c("/get/default/key").status_code == 404
    assert shop.c("/set/default/key", b"\x00\xff" * 500_000).status_code == 200
    assert shop.c("/get/default/key").content == b"\x00\xff" * 500_000
    assert shop.c("/exists/default/key").status_code == 200
    assert shop.c("/set/default/key", b"\xff").status_code == 200
    for draft in (1, 2):
        assert shop.python(draft, ["get", "key"], ["exists", "x"]) == ["\xff", False]
    assert shop.c("/delete/default/key").status_code == 200
    assert shop.c("/exists/default/key").status_code == 404


@STORES
@pytest.mark.parametrize("draft", [1, 2])
def test_all_that_a_draft_has(serve: Any, draft: int) -> None:
    shop: Shop = serve()
    assert shop.python(
        draft,
        ["set-many", {"a": "1", "b": "\xff", "ä\u2028": ""}],
        ["get-many", "b", "x", "a"],
        ["list"],
        ["increment", "a", 41],
        ["delete-many", "b", "x"],
        ["list"],
    ) == [None, ["\xff", None, "1"], ["a", "b", "ä\u2028"], 42, None, ["a", "ä\u2028"]]
    assert shop.python(draft, ["increment", "ä\u2028", 1])[0]["error"].startswith(
        "the value is not"
    )
    if draft == 2:
        assert shop.python(2, ["increment", "a", -50], ["add", "a", 3], ["get", "a"]) == [
            -8,
            -5,
            "-5",
        ]


@STORES
def test_what_is_not_granted_is_not_there(serve: Any) -> None:
    shop: Shop = serve()
    shop.c("/set/default/key", b"1")
    assert shop.c("/get/other/key").text == "no-such-store"
    assert shop.python(2, store="other") == [{"error": "Error_NoSuchStore"}]
    assert shop.c("/get/read-only/key").text == "1"
    assert shop.c("/set/read-only/key", b"2").text == "access-denied"
    assert shop.python(2, ["add", "key", 2], store="read-only") == [{"error": "Error_AccessDenied"}]
    assert shop.c("/get/small/key").status_code == 404
    assert shop.c("/set/small/key", bytes(11)).text == "the value has 11 bytes, and may have 10"
    assert shop.c("/get/default/key").text == "1"


@SHARED
def test_workers_and_gateways_lose_nothing(serve: Any) -> None:
    """200 increments at once, and 40 swaps, over two gateways of which one has two workers."""
    shops: list[Shop] = [serve("--workers", "2"), serve()]
    with ThreadPoolExecutor(50) as clients:
        sums = clients.map(
            lambda number: int(shops[number % 2].c("/increment/default/n").text), range(200)
        )
        assert sorted(sums) == list(range(1, 201))
        swaps = clients.map(
            lambda number: shops[number % 2].python(2, ["add", "swapped", 1])[0], range(40)
        )
        assert sorted(swaps) == list(range(1, 41))
    assert shops[1].python(1, ["get", "n"], ["get", "swapped"]) == ["200", "40"]


def counted(shop: Shop, name: str, **labels: str) -> float:
    """A number that `/metrics` has; 0 where it has none."""
    shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    for line in shop.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name}{{{shown}}} "):
            return float(line.split()[-1])
    return 0.0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_is_away_is_told(
    guest: GuestPath, start: Callable[..., Shop], tmp_path: Path, workers: int
) -> None:
    """wasi:keyvalue/store: `open` asks no server, as in wasmCloud 1; of one that is away `other` tells later."""
    with ExitStack() as ends:
        server = Redis(tmp_path, "--user", "user", "on", "+@all", "~*", ">secret")
        ends.callback(server.kill)
        store = f"default=redis://user:secret@127.0.0.1:{server.port}/0"
        shop: Shop = start(
            guest("c/keyvalue"),
            "--keyvalue",
            store,
            "--workers",
            str(workers),
            "--operational-routes",
            "first",
        )
        said = shop.c("/get/default/key")
        assert (said.status_code, said.text) == (502, "the store is not available")
        labels = {"capability": "keyvalue", "backend": "redis"}

        def warned() -> Any:
            return shop.client.get("/readyz").json()["warnings"]

        (warning,) = until(warned)
        assert f"keyvalue redis://127.0.0.1:{server.port}/0: " in warning
        assert "secret" not in warning
        assert shop.client.get("/readyz").status_code == 200
        until(lambda: counted(shop, "gateway_capability_backend_up", **labels) == 0)
        failed = shop.running.wait_for_log(event="backend failed")
        assert "secret" not in json.dumps(failed)
        server.start()
        until(lambda: shop.c("/set/default/key", b"1").status_code == 200)
        until(lambda: not any(warned() for _ in range(4)))
        until(lambda: counted(shop, "gateway_capability_backend_up", **labels) == 1)
        function = {"interface": "wasi:keyvalue/store", "function": "set", "backend": "redis"}
        assert counted(
            shop,
            "gateway_capability_operations_total",
            component=shop.running.wait_for_log(event="component loaded")["component"],
            outcome="ok",
            **function,
        )
