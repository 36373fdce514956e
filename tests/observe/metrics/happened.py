"""Return events of invocations that nobody has made."""

from typing import Any

from gateway.observe.events import (
    HttpIncomingHandlerHandleReturned,
    Outcome,
    Phases,
)

DIGEST = "0123456789abcdef" * 4
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def returned(
    component: str = "shop",
    outcome: Outcome = Outcome.OK,
    *,
    request_id: str = "request",
    trace_id: str | None = None,
    phases: Phases | None = None,
    **fields: Any,
) -> HttpIncomingHandlerHandleReturned:
    """An HTTP request that a component has answered, or has not."""
    return HttpIncomingHandlerHandleReturned(
        component=component,
        digest=DIGEST,
        export="wasi:http/incoming-handler@0.2.3#handle",
        request_id=request_id,
        trace_id=trace_id,
        outcome=outcome,
        route="/shop",
        phases=phases or Phases(guest=0.002),
        **fields,
    )
