"""Tokens: those of operators, as they come and with a payload that is signed well, and those in components."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.admin.token import InvalidToken, Verifier
from gateway.config.admin import AdminConfig
from gateway.wasm.claims import ClaimsError, KeyPair, PublicKey, read_token
from tests.hostile.target import Attack, Target

_SECRET = b"correct horse battery staple " * 3
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _signed(header: bytes, payload: bytes) -> bytes:
    text = _part(header) + b"." + _part(payload)
    return text + b"." + _part(hmac.digest(_SECRET, text, hashlib.sha256))


def _seeds() -> Sequence[bytes]:
    claims = {
        "iss": "i",
        "aud": ["a"],
        "exp": 1 << 40,
        "nbf": 0,
        "scope": "server:drain",
        "sub": "s",
    }
    payload = json.dumps(claims).encode()
    wascap = b'{"alg":"Ed25519","typ":"jwt"}'
    content = (
        b'{"jti":"a","iat":1,"iss":"AAAA","sub":"MAAA","wascap":{"hash":"00"},"wascap_revision":3}'
    )
    return [
        _HEADER + b"\n" + payload,
        _signed(_HEADER, payload),
        wascap + b"\n" + content,
        b".".join((_part(wascap), _part(content), _part(bytes(64)))),
    ]


@contextmanager
def _attack() -> Iterator[Attack]:
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "secret")
        secret.write_bytes(_SECRET)
        secret.chmod(0o600)
        verifier = Verifier(AdminConfig(secret_file=secret, issuer="i", audience="a"))

        def read(data: bytes) -> None:
            header, _, payload = data.partition(b"\n")
            for token in (data, _signed(header, payload)):
                # What a header field can carry: `bearer` lets nothing else through.
                with suppress(InvalidToken):
                    verifier.verify(token.decode("ascii", "replace").replace("\ufffd", "?"))
                with suppress(ClaimsError):
                    read_token(token)
            text = data.decode("latin-1")
            with suppress(ClaimsError):
                PublicKey.parse(text)
            with suppress(ClaimsError):
                KeyPair.from_seed(text)

        yield read


TARGET = Target(_attack, _seeds)
