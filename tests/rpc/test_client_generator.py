"""The Python client that is generated: names, types, and the values on the wire, without a gateway."""

from __future__ import annotations

import ast
import json
import keyword
import subprocess
import sys
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway import __version__
from gateway.host import wit
from gateway.rpc.client.names import class_name, settle, snake, words
from gateway.rpc.json_values import encoder, parameters
from gateway.rpc.method import Methods
from gateway.wasm.binary.package_docs import package_docs
from tests.harness import GuestPath
from tests.rpc.python_client import component_of, load, source_of, source_of_component, stubs_of
from tests.wit_strategies import exact, types_with_values

U32: Final = wit.Integer(32, signed=False)
POINT: Final = wit.Record((("x", U32), ("y", U32)))
SPOT: Final = wit.Record((("x", U32),))
SHAPE: Final = wit.Variant((("empty", None), ("circle", wit.Float(64)), ("at", POINT)))
COLOR: Final = wit.Enum(("red", "dark-red"))
ACCESS: Final = wit.Flags(("read", "write"))


def function(*params: wit.Type, result: wit.Type | None = None) -> wit.Function:
    """A function of parameters `a`, `b` and so on."""
    return wit.Function(tuple(zip("abcdefgh", params, strict=False)), result)


# --- whatever is exported ---------------------------------------------------------------------------------

# What means something to Python, to the module or to its classes; what is the same name in Python; what is long.
LABELS: Final = (
    "none", "true", "class", "from", "match", "type", "list", "str", "int", "bool", "bytes", "self",
    "client", "async-client", "close", "aclose", "httpx", "json", "any", "enum", "flag", "ok", "err",
    "some", "trap", "busy", "call-error", "error", "rpc-error", "value-error", "exception", "t", "e", "u8",
    "list-of", "string", "unit", "record", "codec", "method", "name", "value", "mro", "connection",
    "foo-1", "foo1", "foo-1x", "HTTP", "http", "get-URL", "get-url-error", "get", "get-error", "a",
    "shape-circle", "shape", "circle", "dataclass", "auto", "print", "l", "types", "dict", "property",
    "a-name-of-many-words-that-goes-on-and-on", "another-name-of-many-words-for-something",
)  # fmt: skip
INTERFACES: Final = (
    "a:b/types@1.0.0", "a:b/types@2.0.0", "a:c/types@1.0.0", "d:b/types@1.0.0", "d:b/types", "types",
    "a:b/client", "a:b/get@0.1.0-rc.1", "a:b/httpx", "get", "class",
)  # fmt: skip


def some_labels(maximum: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(LABELS), min_size=1, max_size=maximum, unique=True)


def compounds(inner: st.SearchStrategy[wit.Type]) -> st.SearchStrategy[wit.Type]:
    def members(kind: Any, each: st.SearchStrategy[Any]) -> st.SearchStrategy[wit.Type]:
        return st.dictionaries(st.sampled_from(LABELS), each, min_size=1, max_size=4).map(
            lambda pairs: kind(tuple(pairs.items()))
        )

    optional = st.none() | inner
    return st.one_of(
        inner.map(wit.List),
        inner.map(wit.Option),
        st.builds(wit.Result, optional, optional),
        st.lists(inner, min_size=1, max_size=5).map(lambda types: wit.Tuple(tuple(types))),
        members(wit.Record, inner),
        members(wit.Variant, optional),
    )


TYPES: Final[st.SearchStrategy[wit.Type]] = st.recursive(
    st.one_of(
        st.sampled_from(
            [wit.Bool(), U32, wit.Integer(8, signed=False), wit.Float(32), wit.String()]
        ),
        some_labels(4).map(lambda names: wit.Enum(tuple(names))),
        some_labels(4).map(lambda names: wit.Flags(tuple(names))),
    ),
    compounds,
    max_leaves=6,
)


@st.composite
def exported(draw: st.DrawFn) -> dict[str, wit.Item]:
    """What a component might export: functions and interfaces whose names clash wherever they can."""
    types = draw(st.lists(TYPES, min_size=1, max_size=4))
    a_type = st.sampled_from(types)
    functions = st.builds(
        wit.Function,
        st.dictionaries(st.sampled_from(LABELS), a_type, max_size=4).map(
            lambda params: tuple(params.items())
        ),
        st.none() | a_type,
    )
    interfaces = st.builds(
        wit.Interface,
        st.dictionaries(st.sampled_from(LABELS), functions, max_size=3),
        types=st.dictionaries(st.sampled_from(LABELS), a_type, max_size=3),
    )
    root: dict[str, wit.Item] = dict(
        draw(st.dictionaries(st.sampled_from(LABELS), functions, max_size=3))
    )
    return root | draw(st.dictionaries(st.sampled_from(INTERFACES), interfaces, max_size=4))


@given(exported(), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_method_can_be_called_by_a_name_of_its_own(
    exports: dict[str, wit.Item], asynchronous: bool
) -> None:
    source = source_of(exports, asynchronous=asynchronous)
    module = load(source)
    client = (module.AsyncClient if asynchronous else module.Client)("http://gateway")

    found = functions_of(client) - {"close", "aclose"}
    for name, interface in vars(client).items():
        if name != "_connection":
            found |= {f"{name}.{function}" for function in functions_of(interface)}
    assert len(found) == len(Methods(exports).served)
    assert source_of(exports, asynchronous=asynchronous) == source


def functions_of(owner: Any) -> set[str]:
    """The names of the functions that a class has."""
    return {name for name in vars(type(owner)) if not name.startswith("__")}


@pytest.fixture(scope="module")
def modules(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of generated modules: those of many components that were made up, and of real ones."""
    folder = tmp_path_factory.mktemp("clients")

    @given(exported(), st.booleans())
    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    def write(exports: dict[str, wit.Item], asynchronous: bool) -> None:
        number = len(list(folder.iterdir()))
        source = source_of(exports, asynchronous=asynchronous)
        (folder / f"made_up_{number}.py").write_text(source, "utf-8")
        for name in provided(exports):
            stubs = stubs_of(name, exports, asynchronous=asynchronous)
            (folder / f"stubs_{number}.py").write_text(stubs, "utf-8")

    write()
    imports = component_of(guest("c/relay")).imports
    for name, interface in (("types_stubs", "types"), ("outcomes_stubs", "outcomes")):
        source = stubs_of(
            f"test:rpc/{interface}@1.2.3", imports, asynchronous=name == "outcomes_stubs"
        )
        (folder / f"{name}.py").write_text(source, "utf-8")
    imports = component_of(guest("c/tally")).imports
    (folder / "counters_stubs.py").write_text(stubs_of("test:counters/api@1.0.0", imports), "utf-8")
    for name, asynchronous in (("calls", False), ("async_calls", True)):
        source = source_of_component(guest("c/rpc"), asynchronous=asynchronous)
        (folder / f"{name}.py").write_text(source, "utf-8")
    return folder


def provided(imports: Mapping[str, wit.Item]) -> list[str]:
    """The interfaces that an object could provide."""
    items = imports.items()
    return [name for name, it in items if isinstance(it, wit.Interface) and it.functions]


USER: Final = '''
"""Code that type checks only if the client has the types that it should."""

from typing import assert_never, assert_type

import async_calls
import calls
import counters_stubs
import outcomes_stubs
import types_stubs
from calls import Access, Client, Err, Failure, Ok, Point, Shape, Some


def area(shape: Shape) -> float:
    match shape:
        case calls.ShapeCircle(radius):
            return radius
        case calls.ShapePath(points):
            return sum(point.x for point in points)
        case calls.ShapeEmpty() | calls.ShapeLabel():
            return 0.0
        case _:
            assert_never(shape)


def use(client: Client) -> None:
    assert_type(client.add(a=1, b=2), int)
    assert_type(client.types.echo_bytes(b""), bytes)
    assert_type(client.types.echo_point(Point(x=1, y=2)), Point)
    assert_type(client.types.echo_access(Access.READ | Access.WRITE), Access)
    assert_type(client.types.echo_shape(calls.ShapeEmpty()), Shape)
    assert_type(client.types.echo_option_option(Some(None)), Some[int | None] | None)
    assert_type(client.types.echo_list_result_both([Ok(1)]), list[Ok[int] | Err[str]])
    try:
        assert_type(client.outcomes.settle(Ok("fine")), str)
    except calls.SettleError as error:
        assert_type(error.value, Failure)


class Types(types_stubs.Types):
    def echo_point(self, value: types_stubs.Point) -> types_stubs.Point:
        return types_stubs.Point(x=value.x, y=-value.y)


class Outcomes(outcomes_stubs.Outcomes):
    async def settle(
        self,
        outcome: outcomes_stubs.Ok[str] | outcomes_stubs.Err[outcomes_stubs.Failure],
    ) -> str:
        match outcome:
            case outcomes_stubs.Ok(value):
                return value
            case outcomes_stubs.Err(failure):
                raise outcomes_stubs.SettleError(failure)


class Counter(counters_stubs.Counter):
    def __init__(self, start: int) -> None:
        self.count = start

    @classmethod
    def open(cls, name: str) -> "Counter":
        if not name:
            raise counters_stubs.CounterOpenError("no name")
        return cls(len(name))

    def value(self) -> int:
        return self.count

    def add(self, by: int) -> int:
        self.count += by
        return self.count

    def beyond(self, other: counters_stubs.Counter) -> bool:
        return self.count > other.value()

    def fold(self, other: counters_stubs.Counter) -> None:
        self.add(other.value())

    def break_off(self) -> None:
        raise RuntimeError

    spin = break_off


class Counters(counters_stubs.Api):
    counter = Counter

    def label(
        self, it: counters_stubs.Counter | None, label: str
    ) -> counters_stubs.Labelled:
        return counters_stubs.Labelled(label, it or self.counter(0))


async def use_async(client: async_calls.AsyncClient) -> None:
    assert_type(await client.divide(1, 2), int)
'''


def test_the_modules_pass_mypy(modules: Path, pytestconfig: pytest.Config) -> None:
    user = modules / "user.py"
    user.write_text(USER.lstrip())
    cache = pytestconfig.rootpath / ".mypy_cache" / "clients"
    options = ["--strict", "--warn-unreachable", "--config-file=", f"--cache-dir={cache}"]
    command = [sys.executable, "-m", "mypy", *options, "."]
    run = subprocess.run(command, cwd=modules, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_modules_are_as_ruff_leaves_them(modules: Path) -> None:
    # A variable or argument may be called `l` (E741), if that is what the component calls it.
    for command in (["format", "--check", "--diff"], ["check", "--ignore", "E741"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", "."],
            cwd=modules,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_a_module_needs_httpx_and_nothing_else(guest: GuestPath) -> None:
    tree = ast.parse(source_of_component(guest("c/rpc")))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.partition(".")[0] for name in imported}
    assert roots - sys.stdlib_module_names == {"httpx"}


def test_a_module_says_what_it_was_made_of() -> None:
    source = source_of({"add": function(U32, U32, result=U32)})
    assert source.startswith(
        f"# Generated by component-gateway {__version__} from guest, do not edit.\n# sha256 {'0' * 64}\n"
    )


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "of_class", "of_function"),
    [
        ("point", "Point", "point"),
        ("get-URL-2", "GetURL2", "get_url_2"),
        ("a-3d-model", "A3dModel", "a_3d_model"),
        ("[static]blob.merge", "BlobMerge", "blob_merge"),
    ],
)
def test_words_are_joined_as_python_joins_them(name: str, of_class: str, of_function: str) -> None:
    assert class_name(words(name)) == of_class
    assert snake(words(name)) == of_function


@pytest.mark.parametrize(
    ("candidates", "settled"),
    [
        ([["a"], ["b"]], ["a", "b"]),
        ([["a"], ["a"], ["a"]], ["a", "a_2", "a_3"]),
        ([["a"], ["a"], ["a_2"]], ["a", "a_3", "a_2"]),
        ([["class"], ["reserved"]], ["class_", "reserved_"]),
        ([["a", "x_a"], ["a", "y_a"], ["b"]], ["x_a", "y_a", "b"]),
        ([["a", "x_a"], ["a", "y_a"], ["x_a"]], ["x_a", "y_a", "x_a_2"]),
        ([["reserved", "x_reserved"]], ["x_reserved"]),
    ],
)
def test_names_that_clash_are_told_apart(candidates: list[list[str]], settled: list[str]) -> None:
    assert settle(candidates, {"reserved"}) == settled


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3), max_size=8))
def test_no_two_things_are_settled_on_one_name(candidates: list[list[str]]) -> None:
    settled = settle(candidates, {"a", "b_"})
    assert len(set(settled)) == len(candidates)
    assert not {"a", "b_"} & set(settled)
    assert not any(map(keyword.iskeyword, settled))


def test_names_of_python_get_an_underscore() -> None:
    fields = wit.Record((("class", U32), ("list", U32), ("type", U32)))
    run = wit.Function((("self", fields), ("from", U32), ("list", U32)), None)
    module = load(source_of({"none": fields, "a:b/run": wit.Interface({"list": run})}))
    assert module.None_(class_=1, list_=2, type=3)
    calls: list[Any] = []
    client = module.Client("http://gateway", http=answering(calls, None))
    client.run.list_(self_=module.None_(1, 2, 3), from_=4, list=5)
    assert calls[0]["params"] == {"self": {"class": 1, "list": 2, "type": 3}, "from": 4, "list": 5}


def test_interfaces_of_one_name_are_called_by_their_packages() -> None:
    interface = wit.Interface({"run": function()})
    names = ("a:b/run@1.0.0", "a:b/run@2.0.0", "a:c/run@1.0.0", "a:c/stop")
    client = load(source_of(dict.fromkeys(names, interface))).Client("http://gateway")
    assert set(vars(client)) - {"_connection"} == {
        "a_b_run_v_1_0_0",
        "a_b_run_v_2_0_0",
        "c_run",
        "stop",
    }


def test_a_function_of_the_root_keeps_its_name_beside_an_interface() -> None:
    exports: dict[str, wit.Item] = {
        "run": function(),
        "a:b/run": wit.Interface({"run": function()}),
    }
    calls: list[Any] = []
    client = load(source_of(exports)).Client("http://gateway", http=answering(calls, None))
    client.run()
    client.b_run.run()
    assert [call["method"] for call in calls] == ["run", "a:b/run#run"]


def test_two_names_of_one_structure_are_one_class() -> None:
    exports = {
        "a:b/here": wit.Interface({"f": function(POINT)}, types={"point": POINT}),
        "a:b/there": wit.Interface({"f": function(POINT)}, types={"vector": POINT}),
    }
    source = source_of(exports)
    module = load(source)
    assert module.Vector is module.Point
    assert "def f(self, a: Point)" in source
    assert "def f(self, a: Vector)" in source


def test_two_structures_of_one_name_are_called_by_their_interfaces() -> None:
    exports = {
        "a:b/here": wit.Interface({"f": function(POINT)}, types={"point": POINT}),
        "a:b/there": wit.Interface({"f": function(SPOT)}, types={"point": SPOT}),
    }
    module = load(source_of(exports))
    assert module.HerePoint(1, 2) != module.TherePoint(1)
    assert not hasattr(module, "Point")


def test_a_type_that_is_only_imported_has_its_name_there() -> None:
    exports = {"draw": function(SHAPE)}
    module = load(source_of(exports, imports={"a:b/shapes": wit.Interface(types={"shape": SHAPE})}))
    assert module.ShapeCircle(1.5)
    # Its point has no name anywhere.
    assert module.ShapeAt(module.DrawAAt(1, 2))


def test_the_err_of_a_function_is_the_value_of_its_exception() -> None:
    exports = {"f": function(result=wit.Result(wit.Option(U32), wit.List(wit.String())))}
    module = load(source_of(exports))
    assert module.FError.__orig_bases__ == (module.CallError[list[str]],)


def test_an_alias_and_an_exception_of_one_name() -> None:
    wide = wit.List(wit.Tuple((wit.String(),) * 9))
    get = wit.Function((("error", wide),), wit.Result(U32, wit.String()))
    module = load(source_of({"get": get}))
    assert issubclass(module.GetError, module.CallError)
    assert module.GetError_ == tuple[(str,) * 9]  # type: ignore[misc]


# --- documentation ----------------------------------------------------------------------------------------


def documented(docs: str) -> Any:
    """The client of a component that says this of itself, a function, a type and a field."""
    interface = {
        "docs": docs,
        "funcs": {"plot": {"docs": docs}},
        "types": {
            "point": {"docs": docs, "items": {"x": docs}},
            "color": {"docs": docs, "items": {"red": docs}},
            "shape": {"docs": docs, "items": {"circle": docs}},
        },
    }
    content = b"\1" + json.dumps({"docs": docs, "interfaces": {"plots": interface}}).encode()
    name = b"package-docs"
    section = leb128(len(name)) + name + content
    binary = b"\0asm\x0d\0\1\0" + b"\0" + leb128(len(section)) + section
    types: Mapping[str, wit.Type] = {"point": POINT, "color": COLOR, "shape": SHAPE}
    exports = {"a:b/plots": wit.Interface({"plot": function(POINT, COLOR, SHAPE)}, types=types)}
    return source_of(exports, package_docs(binary))


def leb128(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def test_what_the_component_says_stands_where_it_is_used() -> None:
    source = documented("What it says.")
    module = load(source)
    for place in (module.Plots, module.Plots.plot, module.Color, module.ShapeCircle):
        assert place.__doc__ == "What it says."
    assert cleandoc(module.Point.__doc__) == "What it says.\n\nAttributes:\n    x: What it says."
    assert 'ShapeAt\n"""What it says."""' in source
    assert '    # What it says.\n    RED = "red"' in source
    assert "What it says." in module.__doc__


@given(
    st.text(
        st.one_of(st.sampled_from("\"\\\n\r'# \t\0\x0c\x85\u2028\u202e{}"), st.characters()),
        max_size=200,
    )
)
@settings(max_examples=80, deadline=None)
def test_no_documentation_gets_out_of_its_place(docs: str) -> None:
    source = documented(docs)
    assert source.isascii() or all(char.isprintable() or char == "\n" for char in source)
    # Only texts and comments differ.
    assert stripped(source) == stripped(documented("What it says."))


def stripped(source: str) -> str:
    """The program of a source without its texts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                part
                for part in node.body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
    return ast.dump(tree)


# --- values on the wire -----------------------------------------------------------------------------------


def answering(requests: list[Any], result: Any) -> httpx.Client:
    """A client of HTTP whose server notes what is asked for, and has one result for all."""

    def answer(request: httpx.Request) -> httpx.Response:
        message = json.loads(request.content)
        requests.append(message)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": message["id"], "result": result})

    return httpx.Client(transport=httpx.MockTransport(answer))


@given(types_with_values())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_values_are_written_as_the_gateway_reads_them_and_read_as_it_writes_them(
    drawn: tuple[wit.Type, list[tuple[Any]]],
) -> None:
    ty, rows = drawn
    take = wit.Function((("b-c", wit.Tuple((ty,))),), None)
    give = wit.Function((), wit.Tuple((ty,)))
    module = load(source_of({"take": take, "give": give}))
    for row in rows:
        requests: list[Any] = []
        written = encoder(give.result)(row) if give.result is not None else None
        value = module.Client("http://gateway", http=answering(requests, written)).give()
        module.Client("http://gateway", http=answering(requests, None)).take(value)
        assert requests[0]["params"] == {}
        assert exact(parameters(take)(requests[1]["params"])) == exact([row])
        assert requests[1]["params"] == {"b-c": written} or "NaN" in json.dumps(written)


ANY_JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("x", "y", "ok", "err", "some", "circle")), inner, max_size=2
        )
    ),
    max_leaves=4,
)


@given(types_with_values(), ANY_JSON)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_answer_of_another_shape_is_refused(
    drawn: tuple[wit.Type, list[tuple[Any]]], document: Any
) -> None:
    ty, _ = drawn
    give = wit.Function((), wit.Tuple((ty,)))
    take = wit.Function((("a", wit.Tuple((ty,))),), None)
    module = load(source_of({"give": give, "take": take}))
    requests: list[Any] = []
    try:
        value = module.Client("http://gateway", http=answering([], [document])).give()
    except module.InvalidResponse as error:
        refused = str(error)
    else:
        # Then it is a value of the type, and the gateway takes it.
        module.Client("http://gateway", http=answering(requests, None)).take(value)
        parameters(take)(requests[0]["params"])
        return
    assert refused.startswith("at /result/0")


@pytest.mark.parametrize(
    ("ty", "document", "message"),
    [
        (U32, -1, "at /result: expected an integer from 0 to 4294967295, got -1"),
        (U32, "1", "at /result: expected an integer from 0 to 4294967295, got '1'"),
        (U32, True, "at /result: expected an integer from 0 to 4294967295, got True"),
        (wit.Bool(), 1, "at /result: expected true or false, got 1"),
        (wit.Float(64), "nan", "at /result: expected a number in range, got 'nan'"),
        (wit.Float(32), 10**39, f"at /result: expected a number in range, got {10**39}"),
        (wit.Float(64), 10**309, f"at /result: expected a number in range, got {10**76}..."),
        (wit.Char(), "ab", "at /result: expected a string of one character, got 'ab'"),
        (wit.List(wit.Integer(8, signed=False)), "A", "at /result: expected a string in base64, got 'A'"),
        (wit.List(U32), [1, None], "at /result/1: expected an integer from 0 to 4294967295, got None"),
        (wit.Tuple((U32, U32)), [1], "at /result: expected an array of 2, got [1]"),
        (POINT, {"x": 1}, "at /result: expected an object with x, y, got {'x': 1}"),
        (POINT, {"x": 1, "y": ""}, "at /result/y: expected an integer from 0 to 4294967295, got ''"),
        (SHAPE, "empty", "at /result: expected an object with one of empty, circle, at, got 'empty'"),
        (SHAPE, {"empty": 1}, "at /result/empty: expected null, got 1"),
        (COLOR, "blue", "at /result: expected one of red, dark-red, got 'blue'"),
        (COLOR, [], "at /result: expected one of red, dark-red, got []"),
        (ACCESS, ["read", "read"], "at /result/1: expected one of read, write, each at most once, got 'read'"),
        (wit.Option(wit.Option(U32)), 1, "at /result: expected null or an object with some, got 1"),
        (wit.List(wit.Result(U32, None)), [{}], "at /result/0: expected an object with ok or err, got {}"),
        (None, 0, "at /result: expected null, got 0"),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_says_where(
    ty: wit.Type | None, document: Any, message: str
) -> None:
    module = load(source_of({"give": wit.Function((), ty)}))
    client = module.Client("http://gateway", http=answering([], document))
    with pytest.raises(module.InvalidResponse) as caught:
        client.give()
    assert str(caught.value) == message


JSON: Final = "application/json"


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (JSON, b"{"),
        (JSON, b"\xff"),
        (JSON, b"[" * 100_000),
        (JSON, b'{"jsonrpc": "2.0", "id": 1, "result": ' + b"1" * 5000 + b"}"),
        (JSON, b"[]"),
        (JSON, b'{"jsonrpc": "2.0", "id": 1, "result": NaN}'),
        (JSON, b'{"jsonrpc": "2.0", "id": 2, "result": 1}'),
        (JSON, b'{"jsonrpc": "2.0", "id": 1}'),
        (JSON, b'{"jsonrpc": "1.0", "id": 1, "result": 1}'),
        (JSON, b'{"jsonrpc": "2.0", "id": 1, "error": null}'),
        (JSON, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": "1", "message": ""}}'),
        (JSON, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "", "data": 1}}'),
    ],
)
def test_an_answer_that_is_none_is_refused(media_type: str, content: bytes) -> None:
    module = load(source_of({"give": function(result=wit.Result(wit.Float(64), wit.String()))}))
    with pytest.raises(module.InvalidResponse):
        module.Client("http://gateway", http=scripted(200, content, media_type)).give()


def scripted(status: int, content: bytes, media_type: str) -> httpx.Client:
    """A client of HTTP whose server answers this to everything."""
    response = httpx.Response(status, content=content, headers={"content-type": media_type})
    return httpx.Client(transport=httpx.MockTransport(lambda _request: response))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b'{"title": "A title", "detail": "A detail", "status": 404}']
)
@pytest.mark.parametrize("media_type", ["application/problem+json", "text/html; charset=utf-8", ""])
def test_a_response_of_another_kind_is_an_error_of_http(media_type: str, content: bytes) -> None:
    module = load(source_of({"give": function()}))
    with pytest.raises(module.HttpError, match="HTTP 404 from http://gateway/rpc") as caught:
        module.Client("http://gateway/rpc", http=scripted(404, content, media_type)).give()
    described = b"title" in content and media_type == "application/problem+json"
    assert caught.value.detail == ("A detail" if described else None)


def test_values_of_any_size_are_sent() -> None:
    calls: list[Any] = []
    module = load(source_of({"take": function(wit.Integer(64, signed=False), wit.Float(64))}))
    client = module.Client("http://gateway", http=answering(calls, None))
    client.take(2**53 - 1, -0.0)
    client.take(2**53, float("-inf"))
    assert [call["params"] for call in calls] == [
        {"a": 2**53 - 1, "b": -0.0},
        {"a": str(2**53), "b": "-Infinity"},
    ]
    assert [call["id"] for call in calls] == [1, 2]


def test_headers_go_with_every_call() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": None})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    module = load(source_of({"run": function()}))
    with module.Client(
        "http://gateway", headers={"Authorization": "Bearer x"}, http=http
    ) as client:
        client.run()
    assert seen[0].headers["authorization"] == "Bearer x"
    assert seen[0].headers["content-type"] == JSON
    assert not http.is_closed
    http.close()
