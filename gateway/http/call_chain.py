"""What a call tells a server of the calls that wait for it: how many there are, and how long they wait.

`CDN-Loop` (RFC 8586) lists who has handed a request on, to end loops; each of our links is an entry. How long the
caller waits is told as Envoy does: `x-envoy-expected-rq-timeout-ms`. Both only ever make less of a call, so they
are believed whoever says them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["FIELDS", "fields", "read"]

_LOOP: Final = b"cdn-loop"
_TIMEOUT: Final = b"x-envoy-expected-rq-timeout-ms"

FIELDS: Final = frozenset((_LOOP, _TIMEOUT))
"""The names of the fields; where a request has none of them, nothing is told."""

_US: Final = b"component-gateway"

_MOST: Final = 10**8
"""Milliseconds that are told: more than a day."""


def fields(depth: int, remaining: float) -> list[tuple[bytes, bytes]]:
    """The fields of a request.

    Args:
        depth: how many calls by links wait for it.
        remaining: seconds that they still wait; infinite for as long as it takes.
    """
    found = [(_LOOP, b", ".join([_US] * depth))]
    if remaining < math.inf:
        found.append((_TIMEOUT, b"%d" % min(math.ceil(remaining * 1000), _MOST)))
    return found


def read(lines: Mapping[bytes, Sequence[bytes]]) -> tuple[int, float]:
    """How many calls by links wait for a request, and for how many seconds: 0 and infinity where nothing is told.

    Args:
        lines: the values of its fields, by their names in lower case.
    """
    loop, timeout = lines.get(_LOOP), lines.get(_TIMEOUT, ())
    depth, remaining = 0, math.inf
    if loop is not None:
        entries = b",".join(loop).split(b",")
        depth = sum(entry.partition(b";")[0].strip() == _US for entry in entries)
    if len(timeout) == 1 and timeout[0].isdigit() and len(timeout[0]) <= len(str(_MOST)):
        remaining = int(timeout[0]) / 1000
    return depth, remaining
