"""`wasi:filesystem`: links, and grants nothing.

There is no preopened directory, and no other way to come by a descriptor. Methods of `descriptor` and
`directory-entry-stream` can therefore never be called, and have no host functions here; like every import that
nothing provides, they would trap with their name.

Source: `wasi:filesystem@0.2.12`, `preopens.wit`, `types.wit`.
"""

from __future__ import annotations

from gateway.bindings.context import WasiCtx
from gateway.bindings.io import IoError
from gateway.host.binding import HostInterface
from gateway.host.table import Resource

__all__ = ["INTERFACES"]

preopens = HostInterface("wasi:filesystem/preopens", "0.2.12")
types = HostInterface("wasi:filesystem/types", "0.2.12")
INTERFACES = (preopens, types)


@preopens.function("get-directories")
def get_directories(_ctx: WasiCtx) -> list[tuple[Resource, str]]:
    """The preopened directories and their names: none."""
    return []


@types.function("filesystem-error-code")
def filesystem_error_code(_ctx: WasiCtx, _err: IoError) -> str | None:
    """The `error-code` in an error of a stream: none, as no stream is one of a file."""
    return None
