"""Names of links: which there are of each interface that a component may use, and what its grants are by each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from gateway.bindings import provided
from gateway.bindings.context import DEFAULT_LINK
from gateway.bindings.http.outbound import CLIENTS
from gateway.bindings.lattice import lattice_2
from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.wasm.version import split_version

__all__ = ["by_link", "chooses", "link_names", "split_key"]

T = TypeVar("T")


def chooses(imports: Mapping[str, wit.Item]) -> bool:
    """Whether a component knows links by their names: it may choose among them, or its imports have labels."""
    return any(
        split_version(name)[0] == lattice_2.name or wit.interface_name(name, item) != name
        for name, item in imports.items()
    )


def split_key(key: str, named: bool) -> tuple[str, str]:
    """Split a key of grants, which may be NAME/IDENTIFIER.

    Args:
        key: the key.
        named: whether the component knows links by their names; to others it is an identifier.

    Returns:
        The name of the link by which it is granted, and the identifier.
    """
    name, slash, identifier = key.partition("/")
    return (name, identifier) if named and slash else (DEFAULT_LINK, key)


def by_link(
    grants: Mapping[str, T], named: bool, alone: str | None = None
) -> dict[str, dict[str, T]]:
    """What is granted, by the names of links and then by identifier.

    Args:
        grants: the same by key.
        named: as of `split_key`.
        alone: what a key that is no NAME/IDENTIFIER is too, by the link of that name.
    """
    found: dict[str, dict[str, T]] = {}
    for key, granted in grants.items():
        name, identifier = split_key(key, named)
        found.setdefault(name, {})[identifier] = granted
    if named and alone is not None:
        for key, granted in list(found.get(DEFAULT_LINK, {}).items()):
            found.setdefault(key, {}).setdefault(alone, granted)
    return found


def link_names(
    config: ComponentConfig, granted: Mapping[str, Collection[str]]
) -> Mapping[str, Collection[str]]:
    """The names of links that a component may choose among, by interface, without versions.

    Args:
        config: what the operator said of the component.
        granted: the names of links by which it has a capability, by the key of that.
    """
    names: dict[str, set[str]] = {}
    for each in provided():
        if each.key is None or getattr(config, each.key):
            names.setdefault(each.name, set()).update(granted.get(each.key or "", (DEFAULT_LINK,)))
    for link in config.links:
        interfaces = CLIENTS if link.import_ is None else (split_version(link.import_)[0],)
        for interface in interfaces:
            names.setdefault(interface, set()).add(link.name)
    return names
