"""The guest `python/probe` with folders mounted: what Python's own library makes of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from gateway.bindings import provided
from gateway.bindings.cli import CliCtx
from gateway.bindings.context import WasiCtx
from gateway.bindings.filesystem import Mount, OpenFiles
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.types import (
    IncomingRequest,
    OutgoingResponse,
    ResponseOutparam,
)
from gateway.host.invocation import Invocation
from gateway.host.linker import Export, link
from tests.compiled import compiled
from tests.harness import probe_headers, probe_result
from tests.patience import PATIENCE

MAX_MEMORY: Final = 256 << 20


@cache
def _handler(path: Path) -> Export:
    component = compiled(path)
    interface = component.find_export("wasi:http/incoming-handler")
    return link(component, provided()).export("handle", interface=interface)


async def run(guest: Path, source: str, *mounts: Mount) -> Any:
    """What Python source leaves in `result`.

    Raises:
        GuestError: it let an exception out.
    """
    headers = [(name.encode(), value.encode()) for name, value in probe_headers(source).items()]
    content = IncomingContent()
    content.end()
    request = IncomingRequest(
        method="GET",
        path_with_query="/",
        scheme="http",
        authority="probe.test",
        headers=headers,
        content=content,
    )
    responses: list[Any] = []
    written = bytearray()
    invocation = Invocation(
        _handler(guest),
        (request, ResponseOutparam(responses.append)),
        WasiCtx(OpenFiles(mounts), CliCtx(output=lambda _stream, data: written.extend(data))),
        max_memory=MAX_MEMORY,
        max_execution_time=PATIENCE,
    )
    await invocation.call()
    [response] = responses
    assert isinstance(response, OutgoingResponse), (response, bytes(written))
    assert response.content is not None
    return probe_result(response.content.take())
