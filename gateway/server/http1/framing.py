"""How the body of a request is framed, where servers could disagree: RFC 9112, sections 6.1 and 6.3."""

from __future__ import annotations

from typing import Final

from gateway.server.http1.refusal import MALFORMED, NOT_IMPLEMENTED, Refusal

__all__ = ["MAX_METHOD", "body_length"]

MAX_METHOD: Final = 256
"""Bytes of a method. Arbitrary: the longest that is registered, UPDATEREDIRECTREF, has 17."""


def body_length(version: str, headers: list[tuple[bytes, bytes]]) -> int | None:
    """Give the length of a request's body in bytes; None if it is in chunks.

    Args:
        version: of HTTP, such as "1.1".
        headers: their names in lower case; the parser has checked the syntax of a `Content-Length`.

    Raises:
        Refusal: the body has two lengths, or a coding that is not understood, or the version has no such coding.
    """
    if version not in {"1.0", "1.1"}:
        raise Refusal(MALFORMED)
    codings: list[bytes] = []
    lengths: set[bytes] = set()
    for name, value in headers:
        if name == b"transfer-encoding":
            codings.append(value)
        elif name == b"content-length":
            lengths.add(value)
    if not codings:
        return int(lengths.pop()) if lengths else 0
    # "A server MAY reject a request that contains both Content-Length and Transfer-Encoding", for it may be meant
    # to be read differently by the server before this one; and one of HTTP/1.0 with the latter is faulty.
    if lengths or version == "1.0":
        raise Refusal(MALFORMED)
    # "A server that receives a request message with a transfer coding it does not understand SHOULD respond with
    # 501."
    if b",".join(codings).strip().lower() != b"chunked":
        raise Refusal(NOT_IMPLEMENTED)
    return None
