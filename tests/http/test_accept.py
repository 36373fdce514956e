"""What clients would rather have: RFC 9110, section 12.5.1."""

import pytest

from gateway.http.accept import prefers
from gateway.http.field_lines import FieldLines

CHROMIUM = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ([CHROMIUM], True),
        ([b"text/html"], True),
        ([b"TEXT/HTML; charset=utf-8"], True),
        ([b"text/*"], True),
        ([b"text/html;q=0.5, application/json;q=0.4"], True),
        ([b"application/json;q=0.4", b"text/html;q=0.5"], True),
        ([b"application/json;q=0, */*"], True),
        ([], False),
        ([b""], False),
        ([b"*/*"], False),
        ([b"application/json"], False),
        ([b"text/html, application/json"], False),
        ([b"text/html;q=0.4, application/json;q=0.5"], False),
        ([b"text/html;q=0"], False),
        ([b"text/html;q=none"], False),
        ([b"text/html;q=nan, application/json;q=0.1"], False),
        ([b",;,=;q"], False),
        ([b"a/a," * 100 + b"text/html"], False),
    ],
)
def test_what_is_liked_better(accept: list[bytes], html: bool) -> None:
    lines = FieldLines((b"accept", value) for value in accept)
    assert prefers(lines, b"text/html", to=b"application/json") is html
