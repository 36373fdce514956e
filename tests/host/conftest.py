"""Fixtures of the host's tests: one engine for all, and a look at what every test has left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.host.binding import HostInterface
from gateway.host.engine import Engine
from gateway.host.linker import LinkedComponent
from gateway.host.store import STORES
from tests.host.guests import load_component

Load = Callable[..., LinkedComponent]

BOTH_LOOPS = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
"""For tests of what is asked of the event loop."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture
def load(engine: Engine, tmp_path: Path) -> Load:
    """Compiles and links a component of this text, for the session's engine."""

    def load(text: str, *provided: HostInterface) -> LinkedComponent:
        return load_component(engine, text, tmp_path, *provided)

    return load


@pytest.fixture(autouse=True)
def no_store_is_left() -> Iterator[None]:
    assert not STORES
    yield
    assert not STORES
