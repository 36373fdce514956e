"""What a JSON-RPC call with two integers costs, against an HTTP request to a hello-world component.

    python -m loadtests.rpc

Both components are in C (tests/guests/c), each in a gateway of its own; these are loaded in turns. The figure to
watch is the ratio of the times that one request takes; it should stay below 1.5.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess

CONNECTIONS = 32
SECONDS = 4
ROUNDS = 7

CALL = b'{"jsonrpc":"2.0","method":"add","params":[40,2],"id":1}'


def main() -> None:
    """Measure and print."""
    rates: dict[str, list[float]] = {"hello": [], "call": []}
    with ExitStack() as stack:
        hello = stack.enter_context(GatewayProcess(build.ALL["c/hello"].build(), "--no-access-log"))
        source = build.ALL["c/rpc"].build()
        called = stack.enter_context(GatewayProcess(source, "--no-access-log"))
        name = called.wait_for_log(event="component loaded")["component"]
        for _ in range(ROUNDS):
            for kind, url, body in (
                ("hello", f"{hello.url}/", None),
                ("call", f"{called.url}/rpc/{name}", CALL),
            ):
                load = wrk.run(url, connections=CONNECTIONS, seconds=SECONDS, body=body)
                if load.errors:
                    sys.exit(f"{kind}: {load.errors}")
                rates[kind].append(load.rate)
    ratios = [hello / call for hello, call in zip(rates["hello"], rates["call"], strict=True)]
    for kind, samples in rates.items():
        print(f"{kind:6} {statistics.median(samples):8.0f} requests/s")
    print(f"a call takes {statistics.median(ratios):.2f} times as long as a hello request")
    print(f"  rounds: {', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))}")


if __name__ == "__main__":
    main()
