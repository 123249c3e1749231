"""Demonstrations for OpenAI's supervised fine-tuning."""

from __future__ import annotations

import pyarrow as pa

from exporters.batches import Line, conversations, with_member
from exporters.exporter import Exporter
from exporters.openai.messages import openai_answer, openai_prompt, openai_tools
from exporters.rows import Demonstration, Message, Row


class OpenaiChat(Exporter[Demonstration]):
    """Demonstrations for supervised fine-tuning at OpenAI and the many services that take its files.

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…", "weight": 0},
     {"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}], "tools": […]}
    https://platform.openai.com/docs/guides/supervised-fine-tuning

    People judged the last message only, so the assistant's earlier ones have the weight 0 and are not learned.
    """

    name = "openai-chat"
    kind = frozenset({"demonstration"})

    def row(self, example: Demonstration) -> Row:
        answer = openai_answer(example.completion, "completion")
        earlier = [unlearned(message) for message in openai_prompt(example.prompt)]
        return {"messages": [*earlier, answer], **openai_tools(example.tools)}

    def line(self, kind: str) -> Line:
        return Line('{"messages":<conversation>}', made={"conversation": conversation})

    def features(self, kind: str) -> list[tuple[str, str]]:
        return [("messages", "list: json"), ("tools", "list: json")]


def conversation(batch: pa.RecordBatch) -> pa.LargeStringArray:
    """Plain rows as `row` makes them of one."""
    earlier = with_member(batch.column("prompt"), '"weight":0', role="assistant")
    return conversations(earlier, batch.column("completion"))


def unlearned(message: Message) -> Message:
    return {**message, "weight": 0} if message["role"] == "assistant" else message
