"""The gateways that these tests share."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.harness import GuestPath
from tests.routes.site import ObservedSite, Site, write_config

STACKS = {
    "httptools-uvloop": ("--http", "httptools", "--loop", "uvloop"),
    "h11-asyncio": ("--http", "h11", "--loop", "asyncio"),
}


@pytest.fixture(scope="session")
def config(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of `site`."""
    names = ("fail", "hello", "echo")
    return write_config(
        tmp_path_factory.mktemp("site"), {name: guest(f"c/{name}") for name in names}
    )


@pytest.fixture(scope="session", params=STACKS)
def site(request: pytest.FixtureRequest, config: Path) -> Iterator[Site]:
    """A gateway, with each of the parsers and loops."""
    with Site(config, *STACKS[request.param]) as site:
        yield site


@pytest.fixture(scope="session")
def observed(config: Path) -> Iterator[ObservedSite]:
    """A gateway that tells what it holds."""
    with ObservedSite(config) as site:
        yield site


@pytest.fixture
def request_id() -> str:
    """An id that joins a request and its log."""
    return uuid4().hex


@pytest.fixture(scope="session", params=STACKS)
def probe_site(
    request: pytest.FixtureRequest, guest: GuestPath, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A gateway whose guest tells what it was asked, with each of the parsers and loops."""
    with Site(guest("python/probe"), *STACKS[request.param]) as site:
        yield site
