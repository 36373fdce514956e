"""What the gateway provides to components: one module for each family of WIT interfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Final

from gateway.bindings import (
    blobstore,
    cli,
    clocks,
    config,
    filesystem,
    http,
    io,
    keyvalue,
    lattice,
    logging,
    messaging,
    p3,
    random,
    secrets,
    sockets,
)
from gateway.bindings.context import WasiCtx
from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.binding import HostFunction, HostInterface, Provided

__all__ = ["granted_keys", "provided", "provided_to"]

_FAMILIES: Final = (
    *(io, clocks, random, cli, filesystem, sockets),
    *(http, config, logging, keyvalue, blobstore, messaging, secrets, lattice, p3),
)


@cache
def provided() -> Provided:
    """Every interface that the gateway implements, to whomever."""
    return Provided(_interfaces())


def provided_to(
    component: ComponentConfig,
    imports: Mapping[str, wit.Item] = MappingProxyType({}),
    linked: Mapping[str, HostInterface] = MappingProxyType({}),
) -> Provided:
    """What one component finds linked: what every component does, and what its configuration adds.

    Args:
        component: its configuration.
        imports: what it imports.
        linked: what is at the other ends of its links, by the full names of what it imports.
    """
    keys = granted_keys(component)
    granted = (it for it in _interfaces() if not it.only_granted or it.key in keys)
    interfaces = Provided(granted)
    labelled = {
        label: _Labelled(interface, label)
        for label, item in imports.items()
        if (name := wit.interface_name(label, item)) != label
        and (interface := interfaces.interface(name)) is not None
    }
    return Provided(interfaces, {**labelled, **linked})


def granted_keys(component: ComponentConfig) -> frozenset[str]:
    """The keys of a component's configuration by which interfaces are granted that others do not find linked."""
    keys = {str(interface.key) for interface in _interfaces() if interface.only_granted}
    return frozenset(key for key in keys if getattr(component, key))


class _Labelled(HostInterface):
    """An interface whose functions are called by an import with a label."""

    def __init__(self, interface: HostInterface, label: str) -> None:
        super().__init__(interface.name, interface.version)
        self._interface = interface
        self._label = label

    def find(self, name: str, ty: wit.Function) -> HostFunction | None:
        found = self._interface.find(name, ty)
        if found is None:
            return None
        return replace(found, function=partial(self._call, found.function))

    def _call(self, function: Callable[..., Any], ctx: WasiCtx, *args: Any) -> Any:
        return function(ctx.labelled(self._label), *args)


def _interfaces() -> Iterator[HostInterface]:
    for family in _FAMILIES:
        yield from family.INTERFACES
