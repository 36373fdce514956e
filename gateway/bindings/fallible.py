"""Host functions that return a `result`: what they raise is its err."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from gateway.host.binding import Fallible
from gateway.host.values import Err

__all__ = ["fallible", "fallible_async"]

P = ParamSpec("P")
T = TypeVar("T")

_Async = Callable[P, Coroutine[Any, Any, T]]


def fallible(
    *kinds: type[Exception], err: Callable[[Any], Any]
) -> Callable[[Callable[P, T]], Callable[P, T | Err]]:
    """Decorate a host function that raises exceptions of some kinds.

    Args:
        kinds: which exceptions.
        err: makes the err's value of one, or raises a `Trap`.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T | Err]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T | Err:
            try:
                return function(*args, **kwargs)
            except kinds as failure:
                return Err(err(failure))

        call.fallible = Fallible(function, kinds, err)  # type: ignore[attr-defined]
        return call

    return decorate


def fallible_async(
    *kinds: type[Exception], err: Callable[[Any], Any]
) -> Callable[[_Async[P, T]], _Async[P, T | Err]]:
    """Decorate a host function that may wait, likewise."""

    def decorate(function: _Async[P, T]) -> _Async[P, T | Err]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T | Err:
            try:
                return await function(*args, **kwargs)
            except kinds as failure:
                return Err(err(failure))

        return call

    return decorate
