"""The types of an imported interface as its guest is given them, where its bytes need no bridge.

The engine copies a `list<u8>` between a guest and a bridge byte by byte. So what a guest passes is
`tuple<u32, u32>` to it instead: an address and a length, which in core WebAssembly is what a list is anyway, and
the host reads the bytes in the guest's own memory. What it gets is such a tuple too, and `delivery.py` puts the
bytes where the guest has room. The guest's modules see nothing of either.

Records and variants have names in the interface, by which other functions and interfaces have them too. So they
keep their types, and bytes within them cross by the bridge; so do those in lists that are returned.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import ExternType, Sort
from gateway.wasm.binary.types import (
    Declaration,
    ExportDeclaration,
    Func,
    InstanceType,
    ListOf,
    OptionOf,
    Primitive,
    ResultOf,
    TupleOf,
    TypeDefinition,
    ValType,
    defines_type,
    parts,
    remap,
)
from gateway.wasm.byte_blocks.shapes import BYTES, DISGUISE, Pair

__all__ = ["retype"]

# How deep types are looked into. Threat: towers of types, against what recurses. Arbitrary; bytes are three levels
# deep in what the gateway provides.
MAX_DEPTH: Final = 16

# Types that need no name in an interface, so that two functions may have different ones.
_UNNAMED: Final = (ListOf, OptionOf, ResultOf, TupleOf)


def retype(
    interface: InstanceType, given: AbstractSet[str], returned: AbstractSet[str]
) -> tuple[InstanceType, dict[int, Pair]]:
    """Give an interface the types that its guest is to have.

    Args:
        interface: its type. What its indices refer to has been checked.
        given: the functions whose parameters may change.
        returned: those whose results may.

    Returns:
        The type, and by index what types of it are that are `tuple<u32, u32>` in place of something else.
    """
    retyping = _Retyping(interface, given, returned)
    retyping.run()
    return InstanceType(tuple(retyping.declarations)), retyping.pairs


class _Retyping:
    """Repeats the declarations of an interface, each function after the types that it gets.

    Indices are those of the interface as it was, but for those in `places`, and the keys of `pairs`.
    """

    def __init__(
        self, interface: InstanceType, given: AbstractSet[str], returned: AbstractSet[str]
    ) -> None:
        self.interface = interface
        self.given = given
        self.returned = returned
        self.names = _functions(interface)
        self.declarations: list[Declaration] = []
        self.pairs: dict[int, Pair] = {}
        # Where each type is now, what it is, and whether there are bytes in reach.
        self.places: list[int] = []
        self.definitions: list[TypeDefinition | None] = []
        self.reaches_bytes: list[bool] = []
        self.formed: dict[tuple[int, Pair], int] = {}
        self.size = 0

    def run(self) -> None:
        for declaration in self.interface.declarations:
            match declaration:
                case ExportDeclaration(name, ExternType(sort, int(index))):
                    place = self.add(ExportDeclaration(name, ExternType(sort, self.places[index])))
                    if sort is Sort.TYPE:
                        self.know(place, self.definitions[index])
                case ExportDeclaration() | OuterAlias():
                    self.know(self.add(declaration), None)
                case Func():
                    self.know(self.add_function(declaration), declaration)
                case definition:
                    self.know(self.add(self.moved(definition)), definition)

    def add(self, declaration: Declaration) -> int:
        """Add a declaration; gives the index that it gets if it defines a type."""
        self.declarations.append(declaration)
        index = self.size
        self.size += defines_type(declaration)
        return index

    def know(self, place: int, definition: TypeDefinition | None) -> None:
        """Add a type to those that are known."""
        self.places.append(place)
        self.definitions.append(definition)
        self.reaches_bytes.append(
            definition == BYTES
            or (isinstance(definition, _UNNAMED) and any(map(self.has_bytes, parts(definition))))
        )

    def has_bytes(self, valtype: ValType) -> bool:
        return not isinstance(valtype, Primitive) and self.reaches_bytes[valtype]

    def moved(self, definition: TypeDefinition) -> TypeDefinition:
        """A definition in terms of `places`."""

        def valtype(part: ValType) -> ValType:
            return part if isinstance(part, Primitive) else self.places[part]

        return remap(definition, valtype, self.places.__getitem__)

    def add_function(self, function: Func) -> int:
        """Add a function, with other types if all that have its type may have them."""
        names = self.names.get(len(self.places), set())
        given = Pair.GUEST_BYTES if names <= self.given else None
        returned = Pair.STAGED_BYTES if names <= self.returned else None
        parameters = tuple(
            (name, self.form(valtype, given)) for name, valtype in function.parameters
        )
        result = function.result
        if result is not None:
            result = self.form(result, returned)
        return self.add(Func(parameters, result, function.is_async))

    def form(self, valtype: ValType, pair: Pair | None, depth: int = 0) -> ValType:
        """A type with such pairs in place of bytes, if any: a primitive one, or where it is."""
        if isinstance(valtype, Primitive):
            return valtype
        if pair is None:
            return self.places[valtype]
        if (valtype, pair) not in self.formed:
            self.formed[valtype, pair] = self.new_form(valtype, pair, depth)
        return self.formed[valtype, pair]

    def new_form(self, valtype: int, pair: Pair, depth: int) -> int:
        definition = self.definitions[valtype]
        in_list = isinstance(definition, ListOf) and definition != BYTES
        if (
            definition is None
            or not self.reaches_bytes[valtype]
            or depth > MAX_DEPTH
            or (in_list and pair is Pair.STAGED_BYTES)
        ):
            return self.places[valtype]
        if definition == BYTES:
            place = self.add(DISGUISE)
            self.pairs[place] = pair
            return place
        inner = {part: self.form(part, pair, depth + 1) for part in parts(definition)}
        return self.add(remap(definition, inner.__getitem__, lambda resource: resource))


def _functions(interface: InstanceType) -> dict[int, set[str]]:
    """By the index of their type, the names of the functions of an interface."""
    functions: dict[int, set[str]] = {}
    for declaration in interface.declarations:
        match declaration:
            case ExportDeclaration(name, ExternType(Sort.FUNC, int(index))):
                functions.setdefault(index, set()).add(name.name)
    return functions
