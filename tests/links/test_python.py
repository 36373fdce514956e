"""Links to Python objects: the values that they are given, how they fail, and what is refused."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import typing
from abc import ABC, ABCMeta
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, given, settings

from gateway.app import create_app
from gateway.config import GatewayConfig
from gateway.host import scheduler, wit
from gateway.host.errors import ComponentError
from gateway.host.store import STORES
from gateway.links.python import PythonTarget
from gateway.links.python_values import conversion
from gateway.rpc.json_values import encoder
from tests.harness import GuestPath
from tests.links.relays import OUTCOMES, TYPES, relay
from tests.patience import PATIENCE, until
from tests.rpc.python_client import component_of, stubs_of
from tests.rpc.test_client_generator import exported, provided
from tests.rpc.test_generated_client import VALUES
from tests.transports.talking import Talking, calling, lifespan
from tests.wit_strategies import exact, types_with_values

pytestmark = pytest.mark.anyio

TRAPPED: Final = -32000
LATE: Final = -32001

HOUR: Final = 3_600_000
"""In milliseconds: longer than any deadline here."""


def module_of(interface: str, imports: Mapping[str, wit.Item]) -> Any:
    """The module that `gateway stubs` writes for an import, where the names in its annotations are found."""
    module = ModuleType(f"stubs_{len(sys.modules)}")
    sys.modules[module.__name__] = module
    exec(stubs_of(interface, imports), vars(module))  # noqa: S102
    return module


@pytest.fixture(scope="module")
def imports(guest: GuestPath) -> Mapping[str, wit.Item]:
    return component_of(guest("c/relay")).imports


@pytest.fixture(scope="module")
def types(imports: Mapping[str, wit.Item]) -> Any:
    return module_of(TYPES, imports)


@pytest.fixture(scope="module")
def outcomes(imports: Mapping[str, wit.Item]) -> Any:
    return module_of(OUTCOMES, imports)


@pytest.fixture(scope="module")
def provider(types: Any, outcomes: Any) -> type[Any]:
    """A class that fills in both interfaces; its methods have the annotations of those that they override.

    Each function that gives back what it is given keeps it as `seen`.
    """

    def echo(self: Any, value: Any) -> Any:
        self.seen = value
        return value

    def settle(error: type[Exception]) -> Callable[[Any, Any], Any]:
        def method(_self: Any, outcome: Any) -> Any:
            if type(outcome) is outcomes.Err:
                raise error(outcome.value)
            return outcome.value

        return method

    methods: dict[str, Any] = {name: echo for name in vars(types.Types) if name.startswith("echo_")}
    for name, error in {
        "settle": outcomes.SettleError,
        "settle_none": outcomes.SettleNoneError,
        "settle_ok": outcomes.SettleOkError,
        "settle_err": outcomes.SettleErrError,
        "settle_option": outcomes.SettleOptionError,
    }.items():
        methods[name] = settle(error)
    methods["gather"] = lambda _self, *values: types.Many(*values)
    methods["concat"] = lambda _self, *words: "".join(words)
    for name in ("trap", "spin", "allocate"):
        methods[name] = lambda _self: None
    methods["exit"] = methods["wait"] = lambda _self, _value: None
    methods["print"] = lambda _self, _output, _error: None
    for method in methods.values():
        method.__annotations__.clear()
    return type("Provider", (types.Types, outcomes.Outcomes), methods)


@asynccontextmanager
async def linked(
    *sources: Path, provider: object, server: Mapping[str, Any] | None = None, **keys: Any
) -> AsyncIterator[Talking]:
    """A gateway with relays to an object, named by their numbers."""
    link = {"python": "it", **keys.pop("link", {})}
    components = [
        relay(source, name=f"relay{number}", link=link, **keys)
        for number, source in enumerate(sources)
    ]
    config = GatewayConfig.model_validate({"components": components, "server": server or {}})
    app = create_app(config, providers={"it": provider})
    async with lifespan(app), calling(app) as gateway:
        yield gateway


async def call(gateway: Talking, function: str, *params: Any) -> Any:
    return await gateway.call(f"outcomes.{function}", *params, name="relay0")


# --- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["c", "js", "python"])
async def test_each_value_is_what_a_client_has_for_it(
    guest: GuestPath, imports: Any, types: Any, provider: Any, language: str
) -> None:
    it = provider()
    async with linked(guest(f"{language}/relay"), provider=it) as gateway:
        for name, values in VALUES.items():
            function = f"echo-{name.replace('_', '-')}"
            ((_, ty),) = imports[TYPES].functions[function].params
            hint = typing.get_type_hints(getattr(types.Types, f"echo_{name}"))["value"]
            plain, encode = conversion(ty, hint).plain, encoder(ty)
            for value in values(types):
                json = encode(plain(value))
                assert await gateway.call(f"types.{function}", json, name="relay0") == json
                # What is not equal to itself or to what it is not, NaN and -0.0, is told by how it is written.
                assert repr(it.seen) == repr(value)
        fields = [
            *(True, 255, -128, 65535, -32768, 2**31, -1, "9223372036854775808", 0, 0.5, 0.25),
            *("a", "b", "Yw==", None, "blue", ["read"], {"empty": None}),
        ]
        many = await gateway.call("types.gather", *fields, name="relay0")
        assert list(many.values()) == fields
        assert await gateway.call("types.concat", *"abcd", name="relay0") == "abcd"
    assert not STORES


@given(types_with_values())
@settings(deadline=None)
def test_values_of_any_type_come_back_as_they_went(drawn: Any) -> None:
    ty, values = drawn
    function = wit.Function((("value", ty),), wit.Tuple((ty,)))
    module = module_of("a:b/c", {"a:b/c": wit.Interface(functions={"echo": function})})
    hints = typing.get_type_hints(module.C.echo, vars(module))
    made = conversion(ty, hints["value"])
    for (value,) in values:
        assert exact(made.plain(made.typed(value))) == exact(value)


@given(exported())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_object_of_a_class_that_is_written_is_taken_whatever_is_called_what(
    imports: Mapping[str, wit.Item],
) -> None:
    for name in provided(imports):
        interface = imports[name]
        assert isinstance(interface, wit.Interface)
        (kind,) = (
            each
            for each in vars(module_of(name, imports)).values()
            if isinstance(each, ABCMeta) and each is not ABC
        )
        kind.__abstractmethods__ = frozenset()
        target = PythonTarget("it", {"it": kind()})
        assert target.calls(name, interface).keys() == interface.functions.keys()


async def test_values_of_any_size_come_back(guest: GuestPath, provider: Any) -> None:
    points = [{"x": at, "y": -at} for at in range(8192)]
    server = {"rpc_max_body": "4MiB"}
    async with linked(guest("c/relay"), provider=provider(), server=server) as gateway:
        assert await gateway.call("types.echo-list-point", points, name="relay0") == points


# --- what becomes of a call -------------------------------------------------------------------------------


async def test_an_exception_of_the_interface_is_an_err(guest: GuestPath, provider: Any) -> None:
    async with linked(guest("c/relay"), provider=provider()) as gateway:
        assert await call(gateway, "settle", {"ok": "fine"}) == "fine"
        for failure in ({"not-found": None}, {"misplaced": {"x": 1, "y": 2}}):
            assert await call(gateway, "settle", {"err": failure}) == failure
        response = await gateway.response("outcomes.settle-none", {"err": None}, name="relay0")
        assert (response["error"]["code"], response["error"]["data"]) == (1, None)
        assert await call(gateway, "settle-option", {"err": 7}) == 7
        errs = (
            'gateway_linked_calls_total{component="relay0",function="settle",'
            'interface="test:rpc/outcomes",outcome="err",target="python"}'
        )
        assert await gateway.metric(errs) == 2


def raises(error: BaseException) -> Callable[..., NoReturn]:
    def method(*_: Any) -> NoReturn:
        raise error

    return method


def returns(value: Any) -> Callable[..., Any]:
    return lambda *_: value


FAILURES: Final[Mapping[str, tuple[Callable[..., Any], str]]] = {
    "an exception": (raises(KeyError("secret")), "it raised KeyError"),
    "an end": (raises(SystemExit(1)), "it raised SystemExit"),
    "what no future takes": (raises(StopIteration()), "it raised StopIteration"),
    "nothing": (returns(None), "it returned another type: expected string, a str, got NoneType"),
    "a number": (returns(7), "it returned another type: expected string, a str, got int 7"),
    "half a pair": (returns("\ud800"), "it returned another type: expected string, a str without"),
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("case", FAILURES)
async def test_what_it_does_otherwise_is_logged_and_the_guest_is_not_told(
    guest: GuestPath, provider: Any, case: str, is_async: bool
) -> None:
    method, reason = FAILURES[case]

    async def coroutine(*args: Any) -> Any:
        return method(*args)

    it = provider()
    it.settle = it.settle_err = coroutine if is_async else method
    async with linked(guest("c/relay"), provider=it, link={"errors": "result"}) as gateway:
        with structlog.testing.capture_logs() as logs:
            assert await call(gateway, "settle", {"ok": ""}) == TRAPPED
        (told,) = (line for line in logs if line["event"] == "linked call failed")
        if is_async and case == "what no future takes":
            reason = "it raised RuntimeError"  # which is what Python makes of it
        assert told["reason"].startswith(reason)
        assert (told["outcome"], told["target"]) == ("failed", "it")
        assert bool(told["exc_info"]) is reason.startswith("it raised")
        (trap,) = (line for line in logs if line["event"] == "component trapped")
        assert trap["trap"] == "callee-failed"
        if case == "an exception":
            assert await call(gateway, "settle-err", {"ok": None}) == "its provider has failed"
    assert not STORES


async def test_an_err_of_another_type_is_none(
    guest: GuestPath, provider: Any, outcomes: Any
) -> None:
    it, errors = provider(), iter(())
    it.settle = lambda _: raises(next(errors))()
    async with linked(guest("c/relay"), provider=it) as gateway:
        for error, reason in (
            (outcomes.SettleOkError(None), "it raised SettleOkError, but variant"),
            (outcomes.SettleError("x"), "it returned another type: expected FailureNotFound or "),
        ):
            errors = iter([error])
            with structlog.testing.capture_logs() as logs:
                assert await call(gateway, "settle", {"ok": ""}) == TRAPPED
            (told,) = (line for line in logs if line["event"] == "linked call failed")
            assert told["reason"].startswith(reason)


class Waiting:
    """What an object does that waits for an hour.

    Attributes:
        waits: whether it does.
        ended: how that ended.
    """

    def __init__(self) -> None:
        self.waits = False
        self.ended = ""

    async def wait(self, milliseconds: int) -> None:
        self.waits = True
        try:
            await asyncio.sleep(milliseconds / 1000)
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


async def test_it_is_cancelled_with_its_caller(guest: GuestPath, provider: Any) -> None:
    it, waiting = provider(), Waiting()
    it.wait = waiting.wait
    async with linked(guest("c/relay"), provider=it) as gateway:
        task = asyncio.create_task(call(gateway, "wait", HOUR))
        await until(lambda: waiting.waits)
        task.cancel()
        await until(lambda: waiting.ended == "cancelled")
        await until(lambda: not STORES)


async def test_the_callers_deadline_bounds_it(guest: GuestPath, provider: Any) -> None:
    it, waiting = provider(), Waiting()
    it.wait = waiting.wait
    async with linked(guest("c/relay"), provider=it, max_execution_time="1s") as gateway:
        assert await call(gateway, "wait", HOUR) == LATE
    assert waiting.ended == "cancelled"
    assert not STORES


async def test_one_that_cancels_itself_has_failed(guest: GuestPath, provider: Any) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    it = provider()
    it.trap = cancelled
    async with linked(guest("c/relay"), provider=it) as gateway:
        assert await call(gateway, "trap") == TRAPPED


async def test_a_function_runs_in_a_thread_and_a_coroutine_on_the_loop(
    guest: GuestPath, provider: Any
) -> None:
    threads: dict[str, int] = {}
    goes_on = threading.Event()

    def blocks(*_: Any) -> None:
        threads["function"] = threading.get_ident()
        goes_on.wait()

    async def runs(*_: Any) -> None:
        threads["coroutine"] = threading.get_ident()

    def wraps(*_: Any) -> Awaitable[None]:
        return runs()

    it = provider()
    it.spin, it.trap, it.allocate = blocks, runs, wraps
    async with linked(guest("c/relay"), provider=it) as gateway:
        try:
            blocked = asyncio.create_task(call(gateway, "spin"))
            await until(lambda: "function" in threads)
            assert await call(gateway, "trap") is None
            assert threads["coroutine"] == threading.get_ident() != threads["function"]
            assert await call(gateway, "allocate") is None
            assert not blocked.done()
        finally:
            goes_on.set()
        assert await blocked is None


# --- what is loaded ---------------------------------------------------------------------------------------


def refusal(guest: GuestPath, python: str, provider: object = None) -> str:
    """Why a relay with such a link is refused."""
    components = [relay(guest("c/relay"), link={"python": python})]
    config = GatewayConfig.model_validate({"components": components})
    with pytest.raises(ComponentError) as caught:
        create_app(config, providers={} if provider is None else {"it": provider})
    return str(caught.value)


MODULES: Final[Mapping[str, tuple[str, str]]] = {
    "absent": ("no_such_module:it", "cannot be imported: ModuleNotFoundError: No module named"),
    "broken": ("broken:it", "broken cannot be imported: ZeroDivisionError: division by zero ("),
    "ending": ("ending:it", "ending cannot be imported: SystemExit: 3 ("),
    "without it": ("sound:a.b", "sound:a.b is not there: sound has no a.b"),
    "a class": ("sound:A", "sound:A is a class: name an object of it"),
    "not handed over": ("it", 'no object of the name "it" was handed to `create_app` (providers)'),
}


@pytest.mark.parametrize("case", MODULES)
def test_an_object_that_is_not_there(
    guest: GuestPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "ending.py").write_text("raise SystemExit(3)")
    (tmp_path / "sound.py").write_text("class A: b = None\na = A\ndel a.b")
    name, why = MODULES[case]
    try:
        told = refusal(guest, name).splitlines()
    finally:
        sys.modules.pop("sound", None)
    assert [why in line for line in told] == [True, True]  # one for each of its links


def test_all_that_an_object_lacks_is_told_at_once(guest: GuestPath, provider: Any) -> None:
    class Other(provider):  # type: ignore[misc]
        echo_bool = None
        echo_u8 = 7

        def echo_u16(self) -> int:
            return 0

        def echo_string(self, value: int) -> str:
            return str(value)

        def echo_shape(self, value: str | int) -> str:
            return str(value)

        def echo_s8(self, value: "Unknown") -> int:  # type: ignore[name-defined]  # noqa: F821, UP037
            return int(value)

        def concat(self, a: str, b: str, c: str, d: str, e: str) -> str:
            return a + b + c + d + e

    told = refusal(guest, "it", Other())
    where = f'the link of "{TYPES}": '
    assert [line.partition(where)[2].partition(", not")[0] for line in told.splitlines()] == [
        "echo-bool: it.echo_bool is not there",
        "echo-u8: it.echo_u8 cannot be called",
        "echo-s8: it.echo_s8 has annotations that cannot be told: NameError: name 'Unknown' is not defined",
        "echo-u16: it.echo_u16 cannot be called with (value): too many positional arguments",
        "echo-string: it.echo_string has value is of another type: string is str",
        "echo-shape: it.echo_shape has value is of another type: variant { empty, circle(f64), label(string), "
        "path(list<record { x: s32, y: s32 }>) } is a union of dataclasses ...Empty | ...Circle | ...Label | "
        "...Path, with a value or none",
        "concat: it.concat cannot be called with (type, class, from, list): missing a required argument: 'e'",
    ]


def test_what_has_a_class_needs_an_annotation(guest: GuestPath, provider: Any) -> None:
    class Plain:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    told = refusal(guest, "it", Plain()).splitlines()
    (point,) = (line for line in told if "echo-point: " in line)
    assert point.endswith("is a dataclass with the fields x, y, and nothing says which")
    assert not any("echo-list-string: " in line for line in told)


async def test_a_reload_imports_nothing_again(
    guest: GuestPath, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("made_up")
    module.it = provider()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up", module)
    configs = [
        GatewayConfig.model_validate(
            {
                "components": [
                    relay(guest("c/relay"), link={"python": "made_up:it"}, max_concurrency=n)
                ]
            }
        )
        for n in (4, 5)
    ]
    app = create_app(configs[0])
    async with lifespan(app), calling(app) as gateway:
        await app.reload(configs[1])
        assert app.generation == 2
        await gateway.call("types.echo-u8", 7, name="relay")
        assert module.it.seen == 7
        assert sys.modules["made_up"] is module


async def test_an_object_that_answers_at_once_leaves_nothing_that_was_never_begun(
    guest: GuestPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        scheduler, "SHARE", PATIENCE
    )  # however slow the machine, the loop need not turn

    class Stuff:
        async def do_it(self) -> int:
            return 42

    component = {
        "name": "guest",
        "source": guest("wat/unknown-import"),
        "links": [{"import": "acme:things/stuff@1.0.0", "python": "it"}],
    }
    config = GatewayConfig.model_validate({"components": [component]})
    app = create_app(config, providers={"it": Stuff()})
    async with lifespan(app), calling(app) as gateway:
        # The guest waits for the object, and has ended before the loop turns. Warnings are errors here.
        assert (await gateway.client.get("/")).status_code == 500
    gc.collect()
    assert not STORES
