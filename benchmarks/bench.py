"""One run of a benchmark: how large it is, what it measured, and whether that meets its goals.

    def measure(bench: Bench) -> None:
        bench.table("Below HTTP")
        for kind in bench.kinds:
            with own_database(kind) as url:
                size = bench.sized(full=1_000_000, quick=10_000, smoke=100)
                …
                bench.row(database=kind, items=size, **timings.columns())
        bench.goal("SQLite: p50", timings.p(50), at_most=1.0, unit="ms")

    if __name__ == "__main__":
        main("claim", "Claiming the next item", measure)

A row's keys are its columns: name them as a person reads them, with their unit.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import orjson

from benchmarks.machine import Surroundings, load

RESULTS = Path(__file__).parent / "results"
KINDS = ("sqlite", "postgresql")
Effort = Literal["full", "quick", "smoke"]
T = TypeVar("T")


@dataclass(frozen=True)
class Goal:
    """What was promised of a figure. measured is None where this run could not measure it."""

    what: str
    measured: float | None
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool | None:
        if self.measured is None:
            return None
        return (self.at_most is None or self.measured <= self.at_most) and (
            self.at_least is None or self.measured >= self.at_least
        )

    def in_words(self) -> str:
        bound = f"at most {as_text(self.at_most)}" if self.at_most is not None else f"at least {as_text(self.at_least)}"
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.is_met]
        return f"{self.what}: {as_text(self.measured)} {self.unit} ({bound}): {verdict}"


@dataclass
class Table:
    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def cells(self) -> list[list[str]]:
        return [[as_text(row.get(name)) for name in self.columns] for row in self.rows]


class Bench:
    """A run under way: gives sizes, takes figures, prints each row as it comes."""

    def __init__(self, name: str, title: str, effort: Effort, kinds: tuple[str, ...] = KINDS) -> None:
        self.name, self.title, self.effort, self.kinds = name, title, effort, kinds
        self.tables: list[Table] = []
        self.goals: list[Goal] = []
        self.notes: list[str] = []
        self.surroundings = Surroundings.now()
        self.load_before = load()
        self._began = time.monotonic()

    def sized(self, *, full: T, quick: T, smoke: T) -> T:
        """Return the size for this run: all of it, a short look, or just enough to see that it works."""
        return {"full": full, "quick": quick, "smoke": smoke}[self.effort]

    def table(self, title: str) -> None:
        """Begin a table; the rows that follow are its."""
        self.tables.append(Table(title))
        print(f"\n{title}", flush=True)

    def row(self, **figures: Any) -> None:
        """Add a row and print it. Keys with blanks: bench.row(**{"p50 ms": 1.2})."""
        if not self.tables:
            self.table(self.title)
        self.tables[-1].rows.append(figures)
        print("  " + ", ".join(f"{name} {as_text(value)}" for name, value in figures.items()), flush=True)

    def goal(
        self,
        what: str,
        measured: float | None,
        *,
        unit: str,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Compare a figure with what was promised of it."""
        self.goals.append(Goal(what, measured, unit, at_most, at_least))

    def note(self, said: str) -> None:
        """Keep a sentence that a reader of the figures needs."""
        self.notes.append(said)

    def print_all(self) -> None:
        """Print the tables once more, aligned, then notes, goals and the surroundings."""
        for table in self.tables:
            print(f"\n{table.title}\n{aligned([table.columns, *table.cells()])}")
        print()
        for said in self.notes:
            print(f"note: {said}")
        for goal in self.goals:
            print(f"goal: {goal.in_words()}")
        around = self.surroundings
        print(
            f"{around.machine}; Python {around.python}; load {self.load_before:.1f} before, {load():.1f} after; "
            f"commit {around.commit}; {self.effort}, {time.monotonic() - self._began:.0f} s",
            flush=True,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "effort": self.effort,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "took_seconds": round(time.monotonic() - self._began),
            "surroundings": asdict(self.surroundings),
            "load": {"before": round(self.load_before, 2), "after": round(load(), 2)},
            "tables": [{"title": table.title, "rows": table.rows} for table in self.tables],
            "goals": [{**asdict(goal), "is_met": goal.is_met} for goal in self.goals],
            "notes": self.notes,
        }


def main(name: str, title: str, measure: Callable[[Bench], None], *, arguments: list[str] | None = None) -> None:
    """Run a benchmark as a command. A full run over both databases keeps its figures in results/NAME.json."""

    @click.command(help=title)
    @click.option("--quick", "effort", flag_value="quick", help="A short look; keeps nothing.")
    @click.option("--smoke", "effort", flag_value="smoke", help="As little as shows that it works; keeps nothing.")
    @click.option("--database", type=click.Choice(["both", *KINDS]), default="both", show_default=True)
    @click.option("--out", type=click.Path(path_type=Path), help="Keep the figures in this JSON file.")
    def command(effort: Effort | None, database: str, out: Path | None) -> None:
        bench = Bench(name, title, effort or "full", KINDS if database == "both" else (database,))
        measure(bench)
        bench.print_all()
        if out is None and bench.effort == "full" and bench.kinds == KINDS:
            out = RESULTS / f"{name}.json"
        if out is not None:
            out.write_bytes(orjson.dumps(bench.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    command.main(arguments if arguments is not None else sys.argv[1:], prog_name=f"python -m benchmarks.{name}")


def as_text(value: Any) -> str:
    """Write a figure for people: three significant digits, thousands apart; an en dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else f"{value:,.0f}"


def aligned(lines: list[list[str]]) -> str:
    """Write rows of cells as columns of text."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))] if lines[0] else []
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
