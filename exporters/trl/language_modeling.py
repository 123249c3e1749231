"""Demonstrations as whole conversations, for TRL's SFT trainer."""

from __future__ import annotations

from exporters.batches import Line, conversation
from exporters.exporter import Exporter
from exporters.rows import Demonstration, Row
from exporters.training import training_answer, training_prompt, training_tools


class TrlLanguageModeling(Exporter[Demonstration]):
    """Demonstrations for TRL: one conversation; SFTTrainer learns all of it.

    {"id": "…", "messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}],
     "tools": "[{\\"type\\": \\"function\\", …}]"}
    https://huggingface.co/docs/trl/dataset_formats#language-modeling

    People judged the last message only; `trl-prompt-completion` teaches that one and nothing else.
    """

    name = "trl-language-modeling"
    kind = frozenset({"demonstration"})

    def row(self, example: Demonstration) -> Row:
        answer = training_answer(example.completion, "completion")
        row: Row = {"id": example.id, "messages": [*training_prompt(example.prompt), answer]}
        tools = training_tools(example.tools)
        return row | {"tools": tools} if tools else row

    def line(self, kind: str) -> Line:
        return Line('{"id":"<id>","messages":<conversation>}', made={"conversation": conversation})

    def features(self, kind: str) -> list[tuple[str, str]]:
        return [("id", "dtype: string"), ("messages", "list: json"), ("tools", "dtype: string")]
