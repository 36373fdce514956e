"""What functions, and classes of resources, are called in a Python object that provides an interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.host import wit
from gateway.rpc.client.names import attribute_names

__all__ = ["CONSTRUCTOR", "ProvidedNames", "provided_names"]

CONSTRUCTOR: Final = "__init__"
"""What the constructor of a resource is called in its class."""


@dataclass(frozen=True, slots=True)
class ProvidedNames:
    """Names of Python for those of an interface.

    Attributes:
        functions: of each function that belongs to no resource, the attribute of the object.
        resources: of each resource, the attribute of the object that is its class.
        methods: of each function that belongs to a resource, by its full name, the attribute of that class.
    """

    functions: Mapping[str, str]
    resources: Mapping[str, str]
    methods: Mapping[str, str]


def provided_names(interface: wit.Interface) -> ProvidedNames:
    """What a Python object has to have that provides an interface."""
    free: list[str] = []
    inner: dict[str, list[str]] = {}
    methods: dict[str, str] = {}
    for function in interface.functions:
        kind, owner, _ = wit.split_function(function)
        if owner is None:
            free.append(function)
        elif kind == "constructor":
            methods[function] = CONSTRUCTOR
        else:
            inner.setdefault(owner, []).append(function)
    for functions in inner.values():
        names = attribute_names(wit.split_function(each)[2] for each in functions)
        methods |= zip(functions, names, strict=True)
    chosen = attribute_names([*free, *interface.resources])
    return ProvidedNames(
        dict(zip(free, chosen, strict=False)),
        dict(zip(interface.resources, chosen[len(free) :], strict=True)),
        methods,
    )
