"""wasi:http/types, error-code; RFC 9209."""

from __future__ import annotations

import pytest

from gateway.bindings.http.error_code import CASES
from gateway.http import syntax as http_syntax

# The recommended statuses of RFC 9209 section 2.3, by type. The one of http_request_error is "the
# applicable 4xx status code".
RECOMMENDED = {
    "dns_timeout": 504,
    "dns_error": 502,
    "destination_not_found": 500,
    "destination_unavailable": 503,
    "destination_ip_prohibited": 502,
    "destination_ip_unroutable": 502,
    "connection_refused": 502,
    "connection_terminated": 502,
    "connection_timeout": 504,
    "connection_read_timeout": 504,
    "connection_write_timeout": 504,
    "connection_limit_reached": 503,
    "tls_protocol_error": 502,
    "tls_certificate_error": 502,
    "tls_alert_received": 502,
    "http_request_denied": 403,
    "http_response_incomplete": 502,
    "http_response_header_section_size": 502,
    "http_response_header_size": 502,
    "http_response_body_size": 502,
    "http_response_trailer_section_size": 502,
    "http_response_trailer_size": 502,
    "http_response_transfer_coding": 502,
    "http_response_content_coding": 502,
    "http_response_timeout": 504,
    "http_upgrade_failed": 502,
    "http_protocol_error": 502,
    "proxy_internal_error": 500,
    "proxy_configuration_error": 500,
    "proxy_loop_detected": 502,
}

# The variant in the order of the WIT, with the payload of each case.
WIT = """
DNS-timeout
DNS-error(record { rcode: option<string>, info-code: option<u16> })
destination-not-found
destination-unavailable
destination-IP-prohibited
destination-IP-unroutable
connection-refused
connection-terminated
connection-timeout
connection-read-timeout
connection-write-timeout
connection-limit-reached
TLS-protocol-error
TLS-certificate-error
TLS-alert-received(record { alert-id: option<u8>, alert-message: option<string> })
HTTP-request-denied
HTTP-request-length-required
HTTP-request-body-size(option<u64>)
HTTP-request-method-invalid
HTTP-request-URI-invalid
HTTP-request-URI-too-long
HTTP-request-header-section-size(option<u32>)
HTTP-request-header-size(option<record { field-name: option<string>, field-size: option<u32> }>)
HTTP-request-trailer-section-size(option<u32>)
HTTP-request-trailer-size(record { field-name: option<string>, field-size: option<u32> })
HTTP-response-incomplete
HTTP-response-header-section-size(option<u32>)
HTTP-response-header-size(record { field-name: option<string>, field-size: option<u32> })
HTTP-response-body-size(option<u64>)
HTTP-response-trailer-section-size(option<u32>)
HTTP-response-trailer-size(record { field-name: option<string>, field-size: option<u32> })
HTTP-response-transfer-coding(option<string>)
HTTP-response-content-coding(option<string>)
HTTP-response-timeout
HTTP-upgrade-failed
HTTP-protocol-error
loop-detected
configuration-error
internal-error(option<string>)
"""


def test_the_cases_are_those_of_the_wit() -> None:
    written = [
        name if case.payload is None else f"{name}({case.payload})" for name, case in CASES.items()
    ]
    assert written == WIT.split("\n")[1:-1]


@pytest.mark.parametrize("name", CASES)
def test_statuses_are_the_recommended_ones(name: str) -> None:
    case = CASES[name]
    if case.proxy_error_type == "http_request_error":
        assert 400 <= case.status_code <= 499
    else:
        assert case.status_code == RECOMMENDED[case.proxy_error_type]


def test_every_type_but_the_one_of_refused_requests_has_one_case() -> None:
    types = [case.proxy_error_type for case in CASES.values()]
    assert sorted(set(types) - {"http_request_error"}) == sorted(RECOMMENDED)
    assert len(types) - types.count("http_request_error") == len(RECOMMENDED)
    assert all(http_syntax.is_token(name) for name in types)


@pytest.mark.parametrize(
    ("name", "status_code"),
    [
        ("HTTP-request-length-required", 411),
        ("HTTP-request-body-size", 413),
        ("HTTP-request-method-invalid", 400),
        ("HTTP-request-URI-invalid", 400),
        ("HTTP-request-URI-too-long", 414),
        ("HTTP-request-header-section-size", 431),
        ("HTTP-request-header-size", 431),
        ("HTTP-request-trailer-section-size", 431),
        ("HTTP-request-trailer-size", 431),
    ],
)
def test_statuses_of_refused_requests(name: str, status_code: int) -> None:
    assert CASES[name].status_code == status_code
