"""What the gateway provides to components: one module for each family of WIT interfaces."""

from __future__ import annotations

from functools import cache

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
    random,
    secrets,
    sockets,
)
from gateway.host.binding import Provided

__all__ = ["provided"]


@cache
def provided() -> Provided:
    """Every interface that the gateway implements."""
    families = (
        io,
        clocks,
        random,
        cli,
        filesystem,
        sockets,
        http,
        config,
        logging,
        keyvalue,
        blobstore,
        secrets,
    )
    return Provided(interface for family in families for interface in family.INTERFACES)
