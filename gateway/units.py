"""Durations and sizes as people write them: "1m30s", "256MiB".

Configuration files and flags share these two parsers, so a value is spelled one way everywhere.
The formatters write the shortest form that the parsers read back as the same number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "DURATION_SCHEMA",
    "MAX_DURATION",
    "MAX_SIZE",
    "SIZE_SCHEMA",
    "ByteSize",
    "Delay",
    "Duration",
    "Quantity",
    "format_duration",
    "format_size",
    "parse_duration",
    "parse_size",
]

MAX_DURATION: Final = 365 * 86_400.0
"""Seconds. A year is arbitrary; without a bound, 1e300 seconds overflow 64-bit counters of epoch
ticks and of the loop's timers at the first request, instead of being refused before it."""

MAX_SIZE: Final = 2**63 - 1
"""Bytes. The largest count that TOML's integers, and every API below, can carry."""

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
# Largest unit first, each at most once: "30s1m" is more often a typing error than an intention.
_DURATION: Final = re.compile(
    rf"(?:({_NUMBER})d\s*)?(?:({_NUMBER})h\s*)?(?:({_NUMBER})m(?!s)\s*)?(?:({_NUMBER})s\s*)?(?:({_NUMBER})ms)?"
)
_SECONDS: Final = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_PLAIN: Final = re.compile(_NUMBER)
_DURATION_FORMS: Final = 'write it like "500ms", "2s" or "1m30s", or as a number of seconds'

# The expressions above and below as JSON Schema has them (ECMA-262), which has no functions to ask further: a
# duration begins with a digit, and is longer than zero if it has any but 0.
_DURATION_PATTERN: Final = rf"^\s*(?=[0-9])(?=[^1-9]*[1-9])(?:{_NUMBER}|{_DURATION.pattern})\s*$"
_DURATION_EXAMPLES: Final = ["30s", "1m30s", "500ms", 0.5]

_SIZE: Final = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>[a-z]*)", re.IGNORECASE)
_BYTES: Final = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
}
_SIZE_PATTERN: Final = rf"^\s*{_NUMBER}\s*(?:[KkMmGgTt]?[Bb]|[KkMmGgTt][Ii][Bb])?\s*$"
_SIZE_FORMS: Final = 'write it like "64KiB", "256MiB" or "10MB", or as a number of bytes'


def parse_duration(value: object) -> float:
    """Read a span of time.

    Args:
        value: a number of seconds, or text of counts of `d`, `h`, `m`, `s` and `ms`, in this order.

    Returns:
        Seconds, more than zero and at most `MAX_DURATION`.

    Raises:
        ValueError: it is none of these; the message shows the forms that are.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError(f"{_quoted(value)} is not a duration: {_DURATION_FORMS}")
    if seconds <= 0:
        raise ValueError(f"{_quoted(value)} is not longer than zero: {_DURATION_FORMS}")
    if seconds > MAX_DURATION:
        raise ValueError(f"{_quoted(value)} is longer than {format_duration(MAX_DURATION)}")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """Write seconds as `parse_duration` reads them: `90.0` is "1m30s", `0.5` is "500ms"."""
    rest = Decimal(repr(float(seconds)))
    parts = []
    for unit, length in _SECONDS.items():
        if unit == "ms":
            count = rest / length
        elif unit == "s" and rest >= 1:
            # "2.5s" rather than "2s500ms".
            count = rest
        else:
            count = rest // length
        if count:
            parts.append(f"{count.normalize():f}{unit}")
            rest -= count * length
    return "".join(parts) or "0s"


def parse_size(value: object) -> int:
    """Read a number of bytes.

    Args:
        value: a number of bytes, or text of a number and a unit: `KiB`, `MiB`, `GiB` and `TiB` are
            powers of 1024, `KB`, `MB`, `GB` and `TB` of 1000 (IEC 80000-13), in any case.

    Returns:
        Bytes, zero or more and at most `MAX_SIZE`.

    Raises:
        ValueError: it is none of these, or no whole number of bytes; the message shows the forms.
    """
    size: Decimal | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = Decimal(value)
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())) is not None:
        unit = _BYTES.get(match["unit"].upper())
        # "256m" is 256 MiB to some tools, 256 MB to others and 0.256 bytes to Kubernetes: refused.
        size = Decimal(match["number"]) * unit if unit is not None else None
    if size is None:
        raise ValueError(f"{_quoted(value)} is not a size: {_SIZE_FORMS}")
    if size < 0:
        raise ValueError(f"{_quoted(value)} is less than zero: {_SIZE_FORMS}")
    if size > MAX_SIZE:
        raise ValueError(f"{_quoted(value)} is more than {MAX_SIZE} bytes")
    if size != int(size):
        raise ValueError(f"{_quoted(value)} is not a whole number of bytes: {_SIZE_FORMS}")
    return int(size)


def format_size(size: int) -> str:
    """Write bytes as `parse_size` reads them, exactly: `2**28` is "256MiB", `10**7` is "10MB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "KB"):
        count, rest = divmod(size, _BYTES[unit.upper()])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size}B"


def _seconds(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    return sum(
        (
            Decimal(count) * length
            for count, length in zip(match.groups(), _SECONDS.values(), strict=True)
            if count
        ),
        start=Decimal(0),
    )


def _quoted(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _parse_delay(value: object) -> float:
    """Read a span of time as `parse_duration` does, or 0 or "0s" for none."""
    return 0.0 if value in (0, "0s") and value is not False else parse_duration(value)


@dataclass(
    frozen=True, slots=True, eq=False
)  # with its dictionary, only as itself it can be hashed
class Quantity:
    """Reads, writes and describes a number that people write with its unit; for the type of a field.

    Attributes:
        name: what stands for it in a usage, such as "SIZE".
        parse: reads it, or raises a ValueError.
        write: writes it as `parse` reads it.
        schema: the JSON Schema of what `parse` reads, as near as one can say.
    """

    name: str
    parse: Callable[[object], object]
    write: Callable[[Any], str]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.parse, handler(source))

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return deepcopy(dict(self.schema))


DURATION_SCHEMA: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_DURATION},
        {"type": "string", "pattern": _DURATION_PATTERN},
    ],
    "examples": _DURATION_EXAMPLES,
}
"""The JSON Schema of what `parse_duration` reads."""

Duration = Annotated[float, Quantity("DURATION", parse_duration, format_duration, DURATION_SCHEMA)]
"""Seconds; in a model, whatever `parse_duration` reads."""

Delay = Annotated[
    float,
    Quantity(
        "DURATION",
        _parse_delay,
        format_duration,
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_DURATION},
                {"type": "string", "pattern": f"^0s$|{_DURATION_PATTERN}"},
            ],
            "examples": _DURATION_EXAMPLES,
        },
    ),
]
"""Seconds, or none."""

SIZE_SCHEMA: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": MAX_SIZE},
        {"type": "string", "pattern": _SIZE_PATTERN},
    ],
    "examples": ["64KiB", "256MiB"],
}

ByteSize = Annotated[int, Quantity("SIZE", parse_size, format_size, SIZE_SCHEMA)]
"""Bytes; in a model, whatever `parse_size` reads. Not pydantic's type of that name, which takes
"10MB?" for ten million bytes, and `True` and "1.5" for one."""
