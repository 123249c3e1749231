"""Every format by its name. A new format is one class, one line here and one golden file."""

from __future__ import annotations

from typing import Any

from exporters.axolotl import Axolotl
from exporters.errors import UnknownFormat
from exporters.exporter import Exporter
from exporters.huggingface import Huggingface
from exporters.jsonl import Jsonl
from exporters.llama_factory import LlamaFactory
from exporters.nemo_rl import NemoRl
from exporters.openai.chat import OpenaiChat
from exporters.openai.preference import OpenaiPreference
from exporters.openrlhf import OpenRlhf
from exporters.parquet import Parquet
from exporters.trl.language_modeling import TrlLanguageModeling
from exporters.trl.preference import TrlPreference
from exporters.trl.prompt_completion import TrlPromptCompletion
from exporters.trl.unpaired_preference import TrlUnpairedPreference
from exporters.verl import Verl

EXPORTERS: dict[str, type[Exporter[Any]]] = {
    exporter.name: exporter
    for exporter in (
        TrlPreference,
        TrlPromptCompletion,
        TrlLanguageModeling,
        TrlUnpairedPreference,
        OpenaiPreference,
        OpenaiChat,
        LlamaFactory,
        Axolotl,
        OpenRlhf,
        NemoRl,
        Verl,
        Huggingface,
        Jsonl,
        Parquet,
    )
}


def exporter(name: str) -> Exporter[Any]:
    """The exporter of that name, ready to write. Raises UnknownFormat, which lists the known ones."""
    if name not in EXPORTERS:
        raise UnknownFormat(name, EXPORTERS)
    return EXPORTERS[name]()
