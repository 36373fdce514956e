"""The variant `error-code` of `wasi:http/types`, and the HTTP status that each case stands for.

A guest sets an `error-code` on its `response-outparam` instead of a response; the gateway gives one
to a guest whose body or outgoing request failed. The WIT derives the cases from the HTTP Proxy
Error Types of RFC 9209. Each of those has a recommended status, and that is the status here. The
type of a refused request, `http_request_error`, serves several cases with "the applicable 4xx
status code"; those are chosen here.

The types are for logs and metrics. They are not sent to clients in a `Proxy-Status` field: the
gateway runs the component itself, so it is the origin server, which "MUST NOT generate the
Proxy-Status field" (RFC 9209 section 2), and whom a component talks to is none of its clients'
business (section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["CASES", "ErrorCodeCase"]


class ErrorCodeCase(NamedTuple):
    """What a case of `error-code` carries and stands for.

    Attributes:
        payload: the WIT type of the payload, None if there is none.
        proxy_error_type: the name in IANA's registry of HTTP Proxy Error Types, a token.
        status_code: the status of a response that reports this case.
    """

    payload: str | None
    proxy_error_type: str
    status_code: int


_DNS_ERROR: Final = "record { rcode: option<string>, info-code: option<u16> }"
_TLS_ALERT_RECEIVED: Final = "record { alert-id: option<u8>, alert-message: option<string> }"
_FIELD_SIZE: Final = "record { field-name: option<string>, field-size: option<u32> }"

# The statuses that RFC 9209 leaves open:
#
# - HTTP-request-method-invalid is 400. 405 is for a method that is known but not allowed on the
#   target, and must list the allowed ones (RFC 9110 section 15.5.6), which nobody knows here; 501
#   would blame the server.
# - The trailer section of a request is made of fields as its header section is, so the status of
#   RFC 6585 section 5, 431, is for both.
_CASES: Final[dict[str, ErrorCodeCase]] = {
    "DNS-timeout": ErrorCodeCase(None, "dns_timeout", 504),
    "DNS-error": ErrorCodeCase(_DNS_ERROR, "dns_error", 502),
    "destination-not-found": ErrorCodeCase(None, "destination_not_found", 500),
    "destination-unavailable": ErrorCodeCase(None, "destination_unavailable", 503),
    "destination-IP-prohibited": ErrorCodeCase(None, "destination_ip_prohibited", 502),
    "destination-IP-unroutable": ErrorCodeCase(None, "destination_ip_unroutable", 502),
    "connection-refused": ErrorCodeCase(None, "connection_refused", 502),
    "connection-terminated": ErrorCodeCase(None, "connection_terminated", 502),
    "connection-timeout": ErrorCodeCase(None, "connection_timeout", 504),
    "connection-read-timeout": ErrorCodeCase(None, "connection_read_timeout", 504),
    "connection-write-timeout": ErrorCodeCase(None, "connection_write_timeout", 504),
    "connection-limit-reached": ErrorCodeCase(None, "connection_limit_reached", 503),
    "TLS-protocol-error": ErrorCodeCase(None, "tls_protocol_error", 502),
    "TLS-certificate-error": ErrorCodeCase(None, "tls_certificate_error", 502),
    "TLS-alert-received": ErrorCodeCase(_TLS_ALERT_RECEIVED, "tls_alert_received", 502),
    "HTTP-request-denied": ErrorCodeCase(None, "http_request_denied", 403),
    "HTTP-request-length-required": ErrorCodeCase(None, "http_request_error", 411),
    "HTTP-request-body-size": ErrorCodeCase("option<u64>", "http_request_error", 413),
    "HTTP-request-method-invalid": ErrorCodeCase(None, "http_request_error", 400),
    "HTTP-request-URI-invalid": ErrorCodeCase(None, "http_request_error", 400),
    "HTTP-request-URI-too-long": ErrorCodeCase(None, "http_request_error", 414),
    "HTTP-request-header-section-size": ErrorCodeCase("option<u32>", "http_request_error", 431),
    "HTTP-request-header-size": ErrorCodeCase(f"option<{_FIELD_SIZE}>", "http_request_error", 431),
    "HTTP-request-trailer-section-size": ErrorCodeCase("option<u32>", "http_request_error", 431),
    "HTTP-request-trailer-size": ErrorCodeCase(_FIELD_SIZE, "http_request_error", 431),
    "HTTP-response-incomplete": ErrorCodeCase(None, "http_response_incomplete", 502),
    "HTTP-response-header-section-size": ErrorCodeCase(
        "option<u32>", "http_response_header_section_size", 502
    ),
    "HTTP-response-header-size": ErrorCodeCase(_FIELD_SIZE, "http_response_header_size", 502),
    "HTTP-response-body-size": ErrorCodeCase("option<u64>", "http_response_body_size", 502),
    "HTTP-response-trailer-section-size": ErrorCodeCase(
        "option<u32>", "http_response_trailer_section_size", 502
    ),
    "HTTP-response-trailer-size": ErrorCodeCase(_FIELD_SIZE, "http_response_trailer_size", 502),
    "HTTP-response-transfer-coding": ErrorCodeCase(
        "option<string>", "http_response_transfer_coding", 502
    ),
    "HTTP-response-content-coding": ErrorCodeCase(
        "option<string>", "http_response_content_coding", 502
    ),
    "HTTP-response-timeout": ErrorCodeCase(None, "http_response_timeout", 504),
    "HTTP-upgrade-failed": ErrorCodeCase(None, "http_upgrade_failed", 502),
    "HTTP-protocol-error": ErrorCodeCase(None, "http_protocol_error", 502),
    "loop-detected": ErrorCodeCase(None, "proxy_loop_detected", 502),
    "configuration-error": ErrorCodeCase(None, "proxy_configuration_error", 500),
    "internal-error": ErrorCodeCase("option<string>", "proxy_internal_error", 500),
}

CASES: Final[Mapping[str, ErrorCodeCase]] = MappingProxyType(_CASES)
"""Every case by its name, with the capitals and in the order of the WIT (0.2.0 to 0.2.12 agree)."""
