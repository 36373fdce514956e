"""The guest `python/probe` in this process, with a client to send requests by.

    result = await ask(probe, client, "result = ...")

The source finds what `tests.conformance.probe.PRELUDE` gives it, and what is defined here.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, Final

from gateway.bindings import provided
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.outbound import OutboundClient
from gateway.bindings.http.types import (
    IncomingRequest,
    OutgoingResponse,
    ResponseOutparam,
)
from gateway.host.invocation import Invocation
from gateway.host.linker import Export, link
from gateway.host.values import Variant
from tests.compiled import compiled
from tests.conformance.probe import PRELUDE
from tests.harness import PATIENCE, probe_headers, probe_result

MAX_MEMORY: Final = 256 << 20

WORDS: Final = (
    PRELUDE
    + """
def outgoing_request(authority, path="/", method=None, headers=()):
    "A request that can be sent."
    request = OutgoingRequest(Fields.from_list(list(headers)))
    request.set_scheme(Scheme_Http())
    request.set_authority(authority)
    request.set_path_with_query(path)
    if method is not None:
        request.set_method(method)
    return request


def response_of(future):
    "Waits for a response."
    pollable = future.subscribe()
    pollable.block()
    drop(pollable)
    outcome = future.get().value
    return outcome.value


def content_of(response):
    "Reads all of a response."
    body = response.consume()
    stream = body.stream()
    data = b""
    try:
        while True:
            data += stream.blocking_read(65536)
    except Err as end:
        assert isinstance(end.value, StreamError_Closed), end.value
    drop(stream)
    drop(body)
    return data


def pump(source, sink):
    "Moves all of an input stream to an output stream; yields what to wait for, whenever that is needed."
    while True:
        if not sink.check_write():
            yield sink.subscribe()
        try:
            moved = sink.splice(source, 65536)
        except Err as end:
            assert isinstance(end.value, StreamError_Closed), end.value
            return
        if not moved:
            yield source.subscribe()


def run(*pumps):
    "Runs several at once."
    waiting = [(next(pump), pump) for pump in pumps]
    while waiting:
        ready = set(poll.poll([pollable for pollable, _ in waiting]))
        before, waiting = waiting, []
        for index, (pollable, pump) in enumerate(before):
            if index in ready:
                drop(pollable)
                pollable = next(pump, None)
            if pollable is not None:
                waiting.append((pollable, pump))
"""
)
"""What sources of these tests may use."""


def proxy(authority: str) -> str:
    """The source of a proxy to a server, both ways at once."""
    return (
        WORDS
        + f"""
made = outgoing_request("{authority}", method=Method_Post())
made_body = made.body()
made_stream = made_body.write()
future = outgoing_handler.handle(made, None)
received = incoming()
response = response_of(future)
body, stream = respond()
response_body = response.consume()
response_stream = response_body.stream()

def upwards():
    yield from pump(received, made_stream)
    drop(made_stream)
    OutgoingBody.finish(made_body, None)

run(upwards(), pump(response_stream, stream))
finish(body, stream)
"""
    )


def load_probe(path: Path) -> Export:
    """The handler of the guest."""
    component = compiled(path)
    interface = component.find_export("wasi:http/incoming-handler")
    assert interface is not None
    return link(component, provided()).export("handle", interface=interface)


async def ask(
    handler: Export, client: OutboundClient, source: str, *, seconds: float = PATIENCE
) -> Any:
    """What a source leaves in `result`, within some seconds.

    Raises:
        GuestError: it let an exception out.
        InvocationError: it did not come to its end.
    """
    responses: list[OutgoingResponse | Variant] = []
    carried = probe_headers(WORDS + textwrap.dedent(source))
    outbound = client.invocation(Caller(client.component, "request-1"))
    invocation = Invocation(
        handler,
        (
            IncomingRequest(
                method="GET",
                path_with_query="/",
                scheme="http",
                authority="probe.test",
                headers=[(name.encode(), value.encode()) for name, value in carried.items()],
                content=IncomingContent(),
            ),
            ResponseOutparam(responses.append),
        ),
        WasiCtx(outbound, caller=outbound.caller),
        max_memory=MAX_MEMORY,
        max_execution_time=seconds,
    )
    try:
        await invocation.call()
    finally:
        outbound.close()
    [response] = responses
    assert isinstance(response, OutgoingResponse)
    assert response.content is not None
    return probe_result(response.content.take())
