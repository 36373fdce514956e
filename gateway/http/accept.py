"""What content a client would rather have (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

__all__ = ["VARY", "prefers"]

VARY: Final = (b"vary", b"accept")
"""The field of a response that `prefers` had a part in."""

_MAX_RANGES: Final = 32
"""Media ranges that are looked at. Browsers send eight."""


def prefers(lines: Mapping[bytes, Sequence[bytes]], media_type: bytes, *, to: bytes) -> bool:
    """Whether a client accepts one media type with more weight than another.

    Who accepts anything, or says nothing, has no preference. What is no media range, or no weight, means nothing.

    Args:
        lines: the values of the request's fields, by their names in lower case.
        media_type: in lower case, without parameters.
        to: the other, likewise.
    """
    weights = dict(_weights(b",".join(lines.get(b"accept", ()))))
    return _weight(weights, media_type) > _weight(weights, to)


def _weight(weights: Mapping[bytes, float], media_type: bytes) -> float:
    """That of the most specific range that has a media type."""
    for media_range in (media_type, media_type.partition(b"/")[0] + b"/*", b"*/*"):
        if (weight := weights.get(media_range)) is not None:
            return weight
    return 0.0


def _weights(field: bytes) -> Iterator[tuple[bytes, float]]:
    for element in field.lower().split(b",", _MAX_RANGES)[:_MAX_RANGES]:
        media_range, *parameters = (part.strip(b" \t") for part in element.split(b";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith(b"q="):
                try:
                    weight = min(1.0, max(0.0, float(parameter[2:])))
                except ValueError:
                    break
        else:
            yield media_range, weight
