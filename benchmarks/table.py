"""Writes the tables of docs/benchmarks.md from the figures in results/.

`python -m benchmarks.table` puts each results/NAME.json between the marks `<!-- figures: NAME -->` and
`<!-- end: NAME -->`; what no run has measured yet says so.
"""

import re
from pathlib import Path
from typing import Any

import orjson

from benchmarks.bench import RESULTS, Goal, Table, as_text

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PLACE = re.compile(r"(<!-- figures: (?P<name>[a-z_]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)


def write_tables(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Bring the tables of a page up to date with the results."""

    def filled(place: re.Match[str]) -> str:
        file = results / f"{place['name']}.json"
        figures = in_markdown(orjson.loads(file.read_bytes())) if file.exists() else "Not measured yet.\n"
        return f"{place[1]}{figures}{place[3]}"

    page.write_text(PLACE.sub(filled, page.read_text()))


def in_markdown(result: dict[str, Any]) -> str:
    """Return one benchmark's result as it stands in the page: goals first, then tables, then where it was measured."""
    goals = [Goal(**{name: goal[name] for name in Goal.__dataclass_fields__}) for goal in result["goals"]]
    parts = ["".join(f"- {goal.in_words()}\n" for goal in goals)] if goals else []
    for table in result["tables"]:
        parts.append(f"{table['title']}\n\n{_table(Table(**table))}")
    around, load = result["surroundings"], result["load"]
    notes = "".join(f" {said}." for said in result["notes"])
    parts.append(
        f"*{result['measured_at'][:10]}, {around['machine']}, Python {around['python']}, "
        f"load {load['before']:.1f} before and {load['after']:.1f} after, commit {around['commit']}, "
        f"{as_text(result['took_seconds'])} s.{notes}*\n"
    )
    return "\n".join(parts)


def _table(table: Table) -> str:
    lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1), *table.cells()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    write_tables()
