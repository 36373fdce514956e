"""The lines that become of a guest's output."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bindings.stdio import LINES_AT_ONCE, MAX_LINE, LineOutput


def lines_of(*chunks: bytes) -> list[str]:
    """What becomes of these writes to stdout."""
    lines: list[str] = []
    output = LineOutput(lambda _stream, line: lines.append(line))
    for chunk in chunks:
        output("stdout", chunk)
    output.close()
    return lines


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b""], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"on", b"e", b"\ntw", b"o\n"], ["one", "two"]),
        ([b"\n\nx\n"], ["", "", "x"]),
        ([b"one\r\ntwo\r\n"], ["one", "two"]),
        ([b"one\r", b"\ntwo"], ["one", "two"]),
        ([b"one\r"], ["one"]),
        ([b"50%\r100%\n"], ["50%\r100%"]),
        ([b"no end"], ["no end"]),
        ([b"a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\n"], ["a\x0bb\x0cc\x85d\u2028e"]),
    ],
)
def test_lines_end_with_lf_or_crlf_wherever_the_writes_end(
    chunks: list[bytes], lines: list[str]
) -> None:
    assert lines_of(*chunks) == lines


@pytest.mark.parametrize(
    ("chunks", "line"),
    [
        (["ä⚡😀".encode()], "ä⚡😀"),
        ([bytes((byte,)) for byte in "ä⚡😀\n".encode()], "ä⚡😀"),
        ([b"a\xffb\n"], "a\ufffdb"),
        ([b"a\xe2\x9a", b"b\n"], "a\ufffdb"),
        ([b"a\xe2\x9a\n"], "a\ufffd"),
        ([b"a\xe2\x9a"], "a\ufffd"),
        ([b"nul \0 stays\n"], "nul \0 stays"),
    ],
)
def test_text_is_utf_8_and_what_is_not_is_replaced(chunks: list[bytes], line: str) -> None:
    assert lines_of(*chunks) == [line]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 1000, MAX_LINE, MAX_LINE * 4])
def test_a_line_of_just_the_longest_length_is_whole(end: bytes, size: int) -> None:
    data = b"x" * MAX_LINE + end
    assert lines_of(*(data[at : at + size] for at in range(0, len(data), size))) == ["x" * MAX_LINE]


def test_a_line_that_is_too_long_is_cut_before_it_ends() -> None:
    lines: list[str] = []
    output = LineOutput(lambda _stream, line: lines.append(line))
    for _ in range(MAX_LINE):
        output("stdout", "äx".encode())
    output("stdout", b"!")
    assert lines == ["äx" * (MAX_LINE // 2)] * 2
    output("stdout", b"\nnext\n")
    assert lines[2:] == ["!", "next"]


def test_a_long_line_in_one_write_is_cut_too() -> None:
    assert lines_of(b"x" * (2 * MAX_LINE + 1) + b"\nnext") == [
        "x" * MAX_LINE,
        "x" * MAX_LINE,
        "x",
        "next",
    ]


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n")), st.data())
def test_where_writes_begin_and_end_makes_no_difference(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = [line.removesuffix("\r") for line in text.split("\n")]
    if not text or text.endswith("\n"):
        expected.pop()
    assert lines_of(*chunks) == expected


def test_stdout_and_stderr_are_lines_of_their_own() -> None:
    lines: list[tuple[str, str]] = []
    output = LineOutput(lambda stream, line: lines.append((stream, line)))
    output("stdout", b"a\xe2")
    output("stderr", b"1")
    output("stdout", b"\x9a\xa1\nb")
    output("stderr", b"2\n3")
    assert lines == [("stdout", "a⚡"), ("stderr", "12")]
    output.close()
    assert lines[2:] == [("stdout", "b"), ("stderr", "3")]


def test_closing_twice_emits_once() -> None:
    lines: list[str] = []
    output = LineOutput(lambda _stream, line: lines.append(line))
    output("stdout", b"x")
    output.close()
    output.close()
    assert lines == ["x"]


# --- much of it ----------------------------------------------------------------------------------


class Much:
    """An output whose limits are given, and what becomes of it."""

    def __init__(self, **limits: int) -> None:
        self.lines: list[str] = []
        self.dropped: list[tuple[int, int]] = []
        self.output = LineOutput(
            lambda _stream, line: self.lines.append(line),
            on_dropped=lambda lines, size: self.dropped.append((lines, size)),
            **limits,
        )

    async def work_off(self) -> list[int]:
        """Lets the event loop turn until nothing waits; gives how many lines each turn emitted."""
        turns = []
        while not self.output.ready():
            before = len(self.lines)
            await asyncio.sleep(0)
            turns.append(len(self.lines) - before)
        return turns


@pytest.mark.anyio
@pytest.mark.parametrize("data", [b"\n" * (1 << 20), b"x\n" * 10_000, b"x" * (1 << 20)])
async def test_a_large_write_is_worked_off_in_turns(data: bytes) -> None:
    much = Much()
    much.output("stdout", data)
    assert not much.output.ready()
    first = len(much.lines)
    waiter = asyncio.get_running_loop().create_future()
    much.output.watch(waiter)
    turns = await much.work_off()
    await waiter
    assert max(first, *turns) <= 2 * LINES_AT_ONCE
    much.output.close()
    assert "\n".join(much.lines).replace("\n", "") == data.decode().replace("\n", "")
    assert len(much.lines) == (data.count(b"\n") or len(data) // MAX_LINE)
    assert not much.dropped


@pytest.mark.anyio
async def test_what_waits_when_the_guest_ends_is_emitted_all_the_same() -> None:
    much = Much()
    much.output("stdout", b"a\n" * 1000 + b"end")
    much.output("stderr", b"b\nend")
    much.output.close()
    assert len(much.lines) < 1000
    await much.work_off()
    assert much.lines == ["a"] * 1000 + ["b", "end", "end"]


@pytest.mark.anyio
async def test_over_its_limit_of_lines_it_is_dropped_without_a_look() -> None:
    much = Much(max_lines=100)
    for _ in range(10):
        much.output("stdout", b"\n" * 100_000)
        await much.work_off()
    assert much.lines == [""] * 100
    much.output.close()
    ((lines, size),) = much.dropped
    assert lines == 10 * 100_000 - 100
    assert size >= 9 * 100_000


def test_over_its_limit_of_bytes_it_is_dropped() -> None:
    much = Much(max_bytes=10)
    much.output("stdout", b"123\n456\n789\nabc\n")
    much.output("stderr", b"more")
    much.output.close()
    much.output.close()
    assert much.lines == ["123", "456", "78"]
    assert much.dropped == [(2, 10)]


def test_just_at_its_limits_it_is_whole() -> None:
    much = Much(max_lines=2, max_bytes=8)
    much.output("stdout", b"123\n456\n")
    much.output.close()
    assert (much.lines, much.dropped) == (["123", "456"], [])
