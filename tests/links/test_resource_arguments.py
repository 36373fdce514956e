"""Which resources are among the arguments of a function, whatever they are in."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.host import wit
from gateway.host.values import Err, Ok, Some, Variant
from gateway.links.resource_arguments import resource_arguments

OWN: Final = wit.Own(wit.Resource("counter", imported=True))
BORROW: Final = wit.Borrow(OWN.resource)
U8: Final = wit.Integer(8, signed=False)
EITHER: Final = wit.Variant((("none", None), ("number", U8), ("one", OWN)))


@pytest.mark.parametrize(
    ("ty", "value", "found"),
    [
        (U8, 7, ""),
        (OWN, "a", "a"),
        (BORROW, "a", "a"),
        (wit.List(U8), b"abc", ""),
        (wit.List(BORROW), ["a", "b"], "ab"),
        (wit.Option(OWN), None, ""),
        (wit.Option(OWN), "a", "a"),
        (wit.Option(wit.Option(OWN)), Some(None), ""),
        (wit.Option(wit.Option(OWN)), Some("a"), "a"),
        (wit.Tuple((OWN, U8, OWN)), ("a", 7, "b"), "ab"),
        (wit.Record((("x", U8), ("y", wit.List(OWN)))), {"x": 7, "y": ["a"]}, "a"),
        (EITHER, Variant("none"), ""),
        (EITHER, Variant("number", 7), ""),
        (EITHER, Variant("one", "a"), "a"),
        (wit.Result(OWN, None), Ok("a"), "a"),
        (wit.Result(OWN, None), Err(), ""),
        (wit.Result(U8, OWN), Ok(7), ""),
        (wit.Result(U8, OWN), Err("a"), "a"),
    ],
    ids=str,
)
def test_resources_are_found(ty: wit.Type, value: Any, found: str) -> None:
    among = resource_arguments(wit.Function((("first", U8), ("second", ty), ("third", OWN)), None))
    assert "".join(map(str, among([1, value, "z"]))) == f"{found}z"
