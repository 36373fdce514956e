"""Tokens: what is written, what is read, and what is not taken for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasm.claims import Claims, KeyPair, Wascap, read_token, write_token
from gateway.wasm.claims.errors import ClaimsError, InvalidClaims, InvalidToken
from gateway.wasm.claims.model import MAX_ITEMS, MAX_TEXT
from gateway.wasm.claims.token import MAX_TOKEN_SIZE
from tests.wasm.claims.elsewhere import (
    ACCOUNT,
    ACCOUNT_SEED,
    HEADER,
    MODULE_RAW,
    NOW,
    OTHER_ACCOUNT,
    SUBJECT,
    b64,
    claims_of,
    compact,
    key_text,
    token_for,
    token_of,
)

ISSUER = KeyPair.from_seed(ACCOUNT_SEED)
GOOD = token_for(b"")

texts = st.text(max_size=12) | st.text(alphabet='"\\/\x00\x1b\n\u202e\U0001f600é', max_size=5)
text_lists = st.lists(texts, max_size=3).map(tuple)
seconds = st.integers(0, 2**64 - 1)
wascaps = st.builds(
    Wascap,
    name=st.none() | texts,
    hash=texts,
    tags=st.none() | text_lists,
    caps=st.none() | text_lists,
    rev=st.none() | st.integers(-(2**31), 2**31 - 1),
    ver=st.none() | texts,
    call_alias=st.none() | texts,
    prov=st.booleans(),
)
all_claims = st.builds(
    Claims,
    exp=st.none() | seconds,
    jti=texts,
    iat=seconds,
    iss=st.just(ACCOUNT),
    sub=texts.filter(bool),
    nbf=st.none() | seconds,
    wascap=wascaps,
    wascap_revision=st.none() | st.integers(0, 2**32 - 1),
)


def parts(token: str | bytes) -> list[bytes]:
    data = token.encode() if isinstance(token, str) else token
    return [base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)) for part in data.split(b".")]


class TestWriting:
    @given(all_claims)
    def test_every_field_survives(self, claims: Claims) -> None:
        token = read_token(write_token(claims, ISSUER).encode())
        assert token.claims == claims
        assert token.signature_valid
        assert token.issuer == ISSUER.public

    @given(all_claims)
    def test_is_what_others_read(self, claims: Claims) -> None:
        text = write_token(claims, ISSUER)
        header, payload, signature = parts(text)
        assert header == HEADER
        fields = json.loads(payload)
        assert set(fields) <= set(Claims.model_fields)
        assert set(fields["wascap"]) <= set(Wascap.model_fields)
        assert None not in (*fields.values(), *fields["wascap"].values())
        key = Ed25519PublicKey.from_public_bytes(ISSUER.public.raw)
        key.verify(signature, text.rpartition(".")[0].encode())

    def test_is_the_same_byte_for_byte(self) -> None:
        """In the order and the form of wascap, which writes no JSON field that has no value."""
        fields = {"exp": NOW, **claims_of(b"", nbf=1, wascap_name='é\n"\u2028\U0001f600\x7f')}
        ordered = {
            name: fields[name]
            for name in ("exp", "jti", "iat", "iss", "sub", "nbf", "wascap", "wascap_revision")
        }
        assert write_token(Claims.read(ordered), ISSUER).encode() == token_of(compact(ordered))

    def test_names_who_signed(self) -> None:
        claims = Claims.read(claims_of(b"", iss=OTHER_ACCOUNT))
        assert read_token(write_token(claims, ISSUER).encode()).claims.iss == ACCOUNT

    def test_makes_no_token_that_would_be_refused(self) -> None:
        claims = Claims.read(claims_of(b"", wascap_tags=["x" * MAX_TEXT] * MAX_ITEMS))
        with pytest.raises(InvalidToken, match="fewer or shorter tags"):
            write_token(claims, ISSUER)


class TestReading:
    def test_takes_what_was_made_elsewhere(self) -> None:
        token = read_token(token_for(b"", exp=NOW, nbf=5, wascap_call_alias="echo"))
        assert token.signature_valid
        assert str(token.issuer) == ACCOUNT
        assert token.text.encode() == token_for(b"", exp=NOW, nbf=5, wascap_call_alias="echo")
        claims = token.claims
        assert (claims.exp, claims.nbf, claims.sub) == (NOW, 5, SUBJECT)
        assert claims.wascap == Wascap(
            name="echo",
            hash=hashlib.sha256(b"").hexdigest().upper(),
            tags=("a", "b"),
            rev=3,
            ver="0.1.2",
            call_alias="echo",
        )
        assert claims.binding

    @pytest.mark.parametrize("revision", [None, 0, 1, 2])
    def test_takes_earlier_revisions(self, revision: int | None) -> None:
        token = read_token(token_for(b"", wascap_revision=revision, wascap_caps=["wasmcloud:x"]))
        assert token.signature_valid
        assert not token.claims.binding
        assert token.claims.wascap.caps == ("wasmcloud:x",)

    @pytest.mark.parametrize("prefix", [0x00, 0x10, 0x60, 0x68, 0x70, 0xA0, 0xA8])
    def test_takes_an_issuer_of_any_kind(self, prefix: int) -> None:
        iss = key_text([prefix], ISSUER.public.raw)
        assert read_token(token_for(b"", iss=iss)).signature_valid

    @pytest.mark.parametrize(
        "header",
        [
            b'{"alg":"Ed25519","typ":"jwt"}',
            b'{ "typ": "jwt",\n"alg": "Ed25519" }',
            b'{"typ":"\\u006awt","alg":"Ed25519"}',
        ],
    )
    def test_takes_a_header_that_says_the_same(self, header: bytes) -> None:
        assert read_token(token_of(compact(claims_of(b"")), header=header)).signature_valid

    def test_passes_over_claims_that_it_does_not_know(self) -> None:
        fields = claims_of(b"", aud=[1, {"a": None}], wascap_new={"x": 1e9}, issuer="x")
        token = read_token(token_of(compact(fields)))
        assert token.signature_valid
        assert token.claims == Claims.read(claims_of(b""))

    @pytest.mark.parametrize("field", ["exp", "nbf", "wascap_revision"])
    def test_takes_null_for_what_may_be_absent(self, field: str) -> None:
        token = read_token(token_of(compact({**claims_of(b""), field: None})))
        assert getattr(token.claims, field) is None

    def test_tells_a_signature_of_another_key(self) -> None:
        assert not read_token(token_for(b"", raw_seed=MODULE_RAW)).signature_valid

    @given(st.integers(0, 63), st.integers(0, 7))
    def test_tells_a_signature_with_another_bit(self, at: int, bit: int) -> None:
        signed, _, _ = GOOD.rpartition(b".")
        altered = bytearray(parts(GOOD)[2])
        altered[at] ^= 1 << bit
        assert not read_token(signed + b"." + b64(bytes(altered))).signature_valid

    def test_tells_claims_that_were_altered(self) -> None:
        header, _, signature = GOOD.split(b".")
        payload = b64(compact(claims_of(b"", sub="MX")))
        token = read_token(b".".join((header, payload, signature)))
        assert not token.signature_valid


def hmac_token(bits: int, secret: bytes) -> bytes:
    """A token whose secret is what everyone knows: the attack on verifiers that believe the header."""
    header = b'{"typ":"jwt","alg":"HS%d"}' % bits
    signed = b64(header) + b"." + b64(compact(claims_of(b"")))
    return signed + b"." + b64(hmac.digest(secret, signed, f"sha{bits}"))


SIGNED = GOOD.rpartition(b".")[0]
SIGNATURE = parts(GOOD)[2]
# RFC 7519, section 6: no signature at all.
UNSECURED = b64(b'{"typ":"jwt","alg":"none"}') + b"." + b64(compact(claims_of(b""))) + b"."


def with_payload(payload: bytes) -> bytes:
    return token_of(payload)


def with_claims(**changes: Any) -> bytes:
    return token_for(b"", **changes)


def raw_claims(old: bytes, new: bytes) -> bytes:
    payload = compact(claims_of(b""))
    assert old in payload
    return token_of(payload.replace(old, new, 1))


class TestRefusing:
    """Every token here that can be has a valid signature: it is not what saves the reader."""

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            (b"", "of 1"),
            (b"..", "header of the token cannot be read as JSON"),
            (SIGNED, "of 2"),
            (GOOD + b".x", "of 4"),
            (GOOD + b".", "of 4"),
            (GOOD + b"\n", "signature of the token is not base64url"),
            (GOOD + b"\0", "signature of the token is not base64url"),
            (b" " + GOOD, "header of the token is not base64url"),
            (GOOD + b"=", "signature of the token is not base64url"),
            (GOOD + b"==", "signature of the token is not base64url"),
            (GOOD.replace(b".", b"=.", 1), "header of the token is not base64url"),
            (GOOD.replace(b".", b"+.", 1), "header of the token is not base64url"),
            (b"\xff" + GOOD, "header of the token is not base64url"),
            ("é".encode() + GOOD, "header of the token is not base64url"),
            (SIGNED + b"." + b64(SIGNATURE[:-1]), "signature of the token has 63 bytes"),
            (SIGNED + b"." + b64(SIGNATURE + b"\0"), "signature of the token has 65 bytes"),
            (SIGNED + b".", "signature of the token has 0 bytes"),
            (UNSECURED, "none.*no other algorithm"),
            (b"x" * (MAX_TOKEN_SIZE + 1), f"has {MAX_TOKEN_SIZE + 1} bytes"),
            (b"." * (16 << 20), "bytes, and the most is"),
            (hmac_token(256, ACCOUNT.encode()), "HS256.*no other algorithm"),
            (hmac_token(256, ISSUER.public.raw), "HS256.*no other algorithm"),
            (hmac_token(512, ACCOUNT.encode()), "HS512.*no other algorithm"),
            (hmac_token(512, ISSUER.public.raw), "HS512.*no other algorithm"),
        ],
    )
    def test_what_has_not_the_form(self, token: bytes, reason: str) -> None:
        with pytest.raises(InvalidToken, match=reason):
            read_token(token)

    def test_a_signature_written_another_way(self) -> None:
        """64 bytes are 86 characters, whose last has four bits that mean nothing."""
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        at = alphabet.index(GOOD[-1])
        assert at % 16 == 0
        for other in alphabet[at + 1 : at + 16]:
            with pytest.raises(InvalidToken, match="base64url"):
                read_token(GOOD[:-1] + bytes([other]))

    @pytest.mark.parametrize(
        "header",
        [
            b'{"typ":"jwt","alg":"none"}',
            b'{"typ":"jwt","alg":"None"}',
            b'{"typ":"jwt","alg":""}',
            b'{"typ":"jwt","alg":null}',
            b'{"typ":"jwt","alg":["Ed25519"]}',
            b'{"typ":"jwt","alg":"EdDSA"}',
            b'{"typ":"jwt","alg":"ed25519"}',
            b'{"typ":"jwt","alg":"HS256"}',
            b'{"typ":"jwt","alg":"RS256"}',
            b'{"typ":"JWT","alg":"Ed25519"}',
            b'{"alg":"Ed25519"}',
            b'{"typ":"jwt"}',
            b"{}",
            b"[]",
            b"null",
            b'"jwt"',
            b'{"typ":"jwt","alg":"Ed25519","kid":"x"}',
            b'{"typ":"jwt","alg":"Ed25519","b64":false,"crit":["b64"]}',
            b'{"typ":"jwt","alg":"Ed25519","crit":["x"],"x":1}',
            b'{"typ":"jwt","alg":"Ed25519","jwk":{}}',
            b'{"typ":"jwt","alg":"Ed25519","\\u001b[2J":"\\ud800"}',
            '{"\u202e\x7f":"x"}'.encode(),
        ],
    )
    def test_every_other_header(self, header: bytes) -> None:
        with pytest.raises(InvalidToken, match="no other algorithm is taken") as caught:
            read_token(token_of(compact(claims_of(b"")), header=header))
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize(
        "header",
        [
            b'{"typ":"jwt","alg":"none","alg":"Ed25519"}',
            b'{"typ":"jwt","alg":"Ed25519","alg":"Ed25519"}',
            b"",
            b"{",
            b'{"typ":"jwt","alg":"Ed25519"}x',
            b'\xef\xbb\xbf{"typ":"jwt","alg":"Ed25519"}',
            b'\xff{"typ":"jwt","alg":"Ed25519"}',
            '{"typ":"jwt","alg":"Ed25519"}'.encode("utf-16"),
            b"[" * 40_000,
        ],
    )
    def test_a_header_that_is_no_clear_json(self, header: bytes) -> None:
        with pytest.raises(InvalidToken, match="header of the token cannot be read as JSON"):
            read_token(token_of(compact(claims_of(b"")), header=header))

    @pytest.mark.parametrize(
        ("payload", "reason"),
        [
            (b"", "Expecting value"),
            (b"{", "Expecting property name"),
            (compact(claims_of(b"")) + b"{}", "Extra data"),
            (compact(claims_of(b"")) + b"\0", "Extra data"),
            (b'{"iss":NaN}', "NaN is no JSON"),
            (b'{"iss":-Infinity}', "-Infinity is no JSON"),
            (b"[" * 40_000, "nested too deeply"),
            (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested too deeply"),
            (b"\xff\xfe{}", "not UTF-8"),
            ("{}".encode("utf-16-le"), "Expecting property name"),
            (b'{"iat":' + b"9" * 40_000 + b"}", "4300 digits"),
            (b'{"iss":"a","iss":"b"}', '"iss" is given twice'),
            (b'{"x":{"y":{"z":1,"z":1}}}', '"z" is given twice'),
            (b'{"\\u001b":1,"\\u001b":1}', r'"\\x1b" is given twice'),
        ],
    )
    def test_a_payload_that_is_no_clear_json(self, payload: bytes, reason: str) -> None:
        with pytest.raises(InvalidToken, match=reason) as caught:
            read_token(with_payload(payload))
        assert str(caught.value).isprintable()

    def test_many_keys_cost_no_more_than_their_number(self) -> None:
        """The last of ten thousand keys is there twice: looking for it is one pass."""
        keys = b",".join(b'"%d":0' % number for number in range(5_000))
        with pytest.raises(InvalidToken, match='"4999" is given twice'):
            read_token(with_payload(b"{" + keys + b',"4999":1}'))

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            (with_payload(b"[]"), "all of them"),
            (with_payload(b"null"), "all of them"),
            (with_payload(b"{}"), "jti: .*iat: .*iss: .*sub: .*wascap: "),
            (with_claims(jti=None), "jti: Field required"),
            (with_claims(iat=None), "iat: Field required"),
            (with_claims(iss=None), "iss: Field required"),
            (with_claims(sub=None), "sub: Field required"),
            (with_claims(wascap=None), "wascap: Field required"),
            (with_claims(wascap_hash=None), "wascap.hash: Field required"),
            (with_claims(iss=""), "iss: "),
            (with_claims(sub=""), "sub: "),
            (with_claims(iss=7), "iss: "),
            (with_claims(iss=["A"]), "iss: "),
            (with_claims(iss="x"), "iss is not the key of an issuer"),
            (with_claims(iss=ACCOUNT.lower()), "iss is not the key of an issuer"),
            (with_claims(iss=ACCOUNT[:-1] + "A"), "checksum"),
            (with_claims(iss=key_text([0xB8], ISSUER.public.raw)), "curve key"),
            (with_claims(iss=ACCOUNT_SEED), "secret"),
            (with_claims(exp=-1), "exp: "),
            (with_claims(exp=2**64), "exp: "),
            (with_claims(exp=10**4000), "exp: "),
            (with_claims(exp=1.0), "exp: "),
            (with_claims(exp="1"), "exp: "),
            (with_claims(exp=True), "exp: "),
            (with_claims(nbf=-1), "nbf: "),
            (with_claims(nbf=2**64), "nbf: "),
            (with_claims(nbf=False), "nbf: "),
            (with_claims(iat=1e9), "iat: "),
            (with_claims(iat=2**64), "iat: "),
            (with_claims(wascap_revision=-1), "wascap_revision: "),
            (with_claims(wascap_revision=2**32), "wascap_revision: "),
            (with_claims(wascap_revision="3"), "wascap_revision: "),
            (with_claims(wascap_revision=3.0), "wascap_revision: "),
            (with_claims(wascap=[]), "wascap: "),
            (with_claims(wascap_name=1), "wascap.name: "),
            (with_claims(wascap_name="x" * (MAX_TEXT + 1)), "wascap.name: "),
            (with_claims(wascap_hash="x" * (MAX_TEXT + 1)), "wascap.hash: "),
            (with_claims(sub="x" * (MAX_TEXT + 1)), "sub: "),
            (with_claims(jti="x" * (MAX_TEXT + 1)), "jti: "),
            (with_claims(wascap_tags="ab"), "wascap.tags: "),
            (with_claims(wascap_tags={"a": 1}), "wascap.tags: "),
            (with_claims(wascap_tags=["a", 1]), "wascap.tags.1: "),
            (with_claims(wascap_tags=["a"] * (MAX_ITEMS + 1)), "wascap.tags: "),
            (with_claims(wascap_caps=[1] * 9_999), "wascap.caps"),
            (with_claims(wascap_rev=2**31), "wascap.rev: "),
            (with_claims(wascap_rev=-(2**31) - 1), "wascap.rev: "),
            (with_claims(wascap_rev=1.0), "wascap.rev: "),
            (with_claims(wascap_prov=0), "wascap.prov: "),
            (with_claims(wascap_prov="false"), "wascap.prov: "),
            (raw_claims(b'"prov":false', b'"prov":null'), "wascap.prov: "),
            (raw_claims(b'"echo"', b'"\\ud800"'), "wascap.name: "),
            (raw_claims(b'"echo"', b"1e999"), "wascap.name: "),
        ],
    )
    def test_claims_of_another_type_or_size(self, token: bytes, reason: str) -> None:
        with pytest.raises(InvalidClaims, match=reason) as caught:
            read_token(token)
        assert len(str(caught.value)) < 1000
        assert ACCOUNT_SEED not in str(caught.value)

    @given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
    def test_anything_at_all(self, data: bytes) -> None:
        with pytest.raises(ClaimsError):
            read_token(data)

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
        st.sampled_from(
            [*Claims.model_fields, *(f"wascap_{name}" for name in Wascap.model_fields)]
        ),
    )
    def test_no_value_of_a_claim_is_more_than_refused(self, value: Any, name: str) -> None:
        try:
            read_token(with_claims(**{name: value}))
        except ClaimsError as error:
            assert str(error)  # noqa: PT017  (some values are right)


class TestOthersReadTheSame:
    def test_pyjwt_by_itself_reads_ours(self) -> None:
        """With another name for the algorithm, which is all that is particular."""
        text = write_token(Claims.read(claims_of(b"")), ISSUER)
        options = {"verify_signature": False}
        assert jwt.PyJWS().decode_complete(text, options=options)["header"] == json.loads(HEADER)  # type: ignore[arg-type]
