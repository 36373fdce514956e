"""2,000 requests at once, whose guests each sleep for half a second, in one worker.

Those of WASI 0.2 sleep in `wasi:io/poll`, and those of 0.3 in `wait-for`.

    python -m loadtests.sleepers

If nothing but the sleep took time there would be 4,000 answers a second; the ratio to that is printed, and how
long half of the requests took, and nearly all: those of the beginning, when all connections are new, take longest.
"""

from __future__ import annotations

from typing import Final

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess

CONNECTIONS = 2000
SLEEP_MS = 500
SLEEPERS: Final = {"c/fail": f"/sleep?ms={SLEEP_MS}", "wat/wasi-0-3": "/m"}
"""Guests, and the path at which each sleeps for so long."""
SECONDS = 10
ROUNDS = 3


def main() -> None:
    """Measure and print."""
    ideal = CONNECTIONS / (SLEEP_MS / 1000)
    options = ("--max-concurrency", str(CONNECTIONS + 500), "--no-access-log")
    for guest, path in SLEEPERS.items():
        _measure(guest, path, ideal, options)


def _measure(guest: str, path: str, ideal: float, options: tuple[str, ...]) -> None:
    with GatewayProcess(build.ALL[guest].build(), *options) as gateway:
        for _ in range(ROUNDS):
            load = wrk.run(gateway.url + path, connections=CONNECTIONS, seconds=SECONDS)
            print(
                f"{guest:14} {load.rate:8.0f} requests/s   {load.rate / ideal:.2f} of the ideal {ideal:.0f}   "
                f"50% within {load.p50:.2f} s   99% within {load.p99:.2f} s   {gateway.rss() >> 20} MiB   "
                f"{load.errors or 'no errors'}"
            )


if __name__ == "__main__":
    main()
