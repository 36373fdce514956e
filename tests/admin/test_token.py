"""Tokens: which open the API, and that no other does."""

import base64
import hashlib
import hmac
import json
import string
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.admin.token import (
    MAX_TOKEN_SIZE,
    InvalidToken,
    NoToken,
    Principal,
    TokenScope,
    Verifier,
    bearer,
)
from gateway.config.admin import AdminConfig
from tests.admin.issuer import (
    ALGORITHMS,
    AUDIENCE,
    ISSUER,
    KEYS,
    SECRET,
    claims,
    jwk,
    pem,
    token,
    unsigned,
    write_jwks,
)

LATER = int(time.time()) + 86_400
"""Longer after the tests were collected than they take."""


@pytest.fixture
def secret(tmp_path: Path) -> Verifier:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return verifier(secret_file=path)


@pytest.fixture
def jwks(tmp_path: Path) -> Verifier:
    path = write_jwks(tmp_path / "jwks", *(jwk(kind, kid=kind) for kind in KEYS))
    return verifier(jwks_file=path)


def verifier(**keys: Any) -> Verifier:
    return Verifier(AdminConfig(**{"issuer": ISSUER, "audience": AUDIENCE, "leeway": 0, **keys}))


def public_key(tmp_path: Path, kind: str) -> Verifier:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(kind))
    return verifier(public_key_file=path)


def hmac_token(key: bytes, header: dict[str, Any]) -> str:
    """A token of HS256, made by hand: PyJWT refuses to sign with a public key."""
    signed = unsigned(header).rpartition(".")[0]
    signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class TestTaken:
    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    def test_secret(self, secret: Verifier, algorithm: str) -> None:
        assert secret.verify(token(algorithm)) == Principal(
            "operator@example.com", "token-1", frozenset(TokenScope)
        )

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_public_key(self, tmp_path: Path, algorithm: str) -> None:
        found = public_key(tmp_path, ALGORITHMS[algorithm]).verify(token(algorithm))
        assert found.scopes == set(TokenScope)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_jwks(self, jwks: Verifier, algorithm: str) -> None:
        assert jwks.verify(token(algorithm, kid=ALGORITHMS[algorithm])).scopes == set(TokenScope)

    def test_kid_means_nothing_to_a_key_without(self, secret: Verifier) -> None:
        assert secret.verify(token(kid="whatever")).scopes == set(TokenScope)

    def test_one_of_several_audiences(self, secret: Verifier) -> None:
        assert secret.verify(token(aud=["others", AUDIENCE])).scopes == set(TokenScope)

    def test_without_what_is_optional(self, secret: Verifier) -> None:
        bare = token(nbf=None, iat=None, sub=None, jti=None, scope=None)
        assert secret.verify(bare) == Principal(None, None, frozenset())

    @pytest.mark.parametrize(
        ("scope", "scopes"),
        [
            ("", set()),
            ("components:read", {"components:read"}),
            ("openid  components:read", {"openid", "components:read"}),
            ("components:readx", {"components:readx"}),
        ],
    )
    def test_scopes_are_words(self, secret: Verifier, scope: str, scopes: set[str]) -> None:
        assert secret.verify(token(scope=scope)).scopes == scopes

    def test_leeway(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text(SECRET)
        expired = token(exp=int(time.time()) - 60)
        with pytest.raises(InvalidToken, match="expired"):
            verifier(secret_file=path, leeway="30s").verify(expired)
        assert verifier(secret_file=path, leeway="2m").verify(expired).scopes == set(TokenScope)


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"exp": int(time.time()) - 1}, "expired"),
            ({"exp": None}, "exp"),
            ({"exp": "tomorrow"}, "exp"),
            ({"exp": [1]}, "exp"),
            ({"exp": float("inf")}, "exp"),
            ({"exp": float("nan")}, "exp"),
            ({"nbf": LATER}, "not yet valid"),
            ({"nbf": "soon"}, "nbf"),
            ({"iat": LATER}, "not yet valid"),
            ({"iss": "https://elsewhere.example"}, "issuer"),
            ({"iss": None}, "iss"),
            ({"iss": [ISSUER]}, "[Ii]ss"),
            ({"aud": "elsewhere.example"}, "[Aa]udience"),
            ({"aud": None}, "aud"),
            ({"aud": []}, "aud"),
            ({"aud": {AUDIENCE: 1}}, "claim"),
            ({"aud": [AUDIENCE, 1]}, "claim"),
            ({"sub": 7}, "Subject"),
            ({"scope": ["components:read"]}, "scope"),
        ],
    )
    def test_claims(self, secret: Verifier, changes: dict[str, Any], reason: str) -> None:
        # Not by jwt.encode, which refuses to write some of these.
        payload = json.dumps(
            {**claims(), **changes} if None not in changes.values() else claims(**changes)
        )
        signed = jwt.PyJWS().encode(payload.encode(), SECRET, algorithm="HS256")
        with pytest.raises(InvalidToken, match=reason):
            secret.verify(signed)

    @pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
    @pytest.mark.parametrize("signature", [b"", b"x"])
    def test_none(self, secret: Verifier, jwks: Verifier, alg: str, signature: bytes) -> None:
        for verify in (secret.verify, jwks.verify):
            with pytest.raises(InvalidToken, match="alg"):
                verify(unsigned({"alg": alg, "typ": "JWT"}, signature=signature))

    @pytest.mark.parametrize("kind", KEYS)
    def test_public_key_as_secret(self, tmp_path: Path, kind: str) -> None:
        known_to_all = pem(kind)
        verify = public_key(tmp_path, kind).verify
        for key in (known_to_all, known_to_all.strip(), known_to_all.rstrip(b"\n")):
            with pytest.raises(InvalidToken, match="'HS256'"):
                verify(hmac_token(key, {"alg": "HS256", "typ": "JWT"}))

    def test_jwk_as_secret(self, jwks: Verifier) -> None:
        key = json.dumps(jwk("rsa", kid="rsa")).encode()
        with pytest.raises(InvalidToken, match="'HS256'"):
            jwks.verify(hmac_token(key, {"alg": "HS256", "kid": "rsa"}))

    def test_key_of_the_token_itself(self, jwks: Verifier) -> None:
        forged = jwt.encode(
            claims(), SECRET, algorithm="HS256", headers={"kid": "rsa", "jwk": {"kty": "oct"}}
        )
        with pytest.raises(InvalidToken):
            jwks.verify(forged)

    def test_key_of_another_kid(self, jwks: Verifier) -> None:
        with pytest.raises(InvalidToken, match="'RS256'"):
            jwks.verify(token("RS256", kid="p256"))

    @pytest.mark.parametrize("kid", ["elsewhere", "", "../../../dev/null", "' OR 1=1 --"])
    def test_unknown_kid(self, jwks: Verifier, kid: str) -> None:
        with pytest.raises(InvalidToken, match="no key has the kid"):
            jwks.verify(token("RS256", kid=kid))

    def test_alg_that_is_not_the_one_of_the_key(self, tmp_path: Path) -> None:
        path = write_jwks(tmp_path / "jwks", jwk("rsa", kid="rsa", alg="RS512"))
        verify = verifier(jwks_file=path).verify
        assert verify(token("RS512", kid="rsa")).scopes == set(TokenScope)
        with pytest.raises(InvalidToken, match="alg 'RS256'"):
            verify(token("RS256", kid="rsa"))

    def test_algorithm_that_is_not_allowed(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text(SECRET)
        verify = verifier(secret_file=path, algorithms=["HS512"]).verify
        assert verify(token("HS512")).scopes == set(TokenScope)
        with pytest.raises(InvalidToken, match="alg 'HS256'"):
            verify(token("HS256"))

    def test_secret_for_a_public_key(self, secret: Verifier) -> None:
        with pytest.raises(InvalidToken, match="'RS256'"):
            secret.verify(token("RS256"))

    def test_other_secret(self, secret: Verifier) -> None:
        with pytest.raises(InvalidToken, match=r"[Ss]ignature"):
            secret.verify(token(key="another secret of the same length" * 2))

    @pytest.mark.parametrize("part", [0, 1, 2])
    @pytest.mark.parametrize("added", ["=", "==", "~", "+", "/", "%", "\n", "\0"])
    def test_other_ways_to_write_it(self, secret: Verifier, part: int, added: str) -> None:
        parts = token().split(".")
        for changed in (parts[part] + added, parts[part][:2] + added + parts[part][2:]):
            with pytest.raises(InvalidToken):
                secret.verify(".".join((*parts[:part], changed, *parts[part + 1 :])))

    def test_bits_that_mean_nothing(self, secret: Verifier) -> None:
        # 32 bytes are 43 characters, whose last has two bits too many.
        digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
        good = token()
        for more in (1, 2, 3):
            with pytest.raises(InvalidToken, match="base64url"):
                secret.verify(good[:-1] + digits[digits.index(good[-1]) + more])

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_any_change(self, secret: Verifier, part: int) -> None:
        parts = token().split(".")
        first = parts[part][0]
        parts[part] = ("A" if first != "A" else "B") + parts[part][1:]
        with pytest.raises(InvalidToken):
            secret.verify(".".join(parts))

    @pytest.mark.parametrize(
        "garbage",
        [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "a" * 100,
            unsigned(b"not json"),
            unsigned(b"[]"),
            unsigned(b"null"),
            unsigned(b"[" * 4000),
            unsigned(b'{"alg":' + b"[" * 3000),
            unsigned({}),
            unsigned({"alg": None}),
            unsigned({"alg": ["HS256"]}),
            unsigned({"alg": {"HS256": 1}}),
            unsigned({"alg": "HS256", "kid": 7}),
            unsigned({"alg": "HS256", "kid": ["a"]}),
            unsigned({"alg": "HS256", "crit": ["exp"]}),
            unsigned({"alg": "HS256", "b64": False}),
        ],
    )
    def test_garbage(self, secret: Verifier, jwks: Verifier, garbage: str) -> None:
        for verify in (secret.verify, jwks.verify):
            with pytest.raises(InvalidToken):
                verify(garbage)

    def test_claims_that_are_no_object(self, secret: Verifier) -> None:
        for payload in (b"[]", b"1", b"null", b"{", b"[" * 4000, b"\xff"):
            signed = jwt.PyJWS().encode(payload, SECRET, algorithm="HS256")
            with pytest.raises(InvalidToken):
                secret.verify(signed)

    @given(text=st.text("ABCabc0129-_.=", max_size=200))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_anything(self, secret: Verifier, text: str) -> None:
        with pytest.raises(InvalidToken):
            secret.verify(text)


class TestHeader:
    def test_token(self) -> None:
        assert bearer([(b"host", b"x"), (b"authorization", b"Bearer a.b-c_d.e=")]) == "a.b-c_d.e="

    @pytest.mark.parametrize("scheme", [b"bearer", b"BEARER", b"Bearer  "])
    def test_scheme(self, scheme: bytes) -> None:
        assert bearer([(b"authorization", scheme + b" abc")]) == "abc"

    def test_none(self) -> None:
        with pytest.raises(NoToken):
            bearer([(b"host", b"x")])

    @pytest.mark.parametrize(
        "value",
        [b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"abc", b"Bearer a b", b"Bearer a,b",
         b"Bearer\tabc", b"Bearer \xe4", b"Bearer abc ", b"Bearer abc\0", b"Bearer =abc"],
    )  # fmt: skip
    def test_other_credentials(self, value: bytes) -> None:
        with pytest.raises(InvalidToken, match="no bearer token"):
            bearer([(b"authorization", value)])

    def test_twice(self) -> None:
        header = (b"authorization", b"Bearer " + token().encode())
        with pytest.raises(InvalidToken, match="more than one"):
            bearer([header, header])

    def test_huge(self) -> None:
        with pytest.raises(InvalidToken, match=f"{MAX_TOKEN_SIZE} are the most"):
            bearer([(b"authorization", b"Bearer " + b"a" * MAX_TOKEN_SIZE)])
