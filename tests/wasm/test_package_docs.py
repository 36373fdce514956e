"""Documentation of WIT in the custom section `package-docs`."""

from __future__ import annotations

import json
from typing import Any

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.binary import encode
from gateway.wasm.binary.package_docs import (
    MAX_SIZE,
    InterfaceDocs,
    PackageDocs,
    TypeDocs,
    package_docs,
)
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, ComponentSection
from tests.harness import GuestPath

COMPONENT = bytes(
    wasmtime.wat2wasm("""
(component
  (core module $m (func (export "f") (result i32) (i32.const 1)))
  (core instance $i (instantiate $m))
  (func $f (result u32) (canon lift (core func $i "f")))
  (instance $calc (export "one" (func $f)))
  (export "test:docs/calc@1.2.3" (instance $calc))
  (export "root" (func $f)))""")
)

# As wit-parser writes version 1: the doc comments of a package with a world and an interface.
CONTENT: dict[str, Any] = {
    "docs": "The package.",
    "worlds": {
        "thing": {
            "docs": "The world.",
            "funcs": {"both": {"docs": "Imported."}, "root": {"docs": "At the root."}},
            "interfaces": {"inline": {"docs": "Imported."}},
            "func_exports": {"both": {"docs": "Exported."}},
            "interface_exports": {
                "inline": {"docs": "Exported.", "funcs": {"f": {"docs": "In it."}}}
            },
            "types": {"size": {"docs": "Of the world."}},
        }
    },
    "interfaces": {
        "calc": {
            "docs": "Calculates.\n\nMore.",
            "stability": {"unstable": {"feature": "f"}},
            "funcs": {"one": {"docs": "The number one."}, "two": {"docs": "The number two."}},
            "types": {"point": {"docs": "A point.", "items": {"x": "Across.", "y": "Down."}}},
        }
    },
}
# What wit-component 0.263 wrote for a package of this kind, byte for byte after the version.
WRITTEN = (
    b'{"docs":"The package\'s docs.","worlds":{"thing":{"docs":"The world.",'
    b'"interface_exports":{"inl":{"docs":"Inline.","funcs":{"f":{"docs":"In inline."}}}},'
    b'"func_exports":{"root":{"docs":"Root function."}},'
    b'"interface_export_docs":{"test:docs/calc@1.2.3":"Exported calc."}}},'
    b'"interfaces":{"types":{"docs":"Types.","types":{"point":{"docs":"A point.",'
    b'"items":{"x":"Across."}}}},'
    b'"calc":{"docs":"Adds things.","funcs":{"add":{"docs":"Adds two numbers."}}}}}'
)
CALC = "test:docs/calc@1.2.3"
FUNCTIONS = ("one", "two", "three")
POINT = TypeDocs("A point.", {"x": "Across.", "y": "Down."})


def section(content: Any, version: int = 1) -> bytes:
    """The custom section. Bytes are taken as they are, everything else as JSON."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    payload = encode.name("package-docs") + bytes([version]) + data
    return encode.section(ComponentSection.CUSTOM, payload)


def read(*contents: Any) -> PackageDocs:
    return package_docs(COMPONENT + b"".join(map(section, contents)))


def nothing_in(docs: PackageDocs) -> bool:
    interface = docs.interface(CALC, FUNCTIONS)
    return (docs.docs, docs.function("root"), interface) == (None, None, InterfaceDocs())


def test_a_package() -> None:
    docs = read(CONTENT)
    assert docs.interface(CALC, FUNCTIONS) == InterfaceDocs(
        "Calculates.\n\nMore.",
        {"one": "The number one.", "two": "The number two."},
        {"point": POINT},
    )
    assert docs.docs == "The world."
    assert docs.function("root") == "At the root."
    assert docs.function("other") is None


def test_what_a_tool_writes() -> None:
    docs = read(WRITTEN)
    assert docs.docs == "The world."
    assert docs.function("root") == "Root function."
    assert docs.interface("inl", ["f"]) == InterfaceDocs("Inline.", {"f": "In inline."})
    assert docs.interface(CALC, ["add", "flip"]) == InterfaceDocs(
        "Adds things.", {"add": "Adds two numbers."}
    )
    assert docs.type("point", ["x", "y"]) == TypeDocs("A point.", {"x": "Across."})


def test_an_interface_is_described_where_it_is_exported_if_nowhere_else() -> None:
    world = {"interface_export_docs": {CALC: "Exported.", "a:b/c": "Other."}}
    assert read({"worlds": {"w": world}}).interface(CALC, []) == InterfaceDocs("Exported.")
    both = read({"worlds": {"w": world}}, CONTENT)
    assert both.interface(CALC, FUNCTIONS).docs == "Calculates.\n\nMore."
    assert both.interface("a:b/c", []).docs == "Other."
    assert both.interface("a:b/d", []) == InterfaceDocs()


def test_what_a_world_exports_goes_before_what_it_imports() -> None:
    docs = read(CONTENT)
    assert docs.function("both") == "Exported."
    assert docs.interface("inline", ["f"]) == InterfaceDocs("Exported.", {"f": "In it."}, {})
    assert docs.interface("other", ["f"]) == InterfaceDocs()


def test_version_0() -> None:
    content = {
        "worlds": {
            "w": {"funcs": {"root": "Root."}, "interfaces": {"inline": {"docs": "Inline."}}}
        },
        "interfaces": {"calc": {"funcs": {"one": "One.\n"}, "types": {"point": {"docs": "P."}}}},
    }
    docs = package_docs(COMPONENT + section(content, version=0))
    assert docs.function("root") == "Root."
    assert docs.interface("inline", []).docs == "Inline."
    assert docs.interface(CALC, FUNCTIONS) == InterfaceDocs(
        None, {"one": "One."}, {"point": TypeDocs("P.")}
    )


def test_a_component_without_docs() -> None:
    assert nothing_in(package_docs(COMPONENT))


def test_a_package_without_name_may_be_that_of_a_namesake() -> None:
    docs = read(CONTENT)
    assert docs.interface("other:package/calc", FUNCTIONS).docs == "Calculates.\n\nMore."
    assert docs.interface("other:package/calc", ["one", "three"]) == InterfaceDocs()


def test_a_package_with_name_is_told_from_its_namesakes() -> None:
    mine = {"package": "test:docs@1.2.3", "interfaces": {"calc": {"docs": "Mine."}}}
    next_one = {"package": "test:docs@1.3.0", "interfaces": {"calc": {"docs": "Next."}}}
    unversioned = {"package": "test:plain", "interfaces": {"calc": {"docs": "Plain."}}}
    docs = read(CONTENT, next_one, mine, unversioned)
    assert docs.interface(CALC, FUNCTIONS).docs == "Mine."
    assert docs.interface("test:docs/calc@1.3.0", FUNCTIONS).docs == "Next."
    assert docs.interface("test:plain/calc", FUNCTIONS).docs == "Plain."
    assert docs.interface("test:docs/calc@2.0.0", FUNCTIONS).docs == "Calculates.\n\nMore."


def test_a_type_is_found_in_whichever_interface_defines_it() -> None:
    docs = read({"interfaces": {"other": {"types": {"point": {"items": {"z": "Up."}}}}}}, CONTENT)
    assert docs.type("point", ["x", "y"]) == POINT
    assert docs.type("point", ["z"]) == TypeDocs(None, {"z": "Up."})
    assert docs.type("point", ["x"]) == TypeDocs()
    assert docs.type("size", []) == TypeDocs("Of the world.")
    assert docs.type("line", []) == TypeDocs()


def test_of_several_worlds_none_is_that_of_the_component() -> None:
    worlds = {"a": {"docs": "A."}, "b": {"docs": "B."}, "c": {}}
    assert read({"docs": "The package.", "worlds": worlds}).docs == "The package."
    del worlds["a"]
    assert read({"docs": "The package.", "worlds": worlds}).docs == "B."


def test_a_component_in_a_component() -> None:
    # As tools leave it that compose components: the one that does the work lies inside.
    inner = encode.section(ComponentSection.COMPONENT, COMPONENT + section(CONTENT))
    docs = package_docs(COMPONENT_PREAMBLE + inner)
    assert docs.interface(CALC, FUNCTIONS).docs == "Calculates.\n\nMore."
    # It is not the component that is described, and its root is not that of the component.
    assert docs.docs is None
    assert docs.function("root") is None
    # The outer one goes first, although it comes later.
    outer = section({"interfaces": {"calc": {"docs": "Outer."}}})
    docs = package_docs(COMPONENT_PREAMBLE + inner + outer)
    assert docs.interface(CALC, FUNCTIONS).docs == "Outer."


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b"1" * 10_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        {"docs": 1, "worlds": [], "interfaces": "calc"},
        {"docs": " \n", "worlds": {"w": None}, "interfaces": {"calc": None, "other": []}},
        {"worlds": {"w": {"funcs": {"root": 1}, "docs": {}}}, "interfaces": {"calc": {"docs": []}}},
        {"interfaces": {"calc": {"funcs": {"one": None, "two": {"docs": 2}}, "types": {}}}},
    ],
    ids=range(13),
)
def test_what_is_damaged_is_passed_over(content: Any) -> None:
    assert nothing_in(read(content))
    # It does not keep the next one from being read.
    assert read(content, CONTENT).interface(CALC, FUNCTIONS).docs == "Calculates.\n\nMore."


def test_parts_that_are_damaged_are_passed_over() -> None:
    content = {
        "later": 1,
        "interfaces": {
            "calc": {
                "docs": "Calculates.",
                "types": {"point": {"items": {"x": 1, "y": "Down."}}, "line": 1},
                "funcs": {"one": [], "two": {"docs": "Two.", "later": 1}},
            }
        },
    }
    assert read(content).interface(CALC, FUNCTIONS) == InterfaceDocs(
        "Calculates.",
        {"two": "Two."},
        {"point": TypeDocs(None, {"y": "Down."})},
    )


def test_another_version_is_passed_over() -> None:
    assert nothing_in(package_docs(COMPONENT + section(CONTENT, version=2)))
    empty = encode.section(ComponentSection.CUSTOM, encode.name("package-docs"))
    assert nothing_in(package_docs(COMPONENT + empty))


def test_what_is_read_can_be_written() -> None:
    docs = read(b'{"interfaces": {"calc": {"docs": "\\ud800 and \\ud83d\\ude00"}}}')
    assert docs.interface(CALC, FUNCTIONS).docs == "? and \U0001f600"


def test_what_is_too_large_is_passed_over() -> None:
    def of_size(size: int) -> bytes:
        frame = b'{"docs": "%s"}'
        return frame % (b"a" * (size - len(frame % b"")))

    most = of_size(MAX_SIZE - 1)  # and the version
    assert read(most).docs is not None
    assert nothing_in(read(of_size(MAX_SIZE)))
    # The limit is one for all of them: nothing is read after the largest, but after one that was passed over.
    assert read(most, CONTENT).function("root") is None
    assert read(of_size(MAX_SIZE), CONTENT).docs == "The world."


def test_only_so_many_sections_are_looked_at() -> None:
    filler = encode.section(ComponentSection.CUSTOM, encode.name(""))
    assert read(CONTENT).docs is not None
    assert package_docs(COMPONENT + filler * 49_000 + section(CONTENT)).docs is not None
    assert package_docs(COMPONENT + filler * 50_000 + section(CONTENT)).docs is None


@pytest.mark.parametrize("data", [b"", b"\0asm", b"(component)", b"\0asm\1\0\0\0"])
def test_what_is_no_component_has_no_docs(data: bytes) -> None:
    assert nothing_in(package_docs(data))


def test_docs_before_a_damaged_section_are_read() -> None:
    assert read(CONTENT, b"").docs == "The world."
    assert package_docs(COMPONENT + section(CONTENT) + b"\0\xff").docs == "The world."


@given(st.data())
def test_nothing_makes_it_fail(data: st.DataObject) -> None:
    binary = bytearray(COMPONENT + section(CONTENT))
    changes = st.tuples(st.integers(0, len(binary) - 1), st.integers(0, 255))
    for at, byte in data.draw(st.lists(changes, max_size=5)):
        binary[at] = byte
    docs = package_docs(bytes(binary[: data.draw(st.integers(0, len(binary)))]))
    for name in (CALC, "inline", "", "/@"):
        docs.interface(name, FUNCTIONS)


@pytest.mark.parametrize("name", ["c/hello", "python/probe"])
def test_the_sections_of_real_components_are_passed_over(guest: GuestPath, name: str) -> None:
    binary = guest(name).read_bytes()
    assert nothing_in(package_docs(binary))
    assert package_docs(binary + section(CONTENT)).docs == "The world."
