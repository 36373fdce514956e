"""What the log is told of an invocation that ended without a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.host.errors import Exit, Trap
from gateway.observe.events import Outcome, outcome_of

__all__ = ["report"]


def report(failure: BaseException, log: Any, context: Mapping[str, str]) -> None:
    """Log what ended an invocation, as severe as it is for who runs the gateway.

    Args:
        failure: what ended it.
        log: where.
        context: whose it was.
    """
    outcome = outcome_of(failure, answered=False)
    if isinstance(failure, Trap):
        log.error(
            "component trapped",
            trap=failure.kind.value,
            reason=failure.message,
            backtrace=list(failure.backtrace),
            **context,
        )
    elif outcome is Outcome.CANCELLED or isinstance(failure, Exit):
        log.info("invocation ended early", reason=str(failure), **context)
    elif outcome is Outcome.FAILED:
        log.error("gateway failed", exc_info=failure, **context)
    else:
        log.warning("invocation stopped", outcome=outcome.value, reason=str(failure), **context)
