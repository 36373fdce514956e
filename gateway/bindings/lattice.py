"""`wasmcloud:bus/lattice`: which of several links of one interface calls go by, until the end of the invocation.

Interfaces are known by their names without a version. A name that one of them has no link of changes nothing:
`set-link-name` of 2.0.0 returns an error, and that of 1.0.0 nothing, so that later calls go where they went
before. "default" undoes a choice, and is a name like any other: an interface may have no link of it.

Source: `wasmcloud:bus@1.0.0` and `@2.0.1`, `lattice.wit`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from gateway.bindings.context import State, WasiCtx
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Err

__all__ = ["INTERFACES", "LatticeCtx"]

MAX_NAMED: Final = 1 << 20
"""Characters that the names of the `call-target-interface` of one invocation have. Threat: a guest that makes
100,000 of them, each with a long name in the memory of the host. Arbitrary: a component has a dozen imports."""


class LatticeCtx(State):
    """The links that an invocation may choose.

    Attributes:
        names: those that each interface has, by its name without a version.
        named: characters of the names that its resources have.
    """

    __slots__ = ("named", "names")

    def __init__(self, names: Mapping[str, Collection[str]] = MappingProxyType({})) -> None:
        self.names = names
        self.named = 0


class CallTargetInterface(Resource):
    """`call-target-interface`: an interface, by its name."""

    __slots__ = ("_ctx", "name")

    def __init__(self, ctx: LatticeCtx, name: str) -> None:
        ctx.named += len(name)
        self._ctx = ctx
        self.name = name

    def drop(self) -> None:
        """Forget the name."""
        self._ctx.named -= len(self.name)


lattice_1 = HostInterface("wasmcloud:bus/lattice", "1.0.0")
lattice_2 = HostInterface("wasmcloud:bus/lattice", "2.0.1")
INTERFACES = (lattice_1, lattice_2)


@lattice_1.constructor("call-target-interface")
@lattice_2.constructor("call-target-interface")
def call_target_interface(
    ctx: WasiCtx, namespace: str, package: str, interface: str
) -> CallTargetInterface:
    """An interface; whether there is such a one is seen when a link is chosen for it."""
    lattice = ctx.of(LatticeCtx)
    name = f"{namespace}:{package}/{interface}"
    if lattice.named + len(name) > MAX_NAMED:
        raise Trap(f"the names of call-target-interface have more than {MAX_NAMED} characters")
    return CallTargetInterface(lattice, name)


@lattice_2.function("set-link-name")
def set_link_name(ctx: WasiCtx, name: str, interfaces: Sequence[CallTargetInterface]) -> Err | None:
    """Have calls of these interfaces go by the link of this name; an error where one of them has no such link."""
    for each in interfaces:
        each.drop()
    names = ctx.of(LatticeCtx).names
    for each in interfaces:
        if name not in names.get(each.name, ()):
            return Err(f"interface `{each.name}` does not have an existing link with name `{name}`")
    ctx.choose(name, [each.name for each in interfaces])
    return None


@lattice_1.function("set-link-name")
def set_link_name_silently(
    ctx: WasiCtx, name: str, interfaces: Sequence[CallTargetInterface]
) -> None:
    """The same, and nobody is told of an error."""
    set_link_name(ctx, name, interfaces)
