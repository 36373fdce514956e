"""A guest that a test drives, as a component of a gateway with links and grants of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.config import ComponentConfig
from tests.driven_guest import DRIVER, DrivenGuest, driven_guest, driven_text
from tests.transports.talking import Talking, talking

__all__ = ["Stopped", "driven"]


class Stopped(Exception):
    """The guest was stopped; with the error that JSON-RPC has for it."""


@asynccontextmanager
async def driven(
    folder: Path,
    imports: str,
    *others: ComponentConfig,
    links: Sequence[Mapping[str, Any]] = (),
    providers: Mapping[str, object] | None = None,
    **keys: Any,
) -> AsyncIterator[tuple[DrivenGuest, Talking]]:
    """Serve a guest that has these imports, as component "driven", and run it.

    Args:
        folder: where to put it.
        imports: as of `driven_guest`.
        others: more components.
        links: its links.
        providers: Python objects, by name.
        keys: more of its configuration.
    """
    source = folder / "driven.wat"
    source.write_text(driven_text(imports))
    guest = DrivenGuest(driven_guest(imports).imports)
    config = ComponentConfig.model_validate(
        {
            "name": "driven",
            "source": source,
            "max_execution_time": "10m",
            "links": [{"import": DRIVER, "python": "driver"}, *links],
            **keys,
        }
    )
    async with talking(config, *others, providers={"driver": guest, **(providers or {})}) as it:
        await guest.begin(_run(it))
        try:
            yield guest, it
            await guest.leave()
        finally:
            await guest.abort()


async def _run(gateway: Talking) -> None:
    response = await gateway.response("run", name="driven")
    if "error" in response:
        raise Stopped(response["error"])
