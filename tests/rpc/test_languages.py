"""Guests in three languages that have every type of WIT, called with JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.host.values import Err, Ok
from tests.harness import GuestPath
from tests.rpc.endpoint import Endpoint

Params = Sequence[Any] | Mapping[str, Any]

GUESTS: Final = ("c/rpc", "js/rpc", "python/rpc")

ORIGIN: Final = {"x": 0, "y": 0}
CORNER: Final = {"x": -(2**31), "y": 2**31 - 1}
LINE: Final = {"start": ORIGIN, "end": CORNER, "label": None, "width": 0.5}
LABELLED: Final = {"start": CORNER, "end": CORNER, "label": "", "width": "NaN"}

CHARS: Final = ("\0", "a", "\x7f", "\x80", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff")
STRINGS: Final = ("", "plain", "\0 inside", '"\\/\b\f\n\r\t', "zwölf Boxkämpfer", "e\u0301", *CHARS)
SHAPES: Final[Sequence[Any]] = (
    {"empty": None},
    {"circle": -0.0},
    {"circle": math.pi},
    {"circle": "-Infinity"},
    {"label": ""},
    {"label": "\U0001f600"},
    {"path": []},
    {"path": [ORIGIN, CORNER]},
)
F32: Final = (0.0, -0.0, 0.5, 2.0**-149, 2.0**-126, -math.ldexp(2 - 2**-23, 127))
F64: Final = (0.0, -0.0, 0.1, 5e-324, 2.0**-1022, -1.7976931348623157e308)
NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")
U64: Final = (0, 1, 2**53 - 1, str(2**53), str(2**64 - 1))
NEGATIVE: Final = (-1, -(2**53) + 1, str(-(2**53)), str(-(2**63)))
S64: Final = (0, *NEGATIVE, 2**53 - 1, str(2**53), str(2**63 - 1))
BYTES: Final = ("", "AA==", "AP8=", "gICA", "c3VyZS4=")
ACCESS: Final[Sequence[Any]] = ([], ["read"], ["write", "execute"], ["read", "write", "execute"])
MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
BITS: Final = tuple(f"b{bit}" for bit in range(32))
BOTH: Final = ({"ok": 0}, {"ok": str(2**64 - 1)}, {"err": ""}, {"err": "no"})
MANY: Final = {
    "a": True, "b": 255, "c": -128, "d": 65535, "e": -32768, "f": 2**32 - 1, "g": -(2**31),
    "h": str(2**64 - 1), "i": str(-(2**63)), "j": -0.0, "k": "NaN", "l": "\U0010ffff", "m": "text",
    "n": "AP8=", "o": None, "p": "dark-red", "q": ["read", "execute"], "r": {"path": [CORNER]},
}  # fmt: skip
FEW: Final = {
    "a": False, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0, "h": 0, "i": 0, "j": 0.0, "k": 0.0,
    "l": "\0", "m": "", "n": "", "o": 0, "p": "red", "q": [], "r": {"empty": None},
}  # fmt: skip

VALUES: Final[Mapping[str, Sequence[Any]]] = {
    "echo-bool": (True, False),
    "echo-u8": (0, 2**8 - 1),
    "echo-s8": (0, -(2**7), 2**7 - 1),
    "echo-u16": (0, 2**16 - 1),
    "echo-s16": (0, -(2**15), 2**15 - 1),
    "echo-u32": (0, 2**31 - 1),
    "echo-s32": (0, -(2**31), 2**31 - 1),
    "echo-u64": U64,
    "echo-s64": (0, 2**53 - 1, str(2**53), str(2**63 - 1)),
    "echo-f32": (*F32, *NOT_FINITE),
    "echo-f64": (*F64, *NOT_FINITE),
    "echo-char": CHARS,
    "echo-color": ("red", "green", "blue", "dark-red"),
    "echo-access": ACCESS,
    "echo-month": ([], *([month] for month in MONTHS), MONTHS),
    "echo-bits": ([], ["b0"], ["b31"], ["b7", "b8", "b15", "b16", "b30"], BITS),
    "echo-string": (*STRINGS, "long" * 2**14),
    "echo-bytes": (*BYTES, "AAAA" * 2**14),
    "echo-list-bool": ([], [True, False, True]),
    "echo-list-s8": ([], [0, -(2**7), 2**7 - 1]),
    "echo-list-u16": ([], [0, 2**16 - 1]),
    "echo-list-s32": ([], [0, -(2**31), 2**31 - 1]),
    "echo-list-u64": ([], U64),
    "echo-list-s64": ([], S64),
    "echo-list-f32": ([], (*F32, *NOT_FINITE)),
    "echo-list-f64": ([], (*F64, *NOT_FINITE)),
    "echo-list-char": ([], CHARS),
    "echo-list-string": ([], [""], STRINGS),
    "echo-list-bytes": ([], [""], BYTES),
    "echo-list-color": ([], ["dark-red", "red"]),
    "echo-list-access": ([], [[]], ACCESS),
    "echo-list-point": ([], [ORIGIN, CORNER], [ORIGIN] * 1000),
    "echo-list-shape": ([], SHAPES),
    "echo-list-tuple": ([], [["", 0], ["a", str(2**64 - 1)]]),
    "echo-list-option": ([], [None, 0, 255, None]),
    "echo-outline": ([], [None, LINE, LABELLED]),
    "echo-list-result": ([], [{"ok": None}, {"err": None}]),
    "echo-list-result-ok": ([], [{"ok": 0}, {"err": None}, {"ok": 2**32 - 1}]),
    "echo-list-result-err": ([], [{"ok": None}, {"err": ""}, {"err": "no"}]),
    "echo-list-result-both": ([], BOTH),
    "echo-deep": (
        [],
        [None, {"err": []}, {"err": [None, [], ["read", "write"]]}],
        [{"ok": [shape, [None, LINE, LABELLED]]} for shape in SHAPES],
    ),
    "echo-point": (ORIGIN, CORNER),
    "echo-line": (LINE, LABELLED),
    "echo-keywords": ({"type": "t", "class": 255, "from": True, "list": "\U00010000"},),
    "echo-file": (
        {"name": "", "content": "", "chunks": []},
        {"name": "ÿ", "content": "AP8=", "chunks": ["", "gICA"]},
    ),
    "echo-tuple": ([0, "", 0.0], [255, "a", "Infinity"]),
    "echo-tuple-one": ([0], [2**31 - 1]),
    "echo-shape": SHAPES,
    "echo-option": (None, 0, 2**32 - 1),
    "echo-option-string": (None, "", "null"),
    "echo-option-option": (None, {"some": None}, {"some": 0}, {"some": 2**32 - 1}),
    "echo-option-result": (None, {"ok": None}, {"err": 0}, {"err": 255}),
    "echo-results": (
        [{"ok": None}, {"ok": 1}, {"ok": None}, BOTH[0]],
        *([{"err": None}, {"err": None}, {"err": "none"}, both] for both in BOTH),
    ),
    "echo-many": (FEW, MANY),
}
"""Values of each function of `types` that gives back what it is given, in the JSON that the gateway writes."""

SPOILT: Final[Mapping[str, Sequence[Any]]] = {
    "echo-u32": (2**31, 2**32 - 1),
    "echo-tuple-one": ([2**31], [2**32 - 1]),
    "echo-s64": NEGATIVE,
}
"""More of them, which what componentize-js makes spoils when such a number is all of a result: it gives the lower
half of the bits of an `f64` for a `u32` that is no `s32`, and traps for a negative `s64`
(https://github.com/bytecodealliance/ComponentizeJS/issues/343). In memory it has both right."""

ALSO: Final[Sequence[tuple[str, Any, Any]]] = [
    ("echo-u8", 255.0, 255),
    ("echo-u64", "7", 7),
    ("echo-s64", "7", 7),
    ("echo-list-s64", ["-7"], [-7]),
    ("echo-u64", 2**64 - 1, str(2**64 - 1)),
    ("echo-f32", 0.1, 0.10000000149011612),
    ("echo-f32", 7, 7.0),
    ("echo-f64", 7, 7.0),
    ("echo-bytes", [0, 255], "AP8="),
    ("echo-list-bytes", [[], "AP8=", [128]], ["", "AP8=", "gA=="]),
    ("echo-access", ["execute", "read"], ["read", "execute"]),
    ("echo-point", {"y": 2, "x": 1}, {"x": 1, "y": 2}),
]
"""Values in JSON that the gateway reads but does not write: function, what goes in, what comes back."""

FAILURES: Final = ({"not-found": None}, {"invalid": "ü"}, {"misplaced": CORNER})

SETTLED: Final[Sequence[tuple[str, Ok | Err]]] = [
    ("settle", Ok("")),
    ("settle", Ok("fine")),
    *(("settle", Err(failure)) for failure in FAILURES),
    ("settle-none", Ok(None)),
    ("settle-none", Err(None)),
    ("settle-ok", Ok(2**32 - 1)),
    ("settle-ok", Err(None)),
    ("settle-err", Ok(None)),
    ("settle-err", Err("no")),
    ("settle-option", Ok(None)),
    ("settle-option", Ok(0)),
    ("settle-option", Err(None)),
    ("settle-option", Err(0)),
]
"""Functions of `outcomes` that return the `result` they are given, and what of it."""

ENDS: Final = ("trap", "spin", "allocate", "exit", "print", "wait")
"""The functions of `outcomes` that do something else, each with a test of its own. So has each of these:"""

OTHERS: Final = {
    *("rpc.discover", "add", "count", "swallow", "divide"),
    *("test:rpc/twins@1.2.3#name", "test:rpc/twins@1.2.3#alone", "test:other/twins@0.1.0#name"),
}

TEN_MINUTES: Final = 600_000
"""In milliseconds: longer than any deadline here."""

LIMIT: Final = 64 << 20
"""Bytes of memory in which all of the guests can begin."""


@pytest.fixture(scope="module", params=GUESTS)
def built(request: pytest.FixtureRequest, guest: GuestPath) -> Path:
    """The component of one language."""
    return guest(request.param)


@pytest.fixture(scope="module")
def endpoint(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Where it is served, with time enough that no test here uses it up."""
    folder = tmp_path_factory.mktemp("gateway")
    with Endpoint(built, folder, limits='max_execution_time = "120s"') as running:
        yield running


def responses(endpoint: Endpoint, *calls: tuple[str, Params]) -> list[dict[str, Any]]:
    """Calls methods in a batch; returns the response objects, in the order of the calls."""
    batch = [
        {"jsonrpc": "2.0", "method": method, "params": params, "id": place}
        for place, (method, params) in enumerate(calls)
    ]
    answer: list[dict[str, Any]] = endpoint.post(json.dumps(batch).encode()).json
    assert [response["id"] for response in answer] == list(range(len(calls)))
    return answer


def result(endpoint: Endpoint, method: str, params: Params = ()) -> Any:
    """Calls a method that succeeds; returns its result."""
    response = endpoint.call(method, params)
    assert response.keys() == {"jsonrpc", "id", "result"}, response
    return response["result"]


def error(endpoint: Endpoint, method: str, params: Params = ()) -> dict[str, Any]:
    """Calls a method that fails; returns the error object."""
    response = endpoint.call(method, params)
    assert response.keys() == {"jsonrpc", "id", "error"}, response
    failure: dict[str, Any] = response["error"]
    return failure


def text(value: Any) -> str:
    """JSON, which tells apart what Python takes for equal: `true` and 1, 1 and 1.0, 0.0 and -0.0."""
    return json.dumps(value)


def test_all_that_is_served_is_called_here(endpoint: Endpoint) -> None:
    called = {f"test:rpc/types@1.2.3#{function}" for function in (*VALUES, "gather", "concat")}
    settled = (function for function, _ in SETTLED)
    called |= {f"test:rpc/outcomes@1.2.3#{function}" for function in (*settled, *ENDS)}
    served = {method["name"] for method in result(endpoint, "rpc.discover")["methods"]}
    assert served == called | OTHERS


@pytest.mark.parametrize("function", VALUES)
def test_a_value_comes_back_as_it_went(endpoint: Endpoint, function: str) -> None:
    values = VALUES[function]
    calls = [(f"types.{function}", [value]) for value in values]
    results = [response.get("result", response) for response in responses(endpoint, *calls)]
    assert text(results) == text(values)


@pytest.mark.parametrize(
    ("function", "value"),
    [(function, value) for function, values in SPOILT.items() for value in values],
)
def test_a_value_that_one_toolchain_spoils(
    endpoint: Endpoint, function: str, value: Any, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["built"] == "js/rpc":
        request.applymarker(pytest.mark.xfail(reason="componentize-js", strict=True))
    assert text(result(endpoint, f"types.{function}", [value])) == text(value)


@pytest.mark.parametrize(("function", "given", "expected"), ALSO)
def test_other_ways_to_write_a_value(
    endpoint: Endpoint, function: str, given: Any, expected: Any
) -> None:
    assert text(result(endpoint, f"types.{function}", [given])) == text(expected)


@pytest.mark.parametrize("function", ["echo-string", "echo-char"])
def test_half_a_surrogate_pair_never_gets_to_a_guest(endpoint: Endpoint, function: str) -> None:
    failure = error(endpoint, f"types.{function}", ["\ud800"])
    assert failure["code"] == -32602
    assert failure["data"]["pointer"] == "/params/0"


def test_parameters_by_position_and_by_name(endpoint: Endpoint) -> None:
    assert result(endpoint, "add", [2**32 - 1, 2]) == 1
    assert result(endpoint, "add", {"b": 3, "a": 4}) == 7
    backwards = dict(reversed(MANY.items()))
    assert text(result(endpoint, "types.gather", backwards)) == text(MANY)
    assert text(result(endpoint, "types.gather", [*FEW.values()])) == text(FEW)


def test_parameters_whose_names_are_words_of_the_languages(endpoint: Endpoint) -> None:
    words = {"list": "d", "from": "c", "class": "b", "type": "a"}
    assert result(endpoint, "types.concat", words) == "abcd"


def test_no_result_is_null(endpoint: Endpoint) -> None:
    assert result(endpoint, "swallow", ["crumbs"]) is None


def test_each_call_has_an_instance_to_itself(endpoint: Endpoint) -> None:
    first, second = responses(endpoint, ("count", []), ("count", []))
    assert (first["result"], second["result"]) == (1, 1)


def test_a_name_that_two_interfaces_have_needs_the_package(endpoint: Endpoint) -> None:
    assert error(endpoint, "twins.name")["code"] == -32601
    assert result(endpoint, "test:rpc/twins@1.2.3#name") == "test:rpc"
    assert result(endpoint, "test:other/twins@0.1.0#name") == "test:other"
    assert result(endpoint, "twins.alone") == "only test:rpc"


@pytest.mark.parametrize(("function", "outcome"), SETTLED)
def test_a_result_is_the_outcome_of_the_call(
    endpoint: Endpoint, function: str, outcome: Ok | Err
) -> None:
    side = "err" if isinstance(outcome, Err) else "ok"
    response = endpoint.call(f"outcomes.{function}", [{side: outcome.value}])
    if side == "ok":
        assert text(response["result"]) == text(outcome.value)
    else:
        assert response["error"]["code"] == 1
        assert text(response["error"]["data"]) == text(outcome.value)


def test_a_result_at_the_root(endpoint: Endpoint) -> None:
    assert result(endpoint, "divide", [7, 2]) == 3
    failure = error(endpoint, "divide", [1, 0])
    assert (failure["code"], failure["data"]) == (1, "division by zero")


def test_a_trap(endpoint: Endpoint) -> None:
    seen = len(endpoint.logs)
    failure = error(endpoint, "outcomes.trap")
    assert failure["code"] == -32000
    assert failure["data"].keys() == {"request_id"}
    assert "detail" not in text(failure)
    record = endpoint.wait_for_log(after=seen, event="component trapped")
    assert record["request_id"] == failure["data"]["request_id"]


def test_an_exit_with_success_returns_where_nothing_is_owed(endpoint: Endpoint) -> None:
    assert result(endpoint, "outcomes.exit", [{"ok": None}]) is None


def test_an_exit_without_success(endpoint: Endpoint) -> None:
    failure = error(endpoint, "outcomes.exit", [{"err": None}])
    assert failure["code"] == -32000
    assert failure["data"].keys() == {"request_id"}


def test_what_a_guest_prints_is_logged(endpoint: Endpoint) -> None:
    seen = len(endpoint.logs)
    assert result(endpoint, "outcomes.print", ["to stdout: ü", "to stderr: ü"]) is None
    for stream in ("stdout", "stderr"):
        line = f"to {stream}: ü"
        endpoint.wait_for_log(after=seen, event="guest output", stream=stream, line=line)


def test_a_guest_may_wait(endpoint: Endpoint) -> None:
    calls = [("outcomes.wait", [milliseconds]) for milliseconds in (20, 0, 10)]
    assert [response["result"] for response in responses(endpoint, *calls)] == [None] * 3


def test_the_deadline(built: Path, tmp_path: Path) -> None:
    with Endpoint(built, tmp_path, limits='max_execution_time = "1s"') as late:
        for method, params in (("outcomes.spin", []), ("outcomes.wait", [TEN_MINUTES])):
            failure = error(late, method, params)
            assert failure["code"] == -32001
            assert failure["data"].keys() == {"request_id"}
        assert result(late, "add", [1, 2]) == 3


def test_the_limit_of_memory(built: Path, tmp_path: Path) -> None:
    limits = f'max_memory = {LIMIT}\nmax_execution_time = "120s"'
    with Endpoint(built, tmp_path, limits=limits) as narrow:
        before = peak(narrow)
        failure = error(narrow, "outcomes.allocate")
        assert failure["code"] == -32000
        assert failure["data"].keys() == {"request_id"}
        assert result(narrow, "add", [1, 2]) == 3
        assert peak(narrow) - before < 2 * LIMIT


def peak(endpoint: Endpoint) -> int:
    """The most memory that its processes have ever had, in bytes (Linux)."""
    total = 0
    for pid in endpoint.processes():
        status = Path(f"/proc/{pid}/status").read_text()
        (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        total += int(kibibytes) << 10
    return total
