"""Preference pairs, demonstrations and verdicts for LLaMA-Factory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import orjson

from exporters.errors import RowRefused
from exporters.exporter import Exported, Exporter
from exporters.files import JsonLines, RowFile
from exporters.plain import ensure_plain
from exporters.rows import Example, Message, PreferencePair, Row, Verdict
from exporters.shuffled import shuffled
from exporters.training import ensure_different, exact_call, training_answer, training_prompt, training_tools

SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}
ASKING = ("human", "observation")

ALL = {"messages": "conversations", "system": "system", "tools": "tools"}
INFO: dict[str, dict[str, Any]] = {
    "preference": {"ranking": True, "columns": {**ALL, "chosen": "chosen", "rejected": "rejected"}},
    "demonstration": {"columns": ALL},
    "verdict": {"columns": {**ALL, "kto_tag": "kto_tag"}},
}


class LlamaFactory(Exporter[Example]):
    """ShareGPT rows, and the dataset_info.json that names the splits and their columns to LLaMA-Factory.

    {"id": "…", "conversations": [{"from": "human", "value": "…"}], "chosen": {"from": "gpt", "value": "…"},
     "rejected": {"from": "gpt", "value": "…"}, "system": "", "tools": ""}
    {"id": "…", "conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}], …}
    {"id": "…", "conversations": […], "kto_tag": true, …}    shuffled: it sets prompts against neighbours' answers
    https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md

    It wants people (or tools) and the model to speak in turns, and skips rows where they do not. A call is JSON text of
    name and arguments; which result answers which call is said by their order alone.
    """

    name = "llama-factory"
    kind = frozenset({"preference", "demonstration", "verdict"})
    extra_files: ClassVar = {"dataset_info.json": "tells LLaMA-Factory the names of the splits and their columns"}

    def row(self, example: Example) -> Row:
        messages = training_prompt(example.prompt, exact_call)
        system = messages.pop(0)["content"] if messages[0]["role"] == "system" else ""
        turns = [turn(message, f"message {n} of the prompt") for n, message in enumerate(messages, start=1)]
        ensure_in_turns(turns)
        row: Row = {"id": example.id, "conversations": turns}
        if isinstance(example, PreferencePair):
            row |= sides(example)
        else:
            turns.append(turn(training_answer(example.completion, "completion", exact_call), "the completion"))
        if isinstance(example, Verdict):
            row["kto_tag"] = example.is_good
        # Never left out: it reads both from every row.
        return row | {"system": system, "tools": training_tools(example.tools) or ""}

    def features(self, kind: str) -> list[tuple[str, str]]:
        columns = [("id", "dtype: string"), ("conversations", f"list:\n{TURN}")]
        if kind == "preference":
            columns += [(side, f"struct:\n{TURN}") for side in ("chosen", "rejected")]
        if kind == "verdict":
            columns.append(("kto_tag", "dtype: bool"))
        return [*columns, ("system", "dtype: string"), ("tools", "dtype: string")]

    def open(self, path: Path, kind: str) -> RowFile:
        return shuffled(JsonLines(path), path) if kind == "verdict" else JsonLines(path)

    def extras(self, exported: Exported) -> dict[str, bytes]:
        known = {
            split: {"file_name": self.file_name(split), "formatting": "sharegpt", **INFO[exported.kind]}
            for split in exported.counts
        }
        return {"dataset_info.json": orjson.dumps(known, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)}


TURN = """    - name: from
      dtype: string
    - name: value
      dtype: string"""


def sides(pair: PreferencePair) -> Row:
    chosen = training_answer(pair.chosen, "chosen", exact_call)
    rejected = training_answer(pair.rejected, "rejected", exact_call)
    ensure_different(chosen, rejected)
    return {"chosen": turn(chosen, "the chosen message"), "rejected": turn(rejected, "the rejected message")}


def turn(message: Message, place: str) -> dict[str, str]:
    if message.get("name") and message["role"] != "tool":  # a tool's is that of the call before it
        raise RowRefused(f"{place} has a name, which this format has no place for", "name_not_supported")
    if message.get("tool_calls"):
        return {"from": "function_call", "value": called(message, place)}
    return {"from": SPEAKERS[message["role"]], "value": message["content"]}


def called(message: Message, place: str) -> str:
    """The calls as JSON text: an object, or a list of several."""
    if message["content"]:
        raise RowRefused(f"{place} speaks and calls a tool at once", "content_beside_tool_calls")
    calls = [call["function"] for call in message["tool_calls"]]
    ensure_plain(calls, place)  # before they become text, where nobody would look into them any more
    return orjson.dumps(calls[0] if len(calls) == 1 else calls).decode()


def ensure_in_turns(turns: list[dict[str, str]]) -> None:
    for n, one in enumerate(turns, start=1):
        if (one["from"] in ASKING) != (n % 2 == 1):
            raise RowRefused(f"turn {n} of the prompt is a {one['from']}'s, out of turn", "turns_not_alternating")
