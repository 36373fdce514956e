"""The rows of the table, one by one: what is written, what else is read, what is refused and with which words."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from gateway.host import wit
from gateway.host.values import Err, Ok, Some, Variant
from gateway.rpc.json_values import InvalidValue, decoder, encoder, parameters
from tests.wit_strategies import INTEGERS, exact

U8 = wit.Integer(8, signed=False)
S8 = wit.Integer(8, signed=True)
U32 = wit.Integer(32, signed=False)
U64 = wit.Integer(64, signed=False)
S64 = wit.Integer(64, signed=True)
F32 = wit.Float(32)
F64 = wit.Float(64)
PAIR = wit.Record((("y", U8), ("x", wit.String())))
SHAPE = wit.Variant((("point", None), ("circle", U8), ("label", wit.Option(wit.String()))))
COLOUR = wit.Enum(("red", "green"))
ACCESS = wit.Flags(("read", "write", "own"))
MAYBE = wit.Option(U8)
PERHAPS = wit.Option(MAYBE)
RESULT = wit.Result(U8, wit.String())
LARGEST_F32 = float.fromhex("0x1.fffffep127")
TOO_LARGE_FOR_F32 = float.fromhex("0x1.ffffffp127")

BOTH_WAYS: list[tuple[wit.Type, Any, Any]] = [
    (wit.Bool(), True, True),
    (wit.Bool(), False, False),
    *((ty, ty.minimum, ty.minimum) for ty in INTEGERS if ty.bits < 64),
    *((ty, ty.maximum, ty.maximum) for ty in INTEGERS if ty.bits < 64),
    (U64, 0, 0),
    (U64, 2**53 - 1, 9007199254740991),
    (U64, 2**53, "9007199254740992"),
    (U64, 2**64 - 1, "18446744073709551615"),
    (S64, -(2**53 - 1), -9007199254740991),
    (S64, -(2**53), "-9007199254740992"),
    (S64, 2**53, "9007199254740992"),
    (S64, -(2**63), "-9223372036854775808"),
    (S64, 2**63 - 1, "9223372036854775807"),
    *((ty, number, number) for ty in (F32, F64) for number in (0.0, -0.0, 1.5, -1.0)),
    (F32, LARGEST_F32, LARGEST_F32),
    (F64, 5e-324, 5e-324),
    (F64, 1.7976931348623157e308, 1.7976931348623157e308),
    *(
        (ty, number, text)
        for ty in (F32, F64)
        for number, text in (
            (math.nan, "NaN"),
            (math.inf, "Infinity"),
            (-math.inf, "-Infinity"),
        )
    ),
    *((wit.Char(), char, char) for char in ("a", "\0", "\ud7ff", "\ue000", "\U0010ffff")),
    *((wit.String(), text, text) for text in ("", "a\0b", "größer 😀")),
    *(
        (ty, data, text)
        for ty in (wit.List(U8), wit.Bytes())
        for data, text in (
            # RFC 4648, section 10.
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff\xbe", "+/++"),
        )
    ),
    (wit.List(U32), [], []),
    (wit.List(U32), [1, 2], [1, 2]),
    (wit.List(S8), [1, -2], [1, -2]),
    (wit.List(U64), [1, 2**60], [1, "1152921504606846976"]),
    (wit.List(wit.List(U8)), [b"foo", b""], ["Zm9v", ""]),
    (wit.Tuple((U8, wit.String())), (1, "a"), [1, "a"]),
    (wit.Tuple((U8, U8)), (1, 2), [1, 2]),
    (PAIR, {"y": 1, "x": "a"}, {"y": 1, "x": "a"}),
    (SHAPE, Variant("point"), {"point": None}),
    (SHAPE, Variant("circle", 3), {"circle": 3}),
    (SHAPE, Variant("label", None), {"label": None}),
    (SHAPE, Variant("label", "a"), {"label": "a"}),
    (COLOUR, "green", "green"),
    (ACCESS, frozenset(), []),
    (ACCESS, frozenset({"own", "read"}), ["read", "own"]),
    (MAYBE, None, None),
    (MAYBE, 0, 0),
    (wit.Option(U64), 2**53, "9007199254740992"),
    (wit.Option(RESULT), Ok(1), {"ok": 1}),
    (PERHAPS, None, None),
    (PERHAPS, Some(None), {"some": None}),
    (PERHAPS, Some(5), {"some": 5}),
    (wit.Option(PERHAPS), None, None),
    (wit.Option(PERHAPS), Some(None), {"some": None}),
    (wit.Option(PERHAPS), Some(Some(None)), {"some": {"some": None}}),
    (wit.Option(PERHAPS), Some(Some(5)), {"some": {"some": 5}}),
    (RESULT, Ok(1), {"ok": 1}),
    (RESULT, Err("no"), {"err": "no"}),
    (wit.Result(U8, U64), Err(2**53), {"err": "9007199254740992"}),
    (wit.Result(None, None), Ok(None), {"ok": None}),
    (wit.Result(None, None), Err(None), {"err": None}),
    (wit.Result(PERHAPS, None), Ok(Some(None)), {"ok": {"some": None}}),
]


def _named(part: object) -> str:
    """The name of a part of a case, the same in every process: sets have no order."""
    return f"{{{', '.join(sorted(part))}}}" if isinstance(part, frozenset) else str(part)


@pytest.mark.parametrize(("ty", "value", "document"), BOTH_WAYS, ids=_named)
def test_a_value_has_one_form_that_is_written_and_read(
    ty: wit.Type, value: Any, document: Any
) -> None:
    encoded = encoder(ty)(value)
    assert exact(encoded) == exact(document)
    written = json.dumps(encoded, allow_nan=False)
    assert written == json.dumps(document)
    assert exact(decoder(ty)(json.loads(written))) == exact(value)


@pytest.mark.parametrize(
    ("ty", "document", "value"),
    [
        *((ty, 1.0, 1) for ty in INTEGERS),
        *((ty, -0.0, 0) for ty in INTEGERS),
        (S8, -128.0, -128),
        (U64, 9007199254740991.0, 2**53 - 1),
        (S64, -9007199254740991.0, -(2**53 - 1)),
        (U64, "7", 7),
        (S64, "-7", -7),
        (S64, "-0", 0),
        (U64, "00000000000000000007", 7),
        # Integers are exact in Python, so they are wherever `json.loads` has read them from digits alone.
        (U64, 2**64 - 1, 2**64 - 1),
        (S64, -(2**63), -(2**63)),
        (F64, 3, 3.0),
        (F64, 2**53 + 1, 2.0**53),
        (F32, 0.1, 0.1),
        (F32, 2**127, 2.0**127),
        (F32, math.nextafter(TOO_LARGE_FOR_F32, 0), math.nextafter(TOO_LARGE_FOR_F32, 0)),
        (wit.List(U8), [0, 255, 1.0], b"\x00\xff\x01"),
        (wit.List(U8), [], b""),
        (wit.Bytes(), [255], b"\xff"),
        (PAIR, {"x": "a", "y": 1}, {"y": 1, "x": "a"}),
        (ACCESS, ["own", "read"], frozenset({"own", "read"})),
    ],
    ids=_named,
)
def test_other_forms_are_read_as_well(ty: wit.Type, document: Any, value: Any) -> None:
    assert exact(decoder(ty)(document)) == exact(value)


WORDS_OF_U8 = "u8, an integer from 0 to 255"
WORDS_OF_U64 = (
    "u64, an integer from 0 to 18446744073709551615 as a number or as a string of decimal digits"
)
WORDS_OF_S64 = (
    "s64, an integer from -9223372036854775808 to 9223372036854775807"
    " as a number or as a string of decimal digits"
)
WORDS_OF_F32 = 'f32, a number in its range or one of "NaN", "Infinity", "-Infinity"'
WORDS_OF_F64 = 'f64, a number in its range or one of "NaN", "Infinity", "-Infinity"'
WORDS_OF_BYTES = (
    "list<u8>, a string in base64 (RFC 4648, section 4, with padding)"
    " or an array of integers from 0 to 255"
)
WORDS_OF_SHAPE = 'an object with exactly one key, one of "point", "circle", "label"'
WORDS_OF_RESULT = 'an object with exactly one key, one of "ok", "err"'
HUGE = 10**5000

REFUSED: list[tuple[wit.Type, str, tuple[Any, ...]]] = [
    (wit.Bool(), "bool, true or false", (None, 0, 1, 1.0, "true", [], {})),
    *(
        (
            ty,
            f"{ty}, an integer from {ty.minimum} to {ty.maximum}",
            (
                ty.minimum - 1,
                ty.maximum + 1,
                float(ty.maximum + 1),
                HUGE,
                -HUGE,
                None,
                True,
                False,
                1.5,
                1e300,
                math.inf,
                math.nan,
                "1",
                "",
                [],
                [1],
                {},
            ),
        )
        for ty in INTEGERS
        if ty.bits < 64
    ),
    (
        U64,
        WORDS_OF_U64,
        (
            -1,
            2**64,
            "-1",
            "18446744073709551616",
            HUGE,
            True,
            None,
            1.5,
            2.0**53,
            1e18,
            math.inf,
            # What Python's own `int` takes, and more digits than any value has.
            "",
            "-",
            "-0",
            "+1",
            " 1",
            "1 ",
            "1\n",
            "1_0",
            "٣",
            "0x1",
            "1.0",
            "1e3",
            "--1",
            "0" * 20 + "1",
        ),
    ),
    (
        S64,
        WORDS_OF_S64,
        (2**63, -(2**63) - 1, "9223372036854775808", "-9223372036854775809", -(2.0**53), -1e18),
    ),
    (
        F32,
        WORDS_OF_F32,
        (TOO_LARGE_FOR_F32, -TOO_LARGE_FOR_F32, 1e39, 2**128, HUGE, math.inf, True, "1", None),
    ),
    (
        F64,
        WORDS_OF_F64,
        (
            2**1024,
            HUGE,
            -HUGE,
            math.inf,
            -math.inf,
            math.nan,
            True,
            False,
            "1",
            "nan",
            "inf",
            "+Infinity",
            "",
            None,
            [],
            {},
        ),
    ),
    (
        wit.Char(),
        "char, a string of one Unicode scalar value",
        ("", "ab", "e\u0301", "\ud800", "\udfff", 97, None, ["a"]),
    ),
    (wit.String(), "string", (None, 1, True, ["a"], {})),
    (
        wit.String(),
        "string without surrogates that are not in pairs",
        ("\ud800", "a\udfff", "\udc00\ud800"),
    ),
    (
        wit.List(U8),
        WORDS_OF_BYTES,
        (
            None,
            1,
            {},
            True,
            # Padding that is missing, too much, or inside; characters of other alphabets; bits that are not zero.
            "Zg",
            "Zg=",
            "Zg===",
            "Zg==Zg==",
            "=",
            "====",
            "Z",
            "Zm9vY",
            "Zm9v====",
            "Zm9v\n",
            " Zm9v",
            "Zm 9v",
            "-_--",
            "Zm9é",
            "\ud800AAA",
            "Zh==",
            "Zm9=",
        ),
    ),
    (wit.Bytes(), WORDS_OF_BYTES, ("Zg", None)),
    (wit.List(U32), "an array", (None, {}, "", "AAAA", 1)),
    (wit.Tuple((U8, U8)), "an array of exactly 2", (None, [], [1], [1, 2, 3], {}, "ab")),
    (PAIR, 'an object with exactly the keys "y", "x"', (None, [], [1, "a"], "yx", 1)),
    (PAIR, 'an object with exactly the keys "y", "x": "y", "x" are missing', ({},)),
    (PAIR, 'an object with exactly the keys "y", "x": "x" is missing', ({"y": 1},)),
    (
        PAIR,
        'an object with exactly the keys "y", "x": "z" is unknown',
        ({"y": 1, "x": "a", "z": 1},),
    ),
    (
        PAIR,
        'an object with exactly the keys "y", "x": "y" is missing, "z", "Y" are unknown',
        ({"z": 1, "x": "a", "Y": 1},),
    ),
    (wit.Record((("a", MAYBE),)), 'an object with exactly one key, "a": "a" is missing', ({},)),
    (
        SHAPE,
        WORDS_OF_SHAPE,
        (None, {}, "point", ["point"], {"square": 1}, {"point": None, "circle": 1}, 1),
    ),
    (COLOUR, 'one of "red", "green"', ("blue", "", "Red", None, 0, ["red"], {"red": None})),
    (
        ACCESS,
        'an array of some of "read", "write", "own"',
        (None, "read", {"read": True}, 1),
    ),
    (MAYBE, f"null or {WORDS_OF_U8}", (256, "", [], {"some": 1}, False)),
    (PERHAPS, 'null or an object with exactly one key, "some"', (1, {}, {"none": 1}, [])),
    (RESULT, WORDS_OF_RESULT, (None, 1, {}, {"ok": 1, "err": ""}, {"Ok": 1}, ["ok"])),
]


@pytest.mark.parametrize(
    ("ty", "document", "expected"),
    [(ty, document, expected) for ty, expected, documents in REFUSED for document in documents],
    ids=lambda part: "huge" if type(part) is int and abs(part) == HUGE else ascii(part)[:40],
)
def test_what_is_no_value_of_the_type_is_refused(
    ty: wit.Type, document: Any, expected: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        decoder(ty)(document)
    assert refused.value.expected == expected
    assert refused.value.pointer == ""
    assert str(refused.value) == f"the value: expected {expected}"


@pytest.mark.parametrize(
    ("ty", "document", "pointer", "expected"),
    [
        (wit.List(S8), [0, 0, 128], "/2", "s8, an integer from -128 to 127"),
        (wit.List(U8), [0, 256], "/1", WORDS_OF_U8),
        (wit.List(U8), [True], "/0", WORDS_OF_U8),
        (wit.Tuple((U8, COLOUR)), [1, "blue"], "/1", 'one of "red", "green"'),
        (PAIR, {"x": "a", "y": -1}, "/y", WORDS_OF_U8),
        (PAIR, {"x": 1, "y": 1}, "/x", "string"),
        (SHAPE, {"circle": None}, "/circle", WORDS_OF_U8),
        (SHAPE, {"point": 0}, "/point", "null, for there is no payload"),
        (SHAPE, {"label": 0}, "/label", "null or string"),
        (ACCESS, ["read", "execute"], "/1", 'one of "read", "write", "own"'),
        (ACCESS, ["read", None], "/1", 'one of "read", "write", "own"'),
        (ACCESS, ["own", "read", "own", "read"], "/2", "every flag at most once"),
        (wit.Option(PAIR), {"x": "a", "y": 256}, "/y", WORDS_OF_U8),
        (PERHAPS, {"some": "a"}, "/some", f"null or {WORDS_OF_U8}"),
        (RESULT, {"ok": "no"}, "/ok", WORDS_OF_U8),
        (RESULT, {"err": 1}, "/err", "string"),
        (wit.Result(None, None), {"ok": {}}, "/ok", "null, for there is no payload"),
        (
            wit.Record((("a/b~c~1", wit.Bool()),)),
            {"a/b~c~1": 1},
            "/a~1b~0c~01",
            "bool, true or false",
        ),
        (
            wit.List(wit.Record((("a", wit.Tuple((U8, wit.Option(SHAPE)))),))),
            [{"a": [0, None]}, {"a": [0, {"circle": 256}]}],
            "/1/a/1/circle",
            WORDS_OF_U8,
        ),
    ],
    ids=ascii,
)
def test_a_refusal_points_to_what_is_wrong_inside(
    ty: wit.Type, document: Any, pointer: str, expected: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        decoder(ty)(document)
    assert (refused.value.pointer, refused.value.expected) == (pointer, expected)
    assert str(refused.value) == f"{pointer}: expected {expected}"


def test_long_lists_of_names_are_cut_short() -> None:
    with pytest.raises(InvalidValue) as refused:
        decoder(wit.Enum(tuple(f"e{number}" for number in range(11))))("")
    assert refused.value.expected == (
        'one of "e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", and 1 more'
    )
    with pytest.raises(InvalidValue) as refused:
        decoder(wit.Enum(tuple(f"e{number}" for number in range(10))))("")
    assert refused.value.expected.endswith('"e8", "e9"')


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("k" * 38, f'"{"k" * 38}"'),
        ("k" * 39, f'"{"k" * 35}..."'),
        ("k" * 10**6, f'"{"k" * 35}..."'),
        ("\ud800\n", '"\\ud800\\n"'),
        ("ö" * 39, '"' + r"\u00f6" * 5 + r"\u00f" + '..."'),
    ],
    ids=["fits", "too long", "very long", "surrogate", "escapes"],
)
def test_the_clients_own_names_are_not_repeated_at_length(key: str, shown: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        decoder(wit.Record((("a", U8),)))({"a": 1, key: 1})
    assert refused.value.expected.isascii()
    prefix = 'an object with exactly one key, "a": '
    assert refused.value.expected == f"{prefix}{shown} is unknown"


def test_unknown_keys_are_told_in_the_order_of_the_client() -> None:
    with pytest.raises(InvalidValue) as refused:
        decoder(wit.Record((("a", U8),)))({"a": 1, **{f"k{number}": 1 for number in range(10)}})
    keys = ", ".join(f'"k{number}"' for number in range(10))
    assert refused.value.expected.endswith(f": {keys} are unknown")


def test_many_unknown_keys_are_not_all_repeated() -> None:
    with pytest.raises(InvalidValue) as refused:
        decoder(PAIR)({"\0" * 1000 + str(number): 1 for number in range(10_000)})
    assert refused.value.expected.endswith("and 9990 more are unknown")
    assert len(refused.value.expected) < 1000


@pytest.mark.parametrize(
    "ty",
    [
        wit.Own(wit.Resource("thing", imported=False)),
        wit.Borrow(wit.Resource("thing", imported=True)),
        wit.Unsupported("stream"),
    ],
    ids=str,
)
def test_what_has_no_form_in_json_has_no_closures(ty: wit.Type) -> None:
    expected = f"^values of type {ty} have no form in JSON$"
    for nested in (ty, wit.Option(wit.List(ty)), wit.Variant((("a", ty),)), wit.Result(None, ty)):
        with pytest.raises(TypeError, match=expected):
            decoder(nested)
        with pytest.raises(TypeError, match=expected):
            encoder(nested)
    with pytest.raises(TypeError, match=expected):
        parameters(wit.Function((("a", ty),), None))


class TestParameters:
    two = staticmethod(parameters(wit.Function((("a", PAIR), ("b-c", MAYBE)), None)))
    none = staticmethod(parameters(wit.Function((), None)))

    def test_they_go_by_position_or_by_name(self) -> None:
        pair = {"x": "a", "y": 1}
        assert self.two([pair, None]) == [pair, None]
        assert self.two({"b-c": 2, "a": pair}) == [pair, 2]

    def test_a_function_without_any_needs_none(self) -> None:
        assert self.none(None) == self.none([]) == self.none({}) == []

    @pytest.mark.parametrize(
        ("params", "pointer", "expected"),
        [
            (None, "", 'exactly 2 parameters, "a", "b-c"'),
            ([], "", 'exactly 2 parameters, "a", "b-c"'),
            ([{}, 1, 2], "", 'exactly 2 parameters, "a", "b-c"'),
            ({}, "", 'an object with exactly the keys "a", "b-c": "a", "b-c" are missing'),
            (
                {"a": {}, "b_c": 1},
                "",
                'an object with exactly the keys "a", "b-c": "b-c" is missing, "b_c" is unknown',
            ),
            ([{"x": 1, "y": 1}, None], "/0/x", "string"),
            ([{"x": "a", "y": 1}, -1], "/1", f"null or {WORDS_OF_U8}"),
            ({"b-c": 1, "a": {"x": "a", "y": 256}}, "/a/y", WORDS_OF_U8),
        ],
    )
    def test_exactly_those_of_the_function(
        self, params: list[Any] | dict[str, Any] | None, pointer: str, expected: str
    ) -> None:
        with pytest.raises(InvalidValue) as refused:
            self.two(params)
        assert (refused.value.pointer, refused.value.expected) == (pointer, expected)

    def test_those_of_none_and_of_one(self) -> None:
        one = parameters(wit.Function((("a", U8),), None))
        for decode, params, expected in (
            (self.none, [1], "no parameters"),
            (self.none, {"a": 1}, 'an object without keys: "a" is unknown'),
            (one, [], 'exactly one parameter, "a"'),
        ):
            with pytest.raises(InvalidValue) as refused:
                decode(params)
            assert refused.value.expected == expected


@pytest.mark.parametrize(
    "wrap",
    [
        wit.List,
        wit.Option,
        lambda ty: wit.Tuple((ty,)),
        lambda ty: wit.Record((("a", ty),)),
        lambda ty: wit.Variant((("a", ty),)),
        lambda ty: wit.Result(ty, None),
    ],
    ids=["list", "option", "tuple", "record", "variant", "result"],
)
def test_types_as_deep_as_the_engine_takes_them(wrap: Any) -> None:
    ty: wit.Type = wit.Char()
    for _ in range(100):
        ty = wrap(ty)
    decode, encode = decoder(ty), encoder(ty)
    document: Any = "x"
    for level in range(100):
        match ty:
            case wit.List() | wit.Tuple():
                document = [document]
            case wit.Option():
                document = {"some": document} if level else document
            case wit.Record() | wit.Variant():
                document = {"a": document}
            case _:
                document = {"ok": document}
    assert encode(decode(document)) == document
    with pytest.raises(InvalidValue) as refused:
        decode(json.loads(json.dumps(document).replace("x", "xx")))
    assert refused.value.pointer.count("/") == (99 if isinstance(ty, wit.Option) else 100)
