"""Preference pairs for OpenAI's DPO."""

from __future__ import annotations

from exporters.batches import Line
from exporters.exporter import Exporter
from exporters.openai.messages import openai_answer, openai_prompt, openai_tools
from exporters.rows import PreferencePair, Row
from exporters.training import ensure_different


class OpenaiPreference(Exporter[PreferencePair]):
    """Preference pairs for DPO at OpenAI, Azure and Together: one answer on each side.

    {"input": {"messages": [{"role": "user", "content": "…"}], "tools": […]},
     "preferred_output": [{"role": "assistant", "content": "…"}],
     "non_preferred_output": [{"role": "assistant", "content": "…"}]}
    https://platform.openai.com/docs/guides/direct-preference-optimization

    No other key, for the service refuses the file; the order of the rows leads back to the dataset version.
    """

    name = "openai-preference"
    kind = frozenset({"preference"})

    def row(self, pair: PreferencePair) -> Row:
        chosen, rejected = openai_answer(pair.chosen, "chosen"), openai_answer(pair.rejected, "rejected")
        ensure_different(chosen, rejected)
        asked = {"messages": openai_prompt(pair.prompt), **openai_tools(pair.tools)}
        return {"input": asked, "preferred_output": [chosen], "non_preferred_output": [rejected]}

    def line(self, kind: str) -> Line:
        sides = '"preferred_output":[<chosen>],"non_preferred_output":[<rejected>]'
        return Line('{"input":{"messages":<prompt>},' + sides + "}")

    def features(self, kind: str) -> list[tuple[str, str]]:
        answers = [(side, "list: json") for side in ("preferred_output", "non_preferred_output")]
        return [("input", "dtype: json"), *answers]
