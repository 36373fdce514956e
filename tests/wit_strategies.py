"""Types of WIT and values of them, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from gateway.host import wit
from gateway.host.values import Err, Ok, Some, Variant

NAMES = ("a", "b-c", "HTTP", "x9", "DNS-error", "a-long-name-with-many-words-in-it")

INTEGERS = [
    wit.Integer(bits, signed=signed) for bits in (8, 16, 32, 64) for signed in (False, True)
]
SIMPLE = [wit.Bool(), *INTEGERS, wit.Float(32), wit.Float(64), wit.Char(), wit.String()]


def names(maximum: int = len(NAMES)) -> st.SearchStrategy[tuple[str, ...]]:
    return st.integers(1, maximum).map(lambda count: NAMES[:count])


def compound(inner: st.SearchStrategy[wit.Type]) -> st.SearchStrategy[wit.Type]:
    optional = st.none() | inner
    members = st.lists(inner, min_size=1, max_size=4)
    cases = st.lists(optional, min_size=1, max_size=4)
    return st.one_of(
        inner.map(wit.List),
        inner.map(wit.Option),
        st.builds(wit.Result, optional, optional),
        members.map(lambda types: wit.Tuple(tuple(types))),
        members.map(lambda types: wit.Record(tuple(zip(NAMES, types, strict=False)))),
        cases.map(lambda types: wit.Variant(tuple(zip(NAMES, types, strict=False)))),
    )


TYPES: st.SearchStrategy[wit.Type] = st.recursive(
    st.one_of(st.sampled_from(SIMPLE), names().map(wit.Enum), names().map(wit.Flags)),
    compound,
    max_leaves=6,
)


OVER_TIME: st.SearchStrategy[wit.Type] = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.one_of(compound(inner), inner.map(wit.Stream), inner.map(wit.Future)),
    max_leaves=6,
)
"""The same with streams and futures."""


def values(ty: wit.Type) -> st.SearchStrategy[Any]:
    """Values of a type, in the form that lifting gives them."""
    match ty:
        case wit.Bool():
            return st.booleans()
        case wit.Integer():
            return st.integers(ty.minimum, ty.maximum)
        case wit.Float():
            return st.floats(width=32 if ty.bits == 32 else 64)
        case wit.Char():
            return st.characters(exclude_categories=["Cs"])
        case wit.String():
            return st.text(max_size=20)
        case wit.List(element=wit.Integer(bits=8, signed=False)):
            return st.binary(max_size=20)
        case wit.List():
            return st.lists(values(ty.element), max_size=3)
        case wit.Tuple():
            return st.tuples(*map(values, ty.elements))
        case wit.Record():
            return st.fixed_dictionaries({name: values(field) for name, field in ty.fields})
        case wit.Variant():
            return st.one_of(
                [st.builds(Variant, st.just(name), payload(of)) for name, of in ty.cases]
            )
        case wit.Enum():
            return st.sampled_from(ty.names)
        case wit.Flags():
            return st.frozensets(st.sampled_from(ty.names))
        case wit.Future():
            return values(ty.payload)
        case wit.Option(payload=wit.Option()):
            return st.none() | st.builds(Some, values(ty.payload))
        case wit.Option():
            return st.none() | values(ty.payload)
        case wit.Result():
            return st.builds(Ok, payload(ty.ok)) | st.builds(Err, payload(ty.err))
    raise AssertionError(ty)


def payload(ty: wit.Type | None) -> st.SearchStrategy[Any]:
    return st.none() if ty is None else values(ty)


@st.composite
def types_with_values(draw: st.DrawFn) -> tuple[wit.Type, list[tuple[Any]]]:
    """A type, and values of it in tuples of one, as the guest `echo` takes them."""
    ty = draw(TYPES)
    return ty, draw(st.lists(st.tuples(values(ty)), max_size=4))


def exact(value: Any) -> Any:
    """What tells apart all that Python calls equal: `True` and 1, 0.0 and -0.0, `Ok(1)` and `Err(1)`."""
    match value:
        case float():
            return value.hex()
        case dict():
            return {name: exact(field) for name, field in value.items()}
        case list() | tuple():
            return type(value).__name__, [exact(item) for item in value]
    return type(value).__name__, value
