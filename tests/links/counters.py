"""What holds counters of `counters.wit`, by a link, and the steps that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.config import ComponentConfig
from tests.transports.talking import Talking

__all__ = ["API", "STEPS", "Step", "run", "tally_of"]

API: Final = "test:counters/api@1.0.0"

Step = tuple[Any, ...]
"""The name of what is done, and up to two numbers."""

STEPS: Final[Sequence[tuple[Step, int]]] = (
    (("make", 0, 5), 0),
    (("add", 0, 3), 8),
    (("make", 1, 2), 0),
    (("beyond", 0, 1), 1),  # two that are borrowed
    (("fold", 0, 1), 0),  # an own one that goes back
    (("value", 0), 10),
    (("label", 0), 5),  # in an option, a record, a variant
    (("value", 0), 10),
    (("split", 0, 5), 5),  # in a list
    (("same", 0, 5), 5),  # in a list of a variant
    (("sum", 0, 5), 60),  # a list of borrowed ones
    (("open", 9, 4), 1),  # in a result
    (("value", 9), 4),
    (("open", 9, 0), 0),
    (("drop", 0), 0),
    (("sum", 1, 4), 50),
)
"""Counters in every place of a type, and what each step comes to."""


def tally_of(target: Mapping[str, str], source: Path, **keys: Any) -> ComponentConfig:
    """The component "tally", whose link leads to such a target."""
    links = [{"import": API, **target}]
    table = {"name": "tally", "source": source, "max_concurrency": 64, "links": links, **keys}
    return ComponentConfig.model_validate(table)


async def run(gateway: Talking, *steps: Step) -> Any:
    """Have the caller take steps, each its name and up to two numbers; gives what each came to, or a code."""
    script = []
    for op, *numbers in steps:
        a, b = (*numbers, 0, 0)[:2]
        script.append({"op": op, "a": a, "b": b})
    return await gateway.call("drive.run", script, name="tally")
