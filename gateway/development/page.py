"""A failure as browsers show it: what its document says, for people.

It loads nothing and runs nothing, and all that stands in it is text, for guests and builds have written of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

__all__ = ["CONTENT_TYPE", "FIELDS", "page"]

CONTENT_TYPE: Final = b"text/html; charset=utf-8"

FIELDS: Final = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
)
"""Fields of a response that has one."""

_STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
pre { overflow-x: auto; margin: 0; padding: .75rem; border-radius: .25rem; background: #8882; font-size: .85rem; }
footer { margin-top: 2rem; opacity: .7; font-size: .85rem; }
"""


def page(document: Mapping[str, Any], why: Mapping[str, Any]) -> bytes:
    """The page of a problem document.

    Args:
        document: the document.
        why: its member `development`.
    """
    title = escape(f"{document.get('status', '')} {document.get('title', '')}".strip())
    parts = [f"<h1>{title}</h1>", f"<p>{escape(str(document.get('detail', '')))}</p>"]
    for name, value in why.items():
        parts += _section(name, value)
    identity = escape(str(document.get("request_id", "")))
    parts.append(
        f"<footer>Request {identity}. Only <code>gateway dev</code> tells why; others get JSON.</footer>"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n"
    ).encode()


def _section(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, part in value.items():
            yield from _section(f"{name}: {inner}", part)
        return
    yield f"<h2>{escape(name)}</h2>"
    entries = value if isinstance(value, list | tuple) else [value]
    yield f"<pre>{escape(chr(10).join(map(_text, entries)))}</pre>"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
