"""Components in pieces, as `gateway dev` and `serve --watch` have them: they do what they do as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gateway.bindings import provided
from gateway.host.engine import Engine
from gateway.host.linker import link
from tests import ask
from tests.compiled import compiled
from tests.guests import build
from tests.harness import GatewayProcess, GuestPath, probe

CONFIG = """
[[components]]
name = "probe"
source = "{probe}"

[[components]]
name = "js"
source = "{js}"
routes = [{{ path = "/js", strip_prefix = true }}]

[[components]]
name = "concurrent"
source = "{concurrent}"
routes = [{{ path = "/concurrent" }}]
"""

GUESTS = {"probe": "python/probe", "js": "js/echo", "concurrent": "python-0-3/concurrent"}


@pytest.fixture(scope="module")
def watched(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with guests in Python, of WASI 0.2 and 0.3, and in JavaScript."""
    config = tmp_path_factory.mktemp("modules") / "gateway.toml"
    config.write_text(CONFIG.format(**{key: guest(name) for key, name in GUESTS.items()}))
    with GatewayProcess(config, "--watch") as gateway:
        yield gateway


def test_python_asks_the_host(watched: GatewayProcess) -> None:
    source = """
        fields = types.Fields.from_list([("X-Up", b"\\xe9\\xff" * 5)])
        result = [[name, len(value)] for name, value in fields.entries()]
    """
    assert probe(watched.url, source) == [["x-up", 10]]


def test_a_trap_is_told_with_the_names_of_functions(watched: GatewayProcess) -> None:
    before = len(watched.logs)
    assert ask.post(watched.url, content="poll.poll([])").status_code == 500
    trapped = watched.wait_for_log(event="component trapped", after=before)
    assert "poll of an empty list" in trapped["reason"]
    assert any("PyObject_" in frame for frame in trapped["backtrace"])


def test_javascript_echoes_in_blocks(watched: GatewayProcess) -> None:
    body = bytes(range(256)) * 2000
    assert ask.post(f"{watched.url}/js/echo", content=body).content == body


def test_python_of_wasi_0_3_is_called(watched: GatewayProcess) -> None:
    call = {"jsonrpc": "2.0", "method": "api.several", "params": [["YWJj", ""]], "id": 0}
    answer = ask.post(
        f"{watched.url}/rpc/concurrent",
        content=json.dumps(call),
        headers={"content-type": "application/json"},
    )
    assert answer.json()["result"] == [["Y2Jh", ""], 3]


def test_modules_were_taken_out(guest: GuestPath) -> None:
    """Of guests in Python, or nothing here would say more than other tests do. JavaScript's are whole."""
    for name in build.MODULAR:
        component = compiled(guest(name), modular=True)
        assert component.modules
        assert not component.imports.keys() & component.modules.keys()
    assert not compiled(guest("js/echo"), modular=True).modules


def test_it_moves_to_another_engine_with_its_modules(guest: GuestPath) -> None:
    component = compiled(guest("python/probe"), modular=True)
    moved = component.moved(Engine())
    assert moved.modules.keys() == component.modules.keys()
    assert link(moved, provided())
