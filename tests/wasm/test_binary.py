"""Reading WebAssembly binaries without an engine: kinds, sections, names."""

import gzip
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
import wasmtime
import wasmtime.component
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.binary import (
    MAX_NESTING,
    Cursor,
    ExternName,
    Kind,
    MalformedBinary,
    Section,
    classify,
    component_externs,
    encode,
    sections,
    walk,
    wasi_0_3_externs,
)
from gateway.wasm.binary.core_module import CoreModule, Limits
from gateway.wasm.binary.core_types import CoreFunction, CoreType
from gateway.wasm.binary.measure import MAX_DEFINITIONS_SIZE, MAX_SECTIONS, check_measure
from gateway.wasm.binary.sections import (
    COMPONENT_PREAMBLE,
    MODULE_PREAMBLE,
    PREAMBLE_SIZE,
    ComponentSection,
    CoreSection,
)

COMPONENT = bytes(
    wasmtime.wat2wasm("""
(component
  (import "wasi:io/error@0.2.12" (instance (export "error" (type (sub resource)))))
  (import "plain-name" (func))
  (core module (memory 1) (func (export "run")) (@custom "marks" "inside"))
  (component $inner
    (core module (table 1 funcref))
    (component (core module)))
  (core instance $instance (instantiate 0))
  (func $run (canon lift (core func $instance "run")))
  (export "run" (func $run))
  (instance $handler (export "handle" (func $run)))
  (export "wasi:http/incoming-handler@0.2.12" (instance $handler))
  (@custom "marks" "outside")
)""")
)
MODULE = bytes(wasmtime.wat2wasm('(module (memory 1) (func (export "f")))'))


def zip_archive() -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("component.wasm", COMPONENT)
    return data.getvalue()


FILES = [
    (b"", Kind.EMPTY),
    (COMPONENT, Kind.COMPONENT),
    (COMPONENT_PREAMBLE, Kind.COMPONENT),
    (MODULE, Kind.CORE_MODULE),
    (b"\0asm\x0c\0\x01\0", Kind.OTHER_COMPONENT),
    (b"\0asm\x0d\0\x02\0", Kind.OTHER_WASM),
    (COMPONENT[:7], Kind.TRUNCATED_WASM),
    (b"\0as", Kind.TRUNCATED_WASM),
    (b"(component)", Kind.COMPONENT_TEXT),
    (b" \n(; a (; nested ;) note ;) ;; and (more)\n\t( component $name)", Kind.COMPONENT_TEXT),
    (b"(component", Kind.COMPONENT_TEXT),
    (b"(module (func))", Kind.MODULE_TEXT),
    (b"(components)", Kind.OTHER_TEXT),
    (b"(define x 1)", Kind.OTHER_TEXT),
    (b"(; never closed (component)", Kind.UNKNOWN),
    (gzip.compress(COMPONENT), Kind.GZIP),
    (zip_archive(), Kind.ZIP),
    (b"\x28\xb5\x2f\xfd\x04\x00", Kind.ZSTD),
    (b"\0" * 257 + b"ustar\x0000", Kind.TAR),
    (b"\x7fELF\x02\x01\x01", Kind.ELF),
    (b"\xcf\xfa\xed\xfe\x07", Kind.MACH_O),
    (b"MZ\x90\x00", Kind.PE),
    (b"\r\n<!DOCTYPE html>\n<html>", Kind.HTML),
    (b"<HTML lang=en>", Kind.HTML),
    (b"<?xml version='1.0'?>", Kind.XML),
    (b'{"message": "Not Found"}', Kind.JSON),
    (b'[\n {"a": 1}]', Kind.JSON),
    (b"#!/bin/sh\n", Kind.SCRIPT),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:", Kind.GIT_LFS_POINTER),
    (b"hello", Kind.UNKNOWN),
    (b"   ", Kind.UNKNOWN),
    (b"\xff\xfe\x00", Kind.UNKNOWN),
]


class TestClassify:
    @pytest.mark.parametrize(("data", "kind"), FILES)
    def test_tells_what_a_file_is(self, data: bytes, kind: Kind) -> None:
        assert classify(data) is kind

    def test_has_no_kind_that_no_file_is(self) -> None:
        assert {kind for _, kind in FILES} == set(Kind)

    def test_takes_components_core_modules_and_their_text_only(self) -> None:
        assert {kind for kind in Kind if kind.loadable} == {
            *(Kind.COMPONENT, Kind.COMPONENT_TEXT),
            *(Kind.CORE_MODULE, Kind.MODULE_TEXT),
        }

    def test_describes_every_kind_differently(self) -> None:
        assert len({kind.description for kind in Kind}) == len(Kind)


class TestCursor:
    @given(st.integers(0, 2**32 - 1))
    def test_reads_what_is_written(self, value: int) -> None:
        cursor = Cursor(encode.u32(value) + encode.s33_index(value))
        assert (cursor.u32(), cursor.s33_index()) == (value, value)
        cursor.finish()

    @given(st.text())
    def test_reads_names(self, text: str) -> None:
        cursor = Cursor(encode.name(text))
        assert cursor.name() == text
        cursor.finish()

    def test_accepts_integers_padded_to_five_bytes(self) -> None:
        assert Cursor(b"\x81\x80\x80\x80\x00").u32() == 1

    @pytest.mark.parametrize(
        ("data", "read"),
        [
            (b"", Cursor.byte),
            (b"\x80", Cursor.u32),
            (b"\x80\x80\x80\x80\x80\x00", Cursor.u32),
            (b"\xff\xff\xff\xff\x1f", Cursor.u32),
            (b"\xff" * 10, Cursor.u64),
            (b"\x7f", Cursor.s33_index),
            (b"\x80\x80\x80\x80\x80\x00", Cursor.s33_index),
            (b"\x02\x00", Cursor.count),
            (b"\xff\xff\xff\xff\x0f", Cursor.count),
            (b"\x03ab", Cursor.name),
            (b"\x01\xff", Cursor.name),
            (b"\x00", Cursor.finish),
        ],
    )
    def test_refuses(self, data: bytes, read: Callable[[Cursor], object]) -> None:
        with pytest.raises(MalformedBinary) as caught:
            read(Cursor(data))
        assert 0 <= caught.value.offset <= len(data)

    def test_stays_within_the_end_it_was_given(self) -> None:
        cursor = Cursor(b"\x01\x02\x03", 1, 2)
        assert cursor.byte() == 2
        with pytest.raises(MalformedBinary):
            cursor.byte()


class TestSections:
    @pytest.mark.parametrize("data", [COMPONENT, MODULE])
    def test_follow_one_another_without_a_gap(self, data: bytes) -> None:
        found = list(sections(data))
        assert found[-1].end == len(data)
        # Between two payloads: an id, a length and, for a custom section, a name.
        assert all(
            one.end < other.start <= one.end + 2 + len(encode.name(other.name))
            for one, other in pairwise(found)
        )

    def test_name_custom_sections_and_give_what_follows_the_name(self) -> None:
        marks = [(section.id, section) for _, section in walk(COMPONENT) if section.name == "marks"]
        assert [COMPONENT[at.start : at.end] for _, at in marks] == [b"inside", b"outside"]
        assert {section_id for section_id, _ in marks} == {ComponentSection.CUSTOM}

    def test_hold_whole_binaries(self) -> None:
        (nested,) = (
            section for section in sections(COMPONENT) if section.id == ComponentSection.COMPONENT
        )
        assert classify(COMPONENT[nested.start : nested.end]) is Kind.COMPONENT
        inner = sections(COMPONENT, nested.start + PREAMBLE_SIZE, nested.end)
        assert [section.id for section in inner if section.id != ComponentSection.CUSTOM] == [
            ComponentSection.CORE_MODULE,
            ComponentSection.COMPONENT,
        ]

    @pytest.mark.parametrize("data", [COMPONENT, MODULE])
    def test_a_cut_file_is_told_or_ends_between_sections(self, data: bytes) -> None:
        ends = {PREAMBLE_SIZE, *(section.end for section in sections(data))}
        for length in range(PREAMBLE_SIZE, len(data)):
            if length in ends:
                list(sections(data[:length]))
            else:
                with pytest.raises(MalformedBinary):
                    list(sections(data[:length]))

    @pytest.mark.parametrize(
        "tail",
        [
            b"\x07",
            b"\x07\x05\x00",
            b"\x07\xff\xff\xff\xff\x0f",
            b"\x07\x80\x80\x80\x80\x80\x00",
            b"\x00\x00",
            b"\x00\x02\x05ab",
            b"\x00\x02\x01\xff",
        ],
    )
    def test_refuse_lengths_that_lie(self, tail: bytes) -> None:
        with pytest.raises(MalformedBinary):
            list(sections(COMPONENT + tail))


class TestWalk:
    def test_visits_every_level_in_the_order_of_the_file(self) -> None:
        found = [
            (depth, section.id) for depth, section in walk(COMPONENT) if section.name != "marks"
        ]
        starts = [section.start for _, section in walk(COMPONENT)]
        assert starts == sorted(starts)
        assert (1, CoreSection.MEMORY) in found
        assert (2, CoreSection.TABLE) in found
        assert max(depth for depth, _ in found) == 2

    def test_knows_core_modules_from_components(self) -> None:
        """Section 1 is a core module in a component and the types in a core module."""
        assert [section.id for _, section in walk(MODULE)].count(CoreSection.TYPE) == 1

    def test_goes_as_deep_as_it_says(self) -> None:
        depths = [depth for depth, _ in walk(nest(MAX_NESTING))]
        assert max(depths) == MAX_NESTING - 1
        assert len(depths) == MAX_NESTING

    @pytest.mark.parametrize("levels", [MAX_NESTING + 1, 20_000])
    def test_goes_no_deeper(self, levels: int) -> None:
        with pytest.raises(MalformedBinary, match="deep"):
            list(walk(nest(levels)))

    def test_refuses_what_is_neither_component_nor_module(self) -> None:
        data = COMPONENT_PREAMBLE + encode.section(ComponentSection.COMPONENT, b"hello")
        with pytest.raises(MalformedBinary):
            list(walk(data))


def nest(levels: int) -> bytes:
    """A component with `levels` components inside one another."""
    heads: list[bytes] = []
    size = PREAMBLE_SIZE
    for _ in range(levels):
        head = COMPONENT_PREAMBLE + bytes([ComponentSection.COMPONENT]) + encode.u32(size)
        heads.append(head)
        size += len(head)
    return b"".join(reversed(heads)) + COMPONENT_PREAMBLE


class TestExterns:
    def test_are_named_in_the_order_of_the_file(self) -> None:
        externs = component_externs(COMPONENT)
        assert [name.name for name in externs.imports] == ["wasi:io/error@0.2.12", "plain-name"]
        assert [name.name for name in externs.exports] == [
            "run",
            "wasi:http/incoming-handler@0.2.12",
        ]

    def test_of_a_component_without_any(self) -> None:
        externs = component_externs(COMPONENT_PREAMBLE)
        assert (externs.imports, externs.exports) == ((), ())

    def test_match_those_that_the_engine_tells(self) -> None:
        engine = wasmtime.Engine()
        component_type = wasmtime.component.Component(engine, COMPONENT).type
        externs = component_externs(COMPONENT)
        assert {name.name for name in externs.imports} == set(component_type.imports(engine))
        assert {name.name for name in externs.exports} == set(component_type.exports(engine))

    @pytest.mark.parametrize(
        ("encoded", "name"),
        [
            (b"\x00" + encode.name("a:b/c"), ExternName("a:b/c")),
            (b"\x01" + encode.name("a:b/c"), ExternName("a:b/c")),
            (
                b"\x02" + encode.name("a:b/c@0.2") + b"\x01\x01" + encode.name(".12"),
                ExternName("a:b/c@0.2", version_suffix=".12"),
            ),
            (
                b"\x02"
                + encode.name("mine")
                + encode.vector(
                    [
                        b"\x02" + encode.name("id"),
                        b"\x00" + encode.name("a:b/c@1"),
                        b"\x01" + encode.name(".2.3"),
                    ]
                ),
                ExternName("mine", "a:b/c@1", ".2.3", "id"),
            ),
        ],
    )
    def test_have_names_in_every_form(self, encoded: bytes, name: ExternName) -> None:
        assert component_externs(component_importing(encoded)).imports == (name,)

    @pytest.mark.parametrize(
        "encoded",
        [
            b"\x03" + encode.name("a"),
            b"\x02" + encode.name("a") + b"\x01\x07" + encode.name("b"),
            b"\x02" + encode.name("a") + b"\x02" + 2 * (b"\x01" + encode.name("b")),
        ],
    )
    def test_refuse_forms_that_there_are_not(self, encoded: bytes) -> None:
        with pytest.raises(MalformedBinary):
            component_externs(component_importing(encoded))

    @pytest.mark.parametrize("data", [b"", MODULE, b"hello", COMPONENT[:7]])
    def test_refuse_what_is_no_component(self, data: bytes) -> None:
        with pytest.raises(MalformedBinary):
            component_externs(data)

    def test_pass_over_definitions_that_are_not_known(self) -> None:
        unknown = encode.section(ComponentSection.TYPE, b"\x01\x66\x01\x7d")
        assert component_externs(COMPONENT + unknown) == component_externs(COMPONENT)


class TestWasi03:
    @pytest.mark.parametrize(
        ("encoded", "interfaces"),
        [
            (b"\x00" + encode.name("wasi:http/types@0.3.0"), ("wasi:http/types@0.3.0",)),
            (
                b"\x00" + encode.name("wasi:http/types@0.3.0-rc-2025-09-16"),
                ("wasi:http/types@0.3.0-rc-2025-09-16",),
            ),
            (
                b"\x02" + encode.name("wasi:cli/stdin@0.3") + b"\x01\x01" + encode.name(".1"),
                ("wasi:cli/stdin@0.3.1",),
            ),
            (
                b"\x02" + encode.name("mine") + b"\x01\x00" + encode.name("wasi:cli/run@0.3.0"),
                ("wasi:cli/run@0.3.0",),
            ),
            (b"\x00" + encode.name("wasi:http/types@0.2.12"), ()),
            (b"\x00" + encode.name("wasi:http/types@0.30.0"), ()),
            (b"\x00" + encode.name("wasi:http/types"), ()),
            (b"\x00" + encode.name("mine:http/types@0.3.0"), ()),
        ],
    )
    def test_is_told_by_name_and_version(self, encoded: bytes, interfaces: tuple[str, ...]) -> None:
        assert wasi_0_3_externs(component_importing(encoded)) == interfaces

    def test_is_told_by_an_export_too(self) -> None:
        name = "wasi:http/handler@0.3.0"
        data = bytes(
            wasmtime.wat2wasm(
                f'(component (import "{name}" (instance $i)) (export "{name}" (instance $i)))'
            )
        )
        assert wasi_0_3_externs(data) == (name,)


def component_importing(name: bytes) -> bytes:
    """A component that imports a function type under an encoded name."""
    function_type = encode.section(ComponentSection.TYPE, b"\x01\x40\x00\x01\x00")
    imports = encode.section(ComponentSection.IMPORT, b"\x01" + name + b"\x01\x00")
    return COMPONENT_PREAMBLE + function_type + imports


class TestDamage:
    """Whatever the bytes are, a reader returns or raises `MalformedBinary`."""

    @given(st.binary(max_size=400), st.sampled_from([b"", COMPONENT_PREAMBLE, MODULE_PREAMBLE]))
    def test_any_bytes(self, tail: bytes, head: bytes) -> None:
        read_all(head + tail)

    @given(
        st.lists(
            st.tuples(st.integers(0, len(COMPONENT) - 1), st.integers(0, 255)),
            min_size=1,
            max_size=4,
        )
    )
    def test_a_component_with_bytes_changed(self, changes: list[tuple[int, int]]) -> None:
        data = bytearray(COMPONENT)
        for at, value in changes:
            data[at] = value
        read_all(bytes(data))


def read_all(data: bytes) -> None:
    classify(data)
    readers: list[Callable[[bytes], object]] = [
        lambda data: list(sections(data)),
        lambda data: list(walk(data)),
        component_externs,
        wasi_0_3_externs,
    ]
    for read in readers:
        with suppress(MalformedBinary):
            read(data)


def test_a_section_says_where_it_is() -> None:
    data = COMPONENT_PREAMBLE + b"\x07\x01\x00"
    assert list(sections(data)) == [Section(7, "", len(data) - 1, len(data))]


class TestCoreModule:
    def test_a_section_that_is_not_asked_for_may_be_damaged(self) -> None:
        memory = encode.section(CoreSection.MEMORY, encode.vector([b"\x01\x01\x02"]))
        exports = encode.section(CoreSection.EXPORT, b"\xff\xff\xff\xff\x0f")
        module = CoreModule(b"before" + MODULE_PREAMBLE + memory + exports, len(b"before"))
        assert module.memories == (Limits(1 << 16, 2 << 16),)
        assert (module.tables, module.imports, module.collects) == ((), (), False)
        with pytest.raises(MalformedBinary, match="a vector of 4294967295 items"):
            assert module.exports

    def test_has_no_section_twice(self) -> None:
        types = encode.section(CoreSection.TYPE, b"\0")
        with pytest.raises(MalformedBinary, match="a second section with the id 1"):
            CoreModule(MODULE_PREAMBLE + types + types)

    @pytest.mark.parametrize(
        ("text", "functions", "collects"),
        [
            ("(type (func (param i32 v128) (result f64)))", 1, False),
            ("(type (func (param funcref)))", 1, False),
            ("(type (func)) (type (func (param externref)))", 2, True),
            ("(type (func)) (type (func (result (ref null 0))))", 0, True),
            ("(type (func)) (type (array i8))", 0, True),
            ("(table 1 externref)", 0, True),
        ],
    )
    def test_tells_functions_and_what_is_collected(
        self, text: str, functions: int, collects: bool
    ) -> None:
        module = CoreModule(bytes(wasmtime.wat2wasm(f"(module {text})")))
        assert (len(module.types), module.collects) == (functions, collects)

    def test_functions_are_written_as_people_do(self) -> None:
        function = CoreFunction((CoreType.I32, CoreType.F64, 0x70), (CoreType.I64,))
        assert str(function) == "(i32, f64, 0x70) -> (i64)"


class TestMeasure:
    def test_guests_are_let_pass(self, guest: Callable[[str], Path]) -> None:
        for name in ("c/echo", "wat/hello", "examples/hello"):
            check_measure(guest(name).read_bytes())

    def test_sections_are_counted_at_every_level(self) -> None:
        empty = encode.section(0, encode.name("x"))
        module = encode.section(1, MODULE_PREAMBLE + empty * (MAX_SECTIONS // 2))
        check_measure(COMPONENT_PREAMBLE + module)
        for many in (
            empty * (MAX_SECTIONS + 1),
            module + module,
            encode.section(4, COMPONENT_PREAMBLE + module) * 2,
        ):
            with pytest.raises(MalformedBinary, match=f"more than {MAX_SECTIONS} sections"):
                check_measure(COMPONENT_PREAMBLE + many)

    def test_definitions_are_bounded_and_code_is_not(self) -> None:
        half = b"\0" * (MAX_DEFINITIONS_SIZE // 2 + 1)
        code = encode.section(1, MODULE_PREAMBLE + encode.section(10, half))
        check_measure(
            COMPONENT_PREAMBLE + code * 4 + encode.section(0, encode.name("x") + half) * 4
        )
        types = encode.section(7, half)
        inside = encode.section(1, MODULE_PREAMBLE + encode.section(1, half))
        for many in (
            types + types,
            inside + types,
            encode.section(4, COMPONENT_PREAMBLE + types) * 2,
        ):
            with pytest.raises(MalformedBinary, match="more than 4 MiB of definitions"):
                check_measure(COMPONENT_PREAMBLE + many)

    def test_nesting_is_bounded(self) -> None:
        nested = COMPONENT_PREAMBLE
        for _ in range(MAX_NESTING + 2):
            nested = COMPONENT_PREAMBLE + encode.section(4, nested)
        with pytest.raises(MalformedBinary, match="nested more than"):
            check_measure(nested)
