"""What the gateway provides to components: one module for each family of WIT interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from gateway.bindings import (
    blobstore,
    cli,
    clocks,
    config,
    filesystem,
    http,
    io,
    keyvalue,
    logging,
    messaging,
    p3,
    random,
    secrets,
    sockets,
)
from gateway.config import ComponentConfig
from gateway.host.binding import HostInterface, Provided

__all__ = ["provided", "provided_to"]

_FAMILIES: Final = (
    *(io, clocks, random, cli, filesystem, sockets),
    *(http, config, logging, keyvalue, blobstore, messaging, secrets, p3),
)


@cache
def provided() -> Provided:
    """Every interface that the gateway implements, to whomever."""
    return Provided(_interfaces())


def provided_to(
    component: ComponentConfig, linked: Mapping[str, HostInterface] = MappingProxyType({})
) -> Provided:
    """What one component finds linked: what every component does, and what its configuration adds.

    Args:
        component: its configuration.
        linked: what is at the other ends of its links, by the full names of what it imports.
    """
    granted = (
        interface
        for interface in _interfaces()
        if not interface.only_granted or getattr(component, str(interface.key))
    )
    return Provided(granted, linked)


def _interfaces() -> Iterator[HostInterface]:
    for family in _FAMILIES:
        yield from family.INTERFACES
