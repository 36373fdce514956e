"""The servers that these tests share."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.routes.exchange import ResponseAborted
from tests.server.running import Running

KINDS = {
    f"{http}-{loop}": {"http": http, "loop": loop}
    for http in ("httptools", "h11")
    for loop in ("uvloop", "asyncio")
    if http == "h11" or importlib.util.find_spec(http)
    if loop == "asyncio" or importlib.util.find_spec(loop)
}
"""Each parser with each loop, of those that there are for this platform."""


@pytest.fixture(scope="package")
def servers() -> Iterator[dict[str, Running]]:
    """A server of each kind."""
    with ExitStack() as started:
        yield {kind: started.enter_context(Running(**KINDS[kind])) for kind in KINDS}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, servers: dict[str, Running]) -> Running:
    """A server, of each kind in turn."""
    return servers[request.param]


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test whose server had an error that it did not mean to have."""
    yield
    for record in caplog.get_records("call"):
        kind = record.exc_info[0] if record.exc_info else None
        meant = kind in {ResponseAborted, asyncio.CancelledError}
        assert record.levelno < logging.ERROR or meant, record.getMessage()
