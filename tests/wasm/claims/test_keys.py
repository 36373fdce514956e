"""The text forms of keys."""

from __future__ import annotations

import string

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.claims import KeyKind, KeyPair, PublicKey
from gateway.wasm.claims.errors import InvalidKey
from tests.wasm.claims import elsewhere
from tests.wasm.claims.elsewhere import (
    ACCOUNT,
    ACCOUNT_RAW,
    ACCOUNT_SEED,
    SUBJECT,
    SUBJECT_SEED,
    key_text,
    public_text,
)

PREFIXES = {
    KeyKind.ACCOUNT: (0x00, "A"),
    KeyKind.CLUSTER: (0x10, "C"),
    KeyKind.MODULE: (0x60, "M"),
    KeyKind.SERVER: (0x68, "N"),
    KeyKind.OPERATOR: (0x70, "O"),
    KeyKind.USER: (0xA0, "U"),
    KeyKind.SERVICE: (0xA8, "V"),
}
kinds = st.sampled_from(KeyKind)
raw_keys = st.binary(min_size=32, max_size=32)


def test_every_kind_has_its_prefix() -> None:
    assert set(PREFIXES) == set(KeyKind)
    for kind, (prefix, letter) in PREFIXES.items():
        assert kind.prefix == prefix
        pair = KeyPair.generate(kind)
        assert str(pair.public)[0] == letter
        assert pair.seed[:2] == f"S{letter}"


def test_the_checksum_is_the_one_of_xmodem() -> None:
    """The check value of the catalogue of CRCs, for the reference that these tests go by."""
    assert elsewhere.crc16(b"123456789") == 0x31C3


def test_keys_made_elsewhere_are_read() -> None:
    account = KeyPair.from_seed(ACCOUNT_SEED)
    assert str(account.public) == ACCOUNT
    assert account.public.kind is KeyKind.ACCOUNT
    # RFC 8032, section 7.1, test 1.
    assert account.public.raw.hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert account.seed == ACCOUNT_SEED
    assert str(KeyPair.from_seed(SUBJECT_SEED).public) == SUBJECT


@given(kinds, raw_keys)
def test_public_keys_round_trip(kind: KeyKind, raw: bytes) -> None:
    key = PublicKey(kind, raw)
    assert str(key) == key_text([PREFIXES[kind][0]], raw)
    assert PublicKey.parse(str(key)) == key
    assert len(str(key)) == 56


@given(kinds, raw_keys)
def test_seeds_round_trip(kind: KeyKind, raw: bytes) -> None:
    prefix, _ = PREFIXES[kind]
    text = key_text([0x90 | prefix >> 5, (prefix & 31) << 3], raw)
    pair = KeyPair.from_seed(text)
    assert pair.seed == text
    assert len(text) == 58
    assert str(pair.public) == public_text(raw, prefix)


@given(kinds, raw_keys, st.data())
def test_one_wrong_character_is_told(kind: KeyKind, raw: bytes, data: st.DataObject) -> None:
    for text, read in (
        (str(PublicKey(kind, raw)), PublicKey.parse),
        (KeyPair(kind, Ed25519PrivateKey.from_private_bytes(raw)).seed, KeyPair.from_seed),
    ):
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.sampled_from(sorted(set(string.printable + "é") - {text[at]})))
        with pytest.raises(InvalidKey):
            read(text[:at] + other + text[at + 1 :])


@given(st.text() | st.none() | st.integers() | st.binary())
def test_anything_else_is_refused(text: object) -> None:
    for read in (PublicKey.parse, KeyPair.from_seed):
        with pytest.raises(InvalidKey):
            read(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ACCOUNT[:-1], "has 56 characters, not 55"),
        (f"{ACCOUNT}=", "has 56 characters, not 57"),
        (f" {ACCOUNT[1:]}", "upper-case letters"),
        (ACCOUNT.lower(), "upper-case letters"),
        (key_text([0x00], ACCOUNT_RAW, crc=0), "checksum"),
        (key_text([0xB8], ACCOUNT_RAW), "a curve key"),
        (key_text([0x08], ACCOUNT_RAW), "unknown"),
        (key_text([0x01], ACCOUNT_RAW), "unknown"),
        (ACCOUNT_SEED, "this is a secret"),
        (key_text([0x78], ACCOUNT_RAW), "this is a secret"),
        (None, "a text, not NoneType"),
    ],
)
def test_public_keys_are_refused_with_the_reason(text: object, reason: str) -> None:
    with pytest.raises(InvalidKey, match=reason):
        PublicKey.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ACCOUNT, "has 58 characters, not 56"),
        (key_text([0x90, 0x00], ACCOUNT_RAW, crc=0), "checksum"),
        # The last character of a seed has two bits to spare.
        (ACCOUNT_SEED[:-1] + chr(ord(ACCOUNT_SEED[-1]) + 1), "checksum"),
        (key_text([0x90, 0x01], ACCOUNT_RAW), "not the seed"),
        (key_text([0x90, 0x08], ACCOUNT_RAW), "not the seed"),
        (key_text([0x98, 0x00], ACCOUNT_RAW), "not the seed"),
        (key_text([0x90 | 0xB8 >> 5, (0xB8 & 31) << 3], ACCOUNT_RAW), "not the seed"),
    ],
)
def test_seeds_are_refused_with_the_reason(text: object, reason: str) -> None:
    with pytest.raises(InvalidKey, match=reason):
        KeyPair.from_seed(text)


def test_no_refusal_repeats_a_secret() -> None:
    wrong = ACCOUNT_SEED[:-4] + "AAAA"
    for text in (ACCOUNT_SEED, wrong, wrong[:-1], wrong.lower()):
        for read in (PublicKey.parse, KeyPair.from_seed):
            if (read, text) == (KeyPair.from_seed, ACCOUNT_SEED):
                continue
            with pytest.raises(InvalidKey) as caught:
                read(text)
            assert text[5:20] not in str(caught.value)
            assert text[5:20] not in repr(caught.value.at("seed.nk"))


def test_a_key_pair_does_not_show_its_seed() -> None:
    pair = KeyPair.from_seed(ACCOUNT_SEED)
    assert repr(pair) == f"KeyPair({ACCOUNT})"
    assert ACCOUNT_SEED not in f"{pair} {pair!r} {vars(type(pair))}"


def test_refusals_are_what_models_take_for_wrong_values() -> None:
    assert issubclass(InvalidKey, ValueError)
