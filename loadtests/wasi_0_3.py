"""Components of WASI 0.3 beside those of 0.2 that do the same: a greeting, an echo of 1 MiB, and a sleep of 20 ms.

    python -m loadtests.wasi_0_3

The first three are small components in C and text, the last is Python. The figures to watch are the ratios of 0.3
to 0.2, of pairs that were loaded one after the other: at least 0.4 for the small greeting, 0.9 for that of Python.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from typing import Final, NamedTuple

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess

ROUNDS = 5
SECONDS = 3


class Pair(NamedTuple):
    """What is compared.

    Attributes:
        name: what it is.
        two: the guest of 0.2, and the path that is requested there.
        three: the same of 0.3.
        connections: how many there are.
        body: the body of each request, None for a GET.
    """

    name: str
    two: tuple[str, str]
    three: tuple[str, str]
    connections: int = 16
    body: bytes | None = None


PAIRS: Final = (
    Pair("hello", ("c/hello", "/"), ("wat/wasi-0-3", "/h")),
    Pair("echo of 1 MiB", ("c/echo", "/"), ("wat/wasi-0-3", "/b"), 4, b"x" * (1 << 20)),
    Pair("sleep of 20 ms", ("c/fail", "/sleep?ms=20"), ("wat/wasi-0-3", "/s"), 200),
    Pair("hello of Python", ("examples/hello", "/"), ("python-0-3/concurrent", "/")),
)


def main() -> None:
    """Measure and print."""
    options = ("--max-concurrency", "300", "--no-access-log")
    with ExitStack() as stack:
        guests = {guest for pair in PAIRS for guest, _ in (pair.two, pair.three)}
        urls = {
            guest: stack.enter_context(GatewayProcess(build.ALL[guest].build(), *options)).url
            for guest in sorted(guests)
        }
        for pair in PAIRS:
            rates: list[tuple[float, float]] = []
            for _ in range(ROUNDS):
                two, three = (
                    wrk.run(
                        urls[guest] + path,
                        connections=pair.connections,
                        seconds=SECONDS,
                        body=pair.body,
                    )
                    for guest, path in (pair.two, pair.three)
                )
                if errors := two.errors or three.errors:
                    sys.exit(f"{pair.name}: {errors}")
                rates.append((two.rate, three.rate))
            of_two, of_three = (statistics.median(side) for side in zip(*rates, strict=True))
            ratio = statistics.median(three / two for two, three in rates)
            print(
                f"{pair.name:16} 0.2 {of_two:7.0f}   0.3 {of_three:7.0f} requests/s   {ratio:.2f} of 0.2",
                flush=True,
            )


if __name__ == "__main__":
    main()
