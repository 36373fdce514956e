"""`wasi:config`: values that the operator gives a component, by key.

There are several drafts of it under names of their own, alike but for the name of the error, which no function
here returns: the values are in memory.

Source: `wasi:config@0.2.0-rc.1`, `store.wit`; `wasi:config@0.2.0-draft`, `runtime.wit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.bindings.context import State, WasiCtx
from gateway.host.binding import HostInterface
from gateway.host.values import Ok

__all__ = ["INTERFACES", "ConfigCtx"]

_NO_VALUES: Final[Mapping[str, str]] = MappingProxyType({})


class ConfigCtx(State):
    """The configuration of a component.

    Attributes:
        values: by key.
    """

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, str] = _NO_VALUES) -> None:
        self.values = values


INTERFACES = (
    HostInterface("wasi:config/store", "0.2.0-rc.1", key="config"),
    HostInterface("wasi:config/store", "0.2.0-draft", key="config"),
    HostInterface("wasi:config/store", "0.2.0-draft-2024-09-27", key="config"),
    HostInterface("wasi:config/runtime", "0.2.0-draft", key="config"),
)
"""Drafts match no version but their own."""


def get(ctx: WasiCtx, key: str) -> Ok:
    """The value of a key, `none` where it has none."""
    return Ok(ctx.of(ConfigCtx).values.get(key))


def get_all(ctx: WasiCtx) -> Ok:
    """All keys and values."""
    return Ok(list(ctx.of(ConfigCtx).values.items()))


for _interface in INTERFACES:
    _interface.function("get")(get)
    _interface.function("get-all")(get_all)
