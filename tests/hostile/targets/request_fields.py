"""Header fields of requests: all that the gateway itself makes sense of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gateway.admin.token import InvalidToken, NoToken, bearer
from gateway.http.field_lines import FieldLines
from gateway.http.forwarded import TrustedProxies, effective
from gateway.http.request_id import request_id
from gateway.http.syntax import is_authority, is_method, is_path_with_query, is_token
from gateway.http.trace_context import incoming
from gateway.server.http1.framing import body_length
from gateway.server.http1.refusal import Refusal
from gateway.server.http1.target import absolute_form
from tests.hostile.target import Attack, Target

_SEEDS = (
    b'GET /a?b\nforwarded: for=192.0.2.1;proto=https;host=shop.example, for="[2001:db8::1]:4711"\n',
    b"GET http://shop.example:80/\nx-forwarded-for: 192.0.2.1, 10.0.0.1\nx-forwarded-proto: https\n",
    b"OPTIONS *\nhost: shop.example\nx-request-id: 0123456789abcdef\nauthorization: Bearer a.b.c\n",
    b"GET /\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=b,c=d\n",
    b'GET /\nforwarded: for="\\"\\\\";by=_hidden;unknown, ,for=unknown\nforwarded: for=_x\n',
)


@contextmanager
def _attack() -> Iterator[Attack]:
    trusted = [
        TrustedProxies(["10.0.0.0/8", "192.0.2.0/24"]),
        TrustedProxies(["10.0.0.0/8"], header="x-forwarded"),
    ]

    def read(data: bytes) -> None:
        first, *lines = data.split(b"\n")
        method, _, target = first.partition(b" ")
        # The parsers leave no field without a name, in lower case.
        pairs = [line.partition(b":") for line in lines]
        headers = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
        fields = FieldLines(headers)
        host = next((value for name, value in headers if name == b"host"), None)
        for proxies in trusted:
            effective("10.0.0.1", "http", host, fields, proxies)
        incoming(fields, request_id(fields))
        with suppress(NoToken, InvalidToken):
            bearer(headers)
        with suppress(Refusal):
            absolute_form(method, target, "1.1", headers)
        with suppress(Refusal, ValueError):  # the parsers know what a length is
            body_length("1.1", headers)
        for _, value in headers:
            text = value.decode("latin-1")
            is_authority(text), is_method(text), is_path_with_query(text), is_token(text)

    yield read


TARGET = Target(_attack, lambda: _SEEDS, max_size=32 << 10)
