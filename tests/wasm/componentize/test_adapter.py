"""WASI preview 1, and the adapter that provides it."""

import hashlib
import re
from pathlib import Path
from typing import Any, Final

import pytest
import wasmtime

from gateway.bindings import provided
from gateway.host import wit
from gateway.wasm.binary import MalformedBinary
from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.extern import Sort
from gateway.wasm.binary.sections import CoreSection, sections
from gateway.wasm.componentize import NotComponentizable, componentize
from gateway.wasm.componentize.adapter import adapter
from gateway.wasm.componentize.adapter_memory import Grown, Lent, MemorySource, Reserved
from gateway.wasm.componentize.adapter_reduction import MAIN_MODULE, reduced
from gateway.wasm.componentize.instructions import function_references
from tests.wasm.componentize.modules import MEMORY, Running, compiled, module, type_of

FOLDER: Final = Path(__file__).parents[3] / "gateway" / "wasm" / "componentize" / "preview1"
FILE: Final = FOLDER / "wasi_snapshot_preview1.reactor.wasm"

WORLD: Final = '(export "run" (func (result u32)))'
PREVIEW1: Final = """
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
"""
# Writes a line, gets random bytes, and says by how many pages its memory has grown since its start.
RUN: Final = """
  (data (i32.const 64) "\\50\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 80) "a line")
  (func (export "run") (result i32)
    (if (call $fd_write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 72))
      (then unreachable))
    (if (i32.ne (i32.load (i32.const 72)) (i32.const 6)) (then unreachable))
    (if (call $random_get (i32.const 128) (i32.const 64)) (then unreachable))
    (if (i64.eqz (i64.load (i32.const 136))) (then unreachable))
    (i32.sub (memory.size) (i32.const 1)))
"""


def test_the_file_is_the_one_that_its_readme_tells_of() -> None:
    digest = re.search(r"SHA-256 \| `([0-9a-f]{64})`", (FOLDER / "README.md").read_text())
    assert digest is not None
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == digest[1]
    assert "LLVM Exceptions to the Apache 2.0 License" in (FOLDER / "LICENSE").read_text()


def all_of_it() -> bytes:
    """A module that imports every function of the adapter."""
    functions = adapter().functions.items()
    imports = [
        f'(import "wasi_snapshot_preview1" "{name}" (func {_wat("param", core.parameters)}'
        f" {_wat('result', core.results)}))"
        for name, core in functions
    ]
    return module(
        "\n".join([*imports, MEMORY, '(func (export "run") (result i32) (i32.const 1))']), WORLD
    )


def _wat(keyword: str, types: tuple[int, ...]) -> str:
    names = {0x7F: "i32", 0x7E: "i64"}
    return f"({keyword} {' '.join(names[each] for each in types)})"


def test_the_gateway_provides_all_that_the_adapter_imports() -> None:
    imports = type_of(compiled(all_of_it())).imports
    assert len(imports) > 15
    missing = []
    for name, item in imports.items():
        assert isinstance(item, wit.Interface)
        interface = provided().interface(name)
        known = set(interface.functions) if interface is not None else set()
        missing += [f"{name} {function}" for function in set(item.functions) - known]
    assert missing == []


def wasi(tmp_path: Path) -> wasmtime.WasiConfig:
    config = wasmtime.WasiConfig()
    config.stdout_file = str(tmp_path / "stdout")
    return config


class TestMemory:
    """The adapter's memory, by what the main module has to offer."""

    def test_memory_that_is_grown(self, tmp_path: Path) -> None:
        component = compiled(module(f'{PREVIEW1} (memory (export "memory") 1) {RUN}', WORLD))
        guest = Running(component, wasi=wasi(tmp_path))
        assert guest.call("run") == 2
        assert guest.call("run") == 2
        assert (tmp_path / "stdout").read_text() == "a linea line"

    def test_memory_that_cabi_realloc_gives(self, tmp_path: Path) -> None:
        # It grows the memory by itself, and counts what it was asked for.
        realloc = """
          (memory (export "memory") 1)
          (global $calls (mut i32) (i32.const 0))
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (if (i32.ne (local.get 3) (i32.const 65536)) (then unreachable))
            (i32.shl (memory.grow (i32.const 1)) (i32.const 16)))
          (func (export "calls") (result i32) (global.get $calls))
        """
        core = module(f"{PREVIEW1} {realloc} {RUN}", WORLD + '(export "calls" (func (result u32)))')
        guest = Running(compiled(core), wasi=wasi(tmp_path))
        # Nothing is taken until it is needed.
        assert guest.call("calls") == 0
        assert guest.call("run") == 2
        assert guest.call("run") == 2
        assert guest.call("calls") == 2
        assert (tmp_path / "stdout").read_text() == "a linea line"

    def test_a_cabi_realloc_that_calls_the_adapter_itself(self, tmp_path: Path) -> None:
        # As wasi-libc's does where its constructors read the environment.
        realloc = """
          (import "wasi_snapshot_preview1" "environ_sizes_get"
            (func $environ_sizes_get (param i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (if (call $environ_sizes_get (i32.const 256) (i32.const 260)) (then unreachable))
            (i32.shl (memory.grow (i32.const 1)) (i32.const 16)))
        """
        guest = Running(compiled(module(f"{PREVIEW1} {realloc} {RUN}", WORLD)), wasi=wasi(tmp_path))
        assert guest.call("run") == 2

    def test_memory_cannot_be_grown(self, tmp_path: Path) -> None:
        component = compiled(module(f'{PREVIEW1} (memory (export "memory") 1 2) {RUN}', WORLD))
        with pytest.raises(wasmtime.WasmtimeError, match="unreachable"):
            Running(component, wasi=wasi(tmp_path))


def test_it_is_reduced_to_what_is_called() -> None:
    component = compiled(
        module(
            """
            (import "wasi_snapshot_preview1" "clock_time_get"
              (func (param i32 i64 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "run") (result i32) (i32.const 1))
            """,
            WORLD,
        )
    )
    imports = set(type_of(component).imports)
    assert {name for name in imports if name.startswith("wasi:clocks/")}
    assert not {name for name in imports if name.startswith(("wasi:filesystem/", "wasi:random/"))}


@pytest.mark.parametrize("source", [Lent(), Grown(), Reserved(65536)], ids=type)
def test_each_function_alone_is_a_valid_module(source: MemorySource) -> None:
    engine = wasmtime.Engine()
    for name in adapter().functions:
        binary = reduced(adapter(), [name], source)
        wasmtime.Module.validate(engine, binary)
        assert CoreModule(binary).exports_a(Sort.CORE_FUNC, name)


def test_the_adapter_is_built_as_it_must_be() -> None:
    # Without data, elements and a start function of its own. Else it would be reduced to something
    # that is valid, and wrong.
    read = {CoreSection.TYPE, CoreSection.IMPORT, CoreSection.FUNCTION, CoreSection.TABLE,
            CoreSection.GLOBAL, CoreSection.EXPORT, CoreSection.CODE}  # fmt: skip
    found = {section.id for section in sections(adapter().module.binary)}
    assert found == read | {CoreSection.CUSTOM}
    assert {each.module for each in adapter().module.imports if "/" not in each.module} == {
        "env", MAIN_MODULE,
    }  # fmt: skip


@pytest.mark.parametrize(
    "code",
    ["(call_indirect (type $f) (i32.const 0))", "(drop (ref.func $g))", "(drop (table.size))"],
)
def test_code_that_an_adapter_does_not_have_is_not_read(code: str) -> None:
    # The functions that it reaches could not be told.
    binary = bytes(
        wasmtime.wat2wasm(
            f"(module (type $f (func)) (table 1 funcref) (elem declare func $g) (func $g {code}))"
        )
    )
    (section,) = (each for each in sections(binary) if each.id == CoreSection.CODE)
    # One function, whose body has one byte of length, and no locals.
    with pytest.raises(MalformedBinary, match=r"the instruction .*, which is not read here"):
        list(function_references(binary, section.start + 3, section.end))


def test_a_world_and_preview_1_may_ask_for_the_same_interface(tmp_path: Path) -> None:
    # The module's own version is older than the adapter's: there is one import, of the newer.
    component = compiled(
        module(
            f"""
            {PREVIEW1}
            (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
            (memory (export "memory") 1)
            {RUN}
            (func (export "later") (result i32) (i64.ne (call $now) (i64.const 0)))
            """,
            """
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance
              (type $instant' u64)
              (export "instant" (type $instant (eq $instant')))
              (export "now" (func (result $instant)))))
            (export "later" (func (result bool)))
            """
            + WORLD,
        )
    )
    clocks = [name for name in type_of(component).imports if "monotonic-clock" in name]
    assert clocks == ["wasi:clocks/monotonic-clock@0.2.12"]
    guest = Running(component, wasi=wasi(tmp_path))
    assert guest.call("run") == 2
    assert guest.call("later") is True


@pytest.mark.parametrize(
    ("core", "message"),
    [
        (PREVIEW1 + "(memory 1)", "exports no memory"),
        ('(import "wasi_snapshot_preview1" "fd_guess" (func)) ' + MEMORY, "does not have"),
        (
            '(import "wasi_snapshot_preview1" "fd_sync" (func (param i64) (result i32)))' + MEMORY,
            r"\(i64\) -> \(i32\), which should be \(i32\) -> \(i32\)",
        ),
        ('(import "wasi_unstable" "fd_write" (func))' + MEMORY, "the WASI of 2019"),
    ],
)
def test_preview_1_that_cannot_be_provided(core: str, message: str) -> None:
    with pytest.raises(NotComponentizable, match=message):
        componentize(module(core + '(func (export "run") (result i32) (i32.const 1))', WORLD))


def go_module(bounds: list[int], gcdata: int, pages: int, more: str = "") -> bytes:
    """A module that looks as one of Go's linker does, with the bounds of its data at 4096."""
    words: list[Any] = [*bounds, gcdata]
    data = "".join(f"\\{byte:02x}" for word in words for byte in word.to_bytes(8, "little"))
    core = f"""
      {PREVIEW1}
      (memory (export "memory") {pages})
      (data (i32.const 4096) "{data}")
      {more}
      (func (export "first-free") (result i32) (i32.load (i32.const {4096 + 80})))
      {RUN.replace("(i32.const 1)))", f"(i32.const {pages})))")}
      (@custom "go:buildid" "x")
    """
    return module(core, WORLD + '(export "first-free" (func (result u32)))')


class TestGo:
    """Go's runtime takes all memory after its data for its own."""

    # The data ends at 0x12345; the linker rounds 1 MiB more down to whole pages.
    BOUNDS: Final = [0x8000, 0x9000, 0x9000, 0xA000, 0xA000, 0xB000, 0xB000, *[0x12345] * 4]

    def test_pages_are_taken_from_it(self, tmp_path: Path) -> None:
        component = compiled(go_module(self.BOUNDS, 0x7000, pages=17))
        guest = Running(component, wasi=wasi(tmp_path))
        # The pages at 0x20000 and 0x30000 are the adapter's, and the memory starts with them.
        assert guest.call("first-free") == 0x40000
        assert guest.call("run") == 2
        assert (tmp_path / "stdout").read_text() == "a line"

    @pytest.mark.parametrize(
        ("bounds", "gcdata", "pages", "more"),
        [
            pytest.param(BOUNDS, 0x7000, 33, "", id="another size"),
            pytest.param([0xA000, *BOUNDS[1:]], 0x7000, 17, "", id="not in order"),
            pytest.param(BOUNDS, 0x9000, 17, "", id="constants after the data"),
            pytest.param(BOUNDS, 0x7000, 17, '(data "passive")', id="passive data"),
            pytest.param(
                BOUNDS, 0x7000, 17, '(data (offset (global.get $g)) "x") (global $g i32 (i32.const 0))',
                id="data at the value of a global",
            ),
        ],
    )  # fmt: skip
    def test_a_layout_that_is_not_known(
        self, bounds: list[int], gcdata: int, pages: int, more: str
    ) -> None:
        with pytest.raises(NotComponentizable, match="Go program, whose runtime takes all memory"):
            componentize(go_module(bounds, gcdata, pages, more))
