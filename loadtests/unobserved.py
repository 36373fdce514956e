"""`gateway serve` without what observes it: no return events, no metrics, no ids of requests and traces.

    python -m loadtests.unobserved COMPONENT

For comparison only. It replaces parts of the gateway by ones that do nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gateway.app import create_app, verify
from gateway.config import single
from gateway.http.trace_context import incoming
from gateway.routes import dispatcher
from gateway.server import serve
from gateway.serving import call

_ID = "0123456789abcdef0123456789abcdef"
_TRACE = incoming({}, _ID)


class _Silent(call.Call):
    """A call that sends no event."""

    def _send(self) -> None:
        pass


def main() -> int:
    """Serve."""
    replaced: Any = dispatcher
    replaced.request_id = lambda _lines: _ID
    replaced.incoming = lambda _lines, _request_id: _TRACE
    for module in (sys.modules["gateway.routes.exchange"], sys.modules["gateway.routes.calls"]):
        module.Call = _Silent  # type: ignore[attr-defined]
    config = single(Path(sys.argv[1]), port=0, access_log=False, metrics=False, log_format="json")
    return serve(config, create_app=create_app, verify=verify)


if __name__ == "__main__":
    sys.exit(main())
