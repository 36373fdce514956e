"""A part of a backend as one component may use it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

from gateway.bindings.context import WasiCtx
from gateway.capabilities.operations import Operation, Operations

__all__ = ["Granted"]

P = ParamSpec("P")
T = TypeVar("T")


class Granted(ABC):
    """What a component was granted of a store.

    Args:
        operations: what is done with the store.
        read_only: whether the component may change nothing.

    Attributes:
        operations: ditto.
    """

    def __init__(self, operations: Operations, *, read_only: bool = False) -> None:
        self.operations: Final = operations
        self._read_only = read_only

    @abstractmethod
    def denied(self) -> Exception:
        """What is raised for a change of what may only be read, in the words of the interface."""

    async def read(
        self,
        ctx: WasiCtx,
        what: Operation,
        work: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do something that changes nothing.

        Raises:
            BackendError: the store does not do it.
        """
        return await self.operations.perform(what, ctx.caller, work, *args, **kwargs)

    async def write(
        self,
        ctx: WasiCtx,
        what: Operation,
        work: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do something that may change it.

        Raises:
            Exception: the component may not: `denied`.
            BackendError: the store does not do it.
        """
        self.check_writable(what)
        return await self.operations.perform(what, ctx.caller, work, *args, **kwargs)

    def check_writable(self, what: Operation) -> None:
        """Refuse a change of what may only be read.

        Raises:
            Exception: it is refused: `denied`.
        """
        if self._read_only:
            self.operations.refused(what)
            raise self.denied()
