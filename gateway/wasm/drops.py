"""Functions that drop the resources which a component hands out.

The engine's C API drops a guest's resource only where nothing has to wait, and its destructor may. An own handle
that is passed to a function is dropped by who takes it, though. So a component is given one more export for each
resource: a function that takes it, which is `canon resource.drop` itself. They come after all that the component
has, of which nothing changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.definitions import (
    Lift,
    items,
    read_alias,
    read_canon,
    read_export,
    read_import,
)
from gateway.wasm.binary.extern import ExternName, Sort, encode_extern_name
from gateway.wasm.binary.sections import PREAMBLE_SIZE, ComponentSection, sections
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import Func, Own

__all__ = ["PREFIX", "with_drops"]

PREFIX: Final = "gateway-drop-r"
"""What the names of these functions begin with; a number follows. What they drop, their only parameter says."""

_DROP: Final = b"\x03"
"""`canon resource.drop`."""


def with_drops(component: bytes, resources: Iterable[tuple[str, str]]) -> bytes:
    """A component with functions that drop resources.

    Args:
        component: a binary.
        resources: the resources, each as the names of an instance that it exports and of a type in that.

    Raises:
        MalformedBinary: it is damaged, or has definitions of unknown forms.
    """
    counts, instances = _counts(component)
    out = ComponentWriter(component[PREAMBLE_SIZE:], counts)
    for number, (instance, name) in enumerate(resources):
        resource = out.alias(Sort.TYPE, instances[instance], name)
        drop = out.add(ComponentSection.CANON, _DROP + encode.u32(resource), Sort.CORE_FUNC)
        own = out.add(ComponentSection.TYPE, encode_type(Own(resource)), Sort.TYPE)
        ty = encode_type(Func((("resource", own),), None))
        lifted = out.add(
            ComponentSection.CANON,
            b"\x00\x00" + encode.u32(drop) + encode.vector(()) + encode.u32(_type(out, ty)),
            Sort.FUNC,
        )
        out.export(encode_extern_name(ExternName(f"{PREFIX}{number}")), Sort.FUNC, lifted)
    return out.finish()


def _type(out: ComponentWriter, ty: bytes) -> int:
    return out.add(ComponentSection.TYPE, ty, Sort.TYPE)


def _counts(component: bytes) -> tuple[dict[Sort, int], dict[str, int]]:
    """How many items each index space holds at the end, and which instances are exported under which names."""
    counts: Counter[Sort] = Counter()
    instances: dict[str, int] = {}
    for section in sections(component):
        cursor = Cursor(component, section.start, section.end)
        match section.id:
            case ComponentSection.TYPE:
                counts[Sort.TYPE] += cursor.count()
            case ComponentSection.INSTANCE:
                counts[Sort.INSTANCE] += cursor.count()
            case ComponentSection.IMPORT:
                counts.update(each.type.sort for each in items(cursor, read_import))
            case ComponentSection.ALIAS:
                counts.update(each.sort for each in items(cursor, read_alias))
            case ComponentSection.CANON:
                counts.update(
                    Sort.FUNC if isinstance(each, Lift) else Sort.CORE_FUNC
                    for each in items(cursor, read_canon)
                )
            case ComponentSection.EXPORT:
                for each in items(cursor, read_export):
                    if each.item.sort is Sort.INSTANCE:
                        instances[each.name.name] = counts[Sort.INSTANCE]
                    counts[each.item.sort] += 1
    return counts, instances
