"""Exported functions that the gateway calls by itself, for what comes of a component's grants."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.errors import ComponentError
from gateway.host.linker import LinkedComponent
from gateway.rpc.procedure import Function

__all__ = ["MESSAGE_HANDLER", "WATCHER", "Handlers", "Watcher"]

MESSAGE_HANDLER: Final = "wasmcloud:messaging/handler"

WATCHER: Final = "wasi:keyvalue/watcher"

_STORE: Final = "wasi:keyvalue/store"

_NOTHING: Final = wit.Interface()


class Watcher(NamedTuple):
    """A component's `wasi:keyvalue/watcher`.

    Attributes:
        on_set: called of a key that was set.
        on_delete: called of a key that was removed.
    """

    on_set: Function
    on_delete: Function


class Handlers:
    """Those of one component.

    Attributes:
        message: the `handle-message` of its `wasmcloud:messaging/handler`; None if it has none.
        watcher: its `wasi:keyvalue/watcher`; None if it has none.
    """

    def __init__(self, linked: LinkedComponent) -> None:
        self.message = _message(linked)
        self.watcher = _watcher(linked)

    def needed(self, config: ComponentConfig) -> bool:
        """Whether a component's configuration has anything come to them.

        Raises:
            ComponentError: it has, and they are not there.
        """
        messages = config.messaging is not None and bool(config.messaging.subscriptions)
        changes = any(grant.watch for grant in config.keyvalue.values())
        if messages and self.message is None:
            raise ComponentError(
                f"{config.source}: exports no {MESSAGE_HANDLER}@0.2.0, so it cannot handle the messages of its "
                "subscriptions. Leave them out, or build it for a world that exports that interface."
            )
        if changes and self.watcher is None:
            raise ComponentError(
                f"{config.source}: exports no {WATCHER} of a known draft, so it cannot be told of changes. Leave "
                "watch out, or build it for a world that exports that interface."
            )
        return messages or changes

    @property
    def idle(self) -> str | None:
        """What could be told to a component whose configuration has nothing come to it; None for nothing."""
        if self.message is not None:
            return "handles messages, and has no subscriptions: give it some in messaging"
        if self.watcher is not None:
            return (
                "watches stores, and none is granted for that: say watch = true of one in keyvalue"
            )
        return None


def _message(linked: LinkedComponent) -> Function | None:
    name, interface = _interface(linked, MESSAGE_HANDLER)
    if "handle-message" not in interface.functions:
        return None
    return Function(linked.export("handle-message", interface=name))


def _watcher(linked: LinkedComponent) -> Watcher | None:
    name, interface = _interface(linked, WATCHER)
    _, _, version = name.partition("@")
    store = linked.component.imports.get(f"{_STORE}@{version}")
    bucket = store.resources.get("bucket") if isinstance(store, wit.Interface) else None
    if bucket is None:
        return None
    for function, types in (("on-set", ["string", "list<u8>"]), ("on-delete", ["string"])):
        found = interface.functions.get(function)
        if found is None or found.result is not None or not found.params:
            return None
        # Only to one that takes the host's buckets can the gateway give some.
        of, *others = [ty for _, ty in found.params]
        if of != wit.Own(bucket) or [str(ty) for ty in others] != types:
            return None
    return Watcher(
        Function(linked.export("on-set", interface=name)),
        Function(linked.export("on-delete", interface=name)),
    )


def _interface(linked: LinkedComponent, unversioned: str) -> tuple[str, wit.Interface]:
    """The full name of an exported interface, and what it has: nothing, where it is not exported."""
    name = linked.component.find_export(unversioned) or unversioned
    found = linked.component.exports.get(name)
    return name, found if isinstance(found, wit.Interface) else _NOTHING
