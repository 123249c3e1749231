"""Preference pairs and demonstrations for OpenRLHF."""

from __future__ import annotations

from exporters.batches import Line
from exporters.exporter import Exporter
from exporters.rows import Demonstration, PreferencePair, Row
from exporters.text_only import MESSAGES, text_answer, text_prompt
from exporters.training import ensure_different

ANSWERS = {"preference": ("chosen", "rejected"), "demonstration": ("completion",)}


class OpenRlhf(Exporter[PreferencePair | Demonstration]):
    """Lists of messages, to be rendered with `--data.apply_chat_template`.

    {"id": "…", "prompt": [{"role": "user", "content": "…"}], "chosen": [{"role": "assistant", "content": "…"}],
     "rejected": [{"role": "assistant", "content": "…"}]}
    {"id": "…", "prompt": [{"role": "user", "content": "…"}], "completion": [{"role": "assistant", "content": "…"}]}
    https://github.com/OpenRLHF/OpenRLHF/blob/main/openrlhf/datasets/reward_dataset.py

    It gives templates no tools, so rows with tools are refused. No `margin`: it would go into the reward model's loss.
    """

    name = "openrlhf"
    kind = frozenset({"preference", "demonstration"})

    def row(self, example: PreferencePair | Demonstration) -> Row:
        row: Row = {"id": example.id, "prompt": text_prompt(example.prompt, example.tools)}
        for answer in ANSWERS[example.kind]:
            row[answer] = [text_answer(getattr(example, answer), answer)]
        if isinstance(example, PreferencePair):
            ensure_different(row["chosen"][0], row["rejected"][0])
        return row

    def line(self, kind: str) -> Line:
        answers = ",".join(f'"{answer}":[<{answer}>]' for answer in ANSWERS[kind])
        return Line('{"id":"<id>","prompt":<prompt>,' + answers + "}")

    def features(self, kind: str) -> list[tuple[str, str]]:
        return [("id", "dtype: string"), *((column, MESSAGES) for column in ("prompt", *ANSWERS[kind]))]
