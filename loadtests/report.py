"""What `loadtests.bench` measured, as text, JSON, plots, and the tables of docs/performance.md."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

__all__ = ["Figures", "Results", "text", "write"]

FOLDER: Final = Path(__file__).parent / "results"
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
MARKS: Final = ("<!-- measured: make bench -->", "<!-- end of what was measured -->")
"""Between them stand the tables; all else of the page is written by hand."""

_WIDTHS: Final = (34, 12, 20, 12, 12)

OURS: Final = "gateway"
PEER: Final = "wasmtime serve"


@dataclass
class Figures:
    """What one server showed in one scenario, a figure for each round.

    Attributes:
        scenario: its name.
        title: what was served.
        server: who served it.
        size: bytes of a body; 0 where requests are what is measured.
        rates: requests a second.
        p50: the seconds that half of the requests took at most.
        p99: the same for 99 of 100.
    """

    scenario: str
    title: str
    server: str
    size: int = 0
    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def add(self, rate: float, p50: float, p99: float) -> None:
        """What one round showed."""
        self.rates.append(rate)
        self.p50.append(p50)
        self.p99.append(p99)

    @property
    def speed(self) -> str:
        """The median, with its unit."""
        rate = statistics.median(self.rates)
        return f"{rate * self.size / 1e6:,.0f} MB/s" if self.size else f"{rate:,.0f}/s"


@dataclass
class Results:
    """A whole run.

    Attributes:
        date: when, `2026-11-30`.
        machine: on what, by what it is called.
        rounds: how many there were.
        seconds: of each.
        figures: of every scenario and server, in order.
    """

    date: str
    machine: dict[str, str]
    rounds: int
    seconds: int
    figures: list[Figures] = field(default_factory=list)


def text(figures: Sequence[Figures]) -> str:
    """A scenario in lines for a terminal."""
    lines = [_title(figures)]
    for row in _rows(figures):
        cells = (cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=True))
        lines += [f"  {'  '.join(cells)}".rstrip()]
    return "\n".join(lines)


def write(results: Results) -> None:
    """Keep a run: JSON and plots in `results/`, and the tables of the page."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "latest.json").write_text(json.dumps(dataclasses.asdict(results), indent=1) + "\n")
    _plot(results)
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n{tables(results)}\n{MARKS[1]}{after}")


def tables(results: Results) -> str:
    """A run in Markdown."""
    machine = "; ".join(
        value if key != "python" else f"CPython {value}" for key, value in results.machine.items()
    )
    parts = [
        f"Measured {results.date}: {machine}. Medians of {results.rounds} rounds of {results.seconds} s in turns."
    ]
    for kind, header in ((False, "requests"), (True, "bytes")):
        parts += ["", f"| {header} | median | of the peer's, rounds | p50 | p99 |", "|-|-|-|-|-|"]
        for figures in _scenarios(results.figures):
            if bool(figures[0].size) is kind:
                parts.append(f"| **{_title(figures)}** | | | | |")
                parts += ["| " + " | ".join(row) + " |" for row in _rows(figures)]
    return "\n".join(parts)


def _title(figures: Sequence[Figures]) -> str:
    titles = [each.title for each in figures if each.title != "alone"]
    return titles[0] if len(titles) == len(figures) else f"A greeting beside {titles[0]}"


def _scenarios(figures: Iterable[Figures]) -> list[list[Figures]]:
    return [list(of) for _, of in groupby(figures, key=lambda each: each.scenario)]


def _rows(figures: Sequence[Figures]) -> list[tuple[str, ...]]:
    """Name, speed, ratio to `wasmtime serve` with the range of the rounds, p50 and p99, of each server."""
    rows = []
    for each in figures:
        peer = [other for other in figures if other.server == PEER and other.title == each.title]
        ratio = ""
        if peer and each.server != PEER:
            ratios = _ratios(each, peer[0])
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            if math.isinf(max(ratios)):
                ratio = "it answered none"
        alone = any(other.title == "alone" for other in figures)
        name = (
            each.server
            if not alone
            else f"{each.server}, {'alone' if each.title == 'alone' else 'beside them'}"
        )
        rows.append(
            (
                name,
                each.speed,
                ratio,
                *(f"{statistics.median(of) * 1e3:,.1f} ms" for of in (each.p50, each.p99)),
            )
        )
    return rows


def _ratios(ours: Figures, theirs: Figures) -> list[float]:
    """Of each round; infinite where the peer answered nothing in it."""
    pairs = zip(ours.rates, theirs.rates, strict=True)
    return [one / other if other else math.inf for one, other in pairs]


def _plot(results: Results) -> None:
    """One picture of rates and one of latencies, as PNG."""
    scenarios = [
        figures
        for figures in _scenarios(results.figures)
        if any(each.server == PEER for each in figures)
    ]
    whole = [figures for figures in scenarios if figures[0].title != "alone"]

    def bars(
        name: str,
        title: str,
        of: Sequence[list[Figures]],
        values: dict[str, list[float]],
        *,
        log: bool,
    ) -> None:
        figure = Figure(figsize=(9, 0.6 * len(of) + 1.6), layout="constrained")
        axes = figure.add_subplot()
        height = 0.8 / len(values)
        for number, (label, widths) in enumerate(values.items()):
            axes.barh(
                [row + number * height for row in range(len(of))], widths, height, label=label
            )
        axes.set_yticks(
            [row + 0.4 - height / 2 for row in range(len(of))], [_title(figures) for figures in of]
        )
        axes.invert_yaxis()
        if log:
            axes.set_xscale("log")
        axes.set_title(f"{title}, {results.date}")
        axes.legend()
        figure.savefig(FOLDER / f"{name}.png", dpi=110)

    def ours_and_theirs(figures: Sequence[Figures]) -> tuple[Figures, Figures]:
        last = {each.server: each for each in figures}  # beside the others, where there are two
        return last[OURS], last[PEER]

    pairs = [ours_and_theirs(figures) for figures in whole]
    ratios = [statistics.median(_ratios(ours, theirs)) for ours, theirs in pairs]
    bars(
        "throughput",
        f"Throughput, {PEER} = 1",
        whole,
        {OURS: ratios, PEER: [1.0] * len(whole)},
        log=False,
    )
    latencies = {
        f"{server}, {quantile}": [
            statistics.median(getattr(ours_and_theirs(figures)[number], quantile)) * 1e3
            for figures in scenarios
        ]
        for number, server in enumerate((OURS, PEER))
        for quantile in ("p50", "p99")
    }
    bars("latency", "Latency in ms", scenarios, latencies, log=True)
