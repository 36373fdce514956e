"""Where a token is, and which of several."""

from __future__ import annotations

import pytest
import wasmtime
import wasmtime.component

from gateway.wasm.claims import Content, embed, embedded
from gateway.wasm.claims.content import MAX_SECTIONS
from gateway.wasm.claims.errors import InvalidToken, SeveralTokens, UnreadableBinary
from gateway.wasm.claims.token import MAX_TOKEN_SIZE
from tests.wasm.claims.elsewhere import (
    COMPONENT_PREAMBLE,
    LEGACY_TOKEN_SECTION,
    MODULE_PREAMBLE,
    TOKEN_SECTION,
    custom,
    section,
)
from tests.wasm.claims.files import COMPONENT, FILES, MODULE
from tests.wasm.claims.test_content import nest

TOKEN = custom(TOKEN_SECTION, b"a.b.c")
LEGACY = custom(LEGACY_TOKEN_SECTION, b"a.b.c")
OTHER = custom(TOKEN_SECTION, b"d.e.f")
OTHER_LEGACY = custom(LEGACY_TOKEN_SECTION, b"d.e.f")


def in_module(sections: bytes) -> bytes:
    return section(1, MODULE_PREAMBLE + sections)


def in_component(sections: bytes) -> bytes:
    return section(4, COMPONENT_PREAMBLE + sections)


@pytest.mark.parametrize(
    "sections",
    [
        TOKEN,
        LEGACY,
        TOKEN + section(7, b""),
        custom("other", b"x") + TOKEN,
        in_module(LEGACY),
        in_component(LEGACY),
        in_component(in_component(in_module(LEGACY))),
        # The same token twice is one token.
        TOKEN + TOKEN,
        TOKEN + LEGACY,
        in_module(LEGACY) + TOKEN,
        # These belong to what was built in.
        in_module(OTHER) + TOKEN,
        in_component(OTHER) + LEGACY,
    ],
)
def test_a_token_is_found(sections: bytes) -> None:
    assert embedded(COMPONENT_PREAMBLE + sections) == b"a.b.c"


@pytest.mark.parametrize("sections", [TOKEN, LEGACY, TOKEN + LEGACY])
def test_a_token_of_a_core_module_is_found(sections: bytes) -> None:
    assert embedded(MODULE + sections) == b"a.b.c"


@pytest.mark.parametrize(
    "sections",
    [
        b"",
        custom("wasmcloud_jwt_", b"a.b.c"),
        custom("JWT", b"a.b.c"),
        custom("x", TOKEN),
        in_module(TOKEN),
        in_component(TOKEN),
        in_component(in_module(TOKEN)),
    ],
)
def test_none_is_found_where_none_is(sections: bytes) -> None:
    assert embedded(COMPONENT + sections) is None


def test_an_empty_section_is_a_token_that_is_wrong_rather_than_none() -> None:
    assert embedded(COMPONENT + custom(TOKEN_SECTION, b"")) == b""


@pytest.mark.parametrize(
    "sections",
    [
        TOKEN + OTHER,
        OTHER + TOKEN,
        TOKEN + OTHER_LEGACY,
        TOKEN + in_module(OTHER_LEGACY),
        in_module(OTHER_LEGACY) + TOKEN,
        in_module(LEGACY) + in_module(OTHER_LEGACY),
        TOKEN + TOKEN + custom(TOKEN_SECTION, b""),
        custom(TOKEN_SECTION, b"") + TOKEN,
    ],
)
def test_different_tokens_are_refused(sections: bytes) -> None:
    with pytest.raises(SeveralTokens, match="gateway sign"):
        embedded(COMPONENT_PREAMBLE + sections)


def test_a_section_may_be_as_large_as_a_token() -> None:
    token = b"x" * MAX_TOKEN_SIZE
    assert embedded(COMPONENT + custom(TOKEN_SECTION, token)) == token


def test_there_may_be_so_many_sections() -> None:
    binary = COMPONENT_PREAMBLE + b"\x07\x00" * (MAX_SECTIONS - 1) + TOKEN
    assert embedded(binary) == b"a.b.c"


@pytest.mark.parametrize("size", [MAX_TOKEN_SIZE + 1, 8 << 20])
def test_a_section_may_not_be_larger(size: int) -> None:
    with pytest.raises(InvalidToken, match=f"has {size} bytes"):
        embedded(COMPONENT + custom(TOKEN_SECTION, b"x" * size))


@pytest.mark.parametrize(
    ("binary", "reason"),
    [
        (b"hello", "neither a component nor a core module"),
        (COMPONENT + b"\x00\xff\xff\xff\xff\x0f", "bytes announced"),
        (COMPONENT + b"\x00\xff\xff\xff\xff\x0f" + TOKEN, "bytes announced"),
        (TOKEN, "neither a component nor a core module"),
        (nest(200_000), "deep"),
        (COMPONENT_PREAMBLE + b"\x07\x00" * (MAX_SECTIONS + 1), "sections"),
    ],
)
def test_nothing_is_found_in_what_is_damaged(binary: bytes, reason: str) -> None:
    with pytest.raises(UnreadableBinary, match=reason):
        embedded(binary)


@pytest.mark.parametrize("binary", FILES.values(), ids=FILES)
def test_embedding_puts_one_token_last(binary: bytes) -> None:
    signed = embed(Content(binary), "a.b.c")
    assert signed == binary + TOKEN
    assert embedded(signed) == b"a.b.c"


@pytest.mark.parametrize("binary", FILES.values(), ids=FILES)
def test_embedding_again_replaces_the_token(binary: bytes) -> None:
    once = embed(Content(binary + LEGACY), "d.e.f")
    assert embed(Content(once), "a.b.c") == binary + TOKEN


def test_the_engine_takes_what_has_a_token() -> None:
    engine = wasmtime.Engine()
    wasmtime.component.Component(engine, embed(Content(COMPONENT), "a.b.c"))
    wasmtime.Module(engine, embed(Content(MODULE), "a.b.c"))
