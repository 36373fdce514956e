"""Every regular expression of the gateway, against 100 KB of the worst that can be made for it.

An expression that goes back and forth over its input takes minutes for that much, and one that does not takes
milliseconds; so the bound on processor time below tells them apart on any machine, however busy.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _constants as opcodes
from re import _parser as parser
from types import FrameType
from typing import Any, Final, NamedTuple

import pytest

import gateway

SIZE: Final = 100_000
"""Characters of an input."""

CPU_TIME: Final = 1.0
"""Seconds of processor time of one search: a hundred times what the slowest takes, a tenth of what the square of
`SIZE` takes."""

ROOT: Final = Path(gateway.__file__).parent
METHODS: Final = frozenset(
    ("match", "fullmatch", "search", "finditer", "findall", "split", "sub", "subn")
)


class Use(NamedTuple):
    """An expression, and the methods by which it is used."""

    where: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


# --- which there are -----------------------------------------------------------------------------


TEXTS: Final = {path: path.read_text() for path in sorted(ROOT.rglob("*.py"))}
CALLED: Final = frozenset(
    itertools.chain.from_iterable(
        re.findall(rf"(\w+)\.({'|'.join(METHODS)})\b", text) for text in TEXTS.values()
    )
)


def methods_of(name: str) -> frozenset[str]:
    """The methods that are called of what has a name, anywhere in the gateway; all if that cannot be seen."""
    called = frozenset(method for owner, method in CALLED if owner == name)
    return called or METHODS - {"sub", "subn", "split"}


def patterns_in(value: object, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(getattr(value, "__self__", None), re.Pattern):  # a method of one
        yield value.__self__  # type: ignore[attr-defined]
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from patterns_in(item, depth - 1)
    elif depth and isinstance(value, dict):
        yield from patterns_in([*value, *value.values()], depth - 1)


def compiled() -> Iterator[Use]:
    """Those that modules and classes keep."""
    for info in pkgutil.walk_packages([str(ROOT)], "gateway."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        kept = dict(vars(module))
        for value in list(kept.values()):
            if isinstance(value, type) and value.__module__ == info.name:
                kept |= vars(value)
        for name, value in kept.items():
            for pattern in patterns_in(value):
                yield Use(f"{info.name}.{name}", pattern, methods_of(name))


def functions(node: ast.AST) -> Iterator[ast.AST]:
    """Those that stand in no other function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from functions(child)


def written() -> Iterator[tuple[Path, ast.Call]]:
    """The calls of functions of `re` that stand in functions."""
    for path, text in TEXTS.items():
        if not re.search(r"\bre\.", text):
            continue  # what is parsed takes a while
        for function in functions(ast.parse(text)):
            for node in ast.walk(function):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="re"))):
                        yield path, node


def in_functions() -> Iterator[Use]:
    """Those that functions name where they use them."""
    for path, call in written():
        function = ast.unparse(call.func).removeprefix("re.")
        if function in METHODS and isinstance(call.args[0], ast.Constant):
            pattern = re.compile(str(call.args[0].value))
            yield Use(f"{path.stem}:{call.lineno}", pattern, frozenset([function]))


def uses() -> list[Use]:
    by_pattern: dict[re.Pattern[Any], Use] = {}
    for use in (*compiled(), *in_functions()):
        known = by_pattern.setdefault(use.pattern, use)
        by_pattern[use.pattern] = known._replace(methods=known.methods | use.methods)
    return list(by_pattern.values())


# --- what is worst for them ----------------------------------------------------------------------


def representatives(node: Any) -> Iterator[str]:
    """Characters that an item of an expression stands for."""
    operator, value = node
    if operator is opcodes.LITERAL:
        yield chr(value)
    elif operator is opcodes.RANGE:
        yield chr(value[0])
        yield chr(value[1])
    elif operator is opcodes.CATEGORY:
        yield from {"DIGIT": "7", "SPACE": " \n", "WORD": "w"}.get(str(value)[9:], "!")
    elif operator is opcodes.IN:
        if value[0][0] is opcodes.NEGATE:
            refused = set(itertools.chain.from_iterable(map(representatives, value[1:])))
            yield next(character for character in 'x "\n;' if character not in refused)
        else:
            for item in value:
                yield from representatives(item)
    elif operator in {opcodes.ANY, opcodes.NOT_LITERAL}:
        yield "x" if value != ord("x") else "y"


def parts(node: Any) -> list[Any]:
    """The sequences inside of an item of an expression."""
    operator, value = node
    if operator in {opcodes.MAX_REPEAT, opcodes.MIN_REPEAT, opcodes.POSSESSIVE_REPEAT}:
        return [value[2]]
    if operator is opcodes.SUBPATTERN:
        return [value[3]]
    if operator is opcodes.BRANCH:
        return list(value[1])
    if operator is opcodes.ATOMIC_GROUP:
        return [value]
    return []


def shortest(sequence: Iterable[Any]) -> str:
    """A text that a sequence matches, or nearly."""
    text = ""
    for node in sequence:
        repeats = node[1][0] or 1 if "REPEAT" in str(node[0]) else 1
        inner = parts(node)
        one = shortest(inner[0]) if inner else next(iter(representatives(node)), "")
        text += one * repeats
    return text


def walk(sequence: Iterable[Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Each item of an expression, with a text that leads there."""
    for node in sequence:
        yield before, node
        for part in parts(node):
            yield from walk(part, before)
        before += shortest([node])


def attacks(pattern: re.Pattern[Any]) -> Iterator[Any]:
    """Inputs of which one is the worst, or has its growth: something over and over, then what does not fit."""
    text = (
        pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    )
    tree = list(
        parser.parse(
            text,
            pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags,
        )
    )
    items = list(walk(tree))
    alphabet = dict.fromkeys(
        itertools.chain("\n a0", *(representatives(node) for _, node in items))
    )
    before = dict.fromkeys(["", *(text for text, _ in items)])
    pumps = dict.fromkeys(
        [
            *itertools.islice(alphabet, 16),
            *(part for _, node in items for inner in parts(node) if (part := shortest(inner))),
            *filter(None, before),
            *(a + b for a, b in itertools.permutations(itertools.islice(alphabet, 5), 2)),
        ]
    )
    for start, pump in itertools.product(before, pumps):
        repeated = start + pump * (SIZE // len(pump)) + "\0"
        yield (
            repeated if isinstance(pattern.pattern, str) else repeated.encode("latin-1", "replace")
        )


def perform(pattern: re.Pattern[Any], method: str, text: Any) -> None:
    if method in {"sub", "subn"}:
        pattern.sub(text[:0], text)
    elif method == "finditer":
        for _ in pattern.finditer(text):
            pass
    else:
        getattr(pattern, method)(text)


def too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


ALL: Final = uses()


def test_all_are_seen() -> None:
    assert len(ALL) > 40
    made_elsewhere = {
        str(path.relative_to(ROOT))
        for path, call in written()
        if ast.unparse(call.func) != "re.escape" and not isinstance(call.args[0], ast.Constant)
    }
    # From the paths of the admin API, each of which is a name between two slashes.
    assert made_elsewhere == {"admin/api.py"}


@pytest.mark.parametrize("use", ALL, ids=[use.where for use in ALL])
def test_time_grows_with_the_input_and_not_with_its_square(use: Use) -> None:
    before = signal.signal(signal.SIGVTALRM, too_long)
    try:
        for text in attacks(use.pattern):
            for method in use.methods:
                signal.setitimer(signal.ITIMER_VIRTUAL, CPU_TIME)
                try:
                    perform(use.pattern, method, text)
                except TimeoutError:
                    pytest.fail(f"{use.pattern.pattern!r}.{method} of {text[:60]!r}...")
                finally:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)
