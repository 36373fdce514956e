"""Every type, and values of it, as JSON through a guest and back; and JSON that almost is such a value."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.host import wit
from gateway.host.engine import Engine
from gateway.host.store import Store
from gateway.rpc.json_values import InvalidValue, decoder, encoder, parameters
from gateway.wasm.instance_limits import InstanceLimits
from tests.host.guests import call_now, echo, host, load_component
from tests.host.scratch import Scratch
from tests.wit_strategies import NAMES, TYPES, exact, types_with_values, values

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-300, 300),
        st.integers(-(2**70), 2**70),
        st.integers(-(2**70), 2**70).map(str),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from((0.0, -0.0, 1.0, 1e16, 3.5e38, 10**400, "NaN", "Infinity", "YQ==", "YR==")),
        st.text(st.characters(), max_size=3),
        st.sampled_from(NAMES),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from((*NAMES, "ok", "err", "some", "~/")), inner, max_size=3),
    ),
    max_leaves=5,
)

Place = tuple[str | int, ...]
"""The keys and indices that lead to a part of a document."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@given(types_with_values())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_value_survives_the_way_to_a_guest_and_back_as_json(
    engine: Engine, drawn: tuple[wit.Type, list[tuple[Any]]]
) -> None:
    ty, values = drawn
    with tempfile.TemporaryDirectory() as folder:
        linked = load_component(engine, echo(ty), Path(folder), host(f=lambda _data, given: given))
    run = linked.export("run").type
    assert run.result is not None
    decode, encode = parameters(run), encoder(run.result)

    sent = json.dumps([encode(values)], allow_nan=False)
    arguments = decode(json.loads(sent))
    assert exact(arguments) == exact([values])
    assert exact(decode({"a": json.loads(sent)[0]})) == exact([values])

    result = call_now(linked, *arguments)
    assert exact(result) == exact(values)
    assert json.dumps([encode(result)], allow_nan=False) == sent


@st.composite
def almost_values(draw: st.DrawFn) -> tuple[wit.Type, Any, Place]:
    """A type, and JSON of a value of it but for one place, where anything may be."""
    ty = draw(TYPES)
    document = encoder(ty)(draw(values(ty)))
    path = draw(st.sampled_from(list(places(document))))
    return ty, replaced(document, path, draw(ANY_JSON)), path


def places(document: Any) -> Iterator[Place]:
    yield ()
    match document:
        case dict():
            inside: list[tuple[str | int, Any]] = list(document.items())
        case list():
            inside = list(enumerate(document))
        case _:
            return
    for segment, part in inside:
        yield from ((segment, *path) for path in places(part))


def replaced(document: Any, path: Place, new: Any) -> Any:
    if not path:
        return new
    copy = document.copy()
    copy[path[0]] = replaced(document[path[0]], path[1:], new)
    return copy


def tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def leads_somewhere(document: Any, pointer: str) -> bool:
    for token in tokens(pointer):
        match document:
            case dict() if token in document:
                document = document[token]
            case list() if token == str(int(token)) and int(token) < len(document):
                document = document[int(token)]
            case _:
                return False
    return True


@contextmanager
def scratch(engine: Engine) -> Iterator[Scratch]:
    scratch = Scratch(Store(engine, InstanceLimits(0, 0), 0, None))
    try:
        yield scratch
    finally:
        scratch.free()


@given(almost_values())
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_accepted_can_be_lowered_and_what_is_not_is_pointed_to(
    engine: Engine, drawn: tuple[wit.Type, Any, Place]
) -> None:
    ty, document, place = drawn
    decode, encode = decoder(ty), encoder(ty)
    refused: InvalidValue | None = None
    try:
        value = decode(document)
    except InvalidValue as error:
        refused = error
    if refused is None:
        with scratch(engine) as room:
            room.lower(ty, value)
        canonical = json.dumps(encode(value), allow_nan=False)
        assert exact(decode(json.loads(canonical))) == exact(value)
        return
    assert leads_somewhere(document, refused.pointer)
    # What is wrong is the new part, something in it, what it is part of, or a flag that it now repeats.
    found, whole = tokens(refused.pointer), [str(segment) for segment in place[:-1]]
    assert found[: len(whole)] == whole[: len(found)]
    assert refused.expected.isascii()
    assert len(refused.expected) < 2000
