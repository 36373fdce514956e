"""`python -m tests.hostile`: attacks for as long as asked, with seeds of their own."""

# ruff: noqa: T201 - a program, whose output is what it prints

from __future__ import annotations

import argparse
import secrets
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Final

from tests.hostile.runner import FINDINGS, can_guide, run
from tests.hostile.target import NAMES
from tests.hostile.worker import Options

_TURN: Final = 60.0
"""Seconds of a target's turn."""


def main() -> int:
    """Attack, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for how long (10)")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one")
    parser.add_argument("--seed", type=int, help="of the first turn, to have it again")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a finding to run again")
    given = parser.parse_args()
    if given.replay is not None:
        return _replay(given.replay)
    until = time.monotonic() + given.minutes * 60
    seen: set[tuple[str, str]] = set()
    names = given.target or NAMES
    # Targets that can be guided are, in every other of their turns.
    for turn, name in enumerate(cycle(names)):
        left = until - time.monotonic()
        if left < 1:
            break
        seed = given.seed if given.seed is not None and not turn else secrets.randbits(31)
        guided = can_guide(name) and turn // len(names) % 2 == 0
        seconds = min(_TURN, left, max(given.minutes * 60 / len(names), 5))
        evolved = FINDINGS / "evolved" / name
        evolved.mkdir(parents=True, exist_ok=True)
        done = run(Options(name, seed, "", seconds=seconds, guided=guided, evolved=str(evolved)))
        how = "guided" if guided else f"{done.inputs} inputs"
        print(f"{name}: seed {seed}, {seconds:.0f} s, {how}", flush=True)
        for finding in done.findings:
            if (name, finding.kind) not in seen:
                seen.add((name, finding.kind))
                print(f"\n{finding}\n", flush=True)
    print(f"{len(seen)} findings")
    return 1 if seen else 0


def _replay(path: Path) -> int:
    """Try the input of a finding again; the file's name begins with that of its target."""
    name = path.name.partition("+")[0] if "+" in path.name else path.parent.name
    done = run(Options(name, 0, "", replay=str(path)))
    for finding in done.findings:
        print(finding)
    if not done.findings:
        print(f"{path}: nothing happens")
    return 1 if done.findings else 0


if __name__ == "__main__":
    sys.exit(main())
