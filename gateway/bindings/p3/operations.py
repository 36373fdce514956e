"""What adapters ask of the host for asynchronous functions, and for streams of anything but bytes.

Source: `gateway.wasm.wasip3.family`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.bindings.context import State, WasiCtx
from gateway.bindings.p3.tasks import Tasks
from gateway.host.binding import HostInterface

__all__ = ["Offer", "Offers", "Operations", "declare_offers"]


class Operations:
    """The asynchronous functions of one interface.

    Args:
        host: what the adapter asks by.
        words: makes of what a function has returned what is in the words of the interface.
    """

    def __init__(self, host: HostInterface, words: Callable[[Any], Any]) -> None:
        self._host = host
        self._words = words
        host.function("cancel")(_cancel)
        host.function("ended")(self._result)

    def define(self, name: str, function: Callable[..., Any], *, crowded: bool = False) -> None:
        """Have a function be begun by one, which gets a sleeper too, and its result be had by another.

        Args:
            name: what the adapter calls it.
            function: the function; where it is a coroutine function, it may wait.
            crowded: whether its parameters leave no room for the sleeper, which `begin` has told.
        """

        @self._host.function(name)
        def begin(ctx: WasiCtx, *arguments: Any) -> bool:
            tasks = ctx.of(Tasks)
            sleeper = tasks.beginning if crowded else arguments[-1]
            value = function(ctx, *(arguments if crowded else arguments[:-1]))
            if isinstance(value, Coroutine):
                value = asyncio.get_running_loop().create_task(value)
            return tasks.begin(sleeper, value)

        self._host.function(f"{name}-result")(self._result)

    def _result(self, ctx: WasiCtx, sleeper: int) -> Any:
        return self._words(ctx.of(Tasks).take(sleeper))


def _cancel(ctx: WasiCtx, sleeper: int) -> None:
    ctx.of(Tasks).sleep_no_more(sleeper)


class Offer(ABC):
    """A stream of elements for a guest, which takes them when it is woken."""

    @abstractmethod
    def take(self) -> list[Any]:
        """Those that are there; none at the end."""

    @abstractmethod
    def more(self) -> None:
        """Wake the guest when there are more."""

    @abstractmethod
    def stop(self) -> None:
        """The guest wants no more."""

    @abstractmethod
    def close(self) -> None:
        """Let go of where they come from."""


class Offers(State):
    """The streams of elements of an invocation, by their sleepers."""

    __slots__ = ("of",)

    def __init__(self) -> None:
        self.of: dict[int, Offer] = {}

    def end(self, sleeper: int) -> None:
        """Nobody takes any more."""
        self.of.pop(sleeper).close()

    def close(self) -> None:
        """The invocation has ended."""
        for offer in self.of.values():
            offer.close()
        self.of.clear()


def declare_offers(host: HostInterface) -> None:
    """Declare what an adapter asks about streams of elements."""
    host.function("elements")(_elements)
    host.function("more")(_more)
    host.function("stop")(_stop)


def _elements(ctx: WasiCtx, sleeper: int) -> list[Any]:
    offers = ctx.of(Offers)
    elements = offers.of[sleeper].take()
    if not elements:
        offers.end(sleeper)
    return elements


def _more(ctx: WasiCtx, sleeper: int) -> None:
    ctx.of(Offers).of[sleeper].more()


def _stop(ctx: WasiCtx, sleeper: int) -> None:
    offers = ctx.of(Offers)
    offers.of[sleeper].stop()
    offers.end(sleeper)
