"""wasi:http/types, fields."""

from __future__ import annotations

from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.bindings.http.fields import (
    FORBIDDEN_NAMES,
    MAX_SIZE,
    NAME_SIZE,
    VALUE_SIZE,
    Fields,
    FieldsTooLarge,
    HeaderError,
)

TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
names = st.text(TCHAR, min_size=1, max_size=20).filter(
    lambda name: name.lower() not in FORBIDDEN_NAMES
)
values = st.binary(max_size=30).filter(
    lambda value: all(byte == 9 or (byte >= 32 and byte != 127) for byte in value)
)
plain_names = names.filter(lambda name: name.lower() != "content-length")

INVALID_NAMES = [
    "",
    "malformed header name",
    "a:b",
    "a\r\nb",
    "a\0",
    "é",
    "\u212aeep-alive",
    "a(b)",
    '"',
]
INVALID_VALUES = [b"bad\nvalue", b"\r", b"\0", b"a\x1f", b"\x7f", b"\x0b", b"\x0c"]


def frozen(*entries: tuple[str, bytes]) -> Fields:
    fields = Fields.from_list(entries)
    fields.freeze()
    return fields


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(HeaderError) as caught:
        call()
    return caught.value.case


def test_new_fields_are_empty_and_mutable() -> None:
    fields = Fields()
    assert fields.mutable
    assert fields.entries() == []
    assert fields.asgi() == []
    assert fields.get("a") == []
    assert not fields.has("a")
    assert fields.content_length() is None


def test_names_are_case_insensitive_and_stored_in_lower_case() -> None:
    fields = Fields()
    fields.append("X-Custom", b"1")
    fields.append("x-cUSTOM", b"2")
    assert fields.entries() == [("x-custom", b"1"), ("x-custom", b"2")]
    assert fields.get("X-CUSTOM") == [b"1", b"2"]
    assert fields.has("x-Custom")
    fields.set("X-CUSTOM", [b"3"])
    assert fields.entries() == [("x-custom", b"3")]
    fields.delete("X-cusTom")
    assert fields.entries() == []


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_invalid_names(name: str) -> None:
    fields = Fields.from_list([("keep", b"1")])
    assert error_of(lambda: fields.append(name, b"x")) == "invalid-syntax"
    assert error_of(lambda: fields.set(name, [b"x"])) == "invalid-syntax"
    assert error_of(lambda: fields.set(name, [])) == "invalid-syntax"
    assert error_of(lambda: fields.delete(name)) == "invalid-syntax"
    assert error_of(lambda: Fields.from_list([("ok", b""), (name, b"x")])) == "invalid-syntax"
    assert fields.get(name) == []
    assert not fields.has(name)
    assert fields.entries() == [("keep", b"1")]


def test_a_letter_whose_lower_case_is_ascii_finds_nothing() -> None:
    fields = Fields.from_list([("k", b"1")])
    assert "\u212a".lower() == "k"
    assert fields.get("\u212a") == []
    assert not fields.has("\u212a")


@pytest.mark.parametrize("value", INVALID_VALUES)
def test_invalid_values(value: bytes) -> None:
    fields = Fields.from_list([("a", b"1")])
    assert error_of(lambda: fields.append("a", value)) == "invalid-syntax"
    assert error_of(lambda: fields.set("a", [b"ok", value])) == "invalid-syntax"
    assert error_of(lambda: Fields.from_list([("a", value)])) == "invalid-syntax"
    assert fields.entries() == [("a", b"1")]


def test_values_have_the_bytes_of_the_grammar_and_no_others() -> None:
    accepted = set()
    for byte in range(256):
        try:
            Fields().append("a", bytes([byte]))
        except HeaderError:
            continue
        accepted.add(byte)
    assert accepted == {9} | set(range(32, 256)) - {127}


def test_the_forbidden_names_are_those_of_the_connection() -> None:
    assert sorted(FORBIDDEN_NAMES) == [
        "connection",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ]


@pytest.mark.parametrize("name", sorted(FORBIDDEN_NAMES))
@pytest.mark.parametrize("casing", [str.lower, str.upper, str.title])
def test_forbidden_names(name: str, casing: Callable[[str], str]) -> None:
    name = casing(name)
    fields = Fields()
    assert error_of(lambda: fields.append(name, b"x")) == "forbidden"
    assert error_of(lambda: fields.set(name, [b"x"])) == "forbidden"
    assert error_of(lambda: fields.set(name, [])) == "forbidden"
    assert error_of(lambda: fields.delete(name)) == "forbidden"
    assert error_of(lambda: Fields.from_list([(name, b"x")])) == "forbidden"
    assert fields.entries() == []
    assert fields.get(name) == []
    assert not fields.has(name)


@pytest.mark.parametrize("name", ["te", "trailer", "date", "server", "content-length"])
def test_names_that_a_guest_may_send(name: str) -> None:
    assert Fields.from_list([(name, b"1")]).get(name) == [b"1"]


@pytest.mark.parametrize(
    ("name", "value", "append", "set_", "delete"),
    [
        ("bad name", b"bad\n", "invalid-syntax", "invalid-syntax", "invalid-syntax"),
        ("Host", b"bad\n", "forbidden", "forbidden", "forbidden"),
        ("a", b"bad\n", "invalid-syntax", "immutable", "immutable"),
        ("content-length", b"x", "invalid-syntax", "immutable", "immutable"),
        ("a", b"good", "immutable", "immutable", "immutable"),
    ],
)
def test_the_order_of_checks_on_immutable_fields(
    name: str, value: bytes, append: str, set_: str, delete: str
) -> None:
    fields = frozen(("a", b"1"))
    assert not fields.mutable
    assert error_of(lambda: fields.append(name, value)) == append
    assert error_of(lambda: fields.set(name, [value])) == set_
    assert error_of(lambda: fields.delete(name)) == delete
    assert fields.entries() == [("a", b"1")]


def test_deleting_an_absent_name_from_immutable_fields_is_an_error_too() -> None:
    assert error_of(lambda: frozen().delete("absent")) == "immutable"
    assert error_of(lambda: frozen().set("absent", [])) == "immutable"


def test_append_keeps_the_order_of_all_entries() -> None:
    entries = [
        ("set-cookie", b"a"),
        ("x", b"1"),
        ("set-cookie", b"b"),
        ("x", b""),
        ("set-cookie", b"a"),
    ]
    fields = Fields.from_list(entries)
    assert fields.entries() == entries
    assert fields.get("set-cookie") == [b"a", b"b", b"a"]
    assert fields.asgi() == [(name.encode(), value) for name, value in entries]


def test_set_replaces_where_the_first_value_stood() -> None:
    fields = Fields.from_list([("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1"), ("b", b"2")])
    fields.set("b", [b"x", b"y", b"z"])
    assert fields.entries() == [
        ("a", b"1"),
        ("b", b"x"),
        ("b", b"y"),
        ("b", b"z"),
        ("a", b"2"),
        ("c", b"1"),
    ]
    assert fields.get("b") == [b"x", b"y", b"z"]


def test_set_of_no_values_removes_the_name() -> None:
    fields = Fields.from_list([("a", b"1"), ("b", b"1"), ("a", b"2")])
    fields.set("a", [])
    fields.set("absent", [])
    assert fields.entries() == [("b", b"1")]
    assert not fields.has("a")
    assert not fields.has("absent")


def test_an_empty_value_is_present() -> None:
    fields = Fields.from_list([("a", b"")])
    assert fields.has("a")
    assert fields.get("a") == [b""]


def test_delete_of_an_absent_name_is_fine() -> None:
    fields = Fields.from_list([("a", b"1")])
    fields.delete("b")
    assert fields.entries() == [("a", b"1")]


def test_what_is_given_out_is_not_the_fields_own() -> None:
    fields = Fields.from_list([("a", b"1")])
    given_values = [b"2"]
    fields.set("b", given_values)
    given_values.append(b"3")
    fields.get("a").append(b"4")
    fields.entries().append(("c", b"5"))
    fields.asgi().append((b"d", b"6"))
    assert fields.entries() == [("a", b"1"), ("b", b"2")]
    assert fields.get("a") == [b"1"]
    assert fields.get("b") == [b"2"]


def test_a_clone_is_mutable_and_apart() -> None:
    original = frozen(("a", b"1"))
    clone = original.clone()
    assert clone.mutable
    clone.append("a", b"2")
    clone.append("b", b"3")
    assert original.entries() == [("a", b"1")]
    assert original.get("a") == [b"1"]
    assert clone.entries() == [("a", b"1"), ("a", b"2"), ("b", b"3")]


class TestIncoming:
    RAW = (
        (b"host", b"example.com"),
        (b"accept", b"a"),
        (b"connection", b"keep-alive, x-hop"),
        (b"cookie", b"\xff\x00"),
        (b"accept", b"b"),
        (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"),
    )

    def test_forbidden_names_are_stripped_and_the_rest_is_as_received(self) -> None:
        fields = Fields.incoming(self.RAW)
        assert fields.entries() == [
            ("accept", b"a"),
            ("cookie", b"\xff\x00"),
            ("accept", b"b"),
            ("te", b"trailers"),
        ]
        assert fields.get("Accept") == [b"a", b"b"]
        assert not fields.has("host")

    @pytest.mark.parametrize("name", sorted(FORBIDDEN_NAMES))
    def test_each_forbidden_name_is_stripped(self, name: str) -> None:
        assert Fields.incoming([(name.encode(), b"x")]).entries() == []

    def test_they_are_immutable(self) -> None:
        fields = Fields.incoming(self.RAW)
        assert not fields.mutable
        assert error_of(lambda: fields.append("a", b"1")) == "immutable"
        assert error_of(lambda: fields.set("a", [b"1"])) == "immutable"
        assert error_of(lambda: fields.delete("a")) == "immutable"

    def test_they_may_be_larger_than_the_limit_and_so_may_a_clone_until_it_grows(self) -> None:
        fields = Fields.incoming([(b"a", bytes(MAX_SIZE)), (b"b", b"")])
        clone = fields.clone()
        assert len(clone.get("a")[0]) == MAX_SIZE
        with pytest.raises(FieldsTooLarge):
            clone.append("c", b"")
        with pytest.raises(FieldsTooLarge):
            clone.set("b", [b"1"])
        clone.set("b", [])
        clone.delete("a")
        clone.append("c", b"")
        assert clone.entries() == [("c", b"")]


class TestContentLength:
    @pytest.mark.parametrize(
        ("value", "normal"),
        [
            (b"0", b"0"),
            (b"5", b"5"),
            (b"007", b"7"),
            (b"000", b"0"),
            (b"18446744073709551615", b"18446744073709551615"),
            (b"0" * 5000 + b"1", b"1"),
        ],
    )
    def test_values(self, value: bytes, normal: bytes) -> None:
        fields = Fields()
        fields.append("Content-Length", value)
        assert fields.entries() == [("content-length", normal)]
        assert fields.content_length() == int(normal)
        fields.set("CONTENT-LENGTH", [value])
        assert fields.get("content-length") == [normal]

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"+5",
            b"-1",
            b" 5",
            b"5 ",
            b"5.0",
            b"0x5",
            b"5,5",
            b"1_000",
            b"five",
            "٣".encode(),
            b"18446744073709551616",
            b"9" * 5000,
        ],
    )
    def test_invalid_values(self, value: bytes) -> None:
        fields = Fields()
        assert error_of(lambda: fields.append("content-length", value)) == "invalid-syntax"
        assert error_of(lambda: fields.set("Content-Length", [value])) == "invalid-syntax"
        # The whitespace around a received value is not part of it.
        if value == value.strip():
            received = Fields.incoming([(b"content-length", value)])
            assert error_of(received.content_length) == "invalid-syntax"

    def test_equal_values_are_one_length_and_one_field_on_the_wire(self) -> None:
        fields = Fields.from_list(
            [("content-length", b"5"), ("a", b"1"), ("content-length", b"05")]
        )
        assert fields.get("content-length") == [b"5", b"5"]
        assert fields.content_length() == 5
        assert fields.asgi() == [(b"a", b"1"), (b"content-length", b"5")]

    def test_different_values_are_an_error_when_they_are_used(self) -> None:
        fields = Fields.from_list([("content-length", b"5"), ("content-length", b"6")])
        assert error_of(fields.content_length) == "invalid-syntax"
        assert error_of(fields.asgi) == "invalid-syntax"


class TestSize:
    def test_names_are_charged_once_and_values_each(self) -> None:
        fields = Fields()
        fields.append("n" * 8, b"v" * 100)
        fields.append("n" * 8, b"")
        room = MAX_SIZE - (8 + NAME_SIZE) - (100 + VALUE_SIZE) - VALUE_SIZE
        with pytest.raises(FieldsTooLarge) as caught:
            fields.append("n" * 8, b"v" * (room - VALUE_SIZE + 1))
        assert caught.value.size == MAX_SIZE + 1
        assert str(MAX_SIZE) in str(caught.value)
        fields.append("n" * 8, b"v" * (room - VALUE_SIZE))
        with pytest.raises(FieldsTooLarge):
            fields.append("n" * 8, b"")

    def test_empty_values_are_not_free(self) -> None:
        fields = Fields()
        count = (MAX_SIZE - len("a") - NAME_SIZE) // VALUE_SIZE
        for _ in range(count):
            fields.append("a", b"")
        with pytest.raises(FieldsTooLarge):
            fields.append("a", b"")
        assert len(fields.entries()) == count

    def test_what_is_removed_makes_room(self) -> None:
        fields = Fields()
        largest = b"v" * (MAX_SIZE - len("a") - NAME_SIZE - VALUE_SIZE)
        for _ in range(3):
            fields.append("a", largest)
            fields.delete("a")
            fields.set("a", [largest])
            fields.set("a", [largest])
            fields.set("a", [])
        assert fields.entries() == []

    def test_a_refused_change_changes_nothing(self) -> None:
        fields = Fields.from_list([("a", b"1")])
        with pytest.raises(FieldsTooLarge):
            fields.set("a", [b"x", bytes(b"v" * MAX_SIZE)])
        with pytest.raises(FieldsTooLarge):
            fields.append("b", b"v" * MAX_SIZE)
        assert fields.entries() == [("a", b"1")]
        assert fields.get("a") == [b"1"]
        assert not fields.has("b")

    def test_from_list_is_limited(self) -> None:
        with pytest.raises(FieldsTooLarge):
            Fields.from_list([("a", b"v" * (MAX_SIZE // 2)), ("b", b"v" * (MAX_SIZE // 2))])

    def test_the_limit_also_bounds_the_number_of_entries(self) -> None:
        assert MAX_SIZE // VALUE_SIZE < 32 * 1024


@given(st.lists(st.tuples(plain_names, values)))
def test_h11_sends_whatever_is_accepted(entries: list[tuple[str, bytes]]) -> None:
    headers = Fields.from_list(entries).asgi()
    response = h11.Response(status_code=200, headers=headers)
    assert list(response.headers) == headers


class FieldsModel(RuleBasedStateMachine):
    """`Fields` against a plain list of pairs, which can hardly be wrong."""

    few_names = st.sampled_from(["a", "A", "b", "B", "c"])
    few_values = st.sampled_from([b"", b"1", b"2"])

    @initialize(
        entries=st.lists(st.tuples(few_names, few_values), max_size=5), cloned=st.booleans()
    )
    def start(self, entries: list[tuple[str, bytes]], cloned: bool) -> None:
        self.fields = Fields.from_list(entries)
        if cloned:
            self.fields.freeze()
            self.fields = self.fields.clone()
        self.model = [(name.lower(), value) for name, value in entries]

    @rule(name=few_names, value=few_values)
    def append(self, name: str, value: bytes) -> None:
        self.fields.append(name, value)
        self.model.append((name.lower(), value))

    @rule(name=few_names)
    def delete(self, name: str) -> None:
        self.fields.delete(name)
        self.model = [entry for entry in self.model if entry[0] != name.lower()]

    @rule(name=few_names, new=st.lists(few_values, max_size=3))
    def set(self, name: str, new: list[bytes]) -> None:
        self.fields.set(name, new)
        name = name.lower()
        model: list[tuple[str, bytes]] = []
        placed = False
        for entry in self.model:
            if entry[0] != name:
                model.append(entry)
            elif not placed:
                model += [(name, value) for value in new]
                placed = True
        self.model = model if placed else model + [(name, value) for value in new]

    @invariant()
    def reads_agree(self) -> None:
        assert self.fields.entries() == self.model
        for name in "abcd":
            expected = [value for key, value in self.model if key == name]
            assert self.fields.get(name) == expected
            assert self.fields.has(name) == bool(expected)

    @invariant()
    def the_size_is_that_of_the_entries(self) -> None:
        distinct = {name for name, _ in self.model}
        size = sum(len(name) + NAME_SIZE for name in distinct)
        size += sum(len(value) + VALUE_SIZE for _, value in self.model)
        filling = self.fields.clone(), self.fields
        for fields in filling:
            with pytest.raises(FieldsTooLarge) as caught:
                fields.append("filling", b"v" * MAX_SIZE)
            assert caught.value.size == size + len("filling") + NAME_SIZE + MAX_SIZE + VALUE_SIZE


TestFieldsModel = FieldsModel.TestCase
