"""Three times the load that saturates a component: what is accepted, how fast, and what it takes.

    python -m loadtests.overload

Two components, each in a gateway of its own with one worker. One waits (50 ms in `wasi:io/poll`): its places run
out while the processor is idle, and what is accepted waits as long as its limits say. The other neither computes
nor waits: the processor runs out, and time also passes where no limit of a component sees it, in sockets and
between turns of the event loop. What bounds that is the number of connections.

The rate that saturates is what wrk gets with as many connections as there are places: a closed loop, every
place taken, nobody waiting. Three times that rate is offered in an open loop (`loadtests.open_loop`), for three
times the connections of a closed loop would only mean a queue three times as long, at the same rate. Latencies
are compared with those at a tenth of the rate, and with the bound that the configuration promises: the longest
wait and the unloaded latency together. They are the client's, on the same machine.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadtests import open_loop, wrk
from tests.guests import build
from tests.harness import GatewayProcess

SECONDS = 5
ROUNDS = 3
FACTOR = 3

CONFIGURATION = """
[[components]]
name = "guest"
source = "{source}"
max_concurrency = {max_concurrency}
max_queue = {max_queue}
max_queue_time = "{max_queue_time_ms}ms"
"""


@dataclass(frozen=True)
class Case:
    """A component and its limits.

    Attributes:
        title: what it does.
        guest: its name among the guests.
        target: what is requested.
    """

    title: str
    guest: str
    target: str
    max_concurrency: int
    max_queue: int
    max_queue_time_ms: int

    def configuration(self) -> str:
        """Its gateway.toml."""
        return CONFIGURATION.format(source=build.ALL[self.guest].build(), **vars(self))


# Queues that take longer to drain than anybody may wait there: the time is what bounds.
CASES = (
    Case("waits 50 ms", "c/fail", "/sleep?ms=50", 32, 320, 250),
    Case("hello", "c/hello", "/", 32, 4096, 250),
)


def measure(case: Case, gateway: GatewayProcess) -> None:
    """Measure and print."""
    url = gateway.url + case.target
    saturating = wrk.run(url, connections=case.max_concurrency, seconds=SECONDS)
    unloaded = open_loop.run(url, rate=saturating.rate / 10, seconds=SECONDS)
    normal = unloaded.quantile(0.5), unloaded.quantile(0.99)
    print(f"{case.title}: saturated at {saturating.rate:.0f} requests/s", saturating.errors)
    print(f"  unloaded: 50% within {normal[0] * 1e3:.1f} ms, 99% within {normal[1] * 1e3:.1f} ms")
    resident = gateway.rss()
    for _ in range(ROUNDS):
        answers = open_loop.run(url, rate=FACTOR * saturating.rate, seconds=SECONDS)
        offered, accepted = answers.offered / saturating.rate, answers.rate(200)
        print(
            f"  offered {offered:.2f} times that: accepted {accepted:.0f}/s = "
            f"{accepted / saturating.rate:.2f} of it, {answers.rate(503) / answers.offered:.0%} refused"
        )
        for name, q, usual in (("50%", 0.5, normal[0]), ("99%", 0.99, normal[1])):
            latency = answers.quantile(q)
            bound = case.max_queue_time_ms / 1e3 + usual
            print(
                f"    {name} of the accepted within {latency * 1e3:.0f} ms: {latency / usual:.1f} times "
                f"the unloaded, {latency / bound:.2f} of the bound ({bound * 1e3:.0f} ms); "
                f"of the refused {answers.quantile(q, 503) * 1e3:.0f} ms"
            )
        print(
            f"    resident {gateway.rss() >> 20} MiB, {resident >> 20} MiB before;",
            dict(+answers.failures) or "no failures",
        )


def main() -> None:
    """Measure every case."""
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "gateway.toml")
            path.write_text(case.configuration())
            with GatewayProcess(path, "--no-access-log") as gateway:
                measure(case, gateway)


if __name__ == "__main__":
    main()
