"""Fixtures: the API on a socket, and a client with a token."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import ask
from tests.admin.issuer import token
from tests.admin.site import MemoryGateway, Stage, admin_api, served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where relative paths count from; it has a component and a file that is none."""
    (tmp_path / "app.wasm").write_bytes(b"\0asm\x0d\0\1\0")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def site() -> MemoryGateway:
    """The gateway that is steered."""
    return MemoryGateway()


@pytest.fixture(scope="package")
def stage() -> Iterator[tuple[Stage, str]]:
    """A server, and its URL."""
    stage = Stage()
    with served(stage) as url:
        yield stage, url


@pytest.fixture
def url(stage: tuple[Stage, str], site: MemoryGateway, folder: Path) -> str:
    """Where its admin API is."""
    server, url = stage
    server.app = admin_api(site, folder)
    return url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """A client whose token opens everything."""
    headers = {"authorization": f"Bearer {token()}"}
    with ask.Client(base_url=url, headers=headers) as client:
        yield client
