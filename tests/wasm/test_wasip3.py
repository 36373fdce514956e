"""Components around guests of WASI 0.3; that they work is tested where they are served."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from gateway.wasm.binary import Cursor, MalformedBinary, Section, component_externs, sections
from gateway.wasm.binary.definitions import items
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type, read_type
from gateway.wasm.binary.types import Func, Primitive, TypeDefinition, Variant
from gateway.wasm.version import LIKE_0_3
from gateway.wasm.wasip3 import BYTES, HOST, Call, NotComposable, Parts, calls_text, compose

GUEST = Path(__file__).parents[1] / "guests" / "wat" / "wasi-0-3.wat"


def binary(source: str) -> bytes:
    return bytes(wasmtime.wat2wasm(source))


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts.assembled(binary)


@pytest.fixture(scope="module")
def guest() -> bytes:
    return binary(GUEST.read_text())


def types(component: bytes) -> Iterator[Section]:
    return (it for it in sections(component) if it.id == ComponentSection.TYPE)


def test_it_asks_for_what_the_guest_asks_for_and_for_the_host_of_the_adapter(
    guest: bytes, parts: Parts
) -> None:
    composed = compose(guest, parts)
    inner, outer = component_externs(guest), component_externs(composed)
    assert [name.name for name in outer.imports] == [
        *(name.name for name in inner.imports),
        HOST,
        BYTES,
    ]
    assert outer.exports == inner.exports


def test_the_guest_is_in_it_byte_for_byte(guest: bytes, parts: Parts) -> None:
    composed = compose(guest, parts)
    nested = [
        composed[it.start : it.end]
        for it in sections(composed)
        if it.id == ComponentSection.COMPONENT
    ]
    assert guest in nested


def test_types_of_wasi_0_3_are_written_as_they_were_read(guest: bytes) -> None:
    for section in types(guest):
        cursor = Cursor(guest, section.start, section.end)
        read = list(items(cursor, read_type))
        encoded = b"".join(map(encode_type, read))
        assert encoded == guest[section.end - len(encoded) : section.end]


IMPORT = '(import "wasi:http/types@0.3.0" (instance))'
HANDLER = '(instance $i) (export "wasi:http/handler@0.3.0" (instance $i))'


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            f"(component {IMPORT})",
            "it exports no wasi:http/handler@0.3, nor functions that can be called",
        ),
        (
            f"(component {IMPORT} {HANDLER.replace('0.3.0', '0.3.0-rc-2025-09-16')})",
            "it exports no wasi:http/handler@0.3, nor functions that can be called",
        ),
        (
            f"(component {HANDLER})",
            "it exports a handler and does not import wasi:http/types@0.3.0",
        ),
        (
            f'(component {IMPORT} (core module) (import "f" (func)) {HANDLER})',
            "it has other definitions among its imports",
        ),
        (
            f"""(component (type $t (instance)) (import "wasi:http/types@0.3.0" (instance (type $t)))
            (import "test:other/one" (instance (type $t))) {HANDLER})""",
            "several of its imports have one type",
        ),
    ],
)
def test_what_cannot_be_composed_is_refused(source: str, reason: str, parts: Parts) -> None:
    with pytest.raises(NotComposable, match=f"^{reason}$"):
        compose(binary(source), parts)


def test_what_is_damaged_is_refused(guest: bytes, parts: Parts) -> None:
    for end in range(20, 200, 7):
        with pytest.raises((MalformedBinary, NotComposable)):
            compose(guest[:end], parts)


def test_an_import_of_a_type_that_is_nowhere_is_damage(parts: Parts) -> None:
    damaged = binary(f"(component {IMPORT} {HANDLER})").replace(b"0.3.0\5\0", b"0.3.0\5\7")
    with pytest.raises(MalformedBinary, match="type 7, which is not defined"):
        compose(damaged, parts)


def test_types_that_multiply_are_written_once() -> None:
    # Each level has the one below in ten cases: in place, the last would be there 10^13 times.
    types: list[TypeDefinition] = [Variant((("none", Primitive.U8), ("some", Primitive.U64)))]
    types += [Variant(tuple((f"c{case}", level) for case in range(10))) for level in range(13)]
    function = Func((("it", len(types) - 1),), None)
    text, _ = calls_text(types, [Call(None, "take", function, given=False)])
    assert len(text) < 1 << 20
    wasmtime.wat2wasm(text)


def test_one_of_several_versions_of_an_interface_has_an_adapter(parts: Parts) -> None:
    text = GUEST.with_name("wasi-0-3-files.wat").read_text()
    candidate = f'(import "wasi:filesystem/types@{LIKE_0_3}" (instance))'
    composed = compose(binary(text.replace("(component\n", f"(component {candidate}\n", 1)), parts)
    names = [it.name for it in component_externs(composed).imports]
    assert len(names) == len(set(names))
    assert "gateway:wasi/filesystem" in names
