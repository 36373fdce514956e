"""Linking: which definition an import gets, and who owns a resource of the host.

These guests import interfaces that only a test provides, so they run without a gateway around them.
"""

import pytest

from gateway.bindings import provided
from gateway.bindings.context import WasiCtx
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap, TrapKind
from gateway.host.linker import link
from gateway.host.table import Resource
from tests.driven_guest import driven_guest, driving

pytestmark = pytest.mark.anyio


def answers(version: str) -> HostInterface:
    """An interface with one function."""
    interface = HostInterface("test:host/answers", version)
    interface.function("answer")(lambda _ctx: 42)
    return interface


def importing(version: str) -> str:
    """The import of that interface in this version."""
    return f"""
      (import "test:host/answers@{version}" (instance
        (export "answer" (func (result u32)))))
    """


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ("0.2.0", "0.2.0"),
        ("0.2.12", "0.2.0"),
        ("0.2.0", "0.2.12"),
        ("1.2.0", "1.7.3"),
        ("2.0.0", "2.0.1"),
        ("2.0.1", "2.0.0"),
        ("0.2.0-draft", "0.2.0-draft"),
        ("0.2.0-rc.1", "0.2.0-rc.1"),
    ],
)
async def test_versions_of_one_track_serve_each_other(have: str, want: str) -> None:
    """Linking: any version of a track is as good as any other, older or newer; pre-releases match exactly."""
    async with driving(driven_guest(importing(want)), [answers(have)]) as guest:
        assert await guest.call("answers#answer") == 42


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ("0.2.0", "0.3.0"),
        ("1.9.0", "2.0.0"),
        ("0.0.1", "0.0.2"),
        ("0.2.0", "0.2.0-draft"),
        ("0.2.0-draft", "0.2.0"),
        ("0.2.0-draft", "0.2.0-draft2"),
        ("0.2.0-rc.1", "0.2.0-rc.2"),
    ],
)
async def test_other_versions_do_not(have: str, want: str) -> None:
    """Linking: the component loads all the same, and the call traps with the import's name."""
    async with driving(driven_guest(importing(want)), [answers(have)]) as guest:
        with pytest.raises(Trap) as trapped:
            await guest.call("answers#answer")
    assert trapped.value.kind is TrapKind.UNKNOWN_IMPORT
    assert f"test:host/answers@{want}#answer" in trapped.value.message


async def test_unstable_functions_are_not_there() -> None:
    """Linking: what WIT marks `@unstable` is not provided; it traps with its name like any unknown import."""
    component = driven_guest("""
      (import "wasi:http/types@0.2.12" (instance
        (export "response-outparam" (type $outparam (sub resource)))
        (export "[method]response-outparam.send-informational"
          (func (param "self" (borrow $outparam)) (param "status" u16)))))
      (import "wasi:clocks/timezone@0.2.12" (instance
        (export "utc-offset" (func (result s32)))))
    """)
    linked = link(component, provided())
    informational = "wasi:http/types@0.2.12#[method]response-outparam.send-informational"
    assert linked.unlinked == (informational,)
    assert "wasi:clocks/timezone@0.2.12" in linked.unknown
    async with driving(component, []) as guest:
        with pytest.raises(
            Trap, match=r"nothing provides wasi:clocks/timezone@0\.2\.12#utc-offset"
        ):
            await guest.call("timezone#utc-offset")


# --- resources ---------------------------------------------------------------------------------------------

THINGS = """
  (import "test:host/things" (instance
    (export "thing" (type $thing (sub resource)))
    (export "make" (func (result (own $thing))))
    (export "take" (func (param "thing" (own $thing))))
    (export "look" (func (param "thing" (borrow $thing)) (result u32)))
    (export "fail" (func (param "thing" (borrow $thing))))))
"""


class Broken(Exception):
    """What no host function should raise."""


class Thing(Resource):
    """A resource that keeps count of its drops."""

    def __init__(self) -> None:
        super().__init__()
        self.drops = 0
        self.broken = False

    def drop(self) -> None:
        self.drops += 1
        if self.broken:
            raise Broken


class Things:
    """An interface that makes and takes them.

    Attributes:
        made: those it has made.
        taken: those it was given as `own`.
    """

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.taken: list[Thing] = []
        self.interface = HostInterface("test:host/things", None)
        self.interface.function("make")(self._make)
        self.interface.function("take")(lambda _ctx, thing: self.taken.append(thing))
        self.interface.function("look")(lambda _ctx, thing: self.made.index(thing))
        self.interface.function("fail")(self._fail)

    def _make(self, _ctx: WasiCtx) -> Thing:
        self.made.append(Thing())
        return self.made[-1]

    def _fail(self, _ctx: WasiCtx, _thing: Thing) -> None:
        raise Broken


async def test_what_is_given_as_own_is_not_dropped_but_gone() -> None:
    """Resources: passed as `own`, one is the host's again: no destructor is called, and the handle is no more."""
    things = Things()
    async with driving(driven_guest(THINGS), [things.interface]) as guest:
        handle = await guest.call("things#make")
        assert await guest.call("things#look", handle) == 0
        await guest.call("things#take", handle)
        assert things.taken == things.made
        with pytest.raises(Trap, match="unknown handle index"):
            await guest.call("things#look", handle)
    assert [thing.drops for thing in things.made] == [0]


async def test_what_is_dropped_is_dropped_once() -> None:
    """Resources: a dropped handle calls the destructor; a second drop traps and calls none."""
    things = Things()
    async with driving(driven_guest(THINGS), [things.interface]) as guest:
        handle = await guest.call("things#make")
        await guest.call("things#drop thing", handle)
        assert things.made[0].drops == 1
        with pytest.raises(Trap, match="unknown handle index"):
            await guest.call("things#drop thing", handle)
    assert things.made[0].drops == 1


async def test_what_is_left_is_dropped_with_the_store() -> None:
    """Resources: what the guest still held when it returned is dropped then, and nothing twice."""
    things = Things()
    async with driving(driven_guest(THINGS), [things.interface]) as guest:
        handles = [await guest.call("things#make") for _ in range(4)]
        await guest.call("things#drop thing", handles[1])
        await guest.call("things#take", handles[2])
        assert [thing.drops for thing in things.made] == [0, 1, 0, 0]
    assert [thing.drops for thing in things.made] == [1, 1, 0, 1]


async def test_what_a_trap_leaves_is_dropped_too() -> None:
    """Resources: those of a guest that has trapped are freed like any."""
    things = Things()
    async with driving(driven_guest(THINGS), [things.interface]) as guest:
        await guest.call("things#make")
        with pytest.raises(Trap):
            await guest.call("things#look", 1_000_000)
    assert [thing.drops for thing in things.made] == [1]


@pytest.mark.parametrize("function", ["things#fail", "things#drop thing"])
async def test_an_exception_of_the_host_ends_the_guest(function: str) -> None:
    """Resources: an exception in a host function or destructor stops the guest where it is, as a trap does."""
    things = Things()
    async with driving(driven_guest(THINGS), [things.interface]) as guest:
        handle = await guest.call("things#make")
        things.made[0].broken = function == "things#drop thing"
        with pytest.raises(Broken):
            await guest.call(function, handle)
    assert [thing.drops for thing in things.made] == [1]
