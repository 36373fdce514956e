"""A core module put between the functions that a component lowers and what it gives them to.

    (component
      ...
      (core func $read (canon lower (func $host_read) ...))
      (core module $Delivery ...)                                   ;; put in: see `delivery.py`
      (core instance $given (export "0" (func $read)) ...)
      (core instance $delivery (instantiate $Delivery (with "guest" (instance $given))))
      (alias core export $delivery "0" (core func $read'))
      (core instance (export "read" (func $read')) ...)             ;; was `$read`
      ...

What comes after gets other indices: core instances and core functions, in the component itself. Those in it cannot
name them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.definitions import (
    Alias,
    BagOfExports,
    Canon,
    CanonOption,
    CanonOptions,
    CoreExportAlias,
    Instantiation,
    Lift,
    Lower,
    encode_alias,
    encode_canon,
    encode_core_instance,
    read_alias,
    read_canon,
    read_core_instance,
)
from gateway.wasm.binary.edits import Edit, edited
from gateway.wasm.binary.extern import Sort, SortIndex
from gateway.wasm.binary.sections import (
    COMPONENT_PREAMBLE,
    PREAMBLE_SIZE,
    ComponentSection,
    sections,
)
from gateway.wasm.binary.type_format import destructors
from gateway.wasm.byte_blocks.delivery import GUEST, MEMORY, REALLOC, Delivery, delivery_module
from gateway.wasm.byte_blocks.lowerings import Place

__all__ = ["with_delivery"]


_CORE_INSTANCES: Final = 2
"""How many come before those that were at the place: the bag of what the module gets, and its instance."""


def with_delivery(
    component: bytes, edits: Sequence[Edit], place: Place, delivery: Delivery
) -> bytes:
    """Put the module into a component.

    Args:
        component: the component.
        edits: what else changes in it, before the place.
        place: where the first core instance is defined that has one of the functions, after all core modules.
        delivery: the functions.

    Raises:
        MalformedBinary: a type after the place is damaged, or of a form that is not known here.
    """
    out = ComponentWriter(
        counts={
            Sort.CORE_MODULE: place.core_modules,
            Sort.CORE_INSTANCE: place.core_instances,
            Sort.CORE_FUNC: place.core_functions,
        }
    )
    module = delivery_module(list(delivery.functions.values()))
    module_index = out.embed(ComponentSection.CORE_MODULE, module, Sort.CORE_MODULE)
    named = {
        **{f"{REALLOC}{number}": index for index, number in delivery.reallocs.items()},
        **{str(number): index for number, index in enumerate(delivery.functions)},
    }
    given = [(MEMORY, SortIndex(Sort.CORE_MEMORY, delivery.memory))]
    given += ((name, SortIndex(Sort.CORE_FUNC, index)) for name, index in named.items())
    instance = out.instantiate_core(module_index, [(GUEST, out.bag_core(given))])
    delivered = {
        index: out.alias_core(Sort.CORE_FUNC, instance, str(number))
        for number, index in enumerate(delivery.functions)
    }
    return _Insertion(component, place, delivered).run(edits, out.finish()[PREAMBLE_SIZE:])


@dataclass(frozen=True, slots=True)
class _Insertion:
    """Gives what comes after a place of a component its new indices.

    Attributes:
        component: the component.
        place: the place.
        delivered: by the index of core functions before it, those that take their places after it.
    """

    component: bytes
    place: Place
    delivered: Mapping[int, int]

    def run(self, edits: Sequence[Edit], inserted: bytes) -> bytes:
        """The component with `inserted` at the place, and with `edits` before that."""
        before, after = [], []
        middle = b""
        for section in sections(self.component):
            if section.end <= self.place.at:
                before.append(section)
            elif section.start > self.place.at:
                after.append(section)
            else:
                middle = self.split(Cursor(self.component, section.start, section.end), inserted)
        renumbered = [
            edit
            for section in after
            for edit in self.edits(section.id, Cursor(self.component, section.start, section.end))
        ]
        return (
            COMPONENT_PREAMBLE
            + edited(self.component, before, edits)
            + middle
            + edited(self.component, after, renumbered)
        )

    def split(self, cursor: Cursor, inserted: bytes) -> bytes:
        """The section that the place is in, as two."""
        count = cursor.count()
        start = cursor.at
        first = encode.u32(self.place.before) + self.component[start : self.place.at]
        rest = Cursor(self.component, self.place.at, cursor.end)
        items = [
            self.core_instance(read_core_instance(rest)) for _ in range(count - self.place.before)
        ]
        head = encode.section(ComponentSection.CORE_INSTANCE, first) if self.place.before else b""
        return (
            head + inserted + encode.section(ComponentSection.CORE_INSTANCE, encode.vector(items))
        )

    def edits(self, section: int, cursor: Cursor) -> list[Edit]:
        """What changes in a section after the place."""
        match section:
            case ComponentSection.CORE_INSTANCE:
                return _changes(cursor, lambda each: self.core_instance(read_core_instance(each)))
            case ComponentSection.ALIAS:
                return _changes(cursor, lambda each: self.alias(read_alias(each)))
            case ComponentSection.CANON:
                return _changes(cursor, lambda each: self.canon(read_canon(each)))
            case ComponentSection.TYPE:
                return [
                    Edit(start, end, encode.u32(self.core_function(index)))
                    for start, end, index in destructors(cursor)
                ]
        return []

    def core_function(self, index: int) -> int:
        """Where a core function is now."""
        if index >= self.place.core_functions:
            return index + len(self.delivered)
        return self.delivered.get(index, index)

    def core_instance_index(self, index: int) -> int:
        """Where a core instance is now."""
        return index + _CORE_INSTANCES if index >= self.place.core_instances else index

    def item(self, item: SortIndex) -> SortIndex:
        """Where an item is now."""
        match item:
            case SortIndex(Sort.CORE_FUNC, index):
                return SortIndex(Sort.CORE_FUNC, self.core_function(index))
            case SortIndex(Sort.CORE_INSTANCE, index):
                return SortIndex(Sort.CORE_INSTANCE, self.core_instance_index(index))
        return item

    def core_instance(self, instance: Instantiation | BagOfExports) -> bytes:
        """A core instance as it is now."""
        match instance:
            case Instantiation(source, arguments):
                given = {name: self.item(item) for name, item in arguments.items()}
                return encode_core_instance(Instantiation(source, given))
            case BagOfExports(exports):
                named = {name: self.item(item) for name, item in exports.items()}
                return encode_core_instance(BagOfExports(named))

    def alias(self, alias: Alias) -> bytes | None:
        """An alias as it is now; None if it is what it was."""
        match alias:
            case CoreExportAlias(sort, instance, name):
                moved = self.core_instance_index(instance)
                return encode_alias(CoreExportAlias(sort, moved, name))
        return None

    def canon(self, canon: Canon) -> bytes | None:
        """A canonical definition as it is now; None if it is what it was."""
        match canon:
            case Lift(core_function, type_index, options):
                lifted = self.core_function(core_function)
                return encode_canon(Lift(lifted, type_index, self.options(options)))
            case Lower(function, options):
                return encode_canon(Lower(function, self.options(options)))
        return None

    def options(self, options: CanonOptions) -> CanonOptions:
        """Canonical options as they are now."""
        return {
            option: self.core_function(index)
            if option in _OF_CORE_FUNCTIONS and index is not None
            else index
            for option, index in options.items()
        }


_OF_CORE_FUNCTIONS: Final = frozenset(
    {CanonOption.REALLOC, CanonOption.POST_RETURN, CanonOption.CALLBACK}
)


def _changes(cursor: Cursor, rewritten: Callable[[Cursor], bytes | None]) -> list[Edit]:
    """The items of a section that are other than they were."""
    edits = []
    for _ in range(cursor.count()):
        start = cursor.at
        encoded = rewritten(cursor)
        if encoded is not None:
            edits.append(Edit(start, cursor.at, encoded))
    return edits
