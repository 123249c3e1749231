"""Runs every benchmark, one after another, and writes the tables: `python -m benchmarks.all`."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.table import write_tables

# Run by their names only: they fetch a server of somebody else's, about 1 GB.
FETCHING = {"peers"}
IS_BENCHMARK = re.compile(r'^    main\("', re.MULTILINE)


def names() -> list[str]:
    """The benchmarks that need nothing but this project: each file here that ends in a command of its name."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [file.stem for file in files if file.stem not in FETCHING and IS_BENCHMARK.search(file.read_text())]


if __name__ == "__main__":
    for name in names():
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=False)
    if not sys.argv[1:]:
        write_tables()
