"""Verdicts for TRL's KTO trainer."""

from __future__ import annotations

from pathlib import Path

from exporters.exporter import Exporter
from exporters.files import JsonLines, RowFile
from exporters.rows import Row, Verdict
from exporters.shuffled import shuffled
from exporters.training import training_answer, training_prompt, training_tools


class TrlUnpairedPreference(Exporter[Verdict]):
    """Verdicts for TRL: conversational prompt and completion, and whether the completion is good. Shuffled.

    {"id": "…", "prompt": [{"role": "user", "content": "…"}], "completion": [{"role": "assistant", "content": "…"}],
     "label": true, "tools": "[{\\"type\\": \\"function\\", …}]"}
    https://huggingface.co/docs/trl/dataset_formats#unpaired-preference

    KTOTrainer takes rows in the order of the file and gives each prompt the completion of the row before, to see what
    the model says of answers that do not belong. Beside another answer to the same prompt that fails without a word.
    """

    name = "trl-unpaired-preference"
    kind = frozenset({"verdict"})

    def row(self, verdict: Verdict) -> Row:
        completion = training_answer(verdict.completion, "completion")
        row: Row = {"id": verdict.id, "prompt": training_prompt(verdict.prompt), "completion": [completion]}
        row["label"] = verdict.is_good
        tools = training_tools(verdict.tools)
        return row | {"tools": tools} if tools else row

    def features(self, kind: str) -> list[tuple[str, str]]:
        messages = [(column, "list: json") for column in ("prompt", "completion")]
        return [("id", "dtype: string"), *messages, ("label", "dtype: bool"), ("tools", "dtype: string")]

    def open(self, path: Path, kind: str) -> RowFile:
        return shuffled(JsonLines(path), path)
