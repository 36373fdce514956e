"""The types of a component that have a Python class of their own, and what that is called.

The types of a component are structural, and its interfaces only give names to them: what two names stand for is
one class and an alias. A name for anything but a record, variant, enum or flags cannot be told from what it stands
for. What has no name, because it came from an interface that the component does not export, is named after where
it is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.host import wit
from gateway.rpc.client.names import Scope, Words, class_name, constant, qualified, words
from gateway.rpc.method import Method

__all__ = ["Class", "find_classes", "sides"]


@dataclass(slots=True)
class Class:
    """A type that has a class of its own.

    Attributes:
        type: the type.
        found: the words for where it was found first.
        homes: for each of its names in WIT, if it has any, the interfaces that have it, None for the root.
        names: the Python name for each of these; under the empty name where there is none.
        constant: the name of its codec.
        cases: the names of the classes of its cases.
    """

    type: wit.Named
    found: Words
    homes: dict[str, list[str | None]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    constant: str = ""
    cases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the class; any other is an alias."""
        return next(iter(self.names.values()))

    @property
    def home(self) -> tuple[str, str | None]:
        """Its first name in WIT, empty if it has none, and the interface that has it."""
        return next(((name, homes[0]) for name, homes in self.homes.items()), ("", None))

    def name_in(self, interface: str | None) -> str:
        """What it is called where the names of an interface hold."""
        for name, homes in self.homes.items():
            if interface in homes:
                return self.names[name]
        return self.name


def find_classes(
    methods: Iterable[Method], sources: Sequence[Mapping[str, wit.Item]], scope: Scope
) -> dict[wit.Type, Class]:
    """Find the classes that methods use.

    Args:
        methods: the methods.
        sources: what gives types their names: what the component exports and, for types without a name there, what
            it imports.
        scope: the module's names, which those of the classes are added to.

    Returns:
        The classes, what others are made of first.
    """
    classes: dict[wit.Type, Class] = {}
    for method in methods:
        for part, role in _parts(method.type):
            _collect(part, words(method.function) + role, classes)
    for source in sources:
        known = {ty for ty, each in classes.items() if each.homes}
        for name, interface, ty in _names_of_types(source):
            if ty in classes and ty not in known:
                classes[ty].homes.setdefault(name, []).append(interface)
    _settle(list(classes.values()), scope)
    return classes


def sides(ty: wit.Function) -> tuple[wit.Type | None, wit.Result | None]:
    """What a function gives, and the result that it returns it in, if it may fail."""
    if isinstance(ty.result, wit.Result):
        return ty.result.ok, ty.result
    return ty.result, None


def _parts(ty: wit.Function) -> Iterator[tuple[wit.Type, Words]]:
    for name, param in ty.params:
        yield param, words(name)
    result, fallible = sides(ty)
    if result is not None:
        yield result, ("result",)
    if fallible is not None and fallible.err is not None:
        yield fallible.err, ("failure",)


def _collect(ty: wit.Type, found: Words, classes: dict[wit.Type, Class]) -> None:
    match ty:
        case wit.List(inner) | wit.Option(inner):
            _collect(inner, found, classes)
        case wit.Tuple(elements):
            for element in elements:
                _collect(element, found, classes)
        case wit.Result(ok, err):
            for side in (ok, err):
                if side is not None:
                    _collect(side, found, classes)
        case wit.Record(pairs) | wit.Variant(pairs) if ty not in classes:
            for name, part in pairs:
                if part is not None:
                    _collect(part, found + words(name), classes)
            classes[ty] = Class(ty, found)
        case wit.Enum() | wit.Flags() if ty not in classes:
            classes[ty] = Class(ty, found)


def _names_of_types(
    source: Mapping[str, wit.Item],
) -> Iterator[tuple[str, str | None, wit.Type]]:
    for name, item in source.items():
        if isinstance(item, wit.Interface):
            for local, ty in item.types.items():
                yield local, name, ty
        elif isinstance(item, wit.Named):
            yield name, None, item


def _settle(classes: Sequence[Class], scope: Scope) -> None:
    """Give the classes, and what belongs to them, their names."""
    entries: list[tuple[Class, str, list[Words]]] = []
    for each in classes:
        if not each.homes:
            entries.append((each, "", [each.found]))
        for name, homes in each.homes.items():
            entries.append((each, name, list(qualified(words(name), homes[0]))))
    names = scope.claim([list(map(class_name, candidates)) for *_, candidates in entries])
    for (each, name, _), chosen in zip(entries, names, strict=True):
        each.names[name] = chosen

    first = {id(each): candidates for each, _, candidates in reversed(entries)}
    constants = scope.claim([list(map(constant, first[id(each)])) for each in classes])
    for each, chosen in zip(classes, constants, strict=True):
        each.constant = chosen

    for each in classes:
        if isinstance(each.type, wit.Variant):
            cases = [each.name + class_name(words(case)) for case, _ in each.type.cases]
            each.cases = tuple(scope.claim([[name, f"{name}Case"] for name in cases]))
