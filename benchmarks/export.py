"""Exporting a frozen version: rows a second in the formats that matter, beside Arrow reading and writing the same rows.

The floor reads the version's Parquet file and writes it again: it parses no message, checks nothing, refuses nothing.
"""

from benchmarks.bench import Bench, main
from benchmarks.databases import own_instance
from benchmarks.freeze import in_own_process
from benchmarks.pairs import fill_with_pairs

FORMATS = ("trl-preference", "openai-preference", "jsonl", "parquet", "huggingface")


def measure(bench: Bench) -> None:
    """Measure each format at each size. Which database the version came from makes no difference: one is enough."""
    kind = bench.kinds[0]
    for size in bench.sized(full=(100_000, 1_000_000), quick=(1_000, 10_000), smoke=(200,)):
        bench.table(f"Export of {size:,} pairs")
        with own_instance(kind) as instance:
            fill_with_pairs(instance.database, size)
            in_own_process("freeze", instance, size)
            floor = in_own_process("export-floor", instance, size)
            bench.row(format="floor: read and write Parquet", **columns(floor, floor, size))
            for format in bench.sized(full=FORMATS, quick=FORMATS, smoke=FORMATS[:1]):
                done = in_own_process("export", instance, size, format)
                bench.row(format=format, **columns(done, floor, size))
                if size >= 10_000:
                    bench.goal(f"{format}, {size:,}", done["rows"] / floor["rows"], unit="of the floor", at_least=0.5)


def columns(done: dict[str, float], floor: dict[str, float], rows: int) -> dict[str, float]:
    """Return the figures of a row of the table."""
    return {
        "rows per second": done["rows"],
        "of the floor": done["rows"] / floor["rows"],
        "CPU µs a row": done["cpu"] * 1e6 / rows,
        "peak MiB": done["mib"],
    }


if __name__ == "__main__":
    main("export", "Exporting a version", measure)
