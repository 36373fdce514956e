"""What is wrong with a configuration, in words for whoever wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from pydantic_core import ErrorDetails

from gateway.config.values import Table, table_of

__all__ = ["ConfigError", "Problem", "dotted", "reason_of", "unknown_key"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        file: the file, or "command line".
        key: the place in it, such as "components[1].routes[0].path" or "--port"; "" for the whole.
        reason: what is wrong there, in words that follow the key.
    """

    file: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.reason) if part)


class ConfigError(Exception):
    """A configuration was refused. The message has one line for each problem.

    Attributes:
        problems: all of them, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


_REASONS: Final = {
    "missing": "is required",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "path_type": "must be a path in quotes",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list in brackets",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "is_instance_of": "must be text in quotes",
}


def reason_of(error: ErrorDetails, table: type[Table], hidden: Collection[str] = ()) -> str:
    """Say what pydantic found, in words that follow a key.

    Args:
        error: what it found.
        table: what it was reading.
        hidden: keys that are not given there.
    """
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "extra_forbidden":
        *place, key = error["loc"]
        return unknown_key(str(key), _table_at(place, table).model_fields.keys() - hidden)
    template = _REASONS.get(error["type"], error["msg"])
    return template.format_map(context) if error["type"] in _REASONS else template


def _table_at(place: Iterable[int | str], table: type[Table]) -> type[Table]:
    """The table at a place within another, such as those that `routes` has at 0 and `keyvalue` at "default"."""
    for part in place:
        if part in table.model_fields:  # otherwise it says which of several tables it is
            table = table_of(table.model_fields[part].annotation) or table
    return table


def unknown_key(key: str, known: Collection[str]) -> str:
    """Say that a key is none of those known, and which of them was meant."""
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f'is unknown; did you mean "{near[0]}"?'
    return f"is unknown; known here: {', '.join(sorted(known))}"


def dotted(location: tuple[int | str, ...]) -> str:
    """Write a place as TOML's users do: ("components", 1, "name") is "components[1].name"."""
    # pydantic marks what is wrong with the name of a variable so, and "TOKEN=hunter2" is no name to print.
    if location[-1:] == ("[key]",):
        location = location[:-2]
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    return key.removeprefix(".")
