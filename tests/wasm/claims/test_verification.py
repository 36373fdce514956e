"""Signing and verifying whole files: what is told of each that something was done to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import wasmtime
import wasmtime.component
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.binary import walk
from gateway.wasm.claims import (
    Claims,
    Content,
    KeyPair,
    Policy,
    PublicKey,
    embedded,
    examine,
    format_time,
    new_token_id,
    sign,
    verify,
)
from gateway.wasm.claims.errors import InvalidToken, UnreadableBinary
from tests.wasm.claims.elsewhere import (
    ACCOUNT,
    ACCOUNT_SEED,
    COMPONENT_PREAMBLE,
    DAY,
    LEGACY_TOKEN_SECTION,
    MODULE_RAW,
    NOW,
    OTHER_ACCOUNT,
    SUBJECT,
    TOKEN_SECTION,
    claims_of,
    custom,
    section,
    signed,
    token_for,
    token_of,
)
from tests.wasm.claims.files import COMPONENT, FILES, MODULE

ISSUER = KeyPair.from_seed(ACCOUNT_SEED)
STRICT = Policy(trusted_issuers=(PublicKey.parse(ACCOUNT),))
OPEN = Policy()

every_file = pytest.mark.parametrize("binary", FILES.values(), ids=FILES)


def kinds(binary: bytes, policy: Policy, now: float = NOW) -> list[str]:
    """The kinds of what is wrong; none if the file is accepted."""
    judgement = examine(binary, policy, now)
    assert judgement.accepted is not bool(judgement.refusals)
    return [refusal.kind for refusal in judgement.refusals]


def moved(binary: bytes, **changes: Any) -> bytes:
    """A file with the token of another."""
    return binary + custom(TOKEN_SECTION, token_for(b"another", **changes))


# What is done to a file, and what is said of it: by one who asks for nothing, and by one who trusts an account.
MATRIX: dict[str, tuple[Callable[[bytes], bytes], list[str], list[str]]] = {
    "signed": (signed, [], []),
    "unsigned": (lambda binary: binary, [], ["unsigned"]),
    "stripped": (lambda binary: bytes(Content(signed(binary))), [], ["unsigned"]),
    "expired": (lambda binary: signed(binary, exp=NOW - 1), ["expired"], ["expired"]),
    "expires": (lambda binary: signed(binary, exp=NOW), [], []),
    "early": (lambda binary: signed(binary, nbf=NOW + 1), ["not-yet-valid"], ["not-yet-valid"]),
    "begins": (lambda binary: signed(binary, nbf=NOW), [], []),
    "never": (
        lambda binary: signed(binary, nbf=NOW + 1, exp=NOW - 1),
        ["expired", "not-yet-valid"],
        ["expired", "not-yet-valid"],
    ),
    "for ages": (lambda binary: signed(binary, exp=2**64 - 1, nbf=0), [], []),
    "not for ages": (
        lambda binary: signed(binary, nbf=2**64 - 1),
        ["not-yet-valid"],
        ["not-yet-valid"],
    ),
    "another issuer": (
        lambda binary: signed(binary, raw_seed=MODULE_RAW, iss=OTHER_ACCOUNT),
        [],
        ["untrusted-issuer"],
    ),
    "an issuer by another's key": (
        lambda binary: signed(binary, raw_seed=MODULE_RAW),
        ["bad-signature"],
        ["bad-signature"],
    ),
    "a mistyped issuer": (
        lambda binary: signed(binary, iss=ACCOUNT.replace("A", "U", 1)),
        ["invalid-claims"],
        ["invalid-claims"],
    ),
    "another content": (moved, ["wrong-hash"], ["wrong-hash"]),
    "lower case": (
        lambda binary: signed(binary, wascap_hash=hashlib.sha256(binary).hexdigest()),
        ["wrong-hash"],
        ["wrong-hash"],
    ),
    "all at once": (
        lambda binary: moved(binary, raw_seed=MODULE_RAW, exp=1, nbf=NOW + DAY),
        ["bad-signature", "wrong-hash", "expired", "not-yet-valid"],
        ["bad-signature", "wrong-hash", "expired", "not-yet-valid"],
    ),
    "a revision before 3": (lambda binary: signed(binary, wascap_revision=2), [], []),
    "no revision": (lambda binary: signed(binary, wascap_revision=None), [], []),
    "a later revision": (lambda binary: signed(binary, wascap_revision=4), [], []),
    "a later revision of another content": (
        lambda binary: moved(binary, wascap_revision=4),
        ["wrong-hash"],
        ["wrong-hash"],
    ),
    "a revision before 3 of another content": (
        lambda binary: moved(binary, wascap_revision=2),
        [],
        ["unbound"],
    ),
    "no revision and no hash": (
        lambda binary: moved(binary, wascap_revision=None, wascap_hash=""),
        [],
        ["unbound"],
    ),
    "an old token by another": (
        lambda binary: moved(binary, wascap_revision=1, iss=OTHER_ACCOUNT, raw_seed=MODULE_RAW),
        [],
        ["unbound", "untrusted-issuer"],
    ),
    "the old section": (
        lambda binary: binary + custom(LEGACY_TOKEN_SECTION, token_for(binary)),
        [],
        [],
    ),
    "the token first": (
        lambda binary: (
            binary[:8] + custom(TOKEN_SECTION, token_for(binary), padding=2) + binary[8:]
        ),
        [],
        [],
    ),
    "two tokens": (
        lambda binary: signed(binary) + custom(TOKEN_SECTION, token_for(binary, exp=NOW + 1)),
        ["several-tokens"],
        ["several-tokens"],
    ),
    "a section after it": (
        lambda binary: signed(binary) + custom("x", b""),
        ["wrong-hash"],
        ["wrong-hash"],
    ),
    "no claims for a component": (
        lambda binary: binary + custom(TOKEN_SECTION, token_for(binary, wascap=None)),
        ["invalid-claims"],
        ["invalid-claims"],
    ),
    "no token in its place": (
        lambda binary: binary + custom(TOKEN_SECTION, b"hello"),
        ["invalid-token"],
        ["invalid-token"],
    ),
    "a token of megabytes": (
        lambda binary: binary + custom(TOKEN_SECTION, b"A" * (4 << 20)),
        ["invalid-token"],
        ["invalid-token"],
    ),
    "bytes after the end": (
        lambda binary: signed(binary) + b"\x07",
        ["unreadable-binary"],
        ["unreadable-binary"],
    ),
}


@every_file
@pytest.mark.parametrize("case", MATRIX)
def test_what_is_told(binary: bytes, case: str) -> None:
    change, at_least, strictly = MATRIX[case]
    changed = change(binary)
    assert kinds(changed, OPEN) == at_least
    assert kinds(changed, STRICT) == strictly
    # Who has only to be told is told the same.
    report = examine(changed, Policy(trusted_issuers=STRICT.trusted_issuers, mode="report"), NOW)
    assert report.accepted
    assert [refusal.kind for refusal in report.refusals] == strictly


def places(binary: bytes) -> list[Any]:
    """One byte in the middle of each section that has any, and of the name of each custom section."""
    found = []
    for depth, at in walk(binary):
        label = f"{depth}-{at.id}-{at.name}"
        if at.end > at.start:
            found.append(pytest.param((at.start + at.end) // 2, id=label))
        if at.name:
            found.append(pytest.param(at.start - 1, id=f"{label}-name"))
    return found


@pytest.mark.parametrize("bit", [0, 7])
class TestTampering:
    @pytest.mark.parametrize("at", places(signed(MODULE)))
    def test_with_a_section_of_a_core_module(self, at: int, bit: int) -> None:
        self.check(MODULE, at, bit)

    @pytest.mark.parametrize("at", places(signed(COMPONENT)))
    def test_with_a_section_of_a_component(self, at: int, bit: int) -> None:
        self.check(COMPONENT, at, bit)

    def check(self, binary: bytes, at: int, bit: int) -> None:
        altered = bytearray(signed(binary))
        altered[at] ^= 1 << bit
        told = kinds(bytes(altered), STRICT)
        if at < len(binary):
            assert told in (["wrong-hash"], ["unreadable-binary"])
        else:
            assert told


@every_file
def test_no_byte_of_a_signed_file_can_be_another(binary: bytes) -> None:
    """Every byte, preambles and lengths included: whatever it becomes, the file is not accepted as it was."""
    whole = signed(binary)
    for at in range(len(whole)):
        for mask in (0x01, 0x20, 0x80):
            altered = bytearray(whole)
            altered[at] ^= mask
            assert kinds(bytes(altered), STRICT), (at, mask)


@every_file
def test_no_part_of_a_signed_file_passes_for_it(binary: bytes) -> None:
    whole = signed(binary)
    for length in range(len(whole)):
        assert kinds(whole[:length], STRICT), length


@every_file
@given(data=st.data())
def test_bytes_put_in_are_noticed(binary: bytes, data: st.DataObject) -> None:
    whole = signed(binary)
    at = data.draw(st.integers(0, len(whole)))
    put_in = data.draw(st.binary(min_size=1, max_size=8))
    altered = whole[:at] + put_in + whole[at:]
    # The same token twice is one token, and an empty one of them is none: neither comes from eight bytes.
    assert kinds(altered, STRICT)


@given(st.binary(max_size=300))
def test_anything_at_all_is_told_or_unsigned(data: bytes) -> None:
    for binary in (data, COMPONENT_PREAMBLE + data, MODULE + data):
        for judgement in (examine(binary, OPEN, NOW), examine(binary, STRICT, NOW)):
            assert judgement.accepted is not bool(judgement.refusals)


class TestSigning:
    @every_file
    def test_is_what_others_accept(self, binary: bytes) -> None:
        """Byte for byte: the reference here signs the same, given the same identifier and time."""
        claims = Claims.read(claims_of(b"not this", exp=NOW, wascap_revision=1, iss=OTHER_ACCOUNT))
        expected = claims_of(binary)
        ordered = {"exp": NOW, **{name: expected[name] for name in expected}}
        payload = Claims.read(ordered).model_dump_json(exclude_none=True).encode()
        token = token_of(payload)
        assert sign(binary, claims, ISSUER) == binary + custom(TOKEN_SECTION, token)

    @every_file
    def test_is_verified(self, binary: bytes) -> None:
        found = verify(sign(binary, Claims.read(claims_of(b"")), ISSUER), NOW)
        assert found is not None
        assert (found.claims.iss, found.claims.sub) == (ACCOUNT, SUBJECT)
        assert found.proven
        assert found.faults == ()
        assert found.digest == hashlib.sha256(binary).hexdigest().upper()

    @every_file
    def test_again_replaces_every_token(self, binary: bytes) -> None:
        claims = Claims.read(claims_of(b""))
        inner = COMPONENT_PREAMBLE + custom(LEGACY_TOKEN_SECTION, b"x")
        before = signed(binary, exp=1) + custom(LEGACY_TOKEN_SECTION, b"x")
        if binary is COMPONENT:
            before += section(4, inner)
        twice = sign(sign(before, claims, ISSUER), claims, ISSUER)
        assert kinds(twice, STRICT) == []
        assert twice.count(b"wasmcloud_jwt") == 1
        assert twice.count(b"\x03jwt") == 0

    @every_file
    def test_leaves_what_the_engine_takes(self, binary: bytes) -> None:
        engine = wasmtime.Engine()
        take = wasmtime.Module if binary is MODULE else wasmtime.component.Component
        take(engine, sign(binary, Claims.read(claims_of(b"")), ISSUER))

    def test_writes_lengths_anew(self) -> None:
        """A file with long lengths stays verifiable: its digest never depended on them."""
        padded = MODULE + custom("x", b"y", padding=3)
        again = sign(padded, Claims.read(claims_of(b"")), ISSUER)
        assert len(again) < len(padded) + len(embedded(again) or b"") + 17
        assert kinds(again, STRICT) == []

    @pytest.mark.parametrize("binary", [b"", b"(component)", b"hello", COMPONENT + b"\x00"])
    def test_refuses_what_is_no_component(self, binary: bytes) -> None:
        with pytest.raises(UnreadableBinary):
            sign(binary, Claims.read(claims_of(b"")), ISSUER)

    def test_refuses_claims_that_are_too_much(self) -> None:
        claims = Claims.read(claims_of(b"", wascap_tags=["x" * 1000] * 100))
        with pytest.raises(InvalidToken):
            sign(MODULE, claims, ISSUER)


class TestMessages:
    """Which it is, and what to do, in the first words that an operator reads."""

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda binary: signed(binary, exp=NOW - 1), "expired at 2027-01-15T07:59:59Z"),
            (lambda binary: signed(binary, nbf=NOW + 1), "valid from 2027-01-15T08:00:01Z"),
            (lambda binary: signed(binary, exp=NOW - 1), "it is 2027-01-15T08:00:00Z"),
            (lambda binary: signed(binary, nbf=2**64 - 1), "18446744073709551615 seconds"),
            (lambda binary: signed(binary, raw_seed=MODULE_RAW), f"of the issuer {ACCOUNT}"),
            (moved, "the content is not the one that was signed"),
            (lambda binary: binary, "not signed, and must be"),
            (
                lambda binary: signed(binary, raw_seed=MODULE_RAW, iss=OTHER_ACCOUNT),
                f"issuer {OTHER_ACCOUNT} is not trusted \\(trusted_issuers: {ACCOUNT}\\)",
            ),
            (lambda binary: moved(binary, wascap_revision=2), "revision 2, whose hash"),
        ],
    )
    def test_say_which(self, change: Callable[[bytes], bytes], words: str) -> None:
        (refusal,) = examine(change(COMPONENT), STRICT, NOW).refusals
        with pytest.raises(type(refusal), match=words):
            raise refusal
        assert "gateway sign" in str(refusal) or "trusted issuer" in str(refusal)

    def test_show_no_character_that_a_terminal_obeys(self) -> None:
        judgement = examine(moved(COMPONENT, wascap_hash="\x1b[2J\u202e" * 50), STRICT, NOW)
        assert judgement.reason.isprintable()
        assert len(judgement.reason) < 1000

    def test_say_all_that_is_wrong(self) -> None:
        reason = examine(signed(MODULE, exp=1, nbf=NOW + 1), STRICT, NOW).reason
        assert "expired" in reason
        assert "valid from" in reason


class TestTimes:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (None, "never"),
            (0, "1970-01-01T00:00:00Z"),
            (253402300799, "9999-12-31T23:59:59Z"),
            (253402300800, "253402300800 seconds after 1970"),
            (2**64 - 1, "18446744073709551615 seconds after 1970"),
        ],
    )
    def test_are_written_whatever_they_are(self, seconds: int | None, text: str) -> None:
        assert format_time(seconds) == text

    def test_between_two_seconds_count(self) -> None:
        assert kinds(signed(MODULE, exp=NOW), OPEN, NOW + 0.5) == ["expired"]
        assert kinds(signed(MODULE, nbf=NOW), OPEN, NOW - 0.5) == ["not-yet-valid"]


class TestProof:
    """Whom a log or an event may name as the one who made a component."""

    @pytest.mark.parametrize(
        ("binary", "proven"),
        [
            (signed(MODULE), True),
            (signed(MODULE, exp=1), True),
            (signed(MODULE, wascap_revision=None), True),
            (moved(MODULE), False),
            (moved(MODULE, wascap_revision=None), False),
            (signed(MODULE, raw_seed=MODULE_RAW), False),
        ],
    )
    def test_is_a_signature_over_this_content(self, binary: bytes, proven: bool) -> None:
        found = verify(binary, NOW)
        assert found is not None
        assert found.proven is proven


def test_identifiers_of_tokens_are_like_those_of_wascap() -> None:
    identifiers = {new_token_id() for _ in range(100)}
    assert len(identifiers) == 100
    assert all(len(identifier) == 22 and identifier.isalnum() for identifier in identifiers)
