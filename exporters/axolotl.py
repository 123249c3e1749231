"""Preference pairs and demonstrations for Axolotl."""

from __future__ import annotations

import pyarrow as pa

from exporters.batches import Line, conversations, with_member
from exporters.errors import RowRefused
from exporters.exporter import Exporter
from exporters.rows import Demonstration, Message, PreferencePair, Row
from exporters.text_only import MESSAGES, text_answer, text_prompt
from exporters.training import ensure_different, text_call, training_answer, training_prompt, training_tools

# What Axolotl and the templates of well-known models write before an answer that it renders on its own.
BEFORE_ANSWERS = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n[[dummy_message]]<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n[[dummy_message]]<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "<s>[INST] [[dummy_message]] [/INST] ",
    "<bos><start_of_turn>user\n[[dummy_message]]<end_of_turn>\n<start_of_turn>model\n",
)


class Axolotl(Exporter[PreferencePair | Demonstration]):
    """Pairs for `rl: dpo` with `type: chat_template.default`; demonstrations for `type: chat_template`.

    {"id": "…", "messages": [{"role": "user", "content": "…"}], "chosen": {"role": "assistant", "content": "…"},
     "rejected": {"role": "assistant", "content": "…"}}
    {"id": "…", "messages": [{"role": "user", "content": "…", "training": false},
     {"role": "assistant", "content": "…", "training": true}], "tools": "[{\\"type\\": \\"function\\", …}]"}
    https://docs.axolotl.ai/docs/rlhf.html https://docs.axolotl.ai/docs/dataset-formats/conversation.html

    For pairs it keeps role and content of each message and drops tools, calls and names, so rows that have any are
    refused. It finds the answer by looking for its first occurrence in a rendered conversation, which cuts in the wrong
    place when a template trims it or says the same words before; such answers are refused too.

    In demonstrations `training` marks the one message that people judged, for `message_field_training: training`.
    Tool arguments stay JSON text, for Axolotl parses them and no reader can merge them with another row's.
    """

    name = "axolotl"
    kind = frozenset({"preference", "demonstration"})

    def row(self, example: PreferencePair | Demonstration) -> Row:
        return pair_row(example) if isinstance(example, PreferencePair) else conversation_row(example)

    def line(self, kind: str) -> Line | None:
        if kind == "preference":  # whose answers are to be looked for in what templates write
            return None
        return Line('{"id":"<id>","messages":<conversation>}', made={"conversation": marked_conversation})

    def features(self, kind: str) -> list[tuple[str, str]]:
        if kind == "demonstration":
            return [("id", "dtype: string"), ("messages", "list: json"), ("tools", "dtype: string")]
        answers = [(side, MESSAGES.replace("list:", "struct:")) for side in ("chosen", "rejected")]
        return [("id", "dtype: string"), ("messages", MESSAGES), *answers]


def pair_row(pair: PreferencePair) -> Row:
    prompt = text_prompt(pair.prompt, pair.tools)
    chosen, rejected = findable_answer(pair.chosen, "chosen"), findable_answer(pair.rejected, "rejected")
    ensure_different(chosen, rejected)
    return {"id": pair.id, "messages": prompt, "chosen": chosen, "rejected": rejected}


def findable_answer(answer: Message, side: str) -> Message:
    message = text_answer(answer, side)
    said = message["content"]
    if said != said.strip():
        raise RowRefused(f"the {side} message has white space at an edge, which templates trim", "answer_not_found")
    if any(said in before for before in BEFORE_ANSWERS):
        raise RowRefused(f"the {side} message says what templates say before it", "answer_not_found")
    return message


def conversation_row(example: Demonstration) -> Row:
    prompt = training_prompt(example.prompt, text_call)
    answer = training_answer(example.completion, "completion", text_call)
    messages = [*({**message, "training": False} for message in prompt), {**answer, "training": True}]
    row: Row = {"id": example.id, "messages": messages}
    tools = training_tools(example.tools)
    return row | {"tools": tools} if tools else row


def marked_conversation(batch: pa.RecordBatch) -> pa.LargeStringArray:
    """Plain demonstrations as `conversation_row` makes them of one."""
    earlier = with_member(batch.column("prompt"), '"training":false')
    return conversations(earlier, with_member(batch.column("completion"), '"training":true'))
