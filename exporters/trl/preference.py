"""Preference pairs for TRL's DPO, Reward, ORPO and CPO trainers."""

from __future__ import annotations

from exporters.batches import Line
from exporters.exporter import Exporter
from exporters.rows import PreferencePair, Row
from exporters.training import ensure_different, training_answer, training_prompt, training_tools


class TrlPreference(Exporter[PreferencePair]):
    """Preference pairs for TRL: conversational format, explicit prompt.

    {"id": "…", "prompt": [{"role": "user", "content": "…"}], "chosen": [{"role": "assistant", "content": "…"}],
     "rejected": [{"role": "assistant", "content": "…"}], "tools": "[{\\"type\\": \\"function\\", …}]"}
    https://huggingface.co/docs/trl/dataset_formats#preference

    Trainers ignore `id`; it leads from a row they lost back to the dataset version. There is no `margin` column on
    purpose: RewardTrainer would put it into its loss unasked.
    """

    name = "trl-preference"
    kind = frozenset({"preference"})

    def row(self, pair: PreferencePair) -> Row:
        chosen, rejected = training_answer(pair.chosen, "chosen"), training_answer(pair.rejected, "rejected")
        ensure_different(chosen, rejected)
        row: Row = {"id": pair.id, "prompt": training_prompt(pair.prompt), "chosen": [chosen], "rejected": [rejected]}
        tools = training_tools(pair.tools)
        return row | {"tools": tools} if tools else row

    def line(self, kind: str) -> Line:
        return Line('{"id":"<id>","prompt":<prompt>,"chosen":[<chosen>],"rejected":[<rejected>]}')

    def features(self, kind: str) -> list[tuple[str, str]]:
        messages = [(column, "list: json") for column in ("prompt", "chosen", "rejected")]
        return [("id", "dtype: string"), *messages, ("tools", "dtype: string")]
