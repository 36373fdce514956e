"""Lines of Python, broken as `ruff format` leaves them.

What does not fit on a line has one item on each, and a comma after the last of them: to formatters a wish to leave
that so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import cleandoc
from typing import Final

__all__ = [
    "WIDTH",
    "Expression",
    "Group",
    "assigned",
    "comment",
    "docstring",
    "prefixed",
    "quoted",
    "subscripted",
    "union",
    "write",
]

WIDTH: Final = 88
"""Columns; what `ruff format` and black have unless they are told otherwise."""

_INDENT: Final = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Items in brackets, which may stand on lines of their own.

    Attributes:
        before: what stands before the first, with the bracket.
        items: what is separated by commas.
        after: what stands after the last, with the bracket.
        comma: whether there may be a comma after the last.
    """

    before: str
    items: tuple[Expression, ...]
    after: str = ")"
    comma: bool = True

    def __str__(self) -> str:
        return f"{self.before}{', '.join(map(str, self.items))}{self.after}"


Expression = str | Group


def prefixed(prefix: str, expression: Expression) -> Expression:
    """An expression with something before it: the key of an item, the name it is assigned to."""
    if isinstance(expression, Group):
        return replace(expression, before=prefix + expression.before)
    return prefix + expression


def write(expression: Expression, indent: int = 0) -> str:
    """Write an expression, on one line if that is wide enough."""
    return _write(expression, indent, "")


def _write(expression: Expression, indent: int, end: str) -> str:
    line = f"{' ' * indent}{expression}{end}"
    if isinstance(expression, str) or not expression.items or len(line) <= WIDTH:
        return line
    items = [_write(item, indent + _INDENT, ",") for item in expression.items]
    if not expression.comma:
        items[-1] = items[-1].removesuffix(",")
    margin = " " * indent
    return "\n".join((f"{margin}{expression.before}", *items, f"{margin}{expression.after}{end}"))


def assigned(start: str, value: str, indent: int = 0) -> str:
    """Write a statement that ends in a name or a literal, in brackets where these make it fit."""
    margin = " " * indent
    line = f"{margin}{start}{value}"
    if len(line) <= WIDTH or indent + _INDENT + len(value) > WIDTH:
        return line
    return f"{margin}{start}(\n{margin}    {value}\n{margin})"


def subscripted(before: str, argument: str, after: str) -> str:
    """Write the start of a statement that has a type argument, and goes on with a bracket."""
    line = f"{before}[{argument}]{after}"
    return line if len(line) <= WIDTH else f"{before}[\n    {argument}\n]{after}"


def union(prefix: str, members: Sequence[Expression]) -> str:
    """Write a union that is assigned to what the prefix says."""
    if len(members) == 1 and isinstance(members[0], str):
        return assigned(prefix, members[0])
    if len(members) == 1:
        return write(prefixed(prefix, members[0]))
    body = " | ".join(map(str, members))
    if len(prefix) + len(body) <= WIDTH:
        return prefix + body
    if _INDENT + len(body) > WIDTH:
        body = "\n    | ".join(map(str, members))
    return f"{prefix}(\n    {body}\n)"


def quoted(text: str) -> str:
    """A string literal, in double quotes."""
    return '"' + _escaped(text, "\\").replace('"', r"\"") + '"'


def docstring(text: str, indent: int, sections: Sequence[tuple[str, Sequence[str]]] = ()) -> str:
    """Write a docstring.

    Args:
        text: what it says. It may hold anything: nothing of it gets out of the docstring.
        indent: how far it is indented, in columns.
        sections: titles such as `Raises`, each with its entries.
    """
    lines = _documented(text, WIDTH - indent - 3)
    for title, entries in sections:
        lines += ["", f"{title}:"]
        for entry in entries:
            first, *others = _documented(entry, WIDTH - indent - 2 * _INDENT)
            lines.append(f"    {first}")
            lines += [f"        {line}" if line else "" for line in others]
    margin = " " * indent
    if len(lines) == 1 and indent + len(lines[0]) + 6 <= WIDTH:
        return f'{margin}"""{lines[0]}"""'
    first, *others = lines
    body = [f'{margin}"""{first}', *(f"{margin}{line}" if line else "" for line in others)]
    return "\n".join([*body, f'{margin}"""'])


def comment(text: str, indent: int) -> str:
    """Write a comment, on lines of its own."""
    margin = " " * indent
    lines = _lines(text, WIDTH - indent - 2, "")
    return "\n".join(f"{margin}# {line}".rstrip() for line in lines)


def _lines(text: str, width: int, special: str) -> list[str]:
    """A text as lines, with escapes for what cannot be in them and for the special characters."""
    lines: list[str] = []
    for line in cleandoc("\n".join(text.splitlines())).split("\n"):
        safe = _escaped(line.rstrip(), special)
        if len(safe) <= width:
            lines.append(safe)
        else:
            margin = safe[: len(safe) - len(safe.lstrip())]
            lines += textwrap.wrap(
                safe,
                width,
                subsequent_indent=margin,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines


def _documented(text: str, width: int) -> list[str]:
    """A text as lines of a docstring, where double quotes must not run into each other."""
    return [
        line.replace('"', r"\"") if '"""' in line or '"' in (line[:1], line[-1:]) else line
        for line in _lines(text, width, "\\")
    ]


def _escaped(text: str, special: str) -> str:
    """A text with escapes for what is not seen, or changes the order in which the rest is seen."""
    return "".join(
        character
        if character.isprintable() and character not in special
        else character.encode("unicode_escape").decode()
        for character in text
    )
