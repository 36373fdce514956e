"""W3C Trace Context: the trace that a request belongs to, and how that is told to those who are asked in turn.

Nothing here records anything. Without OpenTelemetry the gateway passes on what it was given, as the recommendation
lets a proxy do (section 3.4, "Unmodified header propagation"): who called it then appears as the direct caller of
those it calls. With it, `gateway.observe.telemetry` makes a context of its own for each span.

Source: https://www.w3.org/TR/trace-context/, section 3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["TRACEPARENT", "TRACESTATE", "TraceContext", "incoming", "parse_tracestate"]

TRACEPARENT: Final = b"traceparent"
"""The field that has the trace and the span that is the parent."""

TRACESTATE: Final = b"tracestate"
"""The field in which tracing systems keep more for each other."""

MAX_TRACESTATE: Final = 512
"""Characters of a `tracestate` that is passed on. The recommendation asks for at least as many (section 3.3.1.5);
more would let a client of the gateway swell all requests that are made on its behalf."""

MAX_MEMBERS: Final = 32
"""Members of a `tracestate` (section 3.3.1.1)."""

LARGE_MEMBER: Final = 128
"""Characters above which a member is the first to go where all are too long (section 3.3.1.5)."""

_SAMPLED: Final = 0x01

_TRACEPARENT: Final = re.compile(
    rb"""
    (?!ff) (?P<version> [0-9a-f]{2} )
    - (?!0{32}) (?P<trace_id> [0-9a-f]{32} )
    - (?!0{16}) (?P<parent_id> [0-9a-f]{16} )
    - (?P<flags> [0-9a-f]{2} )
    (?P<more> -.* )?
    """,
    re.VERBOSE | re.DOTALL,
)
_match_trace_id: Final = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch

# The grammar of section 3.3.1: a key is one word, or a tenant's at a system.
_MEMBER: Final = re.compile(
    rb"""
    (?P<key> [a-z] [a-z0-9_\-*/]{0,255} | [a-z0-9] [a-z0-9_\-*/]{0,240} @ [a-z] [a-z0-9_\-*/]{0,13} )
    = [\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255} [\x21-\x2b\x2d-\x3c\x3e-\x7e]
    """,
    re.VERBOSE,
)


class TraceContext:
    """A place in a trace: what happens next happens there.

    Args:
        trace_id: the trace, 32 lower-case hexadecimal digits, not all of them zero.
        parent_id: the span in it, 16 such digits; None where the trace begins here.
        flags: the `trace-flags`, 0 to 255.
        tracestate: what goes into the field of that name, if anything.
    """

    __slots__ = ("_span_id", "flags", "parent_id", "trace_id", "tracestate")

    def __init__(
        self,
        trace_id: str,
        parent_id: str | None = None,
        flags: int = 0,
        tracestate: str | None = None,
    ) -> None:
        self.trace_id: Final = trace_id
        self.parent_id: Final = parent_id
        self.flags: Final = flags
        self.tracestate: Final = tracestate
        self._span_id = parent_id

    def __repr__(self) -> str:
        state = "" if self.tracestate is None else f" {self.tracestate}"
        return f"<{type(self).__name__} {self.traceparent}{state}>"

    @property
    def span_id(self) -> str:
        """The `parent-id` of what happens next. Where the trace begins, random, and made when first asked for."""
        if self._span_id is None:
            self._span_id = os.urandom(8).hex()
        return self._span_id

    @property
    def sampled(self) -> bool:
        """Whether the caller may have recorded its part of the trace."""
        return bool(self.flags & _SAMPLED)

    @property
    def traceparent(self) -> str:
        """The value of the field `traceparent`, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The fields of a request that belongs to the trace."""
        fields = [(TRACEPARENT, self.traceparent.encode("ascii"))]
        if self.tracestate is not None:
            fields.append((TRACESTATE, self.tracestate.encode("ascii")))
        return fields


def incoming(lines: Mapping[bytes, Sequence[bytes]], request_id: str) -> TraceContext:
    """The trace of a request: the one that it names in one valid `traceparent`, or one that begins with it.

    That one has the id of the request if that can be the id of a trace, so that the two need not be told apart;
    the ids that `gateway.http.request_id` makes can. It is not `sampled`: nobody has recorded anything.

    Args:
        lines: the values of its fields, by their names in lower case.
        request_id: the id of the request.
    """
    parents = lines.get(TRACEPARENT, ())
    if len(parents) == 1:
        match = _TRACEPARENT.fullmatch(parents[0].strip(b" \t"))
        if match is not None:
            version, trace_id, parent_id, flags, more = match.groups()
            # What other versions append is theirs (section 3.2.4); 00 has nothing to append.
            if version != b"00":
                return _continued(trace_id, parent_id, int(flags, 16) & _SAMPLED, lines)
            if more is None:
                return _continued(trace_id, parent_id, int(flags, 16), lines)
    return TraceContext(request_id if _match_trace_id(request_id) else os.urandom(16).hex())


def _continued(
    trace_id: bytes, parent_id: bytes, flags: int, lines: Mapping[bytes, Sequence[bytes]]
) -> TraceContext:
    # "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate": so not earlier.
    tracestate = parse_tracestate(lines.get(TRACESTATE, ()))
    return TraceContext(trace_id.decode("ascii"), parent_id.decode("ascii"), flags, tracestate)


def parse_tracestate(lines: Sequence[bytes]) -> str | None:
    """Combine the fields `tracestate` of a request, and leave out what is too long.

    Args:
        lines: their values, in order.

    Returns:
        One value of at most `MAX_TRACESTATE` characters, without empty members and optional white space. None if
        it has no members, or if it is invalid: a malformed member, a key twice, more than `MAX_MEMBERS`.
    """
    members = [
        stripped for member in b",".join(lines).split(b",") if (stripped := member.strip(b" \t"))
    ]
    if not members or len(members) > MAX_MEMBERS:
        return None
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match["key"] for match in matches if match is not None}
    if len(keys) < len(members):
        return None
    return b",".join(_fitting(members)).decode("ascii") or None


def _fitting(members: list[bytes]) -> list[bytes]:
    """The members that fit: of too many the large ones go first, then the last ones (section 3.3.1.5)."""
    size = sum(map(len, members)) + len(members) - 1
    last_to_go = sorted(
        range(len(members)), key=lambda index: (len(members[index]) > LARGE_MEMBER, index)
    )
    kept = set(last_to_go)
    while size > MAX_TRACESTATE:
        index = last_to_go.pop()
        kept.remove(index)
        size -= len(members[index]) + 1
    return [members[index] for index in sorted(kept)]
