"""Fixtures of these tests: both event loops, and a look at what every test has left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.bindings.sockets.descriptor import Descriptor


@pytest.fixture(
    params=[("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Everything here rests on what the event loop sees of sockets."""
    return request.param


@pytest.fixture(autouse=True)
def _every_socket_is_closed() -> Iterator[None]:
    yield
    assert not Descriptor.open


@pytest.fixture(params=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> Any:
    """An `ip-address-family`."""
    return request.param
