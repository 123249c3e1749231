"""The shipped conversations and answers, as the rows that a client would send.

Everything comes from the files in `data/`, whose README says who made them and what is not in them. Where a source does
not say something (who wrote, when, which tools there were), the row does not say it either.
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeAlias

import orjson

JsonObject: TypeAlias = dict[str, Any]
_ASKS_FOR_A_TEXT = re.compile(
    r"(?:please |could you please |can you )?write (?:me )?(?:a|an) (?!chrome)", re.IGNORECASE
)  # one asks for a program
SourceFile: TypeAlias = Literal["production_stream", "star_dialogues", "model_outputs", "rated_answers"]


def support_responses() -> Iterator[JsonObject]:
    """Yield 1,281 answers of customer-service agents, each with the conversation before it, in the order of time.

    They were written by people, so none names a model.
    """
    for row in _rows("production_stream"):
        yield {
            "client_id": row["id"],
            "conversation_id": row["conversation_id"],
            "turn": row["turn"],
            "end_user": None,
            "input": {"messages": row["messages"], "tools": []},
            "output": {"role": "assistant", "content": row["response"]},
            **_nothing_of_a_model(),
            "created_at": row["at"],
            "signals": {},
            "metadata": {
                "source": row["source"],
                "domains": row["domains"],
                "agent": row["responder"],
                "agent_draft": row["draft"],
                "suggestion_taken": row["picked"],
            },
        }


def support_feedback() -> Iterator[JsonObject]:
    """Yield what the users of these conversations answered when asked about them afterwards."""
    for row in _rows("production_stream"):
        yield from _feedback(row["conversation_id"], row["conversation_feedback"])


def tool_responses() -> Iterator[JsonObject]:
    """Yield 266 answers that report what a tool said, with the tool calls before them, in the order of time.

    One for each conversation: the answer after the last tool result. The conversations of `support_responses` are left
    out, so that one project can take both without telling a conversation twice.
    """
    answers = ((dialogue, _answer_after_last_tool(dialogue)) for dialogue in _tool_dialogues())
    for dialogue, place in sorted(answers, key=lambda found: str(found[0]["messages"][found[1]]["at"])):
        said = dialogue["messages"]
        yield {
            "client_id": f"{dialogue['id']}-{place}",
            "conversation_id": dialogue["id"],
            "turn": sum(_is_answer(message) for message in said[:place]),
            "end_user": dialogue["user_worker"],
            "input": {"messages": _chat_messages(said[:place]), "tools": []},
            "output": {"role": "assistant", "content": said[place]["content"]},
            **_nothing_of_a_model(),
            "created_at": said[place]["at"],
            "signals": {},
            "metadata": {
                "source": dialogue["source"],
                "domains": dialogue["domains"],
                "agent": dialogue["agent_worker"],
                "agent_draft": said[place]["draft"],
                "suggestion_taken": said[place]["picked"],
                "user_was_told": dialogue["user_task"],
                "everything_was_available": dialogue["happy_path"],
            },
        }


def tool_feedback() -> Iterator[JsonObject]:
    """Yield what the users of the conversations with tools answered when asked about them afterwards."""
    for dialogue in _tool_dialogues():
        yield from _feedback(dialogue["id"], dialogue["user_feedback"])


def star_exchanges() -> Iterator[tuple[str, str, str]]:
    """Yield each time that an agent of the STAR dialogues answered a user: the dialogue, what was asked, the answer."""
    for dialogue in _rows("star_dialogues"):
        asked = ""
        for message in dialogue["messages"]:
            if message["role"] == "user":
                asked = message["content"]
            elif _is_answer(message) and asked:
                yield dialogue["id"], asked, message["content"]
                asked = ""


def star_customers() -> Iterator[tuple[str, list[str]]]:
    """Yield what the customers of the shipped STAR dialogues wrote, dialogue by dialogue, with its name."""
    for dialogue in _rows("star_dialogues"):
        lines = [str(message["content"]) for message in dialogue["messages"] if message["role"] == "user"]
        if lines:
            yield dialogue["id"], lines


@dataclass(frozen=True)
class WritingRequest:
    """A text that somebody wanted, and what each of five models wrote."""

    name: str  # its first words
    text: str
    drafts: list[str]


def writing_requests() -> list[WritingRequest]:
    """Return those 8 of the 153 prompts that ask for a text to read: stories, a manual, a list, a comedy script."""
    found: dict[str, WritingRequest] = {}
    for row in _rows("model_outputs"):
        text = str(row["messages"][-1]["content"])
        asks = _ASKS_FOR_A_TEXT.match(text)
        if len(row["messages"]) == 1 and asks:
            name = "-".join(re.findall(r"[a-z0-9]+", text[asks.end() :].lower())[:5])
            found.setdefault(name, WritingRequest(name, text, [])).drafts.append(str(row["response"]))
    return list(found.values())


def model_responses() -> Iterator[JsonObject]:
    """Yield 765 answers: five models on the same 153 prompts, one answer each."""
    for row in _rows("model_outputs"):
        yield {
            "client_id": row["id"],
            "conversation_id": None,
            "turn": None,
            "end_user": None,
            "input": {"messages": row["messages"], "tools": []},
            "output": {"role": "assistant", "content": row["response"]},
            "model": row["model"],
            "model_version": None,
            "prompt_name": None,
            "prompt_version": None,
            "parameters": row["sampling_params"],
            "created_at": f"{row['generated_at']}Z",
            "context": [],
            "signals": {},
            "may_train": "yes",
            "metadata": {
                "source": row["source"],
                "prompt_id": row["prompt_id"],
                "sampling_config": row["sampling_config"],
            },
        }


def rated_responses() -> Iterator[JsonObject]:
    """Yield 120 answers of a coffee bar's and a ticket desk's assistant, half of which got a thumb up, half one down.

    The source names neither model nor time.
    """
    for row in _rows("rated_answers"):
        yield {
            "client_id": row["id"],
            "conversation_id": None,
            "turn": None,
            "end_user": None,
            "input": {"messages": _with_calls(row["messages"]), "tools": []},
            "output": {"role": "assistant", "content": row["response"]["content"]},
            **_nothing_of_a_model(),
            "signals": {},
            "metadata": {"source": row["source"], "domains": [row["vertical"]]},
        }


def rated_feedback() -> Iterator[JsonObject]:
    """Yield the thumb of each of these answers. The source does not say when it was given."""
    for row in _rows("rated_answers"):
        yield {
            "client_id": row["id"],
            "kind": "thumbs",
            "value": row["thumbs_up"],
            "comment": None,
            "source": "end_user",
            "given_at": None,
        }


def _nothing_of_a_model() -> JsonObject:
    return {
        "model": None,
        "model_version": None,
        "prompt_name": None,
        "prompt_version": None,
        "parameters": {},
        "context": [],
        "may_train": "yes",  # published under a licence that allows it
    }


def _tool_dialogues() -> Iterator[JsonObject]:
    told_already = {row["conversation_id"] for row in _rows("production_stream")}
    for dialogue in _rows("star_dialogues"):
        has_tool = any(message["role"] == "tool" for message in dialogue["messages"])
        if has_tool and dialogue["id"] not in told_already:
            yield dialogue


def _answer_after_last_tool(dialogue: JsonObject) -> int:
    """Return the place of the first answer after the last tool result."""
    said = dialogue["messages"]
    last_tool = max(place for place, message in enumerate(said) if message["role"] == "tool")
    return next(place for place in range(last_tool + 1, len(said)) if _is_answer(said[place]))


def _is_answer(message: JsonObject) -> bool:
    return message["role"] == "assistant" and message["content"] is not None


def _chat_messages(said: list[JsonObject]) -> list[JsonObject]:
    """Return the messages in OpenAI's chat shape. The source numbers no calls, so a call's id is its place."""
    return [_chat_message(message, place) for place, message in enumerate(said)]


def _chat_message(message: JsonObject, place: int) -> JsonObject:
    if message["role"] == "tool":  # always right after its call
        return {"role": "tool", "tool_call_id": f"call_{place - 1}", "content": _json(message["content"])}
    if call := message.get("tool_call"):
        function = {"name": call["name"], "arguments": _json(_arguments(call["arguments"]))}
        called = {"id": f"call_{place}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [called]}
    return {"role": message["role"], "content": message["content"]}


def _with_calls(said: list[JsonObject]) -> list[JsonObject]:
    """Return messages whose calls and results are {name: value} as messages of `_chat_messages`."""
    return _chat_messages([_named(message) for message in said])


def _named(message: JsonObject) -> JsonObject:
    if message["role"] == "tool":
        (result,) = message["content"].values()  # always right after its call, which names it
        return {"role": "tool", "content": result}
    if call := message.get("tool_call"):
        ((name, arguments),) = call.items()
        return {
            "role": "assistant",
            "tool_call": {"name": name, "arguments": [{key: _json(value)} for key, value in arguments.items()]},
        }
    return message


def _arguments(given: list[JsonObject]) -> JsonObject:
    """Return the arguments as one object: [{"Name": '"Ann"'}, {"Day": '"1st"'}] → {"Name": "Ann", "Day": "1st"}.

    Agents could fill a field more than once: then its value is the list of the different ones.
    """
    values: dict[str, list[Any]] = {}
    for name, text in (pair for one in given for pair in one.items()):
        value = _argument(text)
        seen = values.setdefault(name, [])
        if value not in seen:
            seen.append(value)
    return {name: seen[0] if len(seen) == 1 else seen for name, seen in values.items()}


def _argument(text: str) -> Any:
    """Return what an agent filled in: mostly JSON. A condition, such as `api.is_at_most(5)`, stays a text."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _feedback(conversation_id: str, answers: list[JsonObject] | None) -> Iterator[JsonObject]:
    """Yield one piece of feedback for each question. The sources do not say when it was answered."""
    for asked in answers or []:
        is_about_manner = "calm and helpful" in asked["question"]
        yield {
            "conversation_id": conversation_id,
            "kind": "calm_and_helpful" if is_about_manner else "task_done",
            "value": asked["answer"],
            "comment": asked["question"],
            "source": "end_user",
            "given_at": None,
        }


@cache
def _rows(name: SourceFile) -> tuple[JsonObject, ...]:
    packed = files("hitl.demo").joinpath("data", f"{name}.jsonl.gz").read_bytes()
    return tuple(orjson.loads(line) for line in gzip.decompress(packed).splitlines())
