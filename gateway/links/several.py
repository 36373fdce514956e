"""Several other ends of one link, among which calls are spread.

What becomes of calls tells which of them are there. One that cannot be reached, or says nothing at all, is left
out for a while, longer each time; then one call tries it again, and any answer brings it back. An answer is
whatever comes of it: a trap, an error and a refusal too. What is in the gateway itself is never left out.

A call with a resource of one of them goes to that one, left out or not.

A call is made again, to the next, only where it has not begun for certain. Where all are left out, calls go to the
one whose time ends first, as they would if it were the only one.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, Literal, Protocol, TypeAlias

import structlog

from gateway.bindings.context import Caller, WasiCtx
from gateway.host import wit
from gateway.links.resource_arguments import resource_arguments
from gateway.links.target import CallFailed, LinkedCall, LinkMismatch, Target
from gateway.wasm.version import split_version

__all__ = ["Answer", "Balance", "OnTargetCall", "SeveralTargets"]

Balance: TypeAlias = Literal["round-robin", "least-in-flight"]

MIN_PAUSE: Final = 0.1
"""Seconds that a target is left out at first; each pause is twice as long as the one before, up to `MAX_PAUSE`."""

MAX_PAUSE: Final = 10.0
"""Seconds that a target is left out at most: so late is it noticed that it is back, and so often has one call to
wait for what does not answer. Precedent: nginx's `fail_timeout`."""

_log = structlog.get_logger("gateway.links")


class Answer(enum.StrEnum):
    """What became of a call at one of several targets. The values are labels of metrics."""

    ANSWERED = "answered"
    """It gave a sign of life: a result, an error, a refusal."""
    NOT_BEGUN = "not-begun"
    """It had no place, or cannot be reached: another may have been called in its place."""
    UNANSWERED = "unanswered"
    """It broke the connection, or said nothing before its caller's deadline."""
    CANCELLED = "cancelled"
    """The caller ended first."""


class OnTargetCall(Protocol):
    """What is told of calls of links with several targets."""

    def __call__(self, component: str, interface: str, target: str, answer: Answer) -> None:
        """Take note of one that has ended. Must not raise."""


class SeveralTargets:
    """Targets of one kind that are as good as each other: a `Target`.

    Args:
        targets: they, by what the configuration calls them.
        balance: how calls are spread: to each in turn, or to the one with the fewest under way.
        on_call: told of each call of one of them, if anybody wants to know.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        balance: Balance = "round-robin",
        on_call: OnTargetCall | None = None,
    ) -> None:
        self._members = [_Member(name, target) for name, target in targets.items()]
        self._least = balance == "least-in-flight"
        self._on_call = on_call
        # Not the first one in every worker.
        self._next = random.randrange(len(self._members))  # noqa: S311
        self.kind = self._members[0].target.kind
        self.name = ", ".join(member.target.name for member in self._members)
        self.remote = self._members[0].target.remote

    def calls(self, name: str, interface: wit.Interface) -> Mapping[str, LinkedCall]:
        """`Target.calls`: all must have them."""
        wrong: dict[str, None] = {}
        found: list[Mapping[str, LinkedCall]] = []
        for member in self._members:
            try:
                found.append(member.target.calls(name, interface))
            except LinkMismatch as mismatch:
                wrong |= dict.fromkeys(str(mismatch).splitlines())
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        unversioned, _ = split_version(name)
        return {
            function: partial(
                self._call,
                unversioned,
                [calls[function] for calls in found],
                resource_arguments(ty),
            )
            for function, ty in interface.functions.items()
        }

    def troubles(self) -> Iterator[str]:
        """Which of them are left out, and why."""
        for member in self._members:
            if member.trouble is not None:
                yield f"{member.name} is left out: {member.trouble}"

    def keeps(self, ctx: WasiCtx) -> bool:
        """`Target.keeps`."""
        return any(member.target.keeps(ctx) for member in self._members)

    def gave(self, resource: object) -> bool:
        """`Target.gave`."""
        return any(member.target.gave(resource) for member in self._members)

    async def aclose(self) -> None:
        """`Target.aclose`."""
        for member in self._members:
            await member.target.aclose()

    async def _call(
        self,
        interface: str,
        calls: Sequence[LinkedCall],
        resources: Callable[[Sequence[Any]], Iterator[object]],
        ctx: WasiCtx,
        args: Sequence[Any],
    ) -> Any:
        caller = ctx.caller
        owner = next((at for it in resources(args) for at in self._givers(it)), None)
        asked: list[int] = []
        kept = (at for at, member in enumerate(self._members) if member.target.keeps(ctx))
        while True:
            index = next(kept, None) if owner is None else owner
            if index is None:
                index = self._choose(asked)
            asked.append(index)
            member = self._members[index]
            answer = Answer.CANCELLED
            try:
                result = await member.call(calls[index], interface, ctx, args)
                answer = Answer.ANSWERED
            except CallFailed as failure:
                failure.target = member.target.name
                answer = _answer(failure)
                if failure.begun or owner is not None or not self._is_one_left(asked):
                    raise
            except asyncio.CancelledError:
                answer = Answer.CANCELLED if caller.remaining else Answer.UNANSWERED
                raise
            else:
                return result
            finally:
                if self._on_call is not None:
                    self._on_call(caller.component, interface, member.name, answer)

    def _givers(self, resource: object) -> Iterator[int]:
        """Which one has given a resource, if one of them has."""
        return (at for at, member in enumerate(self._members) if member.target.gave(resource))

    def _choose(self, asked: Sequence[int]) -> int:
        """Which one a call goes to that these were asked to take; any takes it, unless it was."""
        count = len(self._members)
        turns = [(self._next + turn) % count for turn in range(count)]
        fresh = [index for index in turns if index not in asked]
        due = [index for index in fresh if self._members[index].is_due]
        present = [index for index in fresh if self._members[index].trouble is None]
        if due:
            index = due[0]
        elif not present:
            index = min(fresh, key=lambda index: self._members[index].again_at)
        elif self._least:
            index = min(present, key=lambda index: self._members[index].in_flight)
        else:
            index = present[0]
        self._next = (index + 1) % count
        return index

    def _is_one_left(self, asked: Sequence[int]) -> bool:
        """Whether there is one more to ask: none of those that are left out."""
        return any(
            index not in asked and (member.trouble is None or member.is_due)
            for index, member in enumerate(self._members)
        )


class _Member:
    """One of several targets.

    Attributes:
        name: what the configuration calls it.
        target: ditto.
        in_flight: how many calls of it are under way.
        trouble: why it is left out; None while it is not.
        again_at: until when, on the clock of `time.monotonic`.
    """

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self.target = target
        self.in_flight = 0
        self.trouble: str | None = None
        self.again_at = 0.0
        self._pause = MIN_PAUSE
        self._is_tried = False
        self._answers = 0

    @property
    def is_due(self) -> bool:
        """Whether it was left out for long enough, and no call tries it again yet."""
        return self.trouble is not None and not self._is_tried and monotonic() >= self.again_at

    async def call(
        self, call: LinkedCall, interface: str, ctx: WasiCtx, args: Sequence[Any]
    ) -> Any:
        """Call it, and see whether it is there."""
        caller = ctx.caller
        tries, answers = self.is_due, self._answers
        self._is_tried |= tries
        self.in_flight += 1
        try:
            result = await call(ctx, args)
        except CallFailed as failure:
            if failure.answered:
                self._is_there(interface, caller)
            else:
                self._leave_out(failure.reason, interface, caller)
            raise
        except asyncio.CancelledError:
            # Where others were answered meanwhile, it is this call that takes long.
            if self.target.remote and not caller.remaining and self._answers == answers:
                self._leave_out("no answer before the caller's deadline", interface, caller)
            raise
        else:
            self._is_there(interface, caller)
            return result
        finally:
            self.in_flight -= 1
            self._is_tried &= not tries

    def _is_there(self, interface: str, caller: Caller) -> None:
        self._answers += 1
        if self.trouble is not None:
            self.trouble, self._pause = None, MIN_PAUSE
            _log.info("link target is back", **self._context(interface, caller))

    def _leave_out(self, reason: str, interface: str, caller: Caller) -> None:
        now = monotonic()
        if self.trouble is None:
            _log.warning("link target left out", reason=reason, **self._context(interface, caller))
        elif now < self.again_at:  # of a call that began before it was
            return
        self.trouble = reason
        # Not for as long in all workers.
        self.again_at = now + self._pause * random.uniform(0.75, 1.0)  # noqa: S311
        self._pause = min(2 * self._pause, MAX_PAUSE)

    def _context(self, interface: str, caller: Caller) -> dict[str, str]:
        return {"interface": interface, "target": self.target.name, **caller.log_context}


def _answer(failure: CallFailed) -> Answer:
    if not failure.begun:
        return Answer.NOT_BEGUN
    return Answer.ANSWERED if failure.answered else Answer.UNANSWERED
