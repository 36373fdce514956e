"""What a guest sees of a request."""

from dataclasses import dataclass
from typing import Any, Final

from gateway.http.gateway_fields import RESERVED
from tests.harness import probe_headers, probe_result
from tests.routes.site import Site
from tests.routes.wire import HOST

_SOURCE: Final = """
    with request.headers() as headers:
        entries = headers.entries()
    result = {
        "method": request.method(),
        "target": request.path_with_query(),
        "scheme": request.scheme(),
        "authority": request.authority(),
        "headers": entries,
    }
"""
PROBE: Final = [f"{name}: {value}" for name, value in probe_headers(_SOURCE).items()]


@dataclass(frozen=True)
class Asked:
    """A request as the guest `python/probe` has it.

    Attributes:
        method: A case of `method`, in the form of the probe.
        target: `path-with-query`.
        scheme: A case of `scheme`, in the form of the probe.
        authority: `authority`.
        headers: All but the one that carries the source of the probe, and those in `told`; values read as Latin-1.
        told: What the gateway says of the request itself, which comes after all others.
    """

    method: Any
    target: str
    scheme: Any
    authority: str | None
    headers: list[tuple[str, str]]
    told: dict[str, str]


def ask(
    site: Site,
    target: str = "/",
    *headers: str,
    method: str = "GET",
    host: str | None = HOST,
    version: str = "1.1",
) -> Asked:
    """Sends a request, and gives what the guest saw of it."""
    with site.connect() as client:
        client.request(target, *PROBE, *headers, method=method, host=host, version=version)
        response = client.response()
    assert response.status == 200, response
    seen = probe_result(response.body)
    received = [tuple(pair) for pair in seen["headers"] if pair[0] != "probe-source"]
    told = [pair for pair in received if pair[0].encode() in RESERVED]
    assert received[len(received) - len(told) :] == told
    seen["headers"] = received[: len(received) - len(told)]
    assert len(dict(told)) == len(told)
    return Asked(**seen, told=dict(told))
