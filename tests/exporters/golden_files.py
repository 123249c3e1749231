"""Write the golden files anew: python -m tests.exporters.golden_files"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from exporters.registry import exporter
from exporters.rows import Example
from tests.exporters.examples import DEMONSTRATIONS, PAIRS, VERDICTS

GOLDEN = Path(__file__).parent / "golden"
SOURCE = {"dataset": "support", "version": 3}

FOLDERS: dict[str, tuple[str, Sequence[Example]]] = {
    "trl-preference": ("trl-preference", PAIRS),
    "trl-prompt-completion": ("trl-prompt-completion", DEMONSTRATIONS),
    "trl-unpaired-preference": ("trl-unpaired-preference", VERDICTS),
    "jsonl-preference": ("jsonl", PAIRS),
    "jsonl-demonstration": ("jsonl", DEMONSTRATIONS),
    "jsonl-verdict": ("jsonl", VERDICTS),
    "parquet-preference": ("parquet", PAIRS),
    "parquet-demonstration": ("parquet", DEMONSTRATIONS),
    "parquet-verdict": ("parquet", VERDICTS),
}


def write(folder: str, out: Path) -> None:
    name, rows = FOLDERS[folder]
    exporter(name).write(rows, out, SOURCE)


if __name__ == "__main__":
    for folder in FOLDERS:
        shutil.rmtree(GOLDEN / folder, ignore_errors=True)
        write(folder, GOLDEN / folder)
