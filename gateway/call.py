"""One call of a component on somebody's behalf: what it is given, what it says, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import structlog

from gateway.bindings.context import Output
from gateway.bindings.stdio import LineOutput
from gateway.events import Cancelled, Kind, Outcome, Rejected, outcome_of
from gateway.host.errors import DeadlineExceeded, Exhausted, Exit, InvocationError, Trap
from gateway.host.invocation import Invocation
from gateway.host.linker import Export
from gateway.service import Service

__all__ = ["Call"]

_log = structlog.get_logger("gateway.call")


class Call:
    """An invocation with what surrounds it: its grants, its words in the log, its place among those in flight.

    A context manager: it is in flight inside of it, and counted at its end with the `outcome` it has then. The
    task that enters it must leave it.

    Args:
        service: whose function is called.
        export: the function.
        args: its arguments, as `gateway.host.values` has them.
        kind: what called it.
        request_id: the id of the request that it is made for.
        output: where the guest's standard streams go; lines of the log by default.

    Attributes:
        outcome: how it ended; whoever uses the answer says so. Cancelled until then.
        context: what log lines about it have in common.
    """

    def __init__(
        self,
        service: Service,
        export: Export,
        args: Sequence[Any],
        *,
        kind: Kind,
        request_id: str,
        output: Output | None = None,
    ) -> None:
        self.outcome = Outcome.CANCELLED
        self.context = {"component": service.name, "request_id": request_id}
        self._service = service
        self._kind = kind
        self._lines: LineOutput | None = None
        self._wasi = service.grants.context(request_id, output or self._write)
        self._invocation = Invocation(
            export,
            args,
            self._wasi,
            max_memory=service.config.max_memory,
            max_execution_time=service.config.max_execution_time,
        )

    def __enter__(self) -> Self:
        self._service.in_flight += 1
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self.free()
        finally:
            self._service.in_flight -= 1
            self._service.metrics.returned(self._service.name, self._kind, self.outcome)

    @property
    def result(self) -> Any:
        """What the function returned, once it has."""
        return self._invocation.result

    def start(self) -> bool:
        """Go as far as that goes without waiting: `Invocation.start`."""
        return self._invocation.start()

    async def run(self) -> None:
        """Go on until the function returns: `Invocation.run`."""
        await self._invocation.run()

    def stop(self, error: InvocationError) -> None:
        """Stop the guest, wherever it is: `Invocation.stop`."""
        self._invocation.stop(error)

    def free(self) -> None:
        """Free the guest and what it holds, whether it has ended or not. May be called again."""
        self._invocation.close()
        self._wasi.close()
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def report(self, failure: BaseException) -> None:
        """Log what ended it."""
        match failure:
            case Trap():
                _log.error(
                    "component trapped",
                    trap=failure.kind.value,
                    reason=failure.message,
                    backtrace=list(failure.backtrace),
                    **self.context,
                )
            case DeadlineExceeded() | Exhausted() | Rejected():
                _log.warning(
                    "invocation stopped",
                    outcome=outcome_of(failure, answered=False).value,
                    reason=str(failure),
                    **self.context,
                )
            case Cancelled() | Exit():
                _log.info("invocation ended early", reason=str(failure), **self.context)
            case _:
                _log.error("gateway failed", exc_info=failure, **self.context)

    def _write(self, stream: str, data: bytes) -> None:
        if self._lines is None:
            self._lines = LineOutput(self._log_line)
        self._lines(stream, data)

    def _log_line(self, stream: str, line: str) -> None:
        _log.info("guest output", stream=stream, line=line, **self.context)
