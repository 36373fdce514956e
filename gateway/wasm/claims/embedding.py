"""The token in a component or core module: the section that holds it.

A token is in a custom section `wasmcloud_jwt` of the outermost level, or, in files of before 2022, in one
named `jwt` of any level. Sections of that first name further in belong to what was built in, and are passed
over.

Where there are several, they must be the same: then they are one token. Different ones are refused. wascap
takes the first in the file; but signing leaves exactly one, so a second was put there by someone else, and
which of them speaks for the file should not depend on who reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.wasm.binary import MalformedBinary, encode, walk
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.claims.content import LEGACY_TOKEN_SECTION, MAX_SECTIONS, TOKEN_SECTION, Content
from gateway.wasm.claims.errors import InvalidToken, SeveralTokens, UnreadableBinary
from gateway.wasm.claims.token import MAX_TOKEN_SIZE

__all__ = ["embed", "embedded"]


def embedded(binary: bytes) -> bytes | None:
    """The token in a component or core module, None where there is none.

    Raises:
        UnreadableBinary: the sections cannot be told apart.
        InvalidToken: a section that holds a token is larger than a token can be.
        SeveralTokens: there are different ones.
    """
    found: bytes | None = None
    try:
        for token in _tokens(binary):
            if found is not None and token != found:
                raise SeveralTokens(
                    "there are different tokens in this file, and only one can be right. Sign it again "
                    "(gateway sign), which leaves one; or get it from its issuer again."
                )
            found = token
    except MalformedBinary as error:
        raise UnreadableBinary(
            f"no component or core module that claims could be read from: {error}. Build or copy it again."
        ) from error
    return found


def embed(content: Content, token: str) -> bytes:
    """A component or core module with a token in it, and no other."""
    payload = encode.name(TOKEN_SECTION) + token.encode("ascii")
    return bytes(content) + encode.section(ComponentSection.CUSTOM, payload)


def _tokens(binary: bytes) -> Iterator[bytes]:
    for count, (depth, section) in enumerate(walk(binary)):
        if count >= MAX_SECTIONS:
            raise MalformedBinary(section.start, f"more than {MAX_SECTIONS} sections")
        outermost = depth == 0 and section.name == TOKEN_SECTION
        if not outermost and section.name != LEGACY_TOKEN_SECTION:
            continue
        size = section.end - section.start
        if size > MAX_TOKEN_SIZE:
            raise InvalidToken(
                f"the section {section.name} has {size} bytes, and no token more than {MAX_TOKEN_SIZE}. "
                "Sign the component again (gateway sign), which replaces it."
            )
        yield binary[section.start : section.end]
