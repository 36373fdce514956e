"""What a token vouches for, and its digest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.binary import MAX_NESTING
from gateway.wasm.claims import Content
from gateway.wasm.claims.content import MAX_SECTIONS
from gateway.wasm.claims.errors import UnreadableBinary
from tests.wasm.claims.elsewhere import (
    COMPONENT_PREAMBLE,
    LEGACY_TOKEN_SECTION,
    MODULE_PREAMBLE,
    TOKEN_SECTION,
    Node,
    custom,
    leb,
    section,
    write,
)
from tests.wasm.claims.files import FILES

paddings = st.integers(0, 2)
# With the padding above, a length stays within the five bytes that an integer may have.
payloads = st.binary(max_size=300)
token_nodes = st.builds(
    lambda name, text, padding: Node(
        0, leb(len(name)) + name.encode() + text, padding=padding, token=True
    ),
    st.sampled_from([TOKEN_SECTION, LEGACY_TOKEN_SECTION]),
    payloads,
    paddings,
)
custom_nodes = st.builds(
    lambda name, text, padding: Node(0, leb(len(name), 1) + name.encode() + text, padding=padding),
    st.sampled_from(["", "name", "jwt2", "wasmcloud_jwt_", "JWT", "producers"]),
    payloads,
    paddings,
)
core_nodes = st.builds(
    lambda section_id, payload, padding: Node(section_id, payload, padding=padding),
    st.integers(1, 13),
    payloads,
    paddings,
)
component_nodes = st.builds(
    lambda section_id, payload, padding: Node(section_id, payload, padding=padding),
    st.sampled_from([2, 3, 5, 6, 7, 8, 9, 10, 11]),
    payloads,
    paddings,
)
core_modules = st.lists(core_nodes | custom_nodes | token_nodes, max_size=4)


def nested(children: st.SearchStrategy[list[Node]]) -> st.SearchStrategy[list[Node]]:
    components = st.builds(
        lambda inner, padding: Node(4, component=True, children=tuple(inner), padding=padding),
        children,
        paddings,
    )
    modules = st.builds(
        lambda inner, padding: Node(1, children=tuple(inner), padding=padding),
        core_modules,
        paddings,
    )
    return st.lists(component_nodes | custom_nodes | token_nodes | modules | components, max_size=4)


components = st.recursive(
    st.lists(component_nodes | custom_nodes | token_nodes, max_size=3), nested, max_leaves=6
)


@given(components)
def test_of_a_component_is_all_but_tokens_with_the_shortest_lengths(nodes: list[Node]) -> None:
    content = Content(write(nodes, component=True, plain=False))
    plain = write(nodes, component=True, plain=True)
    assert bytes(content) == plain
    assert content.digest == hashlib.sha256(plain).hexdigest().upper()


@given(core_modules)
def test_of_a_core_module_likewise(nodes: list[Node]) -> None:
    content = Content(write(nodes, component=False, plain=False))
    plain = write(nodes, component=False, plain=True)
    assert bytes(content) == plain
    assert content.digest == hashlib.sha256(plain).hexdigest().upper()


def test_a_known_digest() -> None:
    """Of a core module without sections, as sha256sum has it."""
    expected = "93A44BBB96C751218E4C00D479E4C14358122A389ACCA16205B1E4D0DC5F9476"
    assert Content(MODULE_PREAMBLE).digest == expected
    assert Content(MODULE_PREAMBLE + custom(TOKEN_SECTION, b"x")).digest == expected


@pytest.mark.parametrize("binary", FILES.values(), ids=FILES)
def test_of_what_tools_write_without_tokens_is_the_file(binary: bytes) -> None:
    assert bytes(Content(binary)) == binary
    assert bytes(Content(bytes(Content(binary)))) == binary


def test_sections_of_a_core_module_are_not_taken_for_nested_binaries() -> None:
    """Id 1 is a core module in a component, and the types in a core module; 4 are its tables."""
    module = MODULE_PREAMBLE + section(1, b"types") + section(4, b"tables")
    assert bytes(Content(module)) == module
    with pytest.raises(UnreadableBinary):
        Content(COMPONENT_PREAMBLE + section(1, b"types"))


@pytest.mark.parametrize(
    "binary",
    [
        b"",
        b"hello",
        b"(component)",
        MODULE_PREAMBLE[:7],
        b"\0asm\x0c\0\x01\0",
        COMPONENT_PREAMBLE + b"\x07",
        COMPONENT_PREAMBLE + b"\x07\x05\x00",
        COMPONENT_PREAMBLE + b"\x07\xff\xff\xff\xff\x0f",
        COMPONENT_PREAMBLE + b"\x07\x80\x80\x80\x80\x80\x00",
        COMPONENT_PREAMBLE + b"\x00\x00",
        COMPONENT_PREAMBLE + b"\x00\x02\x05ab",
        COMPONENT_PREAMBLE + b"\x00\x02\x01\xff",
        COMPONENT_PREAMBLE + section(4, b""),
        COMPONENT_PREAMBLE + section(4, COMPONENT_PREAMBLE[:4]) + COMPONENT_PREAMBLE[4:],
        COMPONENT_PREAMBLE + section(4, COMPONENT_PREAMBLE + b"\x07\x01") + b"\x00",
        COMPONENT_PREAMBLE + section(1, MODULE_PREAMBLE + b"\x01\x7f"),
    ],
)
def test_is_not_read_from_what_is_damaged(binary: bytes) -> None:
    with pytest.raises(UnreadableBinary, match="Build or copy it again"):
        Content(binary)


def nest(levels: int) -> bytes:
    """A component with `levels` components inside one another."""
    heads: list[bytes] = []
    size = len(COMPONENT_PREAMBLE)
    for _ in range(levels):
        head = COMPONENT_PREAMBLE + b"\x04" + leb(size)
        heads.append(head)
        size += len(head)
    return b"".join(reversed(heads)) + COMPONENT_PREAMBLE


def test_is_read_as_deep_as_components_are() -> None:
    assert bytes(Content(nest(MAX_NESTING))) == nest(MAX_NESTING)


@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 200_000])
def test_is_read_no_deeper(levels: int) -> None:
    with pytest.raises(UnreadableBinary, match="deep"):
        Content(nest(levels))


def test_is_read_of_so_many_sections() -> None:
    binary = COMPONENT_PREAMBLE + b"\x07\x00" * MAX_SECTIONS
    assert bytes(Content(binary)) == binary


def test_is_read_of_no_more_sections_wherever_they_are() -> None:
    inner = section(1, MODULE_PREAMBLE + b"\x01\x00" * (MAX_SECTIONS // 2))
    with pytest.raises(UnreadableBinary, match="sections"):
        Content(COMPONENT_PREAMBLE + inner + inner)
