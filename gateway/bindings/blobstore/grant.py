"""What of stores a component may use, and what one invocation of it has open there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, ParamSpec, Self, TypeVar

from gateway.bindings.context import State, WasiCtx
from gateway.bindings.descriptors import UNCOUNTED, Place, Share
from gateway.bindings.granted import Granted
from gateway.capabilities.backend import BackendError
from gateway.capabilities.blobstore import Space
from gateway.capabilities.operations import Operation, Operations

__all__ = ["ALL", "BlobstoreCtx", "GrantedSpace", "Opened", "Refused"]

P = ParamSpec("P")
T = TypeVar("T")

ALL: Final = "*"
"""Stands for all containers that are not granted by name."""

MAX_OPEN: Final = 32
"""Objects and lists of names that one invocation may have open. Threat: each has a block or two in memory, a file,
a connection. Arbitrary."""

MAX_UNSTORED: Final = 16 << 20
"""Bytes that the values of one invocation may have before anybody stores them. A guest may write before it says
where to, and all of that waits in memory. As much as its HTTP bodies may have."""

_GRACE: Final = 5.0
"""Seconds that what invocations have left is given to be stored or removed. Arbitrary: they have ended, or will
never end what they write."""


class Refused(Exception):
    """The component may not do this.

    Args:
        message: what the guest is told.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = f"access-denied: {message}"


class GrantedSpace(Granted):
    """A space as one component may use it.

    Args:
        space: the space.
        operations: what is done with the store that it is in.
        share: where what is opened there takes its place among file descriptors.
        read_only: whether the component may change nothing.

    Attributes:
        space: ditto.
        share: ditto.
    """

    def __init__(
        self,
        space: Space,
        operations: Operations,
        *,
        share: Share = UNCOUNTED,
        read_only: bool = False,
    ) -> None:
        super().__init__(operations, read_only=read_only)
        self.space: Final = space
        self.share: Final = share
        self._writing: set[asyncio.Task[None]] = set()

    def denied(self) -> Refused:
        """`access-denied`: `Granted.denied`."""
        return Refused("the container may only be read")

    def begin(self, writing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Write something, beside the guest. It outlives the invocation until it has cleaned up."""
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def aclose(self) -> None:
        """Wait until what was written is stored or removed; what is written on for long is given up."""
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=_GRACE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


class BlobstoreCtx(State):
    """The containers of an invocation, and what it has open of them.

    Args:
        spaces: those that it may use, by the names of links and by those that it knows them by; `ALL` for all
            others.

    Attributes:
        unstored: how many more bytes may be written before anybody stores them.
    """

    __slots__ = ("_open", "_spaces", "unstored")

    def __init__(
        self, spaces: Mapping[str, Mapping[str, GrantedSpace]] = MappingProxyType({})
    ) -> None:
        self._spaces = spaces
        self._open = 0
        self.unstored = MAX_UNSTORED

    def space(self, link_name: str, container: str) -> GrantedSpace:
        """What a container is in.

        Raises:
            Refused: it was not granted.
        """
        spaces = self._spaces.get(link_name, {})
        granted = spaces.get(container) or spaces.get(ALL)
        if granted is None:
            raise Refused("the container is not granted to this component")
        return granted

    def open(self, granted: GrantedSpace, ctx: WasiCtx) -> Opened:
        """Take a place for something that is about to be opened, on behalf of the call that is under way.

        Raises:
            BackendError: there is none.
        """
        if self._open >= MAX_OPEN:
            raise BackendError(f"{MAX_OPEN} objects and lists are open already: close some of them")
        try:
            place = granted.share.take()
        except OSError:
            raise BackendError("too many files and connections are open") from None
        self._open += 1
        return Opened(self, granted.operations, ctx, place)

    def closed(self) -> None:
        """Something was closed."""
        self._open -= 1


class Opened:
    """Something that an invocation has open in a space, and its place.

    A context manager for as long as it is being opened: what is raised there gives the place back.

    Args:
        ctx: the invocation's.
        operations: what is done with the store of the space.
        wasi: what tells on whose behalf, which may change while it is open.
        place: its place among file descriptors.
    """

    __slots__ = ("_ctx", "_operations", "_place", "_wasi")

    def __init__(
        self, ctx: BlobstoreCtx, operations: Operations, wasi: WasiCtx, place: Place
    ) -> None:
        self._ctx: BlobstoreCtx | None = ctx
        self._operations = operations
        self._wasi = wasi
        self._place = place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self.release()

    async def go_on(
        self,
        what: Operation,
        work: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Go on with the operation that has opened it.

        Raises:
            BackendError: the store does not do it.
        """
        return await self._operations.go_on(what, self._wasi.caller, work, *args, **kwargs)

    async def commit(self, what: Operation, work: Callable[[], Awaitable[T]]) -> T:
        """Do what ends a change, which is an operation of its own.

        Raises:
            BackendError: the store does not do it.
        """
        return await self._operations.perform(what, self._wasi.caller, work)

    def release(self) -> None:
        """Give the place back. May be called again."""
        if self._ctx is not None:
            self._ctx.closed()
            self._ctx = None
            self._place.release()
