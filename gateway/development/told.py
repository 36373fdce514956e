"""What the log was told of each request, for its answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["Told"]

MAX_REQUESTS: Final = 1000
"""Requests whose lines are kept. Threat: memory. Arbitrary: a line is looked for when its request is answered."""

MAX_LINES: Final = 200
"""Lines of one that are kept, its last ones. Threat: memory, and answers that nobody reads to the end."""

_OF_EVERY_LINE: Final = frozenset(
    ("timestamp", "level", "logger", "request_id", "trace_id", "span_id", "component", "event")
)
"""Fields that say nothing which is not in the answer already."""


class Told:
    """Hears the lines of the log and keeps those that belong to a request, the last of the last requests."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, list[Mapping[str, Any]]] = OrderedDict()

    def hear(self, line: Mapping[str, Any]) -> None:
        """Take a line of the log, by its fields."""
        identity = line.get("request_id")
        if not isinstance(identity, str):
            return
        lines = self._lines.setdefault(identity, [])
        lines.append(dict(line))
        del lines[:-MAX_LINES]
        while len(self._lines) > MAX_REQUESTS:
            self._lines.popitem(last=False)

    def of(self, request_id: str) -> dict[str, Any]:
        """What was said of a request, for people: what ended its guest, what that wrote, and all else.

        Args:
            request_id: its id.
        """
        said: dict[str, Any] = {}
        for line in self._lines.get(request_id, ()):
            fields = {key: value for key, value in line.items() if key not in _OF_EVERY_LINE}
            match line.get("event"):
                case "component trapped":
                    said |= fields
                case "guest output":
                    said.setdefault("output", []).append(fields.get("line", ""))
                case event:
                    said.setdefault("log", []).append({"event": event, **fields})
        return said
