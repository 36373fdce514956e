"""Where a component comes from: the digest that its configuration pins it to, and the claims that it carries."""

from __future__ import annotations

from dataclasses import dataclass
from time import time

import structlog

from gateway.config import ComponentConfig
from gateway.host.errors import ComponentError
from gateway.observe.metrics import Metrics
from gateway.wasm.claims import ClaimsError, Policy, check_pin, examine
from gateway.wasm.claims.errors import shown

__all__ = ["Provenance", "check"]

_log = structlog.get_logger("gateway.provenance")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is proven of a component's origin.

    Attributes:
        issuer: the public key that signed it; None if nobody did, or that cannot be told for sure.
        subject: the public key that the issuer says it is, likewise.
    """

    issuer: str | None = None
    subject: str | None = None


def check(
    component: ComponentConfig, digest: str, binary: bytes, metrics: Metrics | None
) -> Provenance:
    """Hold a file against what its configuration asks of it.

    Args:
        component: the configuration.
        digest: the SHA-256 of the file, in hexadecimal.
        binary: what it holds, in binary form.
        metrics: where claims are counted that do not hold.

    Raises:
        ComponentError: it is not what was pinned, or its claims are refused.
    """
    try:
        check_pin(digest, component.sha256)
    except ClaimsError as error:
        raise ComponentError(f"{component.source}: {error}") from error
    policy = Policy(component.require_signature, component.trusted_issuers, mode=component.claims)
    judgement = examine(binary, policy, time())
    for refusal in judgement.refusals:
        if metrics is not None:
            metrics.claims_refused(component.name, refusal.kind)
    if not judgement.accepted:
        raise ComponentError(f"{component.source}: {judgement.reason}")
    if judgement.refusals:
        _log.warning(
            "claims do not hold",
            component=component.name,
            reason=judgement.reason,
            effect='the component is served all the same: claims = "report"',
        )
    verification = judgement.verification
    if verification is None or not verification.proven:
        return Provenance()
    return Provenance(verification.claims.iss, shown(verification.claims.sub))
