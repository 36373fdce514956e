"""JSON Schemas made from the models, with the words that their docstrings have for each key.

Some of what the models ask for no schema can say: that a file exists, that two entries differ, that "3.5B" is no
whole number of bytes.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Final, TypeAlias

__all__ = ["Schema", "described", "plain"]

Schema: TypeAlias = dict[str, Any]


def described(schema: Schema, kind: type) -> Schema:
    """A schema of a class, with the words that the class has for itself and its attributes."""
    summary, words = _words(kind)
    properties = {
        name: {"description": words[name], **value} if name in words else value
        for name, value in schema["properties"].items()
    }
    return {**schema, "description": summary, "properties": properties}


def plain(value: Any) -> Any:
    """A schema without pydantic's titles, which repeat the names, and without its format for paths."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: plain(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str)) and (key, item) != ("format", "path")
    }


_ATTRIBUTE: Final = re.compile(r"^(\w+): (.*(?:\n    .*)*)", re.MULTILINE)


def _words(kind: type) -> tuple[str, dict[str, str]]:
    """The first line of a class's docstring, and what it and its bases say of each attribute."""
    words: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        attributes = (base.__doc__ or "").partition("Attributes:\n")[2]
        for name, text in _ATTRIBUTE.findall(inspect.cleandoc("x\n" + attributes)):
            words[name] = " ".join(text.split())
    return (inspect.getdoc(kind) or "").partition("\n")[0], words
