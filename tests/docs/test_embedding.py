"""The application inside another one: as the README shows it, started more than once, and closed."""

from __future__ import annotations

import asyncio
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Message

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, MountConfig
from tests.harness import GuestPath

pytestmark = pytest.mark.anyio

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def snippet(tmp_path: Path, guest: GuestPath) -> Path:
    """The program in the README, beside a component."""
    (program,) = (
        text
        for text in re.findall(
            r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
        )
        if "create_app" in text
    )
    shutil.copy(guest("examples/hello"), tmp_path / "hello.wasm")
    path = tmp_path / "embedding.py"
    path.write_text(program)
    return path


async def get(app: ASGIApp, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        return await client.get(path)


async def test_the_program_in_the_readme_serves(
    snippet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(snippet.parent)
    app: ASGIApp = runpy.run_path(str(snippet))["app"]
    response = await get(app, "/hello/?name=you")
    assert (response.status_code, response.text.partition("\n")[0]) == (200, "Hello, you!")
    assert (await get(app, "/elsewhere")).status_code == 404


def test_the_program_in_the_readme_has_the_right_types(
    snippet: Path, pytestconfig: pytest.Config
) -> None:
    cache = pytestconfig.rootpath / ".mypy_cache" / "readme"
    options = ["--strict", "--config-file=", f"--cache-dir={cache}"]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(snippet)],
        cwd=snippet.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- lifespans -----------------------------------------------------------------------------------


def application(guest: GuestPath, *mounts: MountConfig) -> Gateway:
    hello = ComponentConfig(name="hello", source=guest("wat/hello"), mounts=mounts)
    return create_app(GatewayConfig(components=(hello,)))


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[Message]:
    """Begins a lifespan, gives what the application says to it, and ends it."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan"}, told.get, said.put))
    told.put_nowait({"type": "lifespan.startup"})
    started = await said.get()
    yield started
    if started["type"] == "lifespan.startup.complete":
        told.put_nowait({"type": "lifespan.shutdown"})
        assert await said.get() == {"type": "lifespan.shutdown.complete"}
    await task


async def test_an_application_can_be_started_again(guest: GuestPath) -> None:
    app = application(guest)
    assert (await get(app, "/")).status_code == 200  # it needs none
    for generation in (1, 2, 3):
        async with lifespan(app):
            assert (await get(app, "/")).status_code == 200
            assert app.generation == generation


def test_an_application_can_be_started_again_on_another_loop(guest: GuestPath) -> None:
    app = application(guest)

    async def serve() -> int:
        async with lifespan(app):
            return (await get(app, "/")).status_code

    assert [asyncio.run(serve()) for _ in range(2)] == [200, 200]


async def test_an_application_that_is_closed_says_so(guest: GuestPath) -> None:
    app = application(guest)
    async with lifespan(app):
        pass
    response = await get(app, "/")
    assert response.status_code == 503
    assert response.json()["type"] == "urn:component-gateway:problem:closed"
    assert response.headers["x-request-id"] == response.json()["request_id"]


async def test_an_application_that_cannot_be_started_again_says_so(
    guest: GuestPath, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    app = application(guest, MountConfig(host=folder, guest="/data"))
    async with lifespan(app):
        pass
    folder.rmdir()
    async with lifespan(app) as started:
        assert started["type"] == "lifespan.startup.failed"
        assert str(folder) in started["message"]
    folder.mkdir()
    async with lifespan(app):
        assert (await get(app, "/")).status_code == 200
