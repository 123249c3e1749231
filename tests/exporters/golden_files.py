"""Write the golden files anew: python -m tests.exporters.golden_files"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from exporters.registry import EXPORTERS, exporter
from exporters.rows import Example
from tests.exporters.examples import OF_KIND

GOLDEN = Path(__file__).parent / "golden"
SOURCE = {"dataset": "support", "version": 3}

# One folder for each format and kind: trl-preference, or jsonl-verdict where a format takes several.
FOLDERS: dict[str, tuple[str, Sequence[Example]]] = {
    name if len(known.kind) == 1 else f"{name}-{kind}": (name, OF_KIND[kind])
    for name, known in EXPORTERS.items()
    for kind in sorted(known.kind)
}


def write(folder: str, out: Path) -> None:
    name, rows = FOLDERS[folder]
    exporter(name).write(rows, out, SOURCE)


if __name__ == "__main__":
    for folder in FOLDERS:
        shutil.rmtree(GOLDEN / folder, ignore_errors=True)
        write(folder, GOLDEN / folder)
