"""Whoever makes tokens: keys of each kind, their files, and tokens signed with them."""

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "gateway.example"
SECRET: Final = "correct horse battery staple " * 3
"""Long enough for HS512."""

SCOPES: Final = "components:read components:write server:drain"

KEYS: Final[Mapping[str, Any]] = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}

ALGORITHMS: Final[Mapping[str, str]] = {
    "RS256": "rsa",
    "RS384": "rsa",
    "RS512": "rsa",
    "PS256": "rsa",
    "PS384": "rsa",
    "PS512": "rsa",
    "ES256": "p256",
    "ES384": "p384",
    "ES512": "p521",
    "EdDSA": "ed25519",
}
"""The kind of key that each algorithm of a public key takes."""


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that open everything, for longer than tests take, with changes; None takes one out."""
    now = int(time.time())
    made = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": now + 86_400,
        "nbf": now - 60,
        "iat": now - 60,
        "sub": "operator@example.com",
        "jti": "token-1",
        "scope": SCOPES,
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def token(algorithm: str = "HS256", key: Any = None, kid: str | None = None, **changes: Any) -> str:
    """A token with `claims(**changes)`; signed with the key that the algorithm takes, unless it is given."""
    if key is None:
        key = SECRET if algorithm.startswith("HS") else KEYS[ALGORITHMS[algorithm]]
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def unsigned(header: Mapping[str, Any] | bytes, payload: Any = None, signature: bytes = b"") -> str:
    """A token put together by hand."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = json.dumps(claims() if payload is None else payload).encode()
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, body, signature))
    return b".".join(parts).decode()


def pem(kind: str) -> bytes:
    """The public key of a kind."""
    public = KEYS[kind].public_key()
    made: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def jwk(kind: str, **members: Any) -> dict[str, Any]:
    """The public key of a kind as a JWK."""
    writer: Any = {"rsa": RSAAlgorithm, "ed25519": OKPAlgorithm}.get(kind, ECAlgorithm)
    made: dict[str, Any] = json.loads(writer.to_jwk(KEYS[kind].public_key()))
    made.pop("key_ops", None)
    return made | members


def write_jwks(path: Path, *keys: Mapping[str, Any]) -> Path:
    """Write a JWK Set."""
    path.write_text(json.dumps({"keys": keys}))
    return path
