"""Claims for people to read: `gateway verify`, `gateway inspect`."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.wasm.claims.errors import Unsigned, shown
from gateway.wasm.claims.policy import Judgement
from gateway.wasm.claims.verification import Verification, format_time

__all__ = ["summary"]


def summary(judgement: Judgement) -> list[tuple[str, str]]:
    """The claims of a component and what is to be said of them, as labels and texts of a line each."""
    verification = judgement.verification
    rows: list[tuple[str, str]] = []
    if verification is not None:
        rows += _claims(verification)
    elif all(isinstance(refusal, Unsigned) for refusal in judgement.refusals):
        rows.append(("signature", "none"))
    label = "warning" if judgement.accepted else "refused"
    rows += [(label, str(refusal)) for refusal in judgement.refusals]
    return rows


def _claims(verification: Verification) -> Iterator[tuple[str, str]]:
    claims = verification.claims
    wascap = claims.wascap
    yield "issuer", claims.iss
    yield "subject", shown(claims.sub)
    for label, text in (
        ("name", wascap.name),
        ("version", wascap.ver),
        ("alias", wascap.call_alias),
    ):
        if text is not None:
            yield label, shown(text)
    if wascap.rev is not None:
        yield "revision", str(wascap.rev)
    for label, texts in (("tags", wascap.tags), ("capabilities", wascap.caps)):
        if texts:
            yield label, ", ".join(map(shown, texts))
    yield "issued", format_time(claims.iat)
    yield "expires", format_time(claims.exp)
    yield "valid from", "the beginning" if claims.nbf is None else format_time(claims.nbf)
    yield "signature", "valid" if verification.signature_valid else "not valid"
    yield "content", _content(verification)


def _content(verification: Verification) -> str:
    if verification.hash_matches:
        return "as it was signed"
    if verification.claims.binding:
        return "not what was signed"
    revision = verification.claims.wascap_revision or 0
    return f"not bound: a token of wascap revision {revision} has no hash that could be checked"
