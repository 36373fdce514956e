"""`gateway serve CONFIG`, with two more paths that tell what the process holds: `/.state`, `/.memory`."""

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.app import Gateway, verify
from gateway.config import load
from gateway.host.store import STORES
from gateway.server import serve


class Observed(Gateway):
    """The application of a gateway, and what it holds."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"], scope.get("path"):
            case "http", "/.state":
                await JSONResponse(self.state())(scope, receive, send)
            case "http", "/.memory":
                await JSONResponse(memory())(scope, receive, send)
            case _:
                await super().__call__(scope, receive, send)

    def state(self) -> dict[str, Any]:
        """What is at work, and the counts of invocations by component and outcome."""
        invocations: dict[str, dict[str, float]] = {}
        metrics = self.runtime.metrics
        assert metrics is not None
        self.runtime.channel.flush()
        for metric in metrics.registry.collect():
            for sample in metric.samples:
                if sample.name == "gateway_invocations_total":
                    outcomes = invocations.setdefault(sample.labels["component"], {})
                    outcomes[sample.labels["outcome"]] = sample.value
        return {
            "stores": len(STORES),
            "tasks": len(asyncio.all_tasks()),
            "in_flight": {service.name: service.in_flight for service in self.services},
            "invocations": invocations,
        }


def memory() -> dict[str, int]:
    """Python's live objects, those of asyncio among them, and resident bytes."""
    gc.collect()
    objects = gc.get_objects()
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "objects": len(objects),
        "futures": sum(isinstance(item, asyncio.Future) for item in objects),
        "rss": resident * os.sysconf("SC_PAGE_SIZE"),
    }


if __name__ == "__main__":
    config = load(Path(sys.argv[1]), log_format="json")
    sys.exit(serve(config, create_app=Observed, verify=verify))
