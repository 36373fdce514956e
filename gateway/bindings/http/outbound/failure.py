"""Why an outbound request failed: what went wrong in Python, told in the `error-code` of `wasi:http/types`.

The WIT took its cases from RFC 9209, whose section 2.3 says when each of them holds. Where several fit, the most
exact one is given; what has no case of its own is what Wasmtime makes of it.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import Final

import h11

from gateway.host.values import Variant
from gateway.policy.egress import Verdict

__all__ = [
    "EgressDenied",
    "OutboundFailure",
    "connect_failure",
    "invalid_name",
    "lookup_failure",
    "lost_failure",
    "protocol_failure",
    "tls_failure",
]


MAX_REASON: Final = 200
"""Characters of a reason in the log. It may quote a line of the peer's, as long as a whole head. Arbitrary."""


class OutboundFailure(Exception):
    """An outbound request that failed.

    Attributes:
        code: the `error-code` for the guest.
        reason: more, for the log. It may quote what a peer sent.
    """

    def __init__(self, code: Variant, reason: str) -> None:
        super().__init__(f"{code.case}: {reason}")
        self.code: Final = code
        self.reason: Final = reason[:MAX_REASON]


class EgressDenied(OutboundFailure):
    """An outbound request that the component's policy forbids: `HTTP-request-denied`."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(Variant("HTTP-request-denied"), verdict.rule)


# --- names -------------------------------------------------------------------------------------------------

# getaddrinfo does not tell the RCODE of the answer (RFC 1035 section 4.1.1); these are the ones that it makes its
# errors of, by the names in IANA's registry.
_RCODES: Final = {
    socket.EAI_NONAME: "NXDOMAIN",
    socket.EAI_NODATA: "NXDOMAIN",
    socket.EAI_AGAIN: "SERVFAIL",
}


def _dns_error(rcode: str | None) -> Variant:
    return Variant("DNS-error", {"rcode": rcode, "info-code": None})


def lookup_failure(host: str, error: OSError) -> OutboundFailure:
    """A name that could not be looked up."""
    if error.errno in {errno.EMFILE, errno.ENFILE} and not isinstance(error, socket.gaierror):
        return OutboundFailure(Variant("connection-limit-reached"), f"{host}: {error.strerror}")
    return OutboundFailure(_dns_error(_RCODES.get(error.errno or 0)), f"{host}: {error.strerror}")


def invalid_name(host: str) -> OutboundFailure:
    """A host that can be no name in DNS."""
    return OutboundFailure(_dns_error("invalid dns name"), f"{host!r} cannot be a name in DNS")


# --- connections -------------------------------------------------------------------------------------------

_CONNECT_CASES: Final = {
    errno.ETIMEDOUT: "connection-timeout",
    errno.ECONNRESET: "connection-terminated",
    errno.EHOSTUNREACH: "destination-IP-unroutable",
    errno.ENETUNREACH: "destination-IP-unroutable",
    errno.EADDRNOTAVAIL: "destination-IP-unroutable",
    errno.EAFNOSUPPORT: "destination-IP-unroutable",
    errno.EMFILE: "connection-limit-reached",
    errno.ENFILE: "connection-limit-reached",
}


def connect_failure(address: str, error: OSError) -> OutboundFailure:
    """An address that could not be connected to."""
    case = _CONNECT_CASES.get(error.errno or 0, "connection-refused")
    # asyncio puts words of its own, and the address in its own form, in place of the system's.
    reason = os.strerror(error.errno) if error.errno else str(error)
    return OutboundFailure(Variant(case), f"{address}: {reason}")


def lost_failure(error: Exception | None) -> OutboundFailure:
    """A connection that has ended too early, by an error or without a word."""
    if isinstance(error, ssl.SSLError):
        return tls_failure(error)
    reason = "the peer closed the connection" if error is None else str(error)
    return OutboundFailure(Variant("connection-terminated"), reason)


# --- TLS ---------------------------------------------------------------------------------------------------

_ALERTS: Final = {
    "close_notify": 0,
    "unexpected_message": 10,
    "bad_record_mac": 20,
    "decryption_failed": 21,
    "record_overflow": 22,
    "decompression_failure": 30,
    "handshake_failure": 40,
    "no_certificate": 41,
    "bad_certificate": 42,
    "unsupported_certificate": 43,
    "certificate_revoked": 44,
    "certificate_expired": 45,
    "certificate_unknown": 46,
    "illegal_parameter": 47,
    "unknown_ca": 48,
    "access_denied": 49,
    "decode_error": 50,
    "decrypt_error": 51,
    "export_restriction": 60,
    "protocol_version": 70,
    "insufficient_security": 71,
    "internal_error": 80,
    "inappropriate_fallback": 86,
    "user_cancelled": 90,
    "no_renegotiation": 100,
    "missing_extension": 109,
    "unsupported_extension": 110,
    "certificate_unobtainable": 111,
    "unrecognized_name": 112,
    "bad_certificate_status_response": 113,
    "bad_certificate_hash_value": 114,
    "unknown_psk_identity": 115,
    "certificate_required": 116,
    "no_application_protocol": 120,
}
"""The alerts of TLS: RFC 8446 section 6, RFC 5246 section 7.2 and IANA's registry."""

# OpenSSL's reason for an alert that the peer sent, such as TLSV1_ALERT_UNKNOWN_CA or TLSV1_UNRECOGNIZED_NAME. What
# it finds wrong itself has a reason without the version.
_ALERT_REASON: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?([A-Z_]+)")


def tls_failure(error: ssl.SSLError) -> OutboundFailure:
    """A connection that TLS has refused."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return OutboundFailure(Variant("TLS-certificate-error"), str(error))
    reason: str | None = getattr(error, "reason", None)  # which only OpenSSL's own errors have
    match = _ALERT_REASON.fullmatch(reason or "")
    if match is not None and (name := match[1].lower()) in _ALERTS:
        alert = {"alert-id": _ALERTS[name], "alert-message": name}
        return OutboundFailure(Variant("TLS-alert-received", alert), f"the peer sent {name}")
    return OutboundFailure(Variant("TLS-protocol-error"), reason or str(error))


# --- HTTP --------------------------------------------------------------------------------------------------


def protocol_failure(error: h11.RemoteProtocolError, *, in_body: bool) -> OutboundFailure:
    """A response that is none by the rules of HTTP.

    Args:
        error: what h11 found.
        in_body: whether the head was fine.
    """
    # h11 words its errors for servers: 431 is a section of fields, or the head of a chunk, that is too large,
    # 501 a transfer coding other than chunked.
    match error.error_status_hint:
        case 431:
            part = "trailer" if in_body else "header"
            code = Variant(f"HTTP-response-{part}-section-size")
        case 501:
            code = Variant("HTTP-response-transfer-coding")
        case _:
            code = Variant("HTTP-protocol-error")
    return OutboundFailure(code, str(error))
