"""From an edit of a handler in Python to its first answer, beside what componentize-py alone takes.

    python -m loadtests.edits
    python -m loadtests.edits --command serve --rounds 9

Both in turns, each round an edit of its own: the build's command by itself, and the same edit under `gateway dev`
(or `gateway serve --watch`), which builds, compiles and swaps, until an answer has it. The CPU time of the latter
is that of the gateway and all that it has started. Wall time has what else the machine does in it, in both.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Final

from tests import ask
from tests.harness import GatewayProcess

HELLO: Final = Path(__file__).parent.parent / "examples" / "hello"
LONGEST: Final = 300.0
"""Seconds until an edit must have come live."""


def edit(folder: Path, word: str) -> None:
    """Have the handler greet with another word, at once."""
    source = (HELLO / "app.py").read_text()
    assert "Hello" in source
    edited = folder / ".edited"
    edited.write_text(source.replace("Hello", word))
    edited.replace(folder / "app.py")


def built_alone(folder: Path, command: str) -> tuple[float, float]:
    """Seconds of wall and of CPU time that the build's command takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu(pid: int) -> float:
    """Seconds of CPU time of a process and of its children that have ended (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def made_live(gateway: GatewayProcess, folder: Path, word: str) -> tuple[float, float]:
    """Seconds of wall and of CPU time from an edit to the first answer that has it."""
    logged, before, began = len(gateway.logs), cpu(gateway.pid), time.monotonic()
    edit(folder, word)
    gateway.wait_for_log(LONGEST, logged, event="reloaded")
    assert word in ask.get(gateway.url).text
    return time.monotonic() - began, cpu(gateway.pid) - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--command", choices=("dev", "serve"), default="dev")
    arguments = parser.parse_args()
    command = tomllib.loads((HELLO / "gateway.toml").read_text())["components"][0]["build"][
        "command"
    ]
    rounds: list[tuple[float, float, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        served, alone = Path(name, "served"), Path(name, "alone")
        for folder in (served, alone):
            shutil.copytree(HELLO, folder, ignore=shutil.ignore_patterns("*.wasm"))
        options = ["--watch"] if arguments.command == "serve" else []
        if options:
            built_alone(served, command)
        with GatewayProcess(
            served / "gateway.toml", *options, command=arguments.command
        ) as gateway:
            made_live(gateway, served, "Warm")
            for number in range(arguments.rounds):
                edit(alone, f"Word{number}")
                rounds.append(
                    (*built_alone(alone, command), *made_live(gateway, served, f"Word{number}"))
                )
    print(f"{'':12}{'built':>10}{'live':>10}{'ratio':>10}")
    for label, built, live in (("wall", 0, 2), ("CPU", 1, 3)):
        ratio = statistics.median(each[live] / each[built] for each in rounds)
        middle = [statistics.median(each[at] for each in rounds) for at in (built, live)]
        print(f"{label:12}{middle[0]:8.2f} s{middle[1]:8.2f} s{ratio:10.2f}")


if __name__ == "__main__":
    main()
