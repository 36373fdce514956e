"""The resources that one guest has handed out, for another to hold.

A guest's own resource is known to the engine by a handle of its store. Whoever has got it, as a result of a
function of that guest, holds a `GuestResource`; lowered into another store it is a resource of the host there,
like any other. It leads back to the very instance that it is of, and to no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.host import _capi, wit
from gateway.host.errors import Gone, Trap
from gateway.host.table import Resource

__all__ = ["MAX_HANDED_OUT", "GuestResource", "HandedOut"]

MAX_HANDED_OUT: Final = 10_000
"""Resources of one instance that others may hold. Threat: a guest that takes one after the other, each of which is
an object here and a call when it is dropped. Arbitrary; the engine's own limit is some 100,000 for a store."""


class GuestResource(Resource):
    """A resource that a guest has handed out.

    Attributes:
        type: its type, as the guest's component exports it.
        owner: all that this guest has handed out.
        address: of what the engine knows it by; 0 once it is gone.
    """

    __slots__ = ("address", "owner", "type")

    def __init__(self, ty: wit.Resource, owner: HandedOut, address: int) -> None:
        self.type = ty
        self.owner = owner
        self.address = address

    def drop(self) -> None:
        """`Resource.drop`: its guest drops it when it is its turn."""
        if self.address:
            self.owner.on_drop(self)

    def abandon(self) -> None:
        """`Resource.abandon`: it goes with its guest's instance."""


class HandedOut:
    """What the guest of one store has handed out.

    Attributes:
        on_drop: told of each that its holder has dropped.
    """

    __slots__ = ("_lifted", "_lowered", "_resources", "on_drop")

    def __init__(self) -> None:
        self._resources: set[GuestResource] = set()
        # By where the engine has them in the result that is being lifted, which may take two attempts.
        self._lifted: dict[int, GuestResource] = {}
        self._lowered: set[GuestResource] = set()
        self.on_drop: Callable[[GuestResource], None] = _nobody_told

    def __len__(self) -> int:
        return len(self._resources)

    def lift(self, address: int, ty: wit.Resource) -> GuestResource:
        """The resource that a result has at an address.

        Raises:
            Trap: others hold too many.
        """
        resource = self._lifted.get(address)
        if resource is None:
            if len(self._resources) >= MAX_HANDED_OUT:
                raise Trap(f"hands out more than {MAX_HANDED_OUT} resources")
            resource = GuestResource(ty, self, _capi.resource_clone(address))
            self._lifted[address] = resource
            self._resources.add(resource)
        return resource

    def lower(self, resource: GuestResource, *, owned: bool) -> int:
        """What an argument has of a resource: the address of what the engine knows it by, for the value to own.

        Raises:
            Gone: the resource is not, or no longer, of this guest.
        """
        if resource.owner is not self or not resource.address:
            raise Gone(f"resource {resource.type} is of another instance, or its own has ended")
        if owned:
            self._lowered.add(resource)
        return _capi.resource_clone(resource.address)  # type: ignore[no-any-return]

    def arguments_lowered(self) -> None:
        """All arguments of a call are: what was passed as own is the guest's again."""
        self._lifted.clear()
        for resource in self._lowered:
            self._forget(resource)
        self._lowered.clear()

    def close(self) -> None:
        """The guest is gone, with all that is its own."""
        for resource in tuple(self._resources):
            self._forget(resource)

    def _forget(self, resource: GuestResource) -> None:
        self._resources.discard(resource)
        address, resource.address = resource.address, 0
        if address:
            _capi.resource_any_delete(address)


def _nobody_told(_resource: GuestResource) -> None:
    """What drops it comes later: whoever keeps the instance has not taken it yet."""
