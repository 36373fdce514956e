"""The invocation that something is granted to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from gateway.bindings.context import Caller, State, States
from gateway.bindings.stdio import Output

__all__ = ["Grantee", "Maker"]


class Grantee(NamedTuple):
    """An invocation, as those know it who make the states of its families when it first asks for them.

    Attributes:
        caller: on whose behalf it runs.
        states: those that were made.
        output: where its stdout and stderr go; None for lines of the log.
        answers: the subject at which it may answer, besides those that are granted; None for no more.
    """

    caller: Caller
    states: States
    output: Output | None
    answers: str | None


Maker: TypeAlias = Callable[[Grantee], State]
"""Makes the state of a family that something was granted of."""
