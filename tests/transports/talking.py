"""A gateway in this process whose components take what comes, for tests: its events, and functions to call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.types import Message

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.observe.events import Kind, Outcome, ReturnEvent
from tests.patience import PATIENCE, until


def component(
    source: Path, url: str, *subjects: str, name: str = "m", **keys: Any
) -> ComponentConfig:
    """A component that takes messages of subjects, `SUBJECT` or `SUBJECT|QUEUE`, and may publish at "t.>"."""
    limits = keys.pop("limits", {})
    subscriptions = []
    for each in subjects:
        subject, bar, queue = each.partition("|")
        subscriptions.append({"subject": subject, **({"queue": queue} if bar else {}), **limits})
    messaging = {"url": url, "publish": ("t.>", "forwarded"), "subscriptions": subscriptions}
    return ComponentConfig.model_validate(
        {"name": name, "source": source, "messaging": messaging, **keys}
    )


class Talking:
    """A gateway that serves.

    Attributes:
        app: the gateway.
        client: what asks it.
        events: how messages, what watchers were told and calls by links ended so far.
    """

    def __init__(self, app: Gateway, client: httpx.AsyncClient) -> None:
        self.app = app
        self.events: list[ReturnEvent] = []
        self.client = client
        self._changed = asyncio.Event()
        app.runtime.channel.add_sink(self._hear)

    def _hear(self, event: ReturnEvent) -> None:
        if event.kind in {Kind.MESSAGING, Kind.KEYVALUE, Kind.LINK}:
            self.events.append(event)
            self._changed.set()

    @property
    def outcomes(self) -> list[Outcome]:
        """How those ended so far."""
        return [event.outcome for event in self.events]

    async def ended(self, number: int) -> None:
        """Wait until so many have."""
        await until(lambda: len(self.events) >= number)

    async def call(self, function: str, *params: Any, name: str = "m") -> Any:
        """Call a function that a component exports; gives its result, or the err."""
        response = await self.response(function, *params, name=name)
        if "error" in response:
            error = response["error"]
            return error["data"] if error["code"] == 1 else error["code"]
        return response["result"]

    async def response(self, function: str, *params: Any, name: str = "m") -> Any:
        """Call a function that a component exports; gives the response object."""
        request = {"jsonrpc": "2.0", "id": 1, "method": function, "params": params}
        return (await self.client.post(f"/rpc/{name}", json=request)).json()

    async def send(self, subject: str, body: str, reply_to: str | None = None) -> Any:
        """Have a component send a message."""
        return await self.call("send", subject, body, reply_to)

    async def ask(self, subject: str, body: str, timeout_ms: int = 60_000) -> Any:
        """Have a component request an answer."""
        return await self.call("ask", subject, body, timeout_ms)

    async def told(self, sample: str, value: float) -> None:
        """Wait until a sample has a value."""
        async with asyncio.timeout(PATIENCE):
            while await self.metric(sample) != value:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)

    async def metric(self, sample: str) -> float:
        """The value of a sample, by its name with its labels; 0 where there is none."""
        for line in (await self.client.get("/metrics")).text.splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0


@asynccontextmanager
async def talking(
    *components: ComponentConfig, providers: Mapping[str, object] | None = None, **server: Any
) -> AsyncIterator[Talking]:
    """Serve components for the time of the block, with a lifespan; subscriptions are there when it begins."""
    config = GatewayConfig.model_validate({"components": components, "server": server})
    app = create_app(config, providers=providers or {})
    async with lifespan(app), calling(app) as gateway:
        yield gateway


@asynccontextmanager
async def calling(app: Gateway) -> AsyncIterator[Talking]:
    """Call what an application serves, for the time of the block."""
    await app._deployment.generation.ready()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway.test", timeout=PATIENCE
    ) as client:
        yield Talking(app, client)


@asynccontextmanager
async def lifespan(app: Gateway) -> AsyncIterator[None]:
    """The lifespan of an application, as servers have it."""
    received: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, received.get, sent.put))
    try:
        received.put_nowait({"type": "lifespan.startup"})
        assert (await sent.get())["type"] == "lifespan.startup.complete"
        yield
    finally:
        received.put_nowait({"type": "lifespan.shutdown"})
        async with asyncio.timeout(PATIENCE):
            await task
