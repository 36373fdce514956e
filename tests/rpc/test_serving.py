"""Which components are called with JSON, where, and beside which routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.forked import run
from tests.guests.toolchains import GUESTS
from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.routes.wire import Client, Response, get, post
from tests.rpc.endpoint import JSON

ADD = b'{"jsonrpc":"2.0","method":"add","params":[40,2],"id":1}'

ADDER = """(component
  (core module $m
    (memory (export "memory") {pages})
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $i "add"))))
"""

BUILT_BY_COMPONENTIZE_PY = """(component
  (core module $m
    (func (export "init") (param i32 i32 i32))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m))
  (func $init (param "app-name" u32) (param "symbols" u32) (param "stub-wasi" bool)
    (canon lift (core func $i "init")))
  (instance (export "exports") (export "init" (func $init)))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $i "add"))))
"""


RESOURCE = "which has no form in JSON"

NOT_SERVED = {
    "thing": f"a resource, {RESOURCE}",
    "make": f"it takes or gives the resource thing, {RESOURCE}",
    "pass": f"it takes or gives the resource thing, {RESOURCE}",
    "module": "a core module, not a function",
    "test:exports/shop@1.0.0#thing": f"a resource, {RESOURCE}",
    "test:exports/shop@1.0.0#inner": "an instance, not a function",
    "test:exports/shop@1.0.0#module": "a core module, not a function",
    "test:exports/shop@1.0.0#[constructor]thing": f"it takes or gives the resource thing, {RESOURCE}",
    "test:exports/shop@1.0.0#[method]thing.number": f"it takes or gives the resource thing, {RESOURCE}",
}
"""The exports of `wat/exports` that are no methods, and why."""


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A component with one function and no handler of requests."""
    path = tmp_path_factory.mktemp("serving") / "adder.wasm"
    path.write_bytes(wasmtime.wat2wasm(ADDER.format(pages=1)))
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A component that answers requests and has the same function."""
    text = (GUESTS / "wat" / "hello.wat").read_text().rstrip()
    assert text.endswith(")")
    module = ADDER.format(pages=1).removeprefix("(component").replace("$m", "$adder")
    path = tmp_path_factory.mktemp("serving") / "both.wat"
    path.write_text(text.removesuffix(")") + module.replace("$i", "$added"))
    return path


Configured = Callable[..., GatewayProcess]


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    """`configured({"name": source}, server="", name="routes = []")`: a gateway of a configuration."""
    with ExitStack() as running:

        def start(sources: Mapping[str, Path], server: str = "", **keys: str) -> GatewayProcess:
            return running.enter_context(GatewayProcess(write(tmp_path, sources, server, **keys)))

        yield start


def write(folder: Path, sources: Mapping[str, Path], server: str = "", **keys: str) -> Path:
    parts = [f"[server]\nport = 0\n{server}\n"]
    for name, source in sources.items():
        given = keys.get(name, "")
        parts.append(f'[[components]]\nname = "{name}"\nsource = "{source}"\n{given}\n')
    config = folder / "gateway.toml"
    config.write_text("".join(parts))
    return config


def refusal(config: Path) -> str:
    """What `gateway check` says of a configuration that it refuses."""
    done = run("check", config)
    assert done.returncode == 2
    return " ".join(done.stderr.split())


def add(gateway: GatewayProcess, path: str) -> Response:
    return post(gateway, path, ADD, JSON)


def test_a_component_without_a_handler_needs_no_configuration(
    gateway: StartGateway, adder: Path
) -> None:
    running = gateway(adder)
    assert add(running, "/rpc/adder").json["result"] == 42
    assert get(running, "/").status == 404
    loaded = running.wait_for_log(event="component loaded")
    assert (loaded["routes"], loaded["methods"]) == ([], 1)


def test_several_components_without_a_handler_need_no_routes(
    configured: Configured, adder: Path
) -> None:
    running = configured({"one": adder, "two": adder})
    assert get(running, "/rpc").json == {
        "components": [
            {"name": "one", "url": "/rpc/one", "methods": 1},
            {"name": "two", "url": "/rpc/two", "methods": 1},
        ]
    }
    assert add(running, "/rpc/one").json["result"] == 42
    assert add(running, "/rpc/two").json["result"] == 42
    assert get(running, "/rpc/").json == get(running, "/rpc").json


def test_two_components_cannot_both_answer_every_request(tmp_path: Path, guest: GuestPath) -> None:
    config = write(tmp_path, {"one": guest("c/hello"), "two": guest("c/hello")})
    assert (
        'component "two" would answer */, as a component without routes does, and so does component "one". '
        "Give it routes, or none: routes = []."
    ) in refusal(config)


def test_a_component_with_a_handler_alone_has_no_methods(
    gateway: StartGateway, guest: GuestPath
) -> None:
    running = gateway(guest("c/hello"))
    assert running.wait_for_log(event="component loaded")["methods"] == 0
    # What nobody could be called for takes no path from the component.
    assert get(running, "/rpc/hello").status == 200


def test_calls_go_before_a_component_that_answers_everything(
    configured: Configured, adder: Path, guest: GuestPath
) -> None:
    running = configured({"site": guest("c/hello"), "adder": adder})
    assert get(running, "/").status == get(running, "/rpcs").status == 200
    assert add(running, "/rpc/adder").json["result"] == 42
    assert get(running, "/rpc/site").status == 404
    assert get(running, "/rpc/adder/more").status == 404


def test_longer_routes_and_those_of_a_host_go_before_calls(
    configured: Configured, adder: Path, guest: GuestPath
) -> None:
    routes = 'routes = [{ path = "/rpc/docs" }, { host = "only.test" }]'
    running = configured({"site": guest("c/hello"), "adder": adder}, site=routes)
    assert get(running, "/rpc/docs").status == 200
    assert add(running, "/rpc/adder").json["result"] == 42
    with Client(running.port) as client:
        assert client.get("/rpc", host="only.test")["content-type"] != "application/json"


def test_the_prefix_is_the_operators_choice(configured: Configured, adder: Path) -> None:
    running = configured({"adder": adder}, 'rpc_prefix = "/api/calls"')
    assert add(running, "/api/calls/adder").json["result"] == 42
    assert get(running, "/api/calls").json["components"][0]["url"] == "/api/calls/adder"
    assert get(running, "/rpc").status == 404


def test_a_route_that_is_the_prefix_is_refused(
    tmp_path: Path, adder: Path, guest: GuestPath
) -> None:
    config = write(
        tmp_path,
        {"site": guest("c/hello"), "adder": adder},
        site='routes = [{ path = "/rpc" }]',
    )
    running = run("serve", config)
    assert running.returncode == 2
    told = " ".join(running.stderr.split())
    assert (
        "its route */rpc is where JSON-RPC is served. Choose another rpc_prefix, or set rpc = false."
        in told
    )


@pytest.mark.parametrize(("server", "keys"), [("rpc = false", ""), ("", "rpc = false")])
def test_json_rpc_can_be_off(configured: Configured, both: Path, server: str, keys: str) -> None:
    running = configured({"both": both}, server, both=keys)
    # All paths are the component's own.
    for path in ("/", "/rpc", "/rpc/both"):
        assert get(running, path).body == b"Hello from WAT!\n"


def test_a_component_may_be_called_and_answer_requests(configured: Configured, both: Path) -> None:
    running = configured({"both": both})
    assert get(running, "/").status == 200
    assert add(running, "/rpc/both").json["result"] == 42


def test_a_component_with_a_handler_may_be_called_only(configured: Configured, both: Path) -> None:
    running = configured({"both": both}, both="routes = []")
    assert get(running, "/").status == 404
    assert add(running, "/rpc/both").json["result"] == 42


def test_a_component_that_is_left_with_nothing_to_serve_is_refused(
    tmp_path: Path, adder: Path, guest: GuestPath
) -> None:
    told = refusal(write(tmp_path, {"adder": adder}, adder="rpc = false"))
    assert "cannot answer HTTP requests, and no functions for JSON-RPC, or that is off" in told
    told = refusal(write(tmp_path, {"adder": adder}, "rpc = false"))
    assert "or that is off (it exports add)" in told
    told = refusal(write(tmp_path, {"hello": guest("c/hello")}, hello="routes = []"))
    assert "nothing is left to serve of it: routes is empty" in told
    told = refusal(write(tmp_path, {"adder": adder}, adder='routes = [{ path = "/" }]'))
    assert "Leave routes out: its functions are served by JSON-RPC." in told


def test_a_component_that_needs_more_memory_than_it_may_have_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.wasm"
    large.write_bytes(wasmtime.wat2wasm(ADDER.format(pages=32)))
    told = refusal(write(tmp_path, {"large": large}, large='max_memory = "1MiB"'))
    assert "needs 2MiB of memory to begin with, and max_memory is 1MiB. Raise max_memory." in told


def test_what_is_not_served_is_told(gateway: StartGateway, guest: GuestPath) -> None:
    running = gateway(guest("wat/exports"))
    told = running.wait_for_log(event="exports not served", level="warning")["exports"]
    assert told == NOT_SERVED
    path = running.wait_for_log(event="component loaded")["component"]

    def result(method: str) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode()
        with Client(running.port) as client:
            return client.post(f"/rpc/{path}", body, JSON).json

    for method in ("answer", "shop.answer", "test:exports/shop@1.0.0#answer"):
        assert result(method)["result"] == 42
    for method in ("make", "pass", "thing", "module", "shop.thing", "inner.answer"):
        assert result(method)["error"]["code"] == -32601
    for method in ("Shop.Answer", "things#answer"):
        assert result(method)["error"]["data"]["did_you_mean"] in {"answer", "shop.answer"}
    assert "did_you_mean" not in result("x" * 100_000)["error"]["data"]


def test_what_a_toolchain_left_behind_is_no_warning(gateway: StartGateway, tmp_path: Path) -> None:
    path = tmp_path / "left.wasm"
    path.write_bytes(wasmtime.wat2wasm(BUILT_BY_COMPONENTIZE_PY))
    running = gateway(path)
    assert running.wait_for_log(event="component loaded")["methods"] == 1
    running.wait_for_log(event="listening")
    assert not [line for line in running.logs if line["level"] == "warning"]
    assert "exports#init: what componentize-py called" in run("inspect", path).stdout


def test_what_is_not_served_is_told_by_inspect_too(guest: GuestPath) -> None:
    done = run("inspect", guest("wat/exports"))
    called, left_out = done.stdout.split("Called by JSON-RPC as\n")[1].split(
        "\nNot served by JSON-RPC\n"
    )
    assert called.split() == ["answer", "shop.answer"]
    assert dict(line.strip().split(": ", 1) for line in left_out.splitlines()) == NOT_SERVED
