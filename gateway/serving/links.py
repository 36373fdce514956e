"""The links of a component: what it imports that others provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gateway.bindings import provided
from gateway.bindings.context import DEFAULT_LINK
from gateway.bindings.http.outbound import CLIENTS, OUTGOING_HANDLER
from gateway.bindings.p3.imported import asynchronous
from gateway.config import ServerConfig
from gateway.config.link import LinkConfig
from gateway.host import wit
from gateway.host.binding import HostInterface
from gateway.host.component import Component
from gateway.host.errors import ComponentError
from gateway.host.imported_calls import ends_of
from gateway.links.choice import choice
from gateway.links.host import LinkedHost
from gateway.links.link import Link, OnCall
from gateway.links.several import SeveralTargets
from gateway.links.target import LinkMismatch, Target
from gateway.wasm.version import split_version
from gateway.wasm.wasip3 import ADAPTERS

__all__ = ["LinkStatus", "Links"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """A link of a component, as it is now.

    Attributes:
        subject: the full name of the interface that the component imports, or the name that it sends requests to.
        name: which of several links of the interface it is.
        targets: what is called: components, a Python object, or URLs.
        troubles: which of several are left out, in the worker that answers, and why.
    """

    subject: str
    name: str
    targets: tuple[str, ...]
    troubles: tuple[str, ...]


class Links:
    """The links of one component.

    Attributes:
        interfaces: what it finds linked, by the full names of what it imports.
        hosts: what answers its HTTP requests, by the names of links and by the names that they are for.
        called: whether others have links to it.
    """

    def __init__(
        self,
        configs: Iterable[LinkConfig],
        component: Component,
        target_of: Callable[[LinkConfig, Component, AbstractSet[str]], Target],
        server: ServerConfig,
        *,
        called: bool,
        on_call: OnCall | None,
    ) -> None:
        """Find what the other ends have.

        Args:
            configs: what the operator said of each.
            component: the component.
            target_of: gives the other end of a link of a component, or raises `LinkMismatch`; told which of its
                imports lead there.
            server: what the operator said of the server.
            called: whether others have links to it.
            on_call: told of each call, if anybody wants to know.

        Raises:
            ComponentError: a link leads nowhere, or the other end lacks what the component imports; the message
                has a line for each fault.
        """
        self.called = called
        self._targets: list[tuple[LinkConfig, Target]] = []
        self.hosts: dict[str, dict[str, LinkedHost]] = {}
        found: dict[str, dict[str, HostInterface]] = {}
        wrong: list[str] = []
        configs = tuple(configs)
        for config in configs:
            along = {
                name
                for each in configs
                if (each.component, each.targets) == (config.component, config.targets)
                for name in _found(each, component)
            }
            try:
                imports = _imports(config, component)
                link = Link(
                    config.import_ or OUTGOING_HANDLER,
                    target_of(config, component, along),
                    errors=config.errors,
                    max_depth=server.max_call_depth,
                    on_call=on_call,
                )
                if config.host is not None:
                    self.hosts.setdefault(config.name, {})[config.host] = LinkedHost(link)
                else:
                    _check_asynchronous(component, imports)
                    for name, imported in imports.items():
                        found.setdefault(name, {})[config.name] = link.interface(imported)
            except LinkMismatch as mismatch:
                where = f'{component.path}: the link of "{config.subject}"{_named(config)}'
                wrong += (f"{where}: {line}" for line in str(mismatch).splitlines())
            else:
                self._targets.append((config, link.target))
        if wrong:
            raise ComponentError("\n".join(wrong))
        self.interfaces = {
            name: choice(name, links, provided().interface(name), self._chosen_otherwise(name))
            for name, links in found.items()
        }
        for name, item in _interfaces(component):
            adapter, interface = component.imported.get(name), self.interfaces.get(name)
            if adapter is not None and interface is not None:
                calls = {
                    each: it.function
                    for each in adapter.functions
                    if (it := interface.find(each, item.functions[each])) is not None
                }
                self.interfaces[adapter.family.host] = asynchronous(
                    interface.name, adapter, item.functions, ends_of(item), calls
                )

    def _chosen_otherwise(self, interface: str) -> Iterable[str]:
        """The names of links that are chosen for an interface, and that the gateway's own has a use for."""
        return self.hosts if split_version(interface)[0] in CLIENTS else ()

    def troubles(self) -> Iterator[str]:
        """Which of several other ends are left out, and why."""
        for config, target in self._targets:
            for trouble in _troubles(target):
                yield f"link of {config.subject}{_named(config)}: {trouble}"

    def statuses(self) -> Iterator[LinkStatus]:
        """Each link as it is now."""
        for config, target in self._targets:
            yield LinkStatus(
                subject=config.subject,
                name=config.name,
                targets=config.targets,
                troubles=tuple(_troubles(target)),
            )

    async def aclose(self) -> None:
        """Let go of what the other ends have open. May be called again."""
        for _, target in self._targets:
            await target.aclose()


def _check_asynchronous(component: Component, imports: Mapping[str, wit.Interface]) -> None:
    """See to it that interfaces with asynchronous functions have an adapter.

    Raises:
        LinkMismatch: one has not.
    """
    wrong = [
        f"{function}: {what}, which links carry where no function of the interface has resources"
        for name, interface in imports.items()
        if name not in component.imported
        for function, ty in interface.functions.items()
        if (what := _unadapted(ty)) is not None
    ]
    if wrong:
        raise LinkMismatch("\n".join(wrong))


def _unadapted(ty: wit.Function) -> str | None:
    """What a function has that no host has, in words."""
    if ty.is_async:
        return "is asynchronous"
    ends = (leaf for leaf in ty.leaves() if isinstance(leaf, wit.Stream | wit.Future))
    return next((f"takes or gives a {str(end).partition('<')[0]}" for end in ends), None)


def _named(config: LinkConfig) -> str:
    return "" if config.name == DEFAULT_LINK else f' by the name "{config.name}"'


def _troubles(target: Target) -> Iterator[str]:
    if isinstance(target, SeveralTargets):
        yield from target.troubles()


def _is_for(link: LinkConfig, name: str, item: wit.Interface) -> bool:
    full_name = wit.interface_name(name, item)
    if link.host is not None:
        return split_version(full_name)[0] in CLIENTS
    return full_name == link.import_ and name in {link.import_, link.name}


def _imports(link: LinkConfig, component: Component) -> dict[str, wit.Interface]:
    """The imports that a link is for: that of its interface, and one whose label is its name.

    Raises:
        LinkMismatch: there is none.
    """
    found = _found(link, component)
    if not found:
        what = "it" if link.host is None else OUTGOING_HANDLER
        meant = wit.no_import(link.import_ or "", dict(_interfaces(component)))
        raise LinkMismatch(f"the component does not import {what}{meant}")
    return found


def _found(link: LinkConfig, component: Component) -> dict[str, wit.Interface]:
    return {name: item for name, item in _interfaces(component) if _is_for(link, name, item)}


def _interfaces(component: Component) -> Iterator[tuple[str, wit.Interface]]:
    for name, item in component.imports.items():
        if isinstance(item, wit.Interface) and not name.startswith(ADAPTERS):
            yield name, item
