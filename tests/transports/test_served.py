"""Messages as operators have them: by flags, in a process, until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from gateway.config import load
from tests import ask
from tests.capabilities.servers import Nats, until_settled
from tests.harness import GuestPath, StartGateway
from tests.patience import PATIENCE
from tests.production.gateways import Gateway, until
from tests.transports.talking import talking

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(server: Nats) -> AsyncIterator[Client]:
    client = Client()
    await client.connect(server.broker, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


async def answered(client: Client, subject: str) -> bool:
    """Whether anybody is there."""
    try:
        await client.request(subject, b"a", PATIENCE)
    except NoRespondersError:
        return False
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_queue_is_answered_by_one_worker_until_the_gateway_drains(
    guest: GuestPath, gateway: StartGateway, nats_server: Nats, workers: str
) -> None:
    url = nats_server.broker
    flags = ("--messaging", url, "--subscribe", f"w{workers}.*|shop", "--publish", "t.>")
    served = gateway(guest("c/messages"), *flags, "--workers", workers, "--log-events")
    async with connected(nats_server) as client:
        # A gateway listens when it has asked the server for its messages, which may not know of it yet.
        async with asyncio.timeout(PATIENCE):
            while not await answered(client, f"w{workers}.ready"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox)
        for number in range(200):
            await client.publish(f"w{workers}.a", f"a{number}".encode(), reply=inbox)
        # The first may overtake what was published, which is sent by the time it comes back.
        for _ in range(2):
            await client.flush()
        os.kill(served.pid, signal.SIGTERM)
        received = [(await answers.next_msg(PATIENCE)).data for _ in range(200)]
        assert sorted(received) == sorted(f"a{number}".encode() for number in range(200))
        assert await asyncio.to_thread(served.stop) == 0
        assert answers.pending_msgs == 0
    ended = [line for line in served.logs if line.get("kind") == "messaging"]
    assert len([line for line in ended if line["outcome"] == "ok"]) >= 200


def test_messages_in_memory_are_between_all_workers(guest: GuestPath, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        "".join(
            f"""
            [[components]]
            name = "{name}"
            source = "{guest("c/messages")}"
            messaging = {{ url = "memory:", publish = ["t.>"], subscriptions = [{{ {taken} }}] }}
            """
            for name, taken in (
                ("each", 'subject = "t.each"'),
                ("one", 'subject = "t.one", queue = "q"'),
            )
        )
    )
    with Gateway(config, "--workers", "2", "--admin-addr", "127.0.0.1:0") as served:

        def call(function: str, *params: object) -> object:
            asked = {"jsonrpc": "2.0", "id": 1, "method": function, "params": params}
            return ask.post(f"{served.url}/rpc/one", json=asked).json()["result"]

        def handled(component: str) -> float:
            sample = f'gateway_invocations_total{{component="{component}",kind="messaging",outcome="ok"}} '
            lines = ask.get(f"{served.admin_url}/metrics").text.splitlines()
            return sum(float(it.removeprefix(sample)) for it in lines if it.startswith(sample))

        def both_know() -> bool:
            before = handled("each")
            call("send", "t.each", "", None)
            return bool(until(lambda: handled("each") - before) == 2)

        def exchange() -> None:
            until(both_know)
            before = handled("each"), handled("one")
            for _ in range(20):
                call("send", "t.each", "", None)
                call("send", "t.one", "", None)
                assert call("ask", "t.one", "a", 60_000) == "a"
            until(lambda: handled("each") >= before[0] + 40 and handled("one") >= before[1] + 40)
            assert (handled("each"), handled("one")) == (before[0] + 40, before[1] + 40)

        exchange()
        victim = min(served.workers())
        os.kill(victim, signal.SIGKILL)
        served.wait_for_log(event="worker replaced", replaces=victim)
        exchange()
        (told, *_) = [line for line in served.logs if line["event"] == "messages not shared"]
        assert (told["component"], told["subscriptions"]) == ("each", ["t.each"])
        assert served.stop() == 0


async def test_workers_of_two_gateways_share_a_stream_and_one_that_is_killed_loses_nothing(
    guest: GuestPath, gateway: StartGateway, nats_server: Nats, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f"""
        [[components]]
        name = "shop"
        source = "{guest("c/messages")}"
        messaging.url = "{nats_server.broker}"
        messaging.publish = ["forwarded"]

        [[components.messaging.subscriptions]]
        subject = "served"
        max_concurrency = 4
        jetstream = {{ stream = "served", durable = "shop", ack_wait = "2s" }}
        """
    )
    async with connected(nats_server) as client:
        jetstream = client.jetstream(timeout=PATIENCE)
        await jetstream.add_stream(name="served", subjects=["served"])
        forwarded = await client.subscribe("forwarded")
        killed = gateway(config, "--workers", "2")
        async with talking(*load(config).components) as other:
            bodies = {str(number).encode() for number in range(400)}
            for body in bodies:
                await jetstream.publish("served", b"f" + body)
            seen = {(await forwarded.next_msg(PATIENCE)).data for _ in range(20)}
            os.killpg(killed.pid, signal.SIGKILL)  # with what it has in hand
            while seen != bodies:
                seen.add((await forwarded.next_msg(PATIENCE)).data)
            await until_settled(jetstream, "served", "shop")
            assert len(other.events) > 0
