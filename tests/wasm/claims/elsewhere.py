"""Tokens and signed files as other programs make them: the format a second time, with none of our code.

What is here takes whatever it is given; so it makes the tokens that ours must refuse, too.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MODULE_PREAMBLE: Final = bytes.fromhex("0061736d01000000")
COMPONENT_PREAMBLE: Final = bytes.fromhex("0061736d0d000100")
TOKEN_SECTION: Final = "wasmcloud_jwt"  # noqa: S105
LEGACY_TOKEN_SECTION: Final = "jwt"  # noqa: S105

NOW: Final = 1_800_000_000
DAY: Final = 86_400

# Secrets of nobody: RFC 8032, section 7.1, tests 1 and 2.
ACCOUNT_RAW: Final = bytes.fromhex(
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
)
MODULE_RAW: Final = bytes.fromhex(
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
)


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM, a bit at a time."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def key_text(prefix: Sequence[int], raw: bytes, *, crc: int | None = None) -> str:
    data = bytes(prefix) + raw
    checksum = crc16(data) if crc is None else crc
    return base64.b32encode(data + checksum.to_bytes(2, "little")).decode().rstrip("=")


def public_text(raw_seed: bytes, prefix: int) -> str:
    key = Ed25519PrivateKey.from_private_bytes(raw_seed)
    return key_text([prefix], key.public_key().public_bytes_raw())


ACCOUNT: Final = public_text(ACCOUNT_RAW, 0x00)
ACCOUNT_SEED: Final = key_text([0x90, 0x00], ACCOUNT_RAW)
SUBJECT: Final = public_text(MODULE_RAW, 0x60)
SUBJECT_SEED: Final = key_text([0x90 | 0x60 >> 5, (0x60 & 31) << 3], MODULE_RAW)
OTHER_ACCOUNT: Final = public_text(MODULE_RAW, 0x00)


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


HEADER: Final = b'{"typ":"jwt","alg":"Ed25519"}'


def token_of(payload: bytes, *, header: bytes = HEADER, raw_seed: bytes = ACCOUNT_RAW) -> bytes:
    """Sign any payload under any header."""
    signed = b64(header) + b"." + b64(payload)
    return signed + b"." + b64(Ed25519PrivateKey.from_private_bytes(raw_seed).sign(signed))


def claims_of(content: bytes, **changes: Any) -> dict[str, Any]:
    """Claims for a content; a change to None takes one away. `wascap_*` change those of the component."""
    wascap = {
        "name": "echo",
        "hash": hashlib.sha256(content).hexdigest().upper(),
        "tags": ["a", "b"],
        "rev": 3,
        "ver": "0.1.2",
        "prov": False,
    }
    claims = {
        "jti": "lncoposvGtxNfajm8ZqBIH",
        "iat": NOW - DAY,
        "iss": ACCOUNT,
        "sub": SUBJECT,
        "wascap": wascap,
        "wascap_revision": 3,
    }
    for name, value in changes.items():
        inner = name.startswith("wascap_") and name != "wascap_revision"
        target: dict[str, Any] = wascap if inner else claims
        key = name.removeprefix("wascap_") if inner else name
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
    return claims


def token_for(content: bytes, *, raw_seed: bytes = ACCOUNT_RAW, **changes: Any) -> bytes:
    return token_of(compact(claims_of(content, **changes)), raw_seed=raw_seed)


def leb(value: int, padding: int = 0) -> bytes:
    """An unsigned LEB128, with bytes more than it needs."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    if padding:
        out[-1] |= 0x80
        out += b"\x80" * (padding - 1) + b"\x00"
    return bytes(out)


def section(section_id: int, payload: bytes, padding: int = 0) -> bytes:
    return bytes([section_id]) + leb(len(payload), padding) + payload


def custom(name: str, content: bytes, padding: int = 0) -> bytes:
    return section(0, leb(len(name)) + name.encode() + content, padding)


def signed(content: bytes, **changes: Any) -> bytes:
    """A content with a token of its own at its end, as wascap writes it."""
    return content + custom(TOKEN_SECTION, token_for(content, **changes))


@dataclass(frozen=True)
class Node:
    """A section, or a whole binary, before it is written.

    Attributes:
        section_id: the id of the section.
        payload: its payload, unless `children` is a tuple.
        component: whether what is nested is a component.
        children: the sections of what is nested.
        padding: bytes that the length has more than it needs.
        token: whether it is a section that holds a token.
    """

    section_id: int
    payload: bytes = b""
    component: bool = False
    children: tuple[Node, ...] | None = None
    padding: int = 0
    token: bool = False


def write(nodes: Sequence[Node], *, component: bool, plain: bool) -> bytes:
    """Write a binary; `plain` is without tokens, and with lengths as short as can be."""
    out = COMPONENT_PREAMBLE if component else MODULE_PREAMBLE
    for node in nodes:
        if plain and node.token:
            continue
        payload = node.payload
        if node.children is not None:
            payload = write(node.children, component=node.component, plain=plain)
        out += section(node.section_id, payload, 0 if plain else node.padding)
    return out
