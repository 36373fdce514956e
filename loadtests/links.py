"""What a call with two integers costs by a link within the gateway, against a JSON-RPC call from outside.

    python -m loadtests.links

The callee is tests/guests/c/rpc.c, the caller tests/guests/c/relay.c, in one gateway. It is called from outside by
itself, through one relay, and through two, in turns. What one more relay takes is what a call by a link does,
with the caller's own part. The figure to watch is its ratio to the call from outside; it should be at most 1.0.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from loadtests import wrk
from tests.guests import build
from tests.harness import GatewayProcess
from tests.links.relays import TYPES

CONNECTIONS = 32
SECONDS = 3
ROUNDS = 7

CALL = json.dumps(
    {"jsonrpc": "2.0", "method": f"{TYPES}#echo-point", "params": [{"x": 40, "y": 2}], "id": 1}
)

CHAIN = ("callee", "relay", "relay-of-relay")


def configuration() -> str:
    """A component, one that calls it, and one that calls that one."""
    tables = ["[server]\naccess_log = false"]
    for name, callee in zip(CHAIN, (None, *CHAIN), strict=False):
        source = build.ALL["c/rpc" if callee is None else "c/relay"].build()
        table = f'[[components]]\nname = "{name}"\nsource = {json.dumps(str(source))}'
        if callee is not None:
            table += f'\nlinks = [{{ import = "{TYPES}", component = "{callee}" }}]'
        tables.append(table)
    return "\n".join(tables)


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in CHAIN}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "gateway.toml"
        config.write_text(configuration())
        with GatewayProcess(config) as gateway:
            for _ in range(ROUNDS):
                for name, samples in times.items():
                    url = f"{gateway.url}/rpc/{name}"
                    load = wrk.run(url, connections=CONNECTIONS, seconds=SECONDS, json=CALL)
                    if load.errors:
                        sys.exit(f"{name}: {load.errors}")
                    samples.append(1e6 / load.rate)
    outside, once, twice = times.values()
    ratios = [(b - a) / c for a, b, c in zip(once, twice, outside, strict=True)]
    for name, samples in times.items():
        print(f"{name:14} {statistics.median(samples):8.0f} us a call from outside")
    print(f"a call by a link takes {statistics.median(ratios):.2f} of one from outside")
    print(f"  rounds: {', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))}")


if __name__ == "__main__":
    main()
