"""The client of a component, whose end is checked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from gateway.bindings.descriptors import Descriptors
from gateway.bindings.http.outbound import (
    LinkedHandler,
    OnRequest,
    OutboundClient,
    Resolve,
    tls_context,
)
from gateway.observe.telemetry import Tracer
from gateway.policy.egress import EgressPolicy, EgressRule
from tests.harness import PATIENCE

SYSTEM_TLS: Final = tls_context()

LOOPBACK: Final = ("http://127.0.0.1:*", "https://127.0.0.1:*")
"""What lets a component talk to the peers of these tests."""


@asynccontextmanager
async def component(
    allowed: Iterable[str] = LOOPBACK,
    *,
    tls: ssl.SSLContext = SYSTEM_TLS,
    resolve: Resolve | None = None,
    tracer: Tracer | None = None,
    on_request: OnRequest | None = None,
    places: int | None = None,
    linked: Mapping[str, Mapping[str, LinkedHandler]] = MappingProxyType({}),
) -> AsyncIterator[OutboundClient]:
    """A client with these `allowed_outbound_hosts`. When it has closed, nothing that it began may be left."""
    others = asyncio.all_tasks()
    policy = EgressPolicy(map(EgressRule.parse, allowed))
    share = Descriptors(places).share("tested")
    client = OutboundClient(
        "tested",
        policy,
        tls=tls,
        resolve=resolve,
        tracer=tracer,
        on_request=on_request,
        share=share,
        linked=linked,
    )
    try:
        yield client
    finally:
        await client.aclose()
    assert not client.exchanges
    assert not client.pool
    await until(lambda: share.used == 0)
    assert asyncio.all_tasks() == others


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what changes it is the transport's doing
            await asyncio.sleep(0)
