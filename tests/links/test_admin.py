"""Components that others have links to, replaced and unloaded by the admin API while they are called."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from gateway.app import create_app
from gateway.config import GatewayConfig
from gateway.host.store import STORES
from tests.admin.issuer import AUDIENCE, ISSUER, SECRET, token
from tests.harness import GuestPath
from tests.links.relays import OUTCOMES, TYPES, callee, relay
from tests.patience import PATIENCE, until
from tests.transports.talking import Talking, calling, lifespan

pytestmark = pytest.mark.anyio

CALLS: Final = 1000
TRAPPED: Final = -32000


class Admin:
    """Who changes components of a gateway, by its admin API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, name: str, table: dict[str, Any] | None = None) -> int:
        """Ask for a change; gives the status of the answer."""
        headers = {"authorization": f"Bearer {token()}"}
        url = f"/admin/v1/components/{name}"
        return (await self._client.request(method, url, json=table, headers=headers)).status_code


async def test_each_call_is_answered_while_its_target_is_reloaded_and_unloaded(
    guest: GuestPath, tmp_path: Path
) -> None:
    (secret := tmp_path / "secret").write_text(SECRET)
    target = callee(guest("c/rpc"), max_concurrency=64, max_queue=CALLS, max_queue_time="1m")
    caller = relay(guest("c/relay"), link={"component": "rpc"}, max_concurrency=CALLS)
    config = GatewayConfig.model_validate(
        {
            "components": [target, caller],
            "server": {"admin_addr": "127.0.0.1:0", "max_in_flight": CALLS},
            "admin": {"secret_file": secret, "issuer": ISSUER, "audience": AUDIENCE},
        }
    )
    links = [{"import": each, "component": "rpc"} for each in (TYPES, OUTCOMES)]
    there = {"source": str(guest("c/rpc")), "max_queue": CALLS, "max_queue_time": "1m"}
    here = {"source": str(guest("c/relay")), "max_concurrency": CALLS}
    app = create_app(config)
    assert app.admin is not None
    transport = httpx.ASGITransport(app.admin)
    async with (
        lifespan(app),
        calling(app) as gateway,
        httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", timeout=PATIENCE
        ) as client,
    ):
        admin = Admin(client)
        answers: Counter[Any] = Counter()

        async def call(number: int) -> None:
            function, *params = ("wait", 5) if number % 2 else ("settle-ok", {"ok": 1})
            answers[await gateway.call(f"outcomes.{function}", *params, name="relay")] += 1

        calls = [asyncio.create_task(call(number)) for number in range(CALLS)]
        await until(lambda: answers.total() > CALLS // 10)
        for concurrency in (32, 64):
            assert await admin.ask("PUT", "rpc", {**there, "max_concurrency": concurrency}) == 200
        assert await admin.ask("DELETE", "rpc") == 409
        assert await admin.ask("PUT", "relay", here) == 200  # with an import that nothing provides
        assert await admin.ask("DELETE", "rpc") == 204
        assert await admin.ask("PUT", "relay", {**here, "links": links}) == 422
        assert await gateway.call("outcomes.settle-ok", {"ok": 1}, name="relay") == TRAPPED
        assert await admin.ask("PUT", "rpc", there) == 201
        assert await admin.ask("PUT", "relay", {**here, "links": links}) == 200
        await asyncio.gather(*calls)
        assert answers.total() == CALLS
        # Who began before has a result, from whichever instance of the target.
        assert answers[1] + answers[None] + answers[TRAPPED] == CALLS
        assert await gateway.call("outcomes.settle-ok", {"ok": 1}, name="relay") == 1
        await nothing_is_left(gateway)


async def nothing_is_left(gateway: Talking) -> None:
    """Waits until all is free, and what was replaced is gone."""
    app = gateway.app
    await until(lambda: not STORES and not app.runtime.admission.in_flight)
    assert not any(each.gate.in_flight + each.gate.queued for each in app.services)
    assert not any(each.under_way or each.going_on for each in app.services)
