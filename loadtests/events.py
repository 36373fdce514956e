"""What it costs to observe invocations: return events, metrics, ids of requests and traces.

    python -m loadtests.events

A hello-world component in C (tests/guests/c/hello.c), served as usual and by `loadtests.unobserved`, loaded in
turns. The share of throughput that is lost should stay below a tenth.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess

CONNECTIONS = 32
SECONDS = 3
ROUNDS = 11


class Unobserved(GatewayProcess):
    """A gateway that nothing observes."""

    def __init__(self, component: Path) -> None:
        super().__init__(component)
        self._command = [sys.executable, "-m", "loadtests.unobserved", str(component)]


def main() -> None:
    """Measure and print."""
    component = build.ALL["c/hello"].build()
    with ExitStack() as stack:
        urls = {
            "unobserved": stack.enter_context(Unobserved(component)).url,
            "observed": stack.enter_context(GatewayProcess(component, "--no-access-log")).url,
        }
        rates: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                load = wrk.run(f"{url}/", connections=CONNECTIONS, seconds=SECONDS)
                if load.errors:
                    sys.exit(f"{name}: {load.errors}")
                rates[name].append(load.rate)
    lost = sorted(
        1 - observed / unobserved
        for observed, unobserved in zip(rates["observed"], rates["unobserved"], strict=True)
    )
    for name, samples in rates.items():
        print(f"{name:10} {statistics.median(samples):8.0f} requests/s")
    print(f"observing costs {statistics.median(lost):.1%} of the throughput")
    print(f"  rounds: {', '.join(f'{share:.1%}' for share in lost)}")


if __name__ == "__main__":
    main()
