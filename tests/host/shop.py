"""A host that makes and takes things, and guests that deal with it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from tests.host.guests import API


class Thing(Resource):
    """A resource that counts how often it is dropped."""

    __slots__ = ("drops", "parent")

    def __init__(self, parent: Resource | None = None) -> None:
        self.parent = parent
        self.drops = 0

    def drop(self) -> None:
        assert not self.children
        self.drops += 1


class Shop:
    """What the guests import: they make, use, take and drop things."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.seen: list[Resource] = []
        self.taken: list[Resource] = []
        self.reached = asyncio.Event()
        self.interface = api = HostInterface(API, None)
        api.function("make")(self.make)
        api.function("make-late", blocking=True)(self.make_late)
        api.function("child")(self.child)
        api.function("use")(lambda _data, thing: self.seen.append(thing))
        api.function("take")(lambda _data, thing: self.taken.append(thing))
        api.function("fail")(self.fail)
        api.function("wait", blocking=True)(self.wait)

    def make(self, _data: Any) -> Thing:
        self.made.append(Thing())
        return self.made[-1]

    async def make_late(self, data: Any) -> Thing:
        await asyncio.sleep(0)
        return self.make(data)

    def child(self, _data: Any, parent: Resource) -> Thing:
        self.made.append(Thing(parent))
        return self.made[-1]

    def fail(self, _data: Any) -> None:
        raise OSError("broken")

    async def wait(self, _data: Any) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    @property
    def drops(self) -> list[int]:
        return [thing.drops for thing in self.made]


FUNCTIONS = {
    "make": ("(func (result (own $thing)))", "(result i32)"),
    "make-late": ("(func (result (own $thing)))", "(result i32)"),
    "child": (
        '(func (param "of" (borrow $thing)) (result (own $thing)))',
        "(param i32) (result i32)",
    ),
    "use": ('(func (param "it" (borrow $thing)))', "(param i32)"),
    "take": ('(func (param "it" (own $thing)))', "(param i32)"),
    "fail": ("(func)", ""),
    "wait": ("(func)", ""),
}


def shopper(body: str) -> str:
    """A guest with `$thing`, `$other`, and the functions of a `Shop`, besides `$drop`."""
    exports = "".join(f'(export "{name}" {ty})' for name, (ty, _) in FUNCTIONS.items())
    lowered = "".join(
        f'(core func ${name} (canon lower (func $api "{name}")))' for name in FUNCTIONS
    )
    imports = "".join(
        f'(import "" "{name}" (func ${name} {core}))' for name, (_, core) in FUNCTIONS.items()
    )
    given = "".join(f'(export "{name}" (func ${name}))' for name in FUNCTIONS)
    return f"""
      (component
        (import "{API}" (instance $api (export "thing" (type $thing (sub resource))) {exports}))
        (alias export $api "thing" (type $thing))
        {lowered}
        (core func $drop (canon resource.drop $thing))
        (core module $m
          {imports}
          (import "" "drop" (func $drop (param i32)))
          (func (export "run") (local $thing i32) (local $other i32) {body}))
        (core instance $i (instantiate $m
          (with "" (instance {given} (export "drop" (func $drop))))))
        (func (export "run") (canon lift (core func $i "run"))))
    """


MAKE = "(local.set $thing (call $make))"
CHILD = "(local.set $other (call $child (local.get $thing)))"
USE = "(call $use (local.get $thing))"
TAKE = "(call $take (local.get $thing))"
DROP = "(call $drop (local.get $thing))"
DROP_OTHER = "(call $drop (local.get $other))"
