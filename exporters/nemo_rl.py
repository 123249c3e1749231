"""Preference pairs and demonstrations for NVIDIA's NeMo RL."""

from __future__ import annotations

from exporters.batches import Line, conversation
from exporters.exporter import Exporter
from exporters.rows import Demonstration, PreferencePair, Row
from exporters.text_only import MESSAGES, text_answer, text_prompt
from exporters.training import ensure_different

COMPLETIONS = """list:
    - name: rank
      dtype: int64
    - name: completion
      list:
      - name: role
        dtype: string
      - name: content
        dtype: string"""


class NemoRl(Exporter[PreferencePair | Demonstration]):
    """Pairs for `dataset_name: PreferenceDataset`, the better one with rank 0; demonstrations for `openai_format`.

    {"id": "…", "context": [{"role": "user", "content": "…"}], "completions": [
     {"rank": 0, "completion": [{"role": "assistant", "content": "…"}]},
     {"rank": 1, "completion": [{"role": "assistant", "content": "…"}]}]}
    {"id": "…", "messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
    https://github.com/NVIDIA-NeMo/RL/blob/main/docs/guides/dpo.md
    https://github.com/NVIDIA-NeMo/RL/blob/main/docs/guides/sft.md

    Its reader gives every message and every tool call the keys of all others, and pairs get no tools: rows with tools
    are refused.
    """

    name = "nemo-rl"
    kind = frozenset({"preference", "demonstration"})

    def row(self, example: PreferencePair | Demonstration) -> Row:
        prompt = text_prompt(example.prompt, example.tools)
        if isinstance(example, Demonstration):
            return {"id": example.id, "messages": [*prompt, text_answer(example.completion, "completion")]}
        chosen, rejected = text_answer(example.chosen, "chosen"), text_answer(example.rejected, "rejected")
        ensure_different(chosen, rejected)
        ranked = [{"rank": rank, "completion": [answer]} for rank, answer in enumerate((chosen, rejected))]
        return {"id": example.id, "context": prompt, "completions": ranked}

    def line(self, kind: str) -> Line:
        if kind == "demonstration":
            return Line('{"id":"<id>","messages":<conversation>}', made={"conversation": conversation})
        ranked = '{"rank":0,"completion":[<chosen>]},{"rank":1,"completion":[<rejected>]}'
        return Line('{"id":"<id>","context":<prompt>,"completions":[' + ranked + "]}")

    def features(self, kind: str) -> list[tuple[str, str]]:
        if kind == "demonstration":
            return [("id", "dtype: string"), ("messages", MESSAGES)]
        return [("id", "dtype: string"), ("context", MESSAGES), ("completions", COMPLETIONS)]
