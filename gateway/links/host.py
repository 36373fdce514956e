"""A name that a component sends HTTP requests to, and that leads to another component."""

from __future__ import annotations

from typing import Final

from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.http.outbound import OUTGOING_HANDLER, LinkedRequest, OutboundFailure
from gateway.host import wit
from gateway.host.values import Variant
from gateway.links.link import Link
from gateway.links.target import CallFailed, CallOutcome

__all__ = ["LinkedHost"]

_HANDLE: Final = "handle"
_FUNCTIONS: Final = wit.Interface({_HANDLE: wit.Function((), None)})
"""What its targets have: their argument is a `LinkedRequest`, and so has no type in WIT."""

_CODES: Final = {
    CallOutcome.BUSY: "destination-unavailable",
    CallOutcome.LATE: "HTTP-response-timeout",
    CallOutcome.DEPTH: "loop-detected",
}
"""What the caller is told of a request that was not answered, where that is not what it is told of a server that
closes the connection without a word."""


class LinkedHost:
    """What answers requests to such a name: a `gateway.bindings.http.outbound.LinkedHandler`.

    Args:
        link: the link, whose target calls handlers.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._call = link.target.calls(OUTGOING_HANDLER, _FUNCTIONS)[_HANDLE]

    async def __call__(self, caller: Caller, request: LinkedRequest) -> None:
        """`LinkedHandler.__call__`."""
        try:
            # One of its own: an invocation may have several requests under way.
            ctx = WasiCtx(caller=caller)
            await self._link.call(_HANDLE, self._call, ctx, (request,))
        except CallFailed as failure:
            code = Variant(_CODES.get(failure.outcome, "connection-terminated"))
            raise OutboundFailure(code, failure.reason) from None
