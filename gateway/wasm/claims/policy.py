"""What an operator asks of the components that a gateway serves, and whether one meets it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.wasm.claims.errors import ClaimsError, Unbound, Unsigned, UntrustedIssuer
from gateway.wasm.claims.keys import PublicKey
from gateway.wasm.claims.verification import Verification, verify

__all__ = ["Judgement", "Policy", "examine", "judge"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of a component.

    Attributes:
        require_signature: whether it must be signed. None: it must where issuers are named, for otherwise taking
            the token out would be the way around them.
        trusted_issuers: who may have signed it; anyone if empty.
        mode: "enforce" refuses what does not meet this, "report" takes it all the same.
    """

    require_signature: bool | None = None
    trusted_issuers: tuple[PublicKey, ...] = ()
    mode: Literal["enforce", "report"] = "enforce"

    @property
    def signature_required(self) -> bool:
        """Whether a component must be signed."""
        if self.require_signature is None:
            return bool(self.trusted_issuers)
        return self.require_signature


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a component is taken.

    Attributes:
        accepted: whether it is.
        refusals: why it is not, or, under the mode "report", would not be.
        verification: what was found of its token; None if there is none that could be read.
    """

    accepted: bool
    refusals: tuple[ClaimsError, ...]
    verification: Verification | None

    @property
    def reason(self) -> str:
        """All of `refusals` in a line."""
        return " Also, ".join(str(refusal) for refusal in self.refusals)


def judge(found: Verification | ClaimsError | None, policy: Policy) -> Judgement:
    """Hold what was found of a component's token against a policy.

    Args:
        found: what `verify` returned or raised.
        policy: what is asked.
    """
    refusals = tuple(_refusals(found, policy))
    return Judgement(
        accepted=not refusals or policy.mode == "report",
        refusals=refusals,
        verification=found if isinstance(found, Verification) else None,
    )


def examine(binary: bytes, policy: Policy, now: float) -> Judgement:
    """Verify the token in a component or core module, and hold it against a policy.

    Args:
        binary: a component or core module in binary form.
        policy: what is asked.
        now: seconds since 1970.
    """
    try:
        found: Verification | ClaimsError | None = verify(binary, now)
    except ClaimsError as error:
        found = error
    return judge(found, policy)


def _refusals(found: Verification | ClaimsError | None, policy: Policy) -> Iterator[ClaimsError]:
    if isinstance(found, ClaimsError):
        yield found
        return
    if found is None:
        if policy.signature_required:
            yield Unsigned(
                "it is not signed, and must be (require_signature). Sign it (gateway sign), or get the signed one "
                "from its issuer: a token may have been taken out."
            )
        return
    yield from found.faults
    # Whoever has one such token can put it into any file: as a signature it is worth as much as none.
    if policy.signature_required and not found.claims.binding and not found.hash_matches:
        yield Unbound(
            "it must be signed (require_signature), and its token is of wascap revision "
            f"{found.claims.wascap_revision or 0}, whose hash is not that of this content: it may have been moved "
            "here from another file. Sign it again (gateway sign)."
        )
    if policy.trusted_issuers and found.token.issuer not in policy.trusted_issuers:
        trusted = ", ".join(map(str, policy.trusted_issuers))
        yield UntrustedIssuer(
            f"its issuer {found.claims.iss} is not trusted (trusted_issuers: {trusted}). Add the key there if it "
            "should be, or get a component that a trusted issuer signed."
        )
