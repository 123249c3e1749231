"""Demonstrations for TRL's SFT trainer."""

from __future__ import annotations

from exporters.batches import Line
from exporters.exporter import Exporter
from exporters.rows import Demonstration, Row
from exporters.training import training_answer, training_prompt, training_tools


class TrlPromptCompletion(Exporter[Demonstration]):
    """Demonstrations for TRL: conversational prompt and completion; SFTTrainer learns the completion only.

    {"id": "…", "prompt": [{"role": "user", "content": "…"}], "completion": [{"role": "assistant", "content": "…"}],
     "tools": "[{\\"type\\": \\"function\\", …}]"}
    https://huggingface.co/docs/trl/dataset_formats#prompt-completion
    """

    name = "trl-prompt-completion"
    kind = frozenset({"demonstration"})

    def row(self, example: Demonstration) -> Row:
        completion = training_answer(example.completion, "completion")
        row: Row = {"id": example.id, "prompt": training_prompt(example.prompt), "completion": [completion]}
        tools = training_tools(example.tools)
        return row | {"tools": tools} if tools else row

    def line(self, kind: str) -> Line:
        return Line('{"id":"<id>","prompt":<prompt>,"completion":[<completion>]}')

    def features(self, kind: str) -> list[tuple[str, str]]:
        messages = [(column, "list: json") for column in ("prompt", "completion")]
        return [("id", "dtype: string"), *messages, ("tools", "dtype: string")]
