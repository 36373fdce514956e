"""Durations and sizes: what is read, what is refused, and that writing undoes reading."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from gateway.units import (
    MAX_DURATION,
    MAX_SIZE,
    ByteSize,
    Duration,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


def repr_start(value: object) -> str:
    return repr(value)[:12]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1m 30s", 90.0),
        (" 10m ", 600.0),
        ("1.5s", 1.5),
        ("2h", 7200.0),
        ("1d12h", 129_600.0),
        ("1s500ms", 1.5),
        ("0.1s", 0.1),
        ("30", 30.0),
        ("0.25", 0.25),
        (30, 30.0),
        (0.25, 0.25),
        ("365d", MAX_DURATION),
    ],
)
def test_a_duration_is_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "s",
        "2 seconds",
        "2S",
        "30s1m",
        "1m1m",
        "1s 2",
        "ms",
        "1e3",
        "1_000",
        "٣s",
        "-5s",
        "inf",
        "nan",
        ".5s",
        "5.s",
        math.nan,
        math.inf,
        -math.inf,
        True,
        None,
        b"2s",
        ["2s"],
    ],
)
def test_what_is_no_duration_is_refused_with_the_forms_that_are(value: object) -> None:
    with pytest.raises(ValueError, match=r'write it like "500ms", "2s" or "1m30s", or as a number'):
        parse_duration(value)


@pytest.mark.parametrize("value", [0, 0.0, "0", "0s", "0m0s", -1, -0.5])
def test_a_duration_is_longer_than_zero(value: object) -> None:
    with pytest.raises(ValueError, match="not longer than zero"):
        parse_duration(value)


@pytest.mark.parametrize(
    "value", [10**400, 1e300, "366d", MAX_DURATION + 1, "9" * 400], ids=repr_start
)
def test_a_duration_has_an_end(value: object) -> None:
    with pytest.raises(ValueError, match="is longer than 365d"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0005, "0.5ms"),
        (0.5, "500ms"),
        (2.0, "2s"),
        (2.5, "2.5s"),
        (30, "30s"),
        (60.0, "1m"),
        (90.0, "1m30s"),
        (3600.0, "1h"),
        (3600.25, "1h250ms"),
        (129_600.0, "1d12h"),
        (600_000.0, "6d22h40m"),
    ],
)
def test_a_duration_is_written_as_a_person_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=1e-9, max_value=MAX_DURATION))
def test_a_written_duration_is_read_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256MiB", 256 * 1024**2),
        ("64KiB", 65_536),
        ("64kib", 65_536),
        ("10MB", 10_000_000),
        ("1GiB", 1024**3),
        ("1 GiB", 1024**3),
        ("1.5GiB", 1_610_612_736),
        ("0.1KB", 100),
        ("2TB", 2 * 10**12),
        ("2TiB", 2 * 1024**4),
        ("17", 17),
        ("17B", 17),
        ("0", 0),
        (0, 0),
        (65_536, 65_536),
        (MAX_SIZE, MAX_SIZE),
    ],
)
def test_a_size_is_read(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "value",
    [
        "",
        "MiB",
        "256m",
        "256Mi",
        "10MB?",
        "10 M B",
        "1e3",
        "inf",
        "nan",
        "-1",
        "٣B",
        1.5,
        True,
        None,
        b"1",
    ],
)
def test_what_is_no_size_is_refused_with_the_forms_that_are(value: object) -> None:
    with pytest.raises(
        ValueError, match=r'write it like "64KiB", "256MiB" or "10MB", or as a number'
    ):
        parse_size(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "less than zero"),
        ("1.5", "not a whole number of bytes"),
        ("1.0001KB", "not a whole number of bytes"),
        (MAX_SIZE + 1, "is more than"),
        ("9" * 100 + "TiB", "is more than"),
    ],
)
def test_a_size_out_of_range_is_refused(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_size(value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (17, "17B"),
        (1000, "1KB"),
        (1024, "1KiB"),
        (1025, "1025B"),
        (10_000_000, "10MB"),
        (256 * 1024**2, "256MiB"),
        (4 * 1024**3, "4GiB"),
        (1536 * 1024, "1536KiB"),
        (1024**4, "1TiB"),
    ],
)
def test_a_size_is_written_as_a_person_would(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(min_value=0, max_value=MAX_SIZE))
def test_a_written_size_is_read_back_exactly(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_a_long_value_is_cut_short_in_the_message() -> None:
    with pytest.raises(ValueError, match="is not a size") as caught:
        parse_size("x" * 10_000)
    assert len(str(caught.value)) < 200


def test_the_annotated_types_read_in_a_model() -> None:
    class Limits(BaseModel):
        time: Duration
        memory: ByteSize

    limits = Limits.model_validate({"time": "1m30s", "memory": "64KiB"})
    assert (limits.time, limits.memory) == (90.0, 65_536)
    with pytest.raises(ValidationError) as caught:
        Limits.model_validate({"time": "soon", "memory": "much"})
    assert [error["loc"] for error in caught.value.errors()] == [("time",), ("memory",)]
