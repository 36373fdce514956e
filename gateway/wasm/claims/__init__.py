"""Claims in components: who says what about a file, and whether that is so.

A signer puts a token into a component or core module; the token has claims (an issuer, a subject, a name,
times) and the digest of the content, and the issuer's signature. The format is that of wasmCloud's wascap, so
that what either signs the other takes. `examine` is all that loading needs; `sign` is its other side. Nothing
here knows an engine; only `seed_file` does I/O.
"""

from gateway.wasm.claims.content import Content
from gateway.wasm.claims.embedding import embed, embedded
from gateway.wasm.claims.errors import ClaimsError
from gateway.wasm.claims.keys import KeyKind, KeyPair, PublicKey
from gateway.wasm.claims.model import Claims, Wascap
from gateway.wasm.claims.pin import check_pin, parse_sha256
from gateway.wasm.claims.policy import Judgement, Policy, examine, judge
from gateway.wasm.claims.signing import new_token_id, sign
from gateway.wasm.claims.summary import summary
from gateway.wasm.claims.token import Token, read_token, write_token
from gateway.wasm.claims.verification import Verification, format_time, verify

__all__ = [
    "Claims",
    "ClaimsError",
    "Content",
    "Judgement",
    "KeyKind",
    "KeyPair",
    "Policy",
    "PublicKey",
    "Token",
    "Verification",
    "Wascap",
    "check_pin",
    "embed",
    "embedded",
    "examine",
    "format_time",
    "judge",
    "new_token_id",
    "parse_sha256",
    "read_token",
    "sign",
    "summary",
    "verify",
    "write_token",
]
