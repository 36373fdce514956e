"""JSON Schemas of WIT types: they say of a piece of JSON what the codec does with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from gateway.host import wit
from gateway.rpc.json_values import InvalidValue, decoder, encoder
from gateway.rpc.schema import Direction, Schema, Schemas, labels
from gateway.wasm.binary import encode
from gateway.wasm.binary.package_docs import PackageDocs, package_docs
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE
from tests.wit_strategies import NAMES, TYPES, values

U8 = wit.Integer(8, signed=False)
U32 = wit.Integer(32, signed=False)
S32 = wit.Integer(32, signed=True)
U64 = wit.Integer(64, signed=False)
S64 = wit.Integer(64, signed=True)
BYTES = wit.List(U8)

POINT = wit.Record((("x", S32), ("y", S32)))
COLOR = wit.Enum(("red", "green"))
ACCESS = wit.Flags(("read", "write"))
SHAPE = wit.Variant((("empty", None), ("circle", wit.Float(64)), ("path", wit.List(POINT))))

API = "test:docs/api@1.2.3"

# What is left out here is JSON that a schema cannot tell from the values of the type, as its module says: decimals
# out of range and floats that are too large to be exact, for integers of 64 bits; numbers beyond f64; lone
# surrogates.
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-300, 300),
        st.integers(-(2**65), 2**65),
        st.integers(0, 2**63 - 1).map(str),
        st.floats(-1e6, 1e6, allow_nan=False),
        st.sampled_from((0.0, 1.0, -1.0, 3.4028234663852886e38, 3.5e38, -3.5e38, 1e308)),
        st.sampled_from(("NaN", "Infinity", "-Infinity", "nan", "", "YQ==", "YR==", "YQ", "0x1")),
        st.text(max_size=3),
        st.sampled_from(NAMES),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from((*NAMES, "ok", "err", "some")), inner, max_size=3),
    ),
    max_leaves=5,
)


def schema(ty: wit.Type, direction: Direction) -> Schema:
    return Schemas({}, PackageDocs()).of(ty, None, direction)


def validator(ty: wit.Type, direction: Direction) -> Draft7Validator:
    written = schema(ty, direction)
    Draft7Validator.check_schema(written)
    return Draft7Validator(written)


def accepts(ty: wit.Type, document: Any) -> bool:
    try:
        decoder(ty)(document)
    except InvalidValue:
        return False
    return True


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """JSON that differs from this in one place, if at all."""
    if draw(st.integers(0, 3)) == 0 or not isinstance(document, dict | list) or not document:
        return draw(ANY_JSON)
    if isinstance(document, list):
        at = draw(st.integers(0, len(document) - 1))
        new = draw(st.just([]) | changed(document[at]).map(lambda item: [item]))
        return [*document[:at], *new, *document[at + 1 :]]
    name = draw(st.sampled_from(sorted(document)))
    rest = {key: value for key, value in document.items() if key != name}
    return draw(st.just(rest) | changed(document[name]).map(lambda value: rest | {name: value}))


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_emitted_is_valid_both_ways(data: st.DataObject) -> None:
    ty = data.draw(TYPES)
    document = encoder(ty)(data.draw(values(ty)))
    validator(ty, Direction.OUT).validate(document)
    validator(ty, Direction.IN).validate(document)


@given(st.data())
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_valid_is_just_what_is_accepted(data: st.DataObject) -> None:
    ty = data.draw(TYPES)
    document = data.draw(changed(encoder(ty)(data.draw(values(ty)))))
    assert validator(ty, Direction.IN).is_valid(document) == accepts(ty, document)


FORMS: list[tuple[wit.Type, list[Any], list[Any], list[Any]]] = [
    # a type; what is emitted; what is accepted as well; what is refused
    (wit.Bool(), [True, False], [], [0, 1, "true", None]),
    (U8, [0, 255], [1.0], [-1, 256, 1.5, "1", True, None]),
    (wit.Integer(16, signed=True), [-32768, 32767], [-1.0], [-32769, 32768]),
    (
        U64,
        [0, 2**53 - 1, str(2**53), str(2**64 - 1)],
        [2**53, 2**64 - 1, "0", "007"],
        [-1, 2**64, "-1", "1.0", "+1", "", " 1", "1_0", "1" * 21],
    ),
    (
        S64,
        [1 - 2**53, 2**53 - 1, str(-(2**63)), str(2**63 - 1)],
        [-(2**63), "-1"],
        [-(2**63) - 1, 2**63, "--1", "1e3"],
    ),
    (wit.Float(64), [0.5, 1, 1e308, "NaN", "Infinity", "-Infinity"], [], ["nan", "1", True, None]),
    (wit.Float(32), [0.5, 3.4028234663852886e38, "NaN"], [3.4028235e38], [3.5e38, -3.5e38, "0"]),
    (wit.Char(), ["a", "ß", "\U0001f600", "\0"], [], ["", "ab", 97]),
    (wit.String(), ["", "a\0b"], [], [1, None, ["a"]]),
    (
        BYTES,
        ["", "YQ==", "YWI=", "YWJj", "+/+/"],
        [[], [0, 255], [1.0]],
        ["YQ", "YR==", "YWJ=", "YQ==YQ==", "Y Q==", "-_-_", [256], [-1], ["a"], None],
    ),
    (wit.List(wit.String()), [[], ["a", "b"]], [], ["a", [1], [None], {}]),
    (wit.Tuple((U8, wit.String())), [[1, "a"]], [], [[], [1], [1, "a", "b"], ["a", 1], "1a"]),
    (
        POINT,
        [{"x": 1, "y": 2}],
        [{"y": 2.0, "x": 1}],
        [{}, {"x": 1}, {"x": 1, "y": None}, {"x": 1, "y": 2, "z": 3}, [1, 2]],
    ),
    (
        wit.Record((("note", wit.Option(wit.String())),)),
        [{"note": None}, {"note": "a"}],
        [],
        [{}, {"note": {"some": "a"}}],
    ),
    (
        SHAPE,
        [{"empty": None}, {"circle": 0.5}, {"path": [{"x": 1, "y": 2}]}],
        [],
        [{}, "empty", {"empty": 1}, {"circle": None}, {"empty": None, "circle": 1}, {"oval": 1}],
    ),
    (COLOR, ["red", "green"], [], ["blue", "Red", 0, {"red": None}]),
    (
        ACCESS,
        [[], ["read"], ["read", "write"]],
        [["write", "read"]],
        ["read", ["read", "read"], ["execute"], {"read": True}],
    ),
    (wit.Option(U8), [None, 1], [], ["", {"some": 1}]),
    (
        wit.Option(wit.Option(U8)),
        [None, {"some": None}, {"some": 1}],
        [],
        [1, {}, {"some": 1, "more": 1}, {"some": {"some": 1}}],
    ),
    (wit.Option(wit.Result(None, None)), [None, {"ok": None}, {"err": None}], [], [{"some": None}]),
    (
        wit.Result(U8, wit.String()),
        [{"ok": 1}, {"err": "a"}],
        [],
        [{}, 1, {"ok": "a"}, {"err": 1}, {"ok": 1, "err": "a"}],
    ),
    (wit.Result(None, U8), [{"ok": None}, {"err": 1}], [], [{"ok": 1}, {"err": None}, None]),
]


@pytest.mark.parametrize(
    ("ty", "emitted", "accepted", "refused"), FORMS, ids=[str(form[0]) for form in FORMS]
)
def test_forms(ty: wit.Type, emitted: list[Any], accepted: list[Any], refused: list[Any]) -> None:
    into, out = validator(ty, Direction.IN), validator(ty, Direction.OUT)
    for document in emitted:
        assert encoder(ty)(decoder(ty)(document)) == document
        into.validate(document)
        out.validate(document)
    for document in accepted:
        assert accepts(ty, document)
        into.validate(document)
    for document in refused:
        assert not accepts(ty, document)
        assert not into.is_valid(document), document
        assert not out.is_valid(document), document


@pytest.mark.parametrize("document", [2**53, "0", "007"])
def test_a_wide_integer_has_one_form_on_the_way_out(document: Any) -> None:
    assert validator(U64, Direction.IN).is_valid(document)
    assert not validator(U64, Direction.OUT).is_valid(document)


def test_bytes_have_one_form_on_the_way_out() -> None:
    assert validator(BYTES, Direction.IN).is_valid([1])
    assert not validator(BYTES, Direction.OUT).is_valid([1])


def test_bytes_that_cross_as_a_string_are_bytes() -> None:
    for direction in Direction:
        assert schema(wit.Bytes(), direction) == schema(BYTES, direction)


def test_nothing_is_null() -> None:
    assert Schemas({}, PackageDocs()).of(None, None, Direction.OUT) == {"type": "null"}


@pytest.mark.parametrize(
    "ty",
    [
        wit.Own(wit.Resource("r", imported=True)),
        wit.Borrow(wit.Resource("r", imported=True)),
        wit.Unsupported("stream"),
        wit.List(wit.Unsupported("future")),
    ],
)
def test_what_has_no_form_in_json_has_no_schema(ty: wit.Type) -> None:
    with pytest.raises(TypeError, match="no form in JSON"):
        schema(ty, Direction.IN)


def interface(**types: wit.Type) -> wit.Interface:
    return wit.Interface(types={name.replace("_", "-"): ty for name, ty in types.items()})


def reference(key: str) -> Schema:
    return {"$ref": f"#/components/schemas/{key}"}


def test_a_type_with_a_name_is_written_once() -> None:
    schemas = Schemas({API: interface(point=POINT, shape=SHAPE, color=COLOR)}, PackageDocs())
    for direction in Direction:
        assert schemas.of(SHAPE, API, direction) == reference("api.shape")
        assert schemas.of(wit.List(POINT), API, direction)["items"] == reference("api.point")
    assert list(schemas.components) == ["api.point", "api.shape"]  # what is in it comes first
    point = schemas.components["api.point"]
    assert point == {"title": "api.point", **schema(POINT, Direction.IN)}
    path = schemas.components["api.shape"]["oneOf"][2]["properties"]["path"]
    assert path == {"type": "array", "items": reference("api.point")}


def test_a_type_that_is_emitted_otherwise_has_a_second_name() -> None:
    file = wit.Record((("name", wit.String()), ("content", BYTES), ("at", POINT)))
    nested = wit.Record((("file", wit.Option(file)),))
    schemas = Schemas({API: interface(file=file, nested=nested, point=POINT)}, PackageDocs())
    assert schemas.of(nested, API, Direction.IN) == reference("api.nested")
    assert schemas.of(nested, API, Direction.OUT) == reference("api.nested.out")
    assert set(schemas.components) == {
        "api.file", "api.file.out", "api.nested", "api.nested.out", "api.point",
    }  # fmt: skip
    content = {
        key: schemas.components[key]["properties"]["content"]
        for key in ("api.file", "api.file.out")
    }
    assert content["api.file"] == schema(BYTES, Direction.IN)
    assert content["api.file.out"] == schema(BYTES, Direction.OUT)
    assert schemas.components["api.file.out"]["properties"]["at"] == reference("api.point")


def test_only_what_is_referred_to_is_written() -> None:
    schemas = Schemas({API: interface(point=POINT, color=COLOR)}, PackageDocs())
    schemas.of(COLOR, API, Direction.IN)
    assert list(schemas.components) == ["api.color"]


def test_of_two_names_the_first_is_taken() -> None:
    schemas = Schemas({API: interface(point=POINT, place=POINT)}, PackageDocs())
    assert schemas.of(POINT, API, Direction.IN) == reference("api.point")


def test_a_name_for_another_type_does_not_hide_it() -> None:
    schemas = Schemas({API: interface(id=wit.String(), points=wit.List(POINT))}, PackageDocs())
    assert schemas.of(wit.String(), API, Direction.IN) == {"type": "string"}
    assert schemas.of(wit.List(POINT), API, Direction.IN)["type"] == "array"
    assert schemas.components == {}


def test_a_type_that_is_used_from_another_interface_is_that_one() -> None:
    exports = {
        "test:docs/types": interface(point=POINT, color=COLOR),
        API: interface(place=POINT, color=COLOR),
    }
    schemas = Schemas(exports, PackageDocs())
    assert schemas.of(COLOR, API, Direction.IN) == reference("types.color")
    assert schemas.of(POINT, API, Direction.IN) == reference("api.place")  # another name


def test_a_name_counts_in_its_interface_only() -> None:
    schemas = Schemas({API: interface(point=POINT), "test:docs/other": interface()}, PackageDocs())
    assert schemas.of(POINT, "test:docs/other", Direction.IN) == schema(POINT, Direction.IN)
    assert schemas.of(POINT, None, Direction.IN) == schema(POINT, Direction.IN)


def test_labels() -> None:
    assert labels(["a:b/one@1.0.0", "a:b/two", "inline", "c:d/two@2.0.0", "c:d/two@3.0.0"]) == {
        "a:b/one@1.0.0": "one",
        "a:b/two": "a:b.two",
        "inline": "inline",
        "c:d/two@2.0.0": "c:d.two@2.0.0",
        "c:d/two@3.0.0": "c:d.two@3.0.0",
    }


def test_references_to_namesakes_resolve() -> None:
    exports = {
        "a:b/api@1.0.0": interface(point=POINT),
        "a:b/api@2.0.0": interface(point=wit.Record((("x", POINT),)), inner=POINT),
    }
    schemas = Schemas(exports, PackageDocs())
    ty = exports["a:b/api@2.0.0"].types["point"]
    written = schemas.of(ty, "a:b/api@2.0.0", Direction.IN)
    assert written == reference("a:b.api@2.0.0.point")
    root = {"allOf": [written], "components": {"schemas": schemas.components}}
    Draft7Validator(root).validate({"x": {"x": 1, "y": 2}})
    assert not Draft7Validator(root).is_valid({"x": {"x": 1}})


def documented(**types: Any) -> PackageDocs:
    """The documentation of a component about the types of `API`."""
    content = {"package": "test:docs@1.2.3", "interfaces": {"api": {"types": types}}}
    payload = encode.name("package-docs") + b"\1" + json.dumps(content).encode()
    return package_docs(COMPONENT_PREAMBLE + encode.section(0, payload))


def test_docs_become_descriptions() -> None:
    line = wit.Record((("start", POINT), ("length", U64)))
    docs = documented(
        line={"docs": "From here on.", "items": {"start": "Here.", "length": "How far."}},
        shape={"items": {"circle": "Round."}},
        color={"docs": "As seen.", "items": {"green": "Leaves."}},
        access={"items": {"read": "Look.", "write": "Touch."}},
    )
    types = interface(line=line, point=POINT, shape=SHAPE, color=COLOR, access=ACCESS)
    schemas = Schemas({API: types}, docs)
    for ty in types.types.values():
        schemas.of(ty, API, Direction.IN)
    components = schemas.components
    for component in components.values():
        Draft7Validator.check_schema(component)
    assert components["api.line"]["description"] == "From here on."
    fields = components["api.line"]["properties"]
    # Beside a reference it would be ignored.
    assert fields["start"] == {"description": "Here.", "allOf": [reference("api.point")]}
    assert fields["length"]["description"].startswith("How far.\n\nu64, ")
    assert components["api.shape"]["oneOf"][1]["description"] == "Round."
    assert "description" not in components["api.shape"]["oneOf"][0]
    assert components["api.color"]["description"] == "As seen.\n\n- `green`: Leaves."
    assert components["api.access"]["description"] == "- `read`: Look.\n- `write`: Touch."
    assert "description" not in components["api.point"]


def test_a_type_that_is_used_from_an_interface_that_is_not_exported_has_its_docs() -> None:
    # What is documented under `api` is the type's own interface; that which is exported here only uses it.
    docs = documented(point={"docs": "A point.", "items": {"x": "Across."}})
    schemas = Schemas({"test:docs/user@1.2.3": interface(point=POINT)}, docs)
    schemas.of(POINT, "test:docs/user@1.2.3", Direction.IN)
    assert schemas.components["user.point"]["description"] == "A point."
    assert schemas.components["user.point"]["properties"]["x"]["description"] == "Across."
