"""What a worker has compiled and linked, shared by all components of the same content.

All of it is kept by those who use it, and gone with the last of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final
from weakref import WeakValueDictionary

from gateway.bindings import granted_keys, provided_to
from gateway.config import ComponentConfig
from gateway.host.binding import HostInterface
from gateway.host.component import Component
from gateway.host.engines import Engines
from gateway.host.linker import Export, LinkedComponent, link
from gateway.json.text import dump
from gateway.rpc.method import Methods
from gateway.rpc.openrpc import contents
from gateway.rpc.procedure import Procedure
from gateway.serving.handlers import Handlers

__all__ = ["HANDLER", "INCOMING_HANDLER", "INSTANCES", "Exports", "Loaded"]

INSTANCES: Final = 1024
"""Instances at once that a worker's pools are for, unless its configuration says otherwise. Arbitrary: as many as
one component runs by default, and what other hosts have by default for all."""

INCOMING_HANDLER: Final = "wasi:http/incoming-handler"

HANDLER: Final = "wasi:http/handler"
"""What a component of WASI 0.3 has in its place."""


class Exports:
    """What a linked component exports, found once for all that are served of it.

    Attributes:
        linked: the component.
        handler: its `wasi:http/handler` or `wasi:http/incoming-handler`; None if it has neither.
        handlers: what is called for that which comes of its grants.
        methods: what it offers to callers with JSON.
    """

    def __init__(self, linked: LinkedComponent) -> None:
        self.linked = linked
        self.handler = _handler(linked)
        self.handlers = Handlers(linked)
        self.methods = Methods(linked.component.exports)

    @cached_property
    def procedures(self) -> Mapping[str, Procedure]:
        """Its methods ready to be called, by every name."""
        made = {method.name: Procedure(method, self.linked) for method in self.methods.served}
        return {name: made[method.name] for name, method in self.methods.by_name.items()}

    @cached_property
    def description(self) -> bytes:
        """What its OpenRPC document says of it by whatever name and URL, as the members of a JSON object."""
        component = self.linked.component
        return dump(contents(self.methods, component.exports, docs=component.docs))[1:-1]


class Loaded:
    """The engines of a worker, and what is loaded there.

    Args:
        instances: how many instances the engines' pools are for; 0 for no pools.
        modular: as of `gateway.host.engine.Engine`.

    Attributes:
        engines: the engines.
        components: the compiled components, by the digest of their file.
    """

    def __init__(self, instances: int, *, modular: bool = False) -> None:
        self.engines = Engines(instances, modular=modular)
        self.components: WeakValueDictionary[str, Component] = WeakValueDictionary()
        self._exports: WeakValueDictionary[tuple[str, frozenset[str]], Exports] = (
            WeakValueDictionary()
        )

    def exports(
        self, config: ComponentConfig, component: Component, links: Mapping[str, HostInterface]
    ) -> Exports:
        """What a component exports, linked with what it is granted.

        What has no links is linked once for all that are granted the same interfaces: a host function is told
        whose invocation it serves with each call.

        Args:
            config: what the operator said of it.
            component: the component.
            links: what is at the other ends of its links, by the full names of what it imports.

        Raises:
            ComponentError: it cannot be linked.
        """
        if links:
            return Exports(link(component, provided_to(config, component.imports, links)))
        key = component.digest, granted_keys(config)
        found = self._exports.get(key)
        if found is None or found.linked.component is not component:
            found = Exports(link(component, provided_to(config, component.imports)))
            self._exports[key] = found
        return found


def _handler(linked: LinkedComponent) -> Export | None:
    component = linked.component
    interface = component.find_export(HANDLER) or component.find_export(INCOMING_HANDLER)
    return None if interface is None else linked.export("handle", interface=interface)
