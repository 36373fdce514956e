"""JSON as text: strict where readers differ, and exact."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.json.text import MAX_DEPTH, InvalidJson, dump, parse

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)

texts_of_brackets = st.lists(
    st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b"\\\\", b'\\"', b",", b'"":', b"1"])
    | st.sampled_from([b"[" * MAX_DEPTH, b"]" * MAX_DEPTH, b'{"":' * MAX_DEPTH, b'"["'])
).map(b"".join)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types throughout: 1, 1.0 and True are equal to Python."""
    return repr(one) == repr(other)


@given(json_values)
def test_what_is_dumped_is_parsed_again_without_loss(value: Any) -> None:
    assert same(parse(dump(value)), value)


@given(json_values, st.sampled_from([None, 2]))
def test_white_space_and_characters_outside_of_ascii_are_read(
    value: Any, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert same(parse(text.encode()), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"1.0", 1.0),
        (b"1e2", 100.0),
        (b"-0.0", -0.0),
        (b"18446744073709551616", 18446744073709551616),
        (b" [ ] ", []),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d"', "\ud83d"),
        (rb'"\u0000"', "\0"),
        (b'{"a":{"a":1},"b":[{"a":1},{"a":1}]}', {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}),
    ],
)
def test_values(text: bytes, value: Any) -> None:
    assert same(parse(text), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "line 1, column 1: expecting value"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6: expecting ':' delimiter"),
        (b"[1,\n[}", "line 2, column 2: expecting value"),
        (b'["a', "line 1, column 2: unterminated string"),
        (b'"\n"', "line 1, column 2: invalid control character"),
        (b"1 2", "line 1, column 3: extra data"),
        (b"01", "line 1, column 2: extra data"),
        (b"'a'", "line 1, column 1: expecting value"),
        ("１".encode(), "line 1, column 1: expecting value"),
        (b"[1, \xff]", "byte 4: the text is not UTF-8"),
        (b'"\xed\xa0\x80"', "byte 1: the text is not UTF-8"),
        (b'"\xc0\x80"', "byte 1: the text is not UTF-8"),
        ("[]".encode("utf-8-sig"), "the text begins with a byte order mark: send it without"),
        ("[]".encode("utf-16-le"), "line 1, column 2: expecting value"),
        (b"[NaN]", 'NaN is not JSON: write it as a string, "NaN"'),
        (b"Infinity", 'Infinity is not JSON: write it as a string, "Infinity"'),
        (b"-Infinity", '-Infinity is not JSON: write it as a string, "-Infinity"'),
        (b"[-1e999]", "the number -1e999 is beyond the range of a double"),
        (b'{"a":1,"b":2,"a":1}', 'the name "a" occurs twice in one object'),
        (rb'[{"a":{"\u0061":1,"a":1}}]', 'the name "a" occurs twice in one object'),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(text: bytes, message: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", [b"[1,]", b'{"a":1,}', b"/**/1", b"[1 2]", b"+1", b".5", b"1."])
def test_what_other_readers_allow_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(text)


def test_a_refusal_does_not_repeat_more_than_a_little_of_the_text() -> None:
    name = b'"' + b"x" * 100_000 + b'":1'
    for text in (b"{" + name + b"," + name + b"}", b"9" * 100_000 + b".0"):
        with pytest.raises(InvalidJson) as caught:
            parse(text)
        assert len(str(caught.value)) < 200


def test_an_integer_of_more_digits_than_python_reads() -> None:
    most = b"9" * sys.get_int_max_str_digits()
    assert dump(parse(most)) == most
    with pytest.raises(InvalidJson, match=r"^a number has too many digits$"):
        parse(most + b"9")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"":', b"}"), (b'[{"":', b"}]")])
def test_the_depth_is_bounded_exactly(opening: bytes, closing: bytes) -> None:
    levels = MAX_DEPTH // len(closing)
    deepest = opening * levels + b"1" + closing * levels
    assert dump(parse(deepest)) == deepest
    with pytest.raises(
        InvalidJson, match=rf"^objects and arrays are nested in more than {MAX_DEPTH}"
    ):
        parse(b"[" + deepest + b"]")


def test_brackets_beside_the_deepest_are_not_depth() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [[], value]
    assert parse(dump(value)) == value
    with pytest.raises(InvalidJson, match=r"^objects and arrays are nested"):
        parse(dump([value]))


def test_many_brackets_are_not_depth() -> None:
    many = 4 * MAX_DEPTH
    values: list[Any] = [[[]] * many, [{}] * many, "[{" * many, ['\\"[' * many, "\\", "[" * many]]
    for value in values:
        assert parse(dump(value)) == value


def test_a_text_that_only_opens_is_refused_whatever_its_length() -> None:
    for text in (b"[" * 1_000_000, b'{"":' * 1_000_000, b'["\\\\",' * 1_000_000):
        with pytest.raises(InvalidJson, match=r"^objects and arrays are nested"):
            parse(text)


@given(st.binary() | texts_of_brackets)
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        value = parse(data)
    except InvalidJson:
        return
    # What the strict reader accepts, the lax one understands in the same way.
    assert same(value, json.loads(data))


@given(st.text(alphabet=st.characters(categories=["Cs", "L"])))
def test_text_with_half_a_surrogate_pair_is_dumped_as_it_was_read(text: str) -> None:
    value = parse(json.dumps(text).encode())
    assert parse(dump(value)) == value


def test_what_is_dumped_has_no_white_space_and_no_constants() -> None:
    assert dump({"a": [1, 1.0, None, True, "é"]}) == rb'{"a":[1,1.0,null,true,"\u00e9"]}'
    for number in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            dump([number])
