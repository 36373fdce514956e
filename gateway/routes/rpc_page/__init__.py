"""The page that browsers see where JSON-RPC is served: what can be called, and a form for each call.

It is one text for every gateway. What it shows it asks for itself, as any client does: the list of components, or
the OpenRPC document of one. Nothing is loaded from elsewhere, and the policy that is sent with it allows no more:
whatever a component says of itself stays text.

Source: Content Security Policy Level 3, https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

__all__ = ["MEDIA_TYPE", "Page", "page"]

MEDIA_TYPE: Final = b"text/html; charset=utf-8"


class Page(NamedTuple):
    """What is sent to a browser.

    Attributes:
        content: the HTML, in UTF-8.
        headers: the fields that keep it to what it is for.
    """

    content: bytes
    headers: tuple[tuple[bytes, bytes], ...]


@cache
def page() -> Page:
    """The page, with its style and its script in it."""
    html, style, script = (
        files(__name__).joinpath(name).read_text("utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(
        html.replace("{style}", style).replace("{script}", script).encode(),
        (
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-cache"),
        ),
    )


def _digest(text: str) -> str:
    """By what a policy allows a style or a script that stands in the page."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
