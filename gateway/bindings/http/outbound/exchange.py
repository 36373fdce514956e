"""One outbound request and its response.

An exchange is a task. It lives until both bodies have passed, but no longer than the guest holds on to the
response, in whatever form (`future-incoming-response`, `incoming-response`, `incoming-body`, `future-trailers`),
and never longer than its invocation. Where it ends early what answers it is let go, and the guest's writes to the
request's body find it closed.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Set
from typing import Final, Literal, NamedTuple, TypeAlias

import structlog

from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.outbound.failure import EgressDenied, OutboundFailure
from gateway.bindings.http.outbound.request import OutboundRequest
from gateway.bindings.io import Waiters
from gateway.host.values import Variant

__all__ = ["Exchange", "ExchangeOutcome", "ResponseHead", "outcome_of", "report", "too_late"]

_log = structlog.get_logger("gateway.outbound")

ExchangeOutcome: TypeAlias = Literal["response", "refused", "failed", "cancelled"]
"""How a request ended: with a response, as far as the guest wanted it; by the component's policy; with an error,
before the end of the response; or nobody waited for the response any more. The values are stable: they are used as
metric labels."""


class ResponseHead(NamedTuple):
    """A response whose content may still come.

    Attributes:
        status: its status code.
        headers: its headers.
        content: its body.
        options: the fields that its `Connection` names: not the guest's, among its trailers neither.
    """

    status: int
    headers: Fields
    content: IncomingContent
    options: Set[bytes]


class Exchange(ABC):
    """A request under way, wherever it goes.

    Args:
        request: the request.
        context: whose request it is, for the log.
        ended: called when it has ended.

    Attributes:
        result: the head of the response, or the `error-code` of its failure, once there is either.
        waiters: what to wake then.
        failure: why it has failed, if it has.
    """

    def __init__(
        self,
        request: OutboundRequest,
        context: Mapping[str, str],
        ended: Callable[[Exchange], None],
    ) -> None:
        self.result: ResponseHead | Variant | None = None
        self.waiters: Final = Waiters()
        self.failure: OutboundFailure | None = None
        self._request = request
        self._context = context
        self._ended = ended
        self._task = asyncio.get_running_loop().create_task(self._run())
        # Not in a `finally`, which a task never comes to that is cancelled before its first step.
        self._task.add_done_callback(self._finish)

    @property
    def outcome(self) -> ExchangeOutcome:
        """How it ended, once it has."""
        if self.failure is not None:
            return outcome_of(self.failure)
        return "response" if isinstance(self.result, ResponseHead) else "cancelled"

    def cancel(self) -> None:
        """End it, and close its connection unless it is complete. Never raises, and may be called again."""
        self._task.cancel()

    async def settled(self) -> ResponseHead | Variant:
        """Wait until there is a `result`."""
        while self.result is None:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.watch(waiter)
            await waiter
        return self.result

    async def wait(self) -> None:
        """Wait for its end."""
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            await self._converse()
        except OutboundFailure as failure:
            report(failure, self._request, self._context)
            self.failure = failure
            self._fail(failure.code)
        except Exception as error:
            self._report_bug()
            self.failure = OutboundFailure(Variant("internal-error"), repr(error))
            self._fail(self.failure.code)

    def _finish(self, _task: asyncio.Task[None]) -> None:
        # Only has an effect on what was cancelled.
        self._fail(Variant("connection-terminated"))
        if isinstance(self.result, ResponseHead):
            self.result.content.on_abandoned = None
        if self._request.content is not None:
            self._request.content.forsake()
        self._ended(self)

    @abstractmethod
    async def _converse(self) -> None:
        """Send the request, settle for the head of the response, and pass both bodies on.

        Raises:
            OutboundFailure: that has failed.
        """

    def _settle(self, result: ResponseHead | Variant) -> None:
        self.result = result
        self.waiters.wake()

    def _fail(self, code: Variant) -> None:
        if self.result is None:
            self._settle(code)
        elif isinstance(self.result, ResponseHead):
            self.result.content.fail(code)

    def _report_bug(self) -> None:
        _log.exception("gateway failed", origin=str(self._request.origin), **self._context)


def outcome_of(failure: OutboundFailure) -> ExchangeOutcome:
    """How a request ended that has failed."""
    return "refused" if isinstance(failure, EgressDenied) else "failed"


def report(failure: OutboundFailure, request: OutboundRequest, context: Mapping[str, str]) -> None:
    """Log why a request has failed, and whose it was. Its target stays unsaid: it may carry secrets."""
    described = {"origin": str(request.origin), **context}
    if isinstance(failure, EgressDenied):
        _log.warning("outbound request refused", rule=failure.reason, **described)
    else:
        error, reason = failure.code.case, failure.reason
        _log.info("outbound request failed", error=error, reason=reason, **described)


def too_late(what: str, seconds: float) -> OutboundFailure:
    """What to raise for a response of which nothing came for so many seconds."""
    return OutboundFailure(Variant("connection-read-timeout"), f"{what} within {seconds:g} s")
