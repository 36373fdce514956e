"""The programs of the page about embedding, and the servers that it names."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

import gateway
from tests.harness import GuestPath
from tests.patience import PATIENCE
from tests.production.gateways import until

PAGE = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text()
FASTAPI, STARLETTE, APPLICATION = re.findall(
    r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
COMMANDS = re.findall(r"^    (\w+ .*\.sock)$", PAGE, re.MULTILINE)

ADD = {"jsonrpc": "2.0", "method": "add", "params": {"a": 40, "b": 2}, "id": 1}


@pytest.fixture
def folder(tmp_path: Path, guest: GuestPath, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(guest("examples/hello"), tmp_path / "hello.wasm")
    (tmp_path / "application.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program(folder: Path, text: str) -> Any:
    path = folder / "program.py"
    path.write_text(text)
    return runpy.run_path(str(path))["app"]


@pytest.mark.anyio
async def test_fastapi(folder: Path) -> None:
    transport = httpx.ASGITransport(program(folder, FASTAPI))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert (await client.get("/sum?a=40&b=2")).json() == 42
        refused = await client.get(f"/sum?a={2**70}&b=2")
        assert (refused.status_code, "at a" in refused.json()["detail"]) == (422, True)
        assert (await client.get("/components/?name=you")).text.startswith("Hello, you!")
        answer = await client.post("/components/rpc/hello", json=ADD)
        assert answer.json()["result"] == 42
        document = (await client.get("/openapi.json")).json()
        assert (await client.get("/docs")).status_code == 200
    assert "/sum" in document["paths"]
    described = document["paths"]["/components/rpc/hello"]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    schema |= {"components": document["components"]}
    jsonschema.validate(ADD, schema)
    for wrong in ({**ADD, "params": {"a": 1}}, {**ADD, "method": "none"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
    given = described["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), given | {"components": document["components"]})


@pytest.mark.anyio
async def test_the_names_of_all_types_are_there(guest: GuestPath) -> None:
    """References lead somewhere, also where two components have types of the same names."""
    fastapi = pytest.importorskip("fastapi")
    from gateway.fastapi import describe_methods

    components = gateway.create_app(
        gateway.GatewayConfig(
            components=tuple(
                gateway.ComponentConfig(name=name, source=guest("c/rpc")) for name in ("a", "b")
            )
        )
    )
    app = fastapi.FastAPI()
    describe_methods(app, components, "/")
    document = app.openapi()
    assert document == app.openapi()
    assert {"/rpc/a", "/rpc/b"} <= document["paths"].keys()
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']*)'", str(document)))
    assert references
    assert references <= document["components"]["schemas"].keys()
    schema = document["paths"]["/rpc/a"]["post"]["requestBody"]["content"]["application/json"]
    whole = schema["schema"] | {"components": document["components"]}
    point = {"method": "types.echo-point", "params": {"value": {"x": 1, "y": 2}}}
    jsonschema.validate({"jsonrpc": "2.0", "id": 1, **point}, whole)


@pytest.mark.anyio
async def test_starlette(folder: Path) -> None:
    transport = httpx.ASGITransport(program(folder, STARLETTE))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert (await client.get("/components/?name=you")).text.startswith("Hello, you!")


@contextlib.contextmanager
def running(command: str, folder: Path) -> Iterator[Path]:
    """A server as the page has it; gives its socket."""
    name, *options = shlex.split(command)
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", name, *options],
            cwd=folder,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), *sys.path))},
            start_new_session=True,
        )
    try:
        yield folder / options[-1].removeprefix("unix:")
    except Exception:
        raise AssertionError(log.read_text()) from None
    finally:
        server.terminate()
        server.wait(PATIENCE)


def listens(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@pytest.mark.parametrize("command", COMMANDS, ids=[each.split()[0] for each in COMMANDS])
def test_servers(command: str, folder: Path) -> None:
    with running(command, folder) as path:
        until(lambda: listens(path))
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://app", timeout=PATIENCE) as client:
            assert client.get("/?name=you").text.startswith("Hello, you!")
            assert client.post("/rpc/hello", json=ADD).json()["result"] == 42


def test_all_servers_are_found() -> None:
    assert [each.split()[0] for each in COMMANDS] == ["uvicorn", "hypercorn", "granian"]
