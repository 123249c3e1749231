"""Every format by its name. A new format is one class, one line here and one golden file."""

from __future__ import annotations

from typing import Any

from exporters.errors import UnknownFormat
from exporters.exporter import Exporter
from exporters.jsonl import Jsonl
from exporters.parquet import Parquet
from exporters.trl.preference import TrlPreference
from exporters.trl.prompt_completion import TrlPromptCompletion
from exporters.trl.unpaired_preference import TrlUnpairedPreference

EXPORTERS: dict[str, type[Exporter[Any]]] = {
    exporter.name: exporter for exporter in (TrlPreference, TrlPromptCompletion, TrlUnpairedPreference, Jsonl, Parquet)
}


def exporter(name: str) -> Exporter[Any]:
    """The exporter of that name, ready to write. Raises UnknownFormat, which lists the known ones."""
    if name not in EXPORTERS:
        raise UnknownFormat(name, EXPORTERS)
    return EXPORTERS[name]()
