"""The resources that one invocation's guest holds handles to.

A guest knows a host resource by a handle; the engine maps it to a number, `rep`, and this table maps that to the
object. An object is in the table from the moment it is lowered until the guest drops it, passes it back as
`own`, or the store is closed, whichever comes first.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.host.errors import Trap

__all__ = ["MAX_RESOURCES", "Resource", "ResourceTable"]

MAX_RESOURCES: Final = 1_000_000
"""Live resources of one store. Keeps a guest that never drops from exhausting the host's memory; the same
number as in Wasmtime's `ResourceTable`. The engine's own limit on a store's handles, some 100,000, comes first
where each resource has one."""

_AT_ONCE: Final = 10_000
"""Resources that are dropped in one turn of the loop when a store is closed: some 10 ms of work."""


class Resource:
    """A host object that guests may hold handles to; the base of all of them.

    Attributes:
        parent: the resource that must outlive it, if any.
        rep: its number in the table, once it is there.
        children: how many live resources have it as their parent, likewise.
    """

    __slots__ = ("children", "rep")

    parent: Resource | None = None
    rep: int
    children: int

    def drop(self) -> None:
        """Release what it holds; called once, when the guest drops its handle.

        Must not raise. Not called when the guest passes the resource to a host function as `own`: that
        function has it then.
        """

    def abandon(self) -> None:
        """The same where the store is closed and the guest has not dropped it. Must not raise."""
        self.drop()


class ResourceTable(dict[int, Resource]):
    """The resources of one store, by number. Asking for one that is not there traps."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def __missing__(self, rep: int) -> Resource:
        raise Trap(f"unknown resource {rep}")

    def push(self, resource: Resource) -> int:
        """Enter a resource, as a child of its parent.

        Returns:
            Its number, never one that was used before.

        Raises:
            Trap: the table is full.
        """
        if len(self) >= MAX_RESOURCES:
            raise Trap("resource table has no free keys")
        self._last = rep = self._last + 1
        self[rep] = resource
        resource.rep = rep
        resource.children = 0
        if resource.parent is not None:
            resource.parent.children += 1
        return rep

    def take(self, rep: int) -> Resource:
        """Remove a resource, for a caller that owns it from now on.

        Raises:
            Trap: there is none, or it has children.
        """
        resource = self[rep]
        if resource.children:
            raise Trap(f"{type(resource).__name__}: resource has children")
        del self[rep]
        if resource.parent is not None:
            resource.parent.children -= 1
        return resource

    def forget(self, last: int) -> None:
        """Remove those that were entered after that number, of which the guest has not heard."""
        for rep in range(last + 1, self._last + 1):
            self.take(rep)

    @property
    def last(self) -> int:
        """The number that was given last."""
        return self._last

    def close(self) -> None:
        """Drop all that the guest never dropped, children before their parents.

        Of very many, the rest is dropped in later turns of the running loop, if there is one.

        Raises:
            BaseException: the first that a `drop` raised although it must not. The others are dropped too.
        """
        failure = self._drop(_AT_ONCE)
        if self:
            try:
                asyncio.get_running_loop().call_soon(self.close)
            except RuntimeError:
                failure = self._drop(len(self)) or failure
        if failure is not None:
            raise failure

    def _drop(self, count: int) -> BaseException | None:
        """Drop so many resources; gives the first that one of them raised."""
        failure: BaseException | None = None
        while self and count:
            count -= 1
            _, resource = self.popitem()
            if resource.parent is not None:
                resource.parent.children -= 1
            try:
                resource.abandon()
            except BaseException as error:
                failure = failure or error
        return failure
