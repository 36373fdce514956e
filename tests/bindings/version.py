"""Of which version of WASI a driven guest is.

A test has guests of each, one after the other, where it or its module asks for the fixture `version`; else of 0.2.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.host.values import Err, Ok, Variant

__all__ = ["VERSIONS", "Version", "told"]

VERSIONS: Final = ("0.2", "0.3")


class Version:
    """What the fixture says.

    Attributes:
        of_test: the version of the test which runs.
    """

    of_test = "0.2"


def told(result: Any) -> Any:
    """A result of 0.3 as one of 0.2: codes and kinds are cases of variants there, all but one without payload."""
    match result:
        case Err(Variant(case, None)):
            return Err(case)
        case Ok(Variant(case, None)):
            return Ok(case)
        case Ok({"type": Variant(case, None), **rest}):
            return Ok({"type": case, **rest})
    return result
