"""`wasmcloud:secrets`: secrets that the operator has granted a component, by name.

A handle has the name alone. The value is read when it is revealed, is given to the guest and to nobody else, and
is not kept: it is in no log, event or error of the gateway. That a secret is there is seen when its component is
put in service; to reveal one that has vanished since traps, for which WIT leaves no other way.

Source: `wasmcloud:secrets@0.1.0-draft`, `store.wit`, `reveal.wit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.bindings.context import State, WasiCtx
from gateway.capabilities.backend import BackendError
from gateway.capabilities.operations import Operation, Operations
from gateway.capabilities.secrets import SecretSource
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.table import Resource
from gateway.host.values import Err, Variant

__all__ = ["INTERFACES", "GrantedSecret", "SecretsCtx"]


class GrantedSecret(NamedTuple):
    """A secret that a component may have.

    Attributes:
        source: where it is kept.
        name: what it is called there.
        operations: what is done with that place.
    """

    source: SecretSource
    name: str
    operations: Operations


class SecretsCtx(State):
    """The secrets of an invocation.

    Attributes:
        secrets: those that it may have, by the names that it knows them by.
    """

    __slots__ = ("secrets",)

    def __init__(self, secrets: Mapping[str, GrantedSecret] = MappingProxyType({})) -> None:
        self.secrets = secrets


class Secret(Resource):
    """`secret`."""

    __slots__ = ("granted", "key")

    def __init__(self, key: str, granted: GrantedSecret) -> None:
        self.key = key
        self.granted = granted


store = HostInterface("wasmcloud:secrets/store", "0.1.0-draft", key="secrets")
reveal = HostInterface("wasmcloud:secrets/reveal", "0.1.0-draft", carries_bytes=True, key="secrets")
INTERFACES = (store, reveal)

_REVEAL: Final = Operation(reveal.name, "reveal")


@store.function("get")
def get(ctx: WasiCtx, key: str) -> Secret | Err:
    """A handle of a secret; `not-found` for any that was not granted."""
    granted = ctx.of(SecretsCtx).secrets.get(key)
    return Err(Variant("not-found")) if granted is None else Secret(key, granted)


@reveal.function("reveal", blocking=True)
async def reveal_(ctx: WasiCtx, this: Secret) -> Variant:
    """Its value: text where it is UTF-8, bytes otherwise."""
    source, name, operations = this.granted
    try:
        value = await operations.perform(_REVEAL, ctx.caller, source.read, name)
    except BackendError as error:
        raise Trap(f'secret "{this.key}": {error.message}') from error
    try:
        return Variant("string", value.decode())
    except UnicodeDecodeError:
        return Variant("bytes", value)
