"""Components that have all of `rpc.wit` from others, by links."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from gateway.config import ComponentConfig

__all__ = ["OUTCOMES", "TYPES", "callee", "relay"]

TYPES: Final = "test:rpc/types@1.2.3"
OUTCOMES: Final = "test:rpc/outcomes@1.2.3"


def relay(
    source: Path, *, name: str = "relay", link: dict[str, Any], **keys: Any
) -> ComponentConfig:
    """A relay whose links lead to one place.

    Args:
        source: a guest `relay`.
        name: what it is called.
        link: keys of its links, but `import`.
        **keys: more of its own.
    """
    links = [{"import": each, **link} for each in (TYPES, OUTCOMES)]
    table = {"name": name, "source": source, "max_concurrency": 64, "links": links, **keys}
    return ComponentConfig.model_validate(table)


def callee(source: Path, *, name: str = "rpc", **keys: Any) -> ComponentConfig:
    """What has it itself."""
    table = {"name": name, "source": source, "max_concurrency": 64, **keys}
    return ComponentConfig.model_validate(table)
