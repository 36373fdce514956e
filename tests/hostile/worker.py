"""Gives inputs to a target, in a process of its own: `python -m tests.hostile.worker` with options as JSON.

What it finds it prints, a line of JSON for each. The input that is being tried is in a file, so that it is not
lost with the process.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.hostile.growth import Possessions
from tests.hostile.mutation import Mutator
from tests.hostile.target import CORPUS, Attack, Fault, Target, load

__all__ = ["Options", "main"]

_WARM: Final = 300
"""Inputs before what there is is counted: caches fill, pools are made."""

_TRIES: Final = 3
"""How often an input that took long is tried again: the best counts."""

_SHORTENING: Final = 10.0
"""Seconds that may go into making a finding shorter."""


@dataclass(frozen=True)
class Options:
    """What to do.

    Attributes:
        target: the name of the target.
        seed: of the inputs.
        current: the file for the input that is being tried.
        inputs: how many, without a number until the time is over.
        seconds: how long, at most; None for as long as the inputs last.
        replay: the file of the one input to try instead.
        guided: whether lines that are reached guide what is tried.
        evolved: the folder of inputs that reached something new; for `guided`.
    """

    target: str
    seed: int
    current: str
    inputs: int | None = None
    seconds: float | None = None
    replay: str | None = None
    guided: bool = False
    evolved: str | None = None


class _TooLongError(Exception):
    """An input took more CPU time than the target may."""


class _GrownError(Exception):
    """Something is left of the inputs."""


class _Trial:
    """Tries inputs, and reports each kind of failure once."""

    def __init__(self, target: Target, attack: Attack, current: str) -> None:
        self._target = target
        self._attack = attack
        self._current = os.open(current, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._known: set[str] = set()
        self.count = 0

    def __call__(self, data: bytes) -> None:
        """Try one input."""
        self.count += 1
        os.ftruncate(self._current, 0)
        os.pwrite(self._current, data, 0)
        error = self._failure(data)
        if error is None or _kind(error) in self._known:
            return
        self._known.add(_kind(error))
        if isinstance(error, Fault):
            self._report(error, data if error.data is None else error.data)
        else:
            self._report(error, self._shortened(data, _kind(error)))

    def grown(self, before: Possessions) -> None:
        """Look at what has grown."""
        if grown := Possessions.of().grown_since(before):
            self._report(_GrownError("; ".join(grown)), b"")

    def left(self, error: Exception) -> None:
        """Report what was found when the target was left."""
        self._report(error, b"")

    def _failure(self, data: bytes) -> Exception | None:
        try:
            took = self._cpu_seconds(data)
            if took > self._target.max_cpu_seconds:
                took = min(took, *(self._cpu_seconds(data) for _ in range(_TRIES)))
                if took > self._target.max_cpu_seconds:
                    most = self._target.max_cpu_seconds
                    return _TooLongError(f"{took:.3f} s of CPU time, {most} s are the most")
        except Exception as error:
            return error
        return None

    def _cpu_seconds(self, data: bytes) -> float:
        began = time.thread_time()
        self._attack(data)
        return time.thread_time() - began

    def _shortened(self, data: bytes, kind: str) -> bytes:
        """An input that fails likewise, with as much left out as goes in the time."""
        until = time.monotonic() + _SHORTENING
        size = len(data) // 2
        while size:
            at = 0
            while at < len(data) and time.monotonic() < until:
                shorter = data[:at] + data[at + size :]
                error = self._failure(shorter)
                if error is not None and _kind(error) == kind:
                    data = shorter
                else:
                    at += size
            size //= 2
        return data

    def _report(self, error: Exception, data: bytes) -> None:
        text = "".join(traceback.format_exception(error))
        told = {"kind": _kind(error), "reason": text[-8000:], "data": data.hex()}
        print(json.dumps(told), flush=True)  # noqa: T201 - to the runner


def _kind(error: Exception) -> str:
    """What is the same of two failures that have one cause."""
    if isinstance(error, Fault):
        return error.kind
    where = traceback.extract_tb(error.__traceback__)
    at = f" {Path(where[-1].filename).name}:{where[-1].lineno}" if where else ""
    return type(error).__name__.strip("_") + at


def _inputs(options: Options, target: Target, kept: list[bytes]) -> Iterator[bytes]:
    yield from kept
    until = None if options.seconds is None else time.monotonic() + options.seconds
    mutator = Mutator(options.seed, kept, target.max_size)
    made = 0
    while (options.inputs is None or made < options.inputs) and (
        until is None or time.monotonic() < until
    ):
        made += 1
        yield mutator.next()


def _guided(options: Options, target: Target, trial: _Trial, kept: list[bytes]) -> None:
    """Have libFuzzer choose the inputs. Ends the process."""
    import atheris

    with tempfile.TemporaryDirectory() as seeds:
        for number, data in enumerate(kept):
            Path(seeds, str(number)).write_bytes(data)
        arguments = [sys.argv[0], *([options.evolved] if options.evolved else []), seeds]
        arguments += [f"-seed={options.seed}", f"-max_len={target.max_size}", "-verbosity=0"]
        arguments.append(f"-artifact_prefix={seeds}/")  # the runner knows the input too
        arguments += ["-timeout=0", "-rss_limit_mb=0", "-close_fd_mask=0", "-handle_abrt=0"]
        if options.seconds is not None:
            arguments.append(f"-max_total_time={int(options.seconds) or 1}")
        if options.inputs is not None:
            arguments.append(f"-runs={options.inputs}")
        atheris.Setup(arguments, trial)
        atheris.Fuzz()


def _instrument() -> None:
    """Have what is imported from now on tell which of its lines are reached."""
    import atheris

    atheris.instrument_imports(include=["gateway"]).__enter__()


def main() -> None:
    """Do what the first argument says."""
    options = Options(**json.loads(sys.argv[1]))
    if options.guided:
        # Everything of the gateway that this module needs itself is known already; the parsers are not.
        _instrument()
    target = load(options.target)
    trial: _Trial | None = None
    try:
        with target.attack() as attack:
            trial = _Trial(target, attack, options.current)
            if options.replay is not None:
                trial(Path(options.replay).read_bytes())
                return
            folder = CORPUS / options.target
            kept = [*target.seeds(), *(path.read_bytes() for path in sorted(folder.glob("*")))]
            if options.guided:
                _guided(options, target, trial, kept)
            before = None
            for number, data in enumerate(_inputs(options, target, kept)):
                trial(data)
                if number == _WARM:
                    before = Possessions.of()
            if before is not None:
                trial.grown(before)
    except AssertionError as error:
        if trial is None:
            raise
        trial.left(error)
    if trial is not None:
        print(json.dumps({"inputs": trial.count}), flush=True)  # noqa: T201 - to the runner


def arguments(options: Options) -> dict[str, Any]:
    """The options as what `main` reads."""
    return asdict(options)


if __name__ == "__main__":
    main()
