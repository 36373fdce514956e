"""Modules that cannot become components: each is told what is missing, and what to do."""

from typing import Final

import pytest
import wasmtime

from gateway.wasm.binary import encode
from gateway.wasm.componentize import NotComponentizable, componentize
from tests.wasm.componentize.modules import module, world_section

RUN: Final = '(export "run" (func (result u32)))'
EXPORT_RUN: Final = '(func (export "run") (result i32) (i32.const 1))'
STRINGS: Final = '(export "run" (func (param "text" string)))'


@pytest.mark.parametrize(
    ("core", "world", "message"),
    [
        pytest.param(
            '(import "env" "missing" (func))', RUN,
            "imports missing of env, .* define missing, or link the library",
            id="undefined symbol",
        ),
        pytest.param(
            '(import "test:host/a" "f" (func))', RUN,
            "imports f of test:host/a, which is neither in its world nor .* Add it to the world",
            id="interface that the world has not",
        ),
        pytest.param(
            '(import "test:host/a" "g" (func))', f'(import "test:host/a" (instance)) {RUN}',
            "imports g of test:host/a, which its world does not have",
            id="function that the interface has not",
        ),
        pytest.param(
            '(import "test:host/a" "f" (func (param i64)))',
            f'(import "test:host/a" (instance (export "f" (func (param "n" u32))))) {RUN}',
            r"as a function \(i64\) -> \(\), which should be \(i32\) -> \(\)",
            id="function of another type",
        ),
        pytest.param(
            '(import "test:host/a" "[resource-new]r" (func (param i32) (result i32)))',
            f'(import "test:host/a" (instance (export "r" (type (sub resource))))) {RUN}',
            r"\[resource-new\]r of test:host/a",
            id="new resource of a type of the host",
        ),
        pytest.param(
            '(import "$root" "[async-lower]f" (func))', f'(import "f" (func)) {RUN}',
            r"asynchronous components \(WASI 0\.3\)",
            id="asynchronous",
        ),
        pytest.param(
            '(import "env" "memory" (memory 1))', RUN,
            "imports a memory, memory of env, .* --import-memory",
            id="imported memory",
        ),
        pytest.param(
            '(import "env" "table" (table 1 funcref))', RUN, "--import-table", id="imported table"
        ),
        pytest.param(
            '(import "env" "g" (global i32))', RUN, "imports a global, g of env", id="imported global"
        ),
        pytest.param(
            '(import "wasi" "thread-spawn" (func))', RUN, "Threads", id="threads"
        ),
        pytest.param("", RUN + '(export "other" (func))', "does not export other, which", id="no export"),
        pytest.param(
            "", f'{RUN} (export "test:guest/a@1.0.0" (instance (export "f" (func))))',
            "does not export test:guest/a@1.0.0#f, which its world promises",
            id="no export of an interface",
        ),
        pytest.param(
            '(@custom "dylink.0" "")', RUN, "shared library", id="shared library"
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(core: str, world: str, message: str) -> None:
    with pytest.raises(NotComponentizable, match=message):
        componentize(module(f"{core} {EXPORT_RUN}", world))


@pytest.mark.parametrize(
    ("core", "message"),
    [
        ('(func (export "run") (param i32 i32))', "exports no memory, which run needs"),
        (
            '(memory (export "memory") 1) (func (export "run") (param i32 i32))',
            "does not export cabi_realloc, which run needs",
        ),
    ],
)
def test_what_strings_need(core: str, message: str) -> None:
    with pytest.raises(NotComponentizable, match=message):
        componentize(module(core, STRINGS))


class TestWithoutWorld:
    def test_a_module_with_nothing_said_of_it(self) -> None:
        with pytest.raises(
            NotComponentizable, match=r"wit-bindgen, or .*wasm-tools component embed"
        ):
            componentize(bytes(wasmtime.wat2wasm("(module)")))

    def test_a_program_that_runs_to_its_end(self) -> None:
        core = bytes(wasmtime.wat2wasm('(module (func (export "_start")))'))
        with pytest.raises(NotComponentizable, match=r"exports _start.*-mexec-model=reactor"):
            componentize(core)

    def test_a_start_function_beside_a_world_is_left_alone(self) -> None:
        assert componentize(module(f'(func (export "_start")) {EXPORT_RUN}', RUN))


SECTION: Final = world_section(RUN)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param(b"\x02\x00\x04root\x04root\x05world", "in an old form.*wit-bindgen", id="old form"),
        pytest.param(SECTION.replace(b"\x04\x00", b"\x03\x00", 1), "in version 3 ", id="old version"),
        pytest.param(SECTION.replace(b"\x04\x00", b"\x05\x00", 1), "in version 5 ", id="new version"),
        pytest.param(SECTION.replace(b"\x04\x00", b"\x04\x07", 1), "unknown string enc", id="encoding"),
        pytest.param(
            SECTION.replace(b"wit-component-encoding", b"xit-component-encoding"),
            "does not say how strings are encoded", id="no encoding",
        ),
        pytest.param(SECTION[:-30], "is damaged", id="cut off"),
        pytest.param(b"", "in an old form", id="empty"),
        pytest.param(
            bytes(wasmtime.wat2wasm('(component (@custom "wit-component-encoding" "\\04\\00"))')),
            "no type in the section", id="no world",
        ),
    ],
)  # fmt: skip
def test_a_section_that_cannot_be_read(payload: bytes, message: str) -> None:
    with pytest.raises(NotComponentizable, match=message):
        componentize(module(EXPORT_RUN, payload))


@pytest.mark.parametrize("data", [b"", b"\0asm", b"no module", SECTION])
def test_what_is_no_core_module(data: bytes) -> None:
    with pytest.raises(NotComponentizable, match="no core module starts here"):
        componentize(data)


STREAM = world_section('(import "f" (func (param "b" (stream u8))))')
HANDLER = world_section("""
  (type (instance (export "handle" (func (param "b" (stream u8))))))
  (export "a:b/handler" (instance (type 0)))""")


def test_a_world_of_wasi_0_3() -> None:
    with pytest.raises(NotComponentizable, match=r"its world has `stream`, of WASI 0\.3"):
        componentize(module(EXPORT_RUN, STREAM))


@pytest.mark.parametrize("other", [STREAM, HANDLER])
def test_a_world_of_wasi_0_3_that_is_not_used_is_passed_over(other: bytes) -> None:
    """Libraries bring worlds along for all that they could do."""
    assert componentize(module(EXPORT_RUN, other, RUN)) == componentize(module(EXPORT_RUN, RUN))


@pytest.mark.parametrize(
    ("core", "other", "message"),
    [
        (
            EXPORT_RUN + '(func (export "a:b/handler#handle") (param i32))',
            HANDLER,
            r"its world has `stream`, of WASI 0\.3",
        ),
        (
            '(import "$root" "f" (func (param i32)))' + EXPORT_RUN,
            STREAM,
            r"One of its worlds was passed over, since it has `stream`, of WASI 0\.3",
        ),
    ],
)
def test_one_that_is_used_is_not(core: str, other: bytes, message: str) -> None:
    with pytest.raises(NotComponentizable, match=message):
        componentize(module(core, other, RUN))


def test_a_world_that_exports_a_type_by_itself() -> None:
    payload = world_section('(type $t u8) (export "t" (type (eq $t)))')
    with pytest.raises(NotComponentizable, match="exports the type t, outside of an interface"):
        componentize(module("", payload))


def test_a_message_is_a_sentence_of_what_is_wrong_and_one_of_what_to_do() -> None:
    with pytest.raises(NotComponentizable) as refusal:
        componentize(module('(import "a" "b" (func))', RUN))
    assert str(refusal.value).count(". ") == 1


def test_the_name_of_an_import_is_no_way_to_break_a_log() -> None:
    core = module('(import "env" "a\\0ab" (func))' + EXPORT_RUN, RUN)
    with pytest.raises(NotComponentizable) as refusal:
        componentize(core)
    assert encode.name("a\nb") in core
    assert "\n" not in str(refusal.value)


def test_the_name_of_an_import_is_no_way_to_fill_a_log() -> None:
    with pytest.raises(NotComponentizable) as refusal:
        componentize(module(f'(import "env" "{"x" * 100_000}" (func))' + EXPORT_RUN, RUN))
    assert len(str(refusal.value)) < 1000
