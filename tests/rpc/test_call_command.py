"""`gateway call`: its output and its exit status tell what became of the call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.forked import run
from tests.harness import GuestPath


def call(component: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Run `gateway call`; gives exit status, standard output and standard error."""
    done = run("call", component, *arguments, stdin=stdin)
    return done.returncode, done.stdout.encode(), done.stderr


@pytest.fixture(scope="module")
def component(guest: GuestPath) -> Path:
    return guest("c/rpc")


@pytest.mark.parametrize(
    ("method", "params", "printed"),
    [
        ("add", '{"a": 40, "b": 2}', b"42\n"),
        ("add", "[40, 2]", b"42\n"),
        ("types.echo-bytes", '["AAEC"]', b'"AAEC"\n'),
        ("test:rpc/types@1.2.3#echo-string", '["\u00e9"]', b'"\\u00e9"\n'),
        ("outcomes.settle", '[{"ok": "fine"}]', b'"fine"\n'),
        ("outcomes.settle-none", '[{"ok": null}]', b"null\n"),
    ],
)
def test_what_a_function_returns_is_printed(
    component: Path, method: str, params: str, printed: bytes
) -> None:
    assert call(component, method, params) == (0, printed, "")


def test_parameters_may_be_left_out_or_piped(component: Path) -> None:
    assert call(component, "count") == (0, b"1\n", "")
    assert call(component, "add", "-", stdin=b"[1, 2]") == (0, b"3\n", "")


def test_without_a_method_all_are_listed(component: Path) -> None:
    status, printed, told = call(component)
    assert (status, told) == (0, "")
    lines = printed.decode().splitlines()
    assert lines[0] == "add: func(a: u32, b: u32) -> u32"
    assert "types.echo-u8: func(value: u8) -> u8" in lines


def test_an_err_is_told_apart(component: Path) -> None:
    status, printed, told = call(component, "outcomes.settle", '[{"err": {"invalid": "no"}}]')
    assert (status, printed, json.loads(told)) == (1, b"", {"invalid": "no"})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["ad"], 'has no method ad: did you mean "add"?'),
        (["echo_u8"], 'has no method echo_u8: did you mean "types.echo-u8"?'),
        (["nothing-like-it"], "has no method nothing-like-it: it has add, count,"),
        (["add", "[1"], "PARAMS is not JSON: line 1, column 3"),
        (["add", "[1]"], "PARAMS: expected"),
        (["add", '{"a": 1, "b": -1}'], "PARAMS/b: expected u32, an integer from 0 to 4294967295"),
        (["add", '{"a": 1, "b": -1}'], "add: func(a: u32, b: u32) -> u32"),
        (["add", "7"], "PARAMS: expected"),
        (["add", "[1, 2]", "--max-memory", "much"], '"much" is not a size'),
    ],
)
def test_what_is_asked_for_wrongly_is_told(
    component: Path, arguments: list[str], reason: str
) -> None:
    status, printed, told = call(component, *arguments)
    assert (status, printed) == (2, b"")
    assert reason in told


def test_a_trap_is_told_with_its_frames(component: Path) -> None:
    status, printed, told = call(component, "outcomes.trap")
    assert (status, printed) == (3, b"")
    assert "the component trapped: wasm `unreachable` instruction executed\n  at " in told


def test_so_is_an_exit(component: Path) -> None:
    assert call(component, "outcomes.exit", '[{"err": null}]') == (
        3,
        b"",
        "gateway: the guest exited with status 1\n",
    )


EXITING = """
(component
  (import "wasi:cli/exit@0.2.12" (instance $exit
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $exit (canon lower (func $exit "exit")))
  (core func $exit-with-code (canon lower (func $exit "exit-with-code")))
  (core module $module
    (import "cli" "exit" (func $exit (param i32)))
    (import "cli" "exit-with-code" (func $exit-with-code (param i32)))
    (func (export "run") (result i32) ({function} (i32.const {status})) unreachable))
  (core instance $instance (instantiate $module (with "cli" (instance
    (export "exit" (func $exit)) (export "exit-with-code" (func $exit-with-code))))))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (func $number (result u32) (canon lift (core func $instance "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.12" (instance $cli))
  (export "number" (func $number)))
"""


@pytest.mark.parametrize(
    ("function", "status", "ran", "owed"),
    [
        ("call $exit", 0, 0, 3),
        ("call $exit", 1, 1, 3),
        ("call $exit-with-code", 0, 0, 3),
        ("call $exit-with-code", 7, 1, 3),
    ],
)
def test_an_exit_is_what_run_returns(
    tmp_path: Path, function: str, status: int, ran: int, owed: int
) -> None:
    """wasi:cli/exit: a program that exits has returned from `run`; a function that owes a value has failed."""
    component = tmp_path / "exiting.wat"
    component.write_text(EXITING.format(function=function, status=status))
    for method, expected in (("run.run", ran), ("number", owed)):
        ended, printed, told = call(component, method)
        assert ended == expected, told
        assert printed == (b"null\n" if expected == 0 else b"")


def test_so_is_a_deadline(component: Path) -> None:
    status, printed, told = call(component, "outcomes.spin", "--max-execution-time", "50ms")
    assert (status, printed) == (4, b"")
    assert "still running after 0.05 s; --max-execution-time gives it more" in told


ENDLESS = """(component
  (type $bytes (stream u8))
  (core module $Memory (memory (export "memory") 1))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $memory))
  (core func $new (canon stream.new $bytes))
  (core func $write (canon stream.write $bytes async (memory $memory)))
  (core func $give (canon task.return (result $bytes)))
  (core func $set (canon waitable-set.new)) (core func $join (canon waitable.join))
  (core module $M
    (import "" "new" (func $new (result i64))) (import "" "give" (func $give (param i32)))
    (import "" "write" (func $write (param i32 i32 i32) (result i32)))
    (import "" "set" (func $set (result i32))) (import "" "join" (func $join (param i32 i32)))
    (global $end (mut i32) (i32.const 0)) (global $all (mut i32) (i32.const 0))
    (func (export "endless") (result i32) (local $ends i64)
      (local.set $ends (call $new))
      (global.set $end (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
      (global.set $all (call $set))
      (call $join (global.get $end) (global.get $all))
      (call $give (i32.wrap_i64 (local.get $ends)))
      (call $more (i32.const 0) (i32.const 0) (i32.const 0)))
    (func $more (export "more") (param i32 i32 i32) (result i32)
      (loop $more
        (br_if $more (i32.ne (i32.const -1)
          (call $write (global.get $end) (i32.const 0) (i32.const 65536)))))
      (i32.or (i32.const 2) (i32.shl (global.get $all) (i32.const 4)))))
  (core instance $i (instantiate $M (with "" (instance (export "new" (func $new)) (export "give" (func $give))
    (export "write" (func $write)) (export "set" (func $set)) (export "join" (func $join))))))
  (func (export "endless") async (result $bytes)
    (canon lift (core func $i "endless") async (callback (core func $i "more")))))"""


def test_a_result_may_be_so_large_and_no_larger(component: Path, tmp_path: Path) -> None:
    endless = tmp_path / "endless.wat"
    endless.write_text(ENDLESS)
    larger = "gateway: the result is larger than {}; --rpc-max-result allows more\n"
    assert call(endless, "endless") == (3, b"", larger.format("4MiB"))
    echo = ("types.echo-string", json.dumps(["x" * 2000]), "--rpc-max-result")
    assert call(component, *echo, "1KiB") == (3, b"", larger.format("1KiB"))
    assert call(component, *echo, "2KiB")[0] == 0


def test_what_the_component_writes_is_no_result(component: Path) -> None:
    status, printed, told = call(component, "outcomes.print", '["to stdout", "to stderr"]')
    assert (status, printed) == (0, b"null\n")
    assert "to stdout" in told
    assert "to stderr" in told


def test_a_component_without_functions_says_so(guest: GuestPath) -> None:
    status, printed, told = call(guest("c/hello"), "add")
    assert (status, printed) == (2, b"")
    assert "exports no functions that can be called with JSON" in told


def test_a_component_is_given_what_the_flags_say(component: Path) -> None:
    status, printed, _ = call(component, "add", "[1, 2]", "--env", "A=1", "--no-cache")
    assert (status, printed) == (0, b"3\n")


def test_it_is_granted_capabilities_as_a_served_one_is(guest: GuestPath) -> None:
    messages = guest("c/messages")
    broker = ("--messaging", "memory:", "--publish", "orders.>")
    assert call(messages, "send", '["orders.new", "a", null]', *broker) == (0, b"null\n", "")
    status, _, told = call(messages, "send", '["other", "a", null]', *broker)
    assert (status, told) == (1, '"this component may not publish at this subject"\n')


def test_a_folder_of_blobs_that_is_not_there_is_named(component: Path) -> None:
    status, _, told = call(component, "count", "--blobstore", "*=file:/nowhere/blobs")
    assert status == 2
    assert "names a folder that is not there: make /nowhere/blobs" in told
