"""The real answers that a journey begins with, and what end users said about them."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from hitl.demo import real_data

AGENT_ANSWERS = 8  # of people at a service desk, with their tool calls
RANKED_PROMPTS = 4  # answered by five models each
PAIRED_PROMPTS = 3  # of which two models' answers are taken
THUMBS_OF_A_KIND = 10  # up, and as many down


def agent_answers() -> list[dict[str, Any]]:
    """Answers of customer-service agents, each with words of its own, after short conversations with tool calls."""
    short = (row for row in real_data.tool_responses() if len(json.dumps(row["input"])) < 4_000)
    return list(islice(_differing(short), AGENT_ANSWERS))


def agent_feedback() -> list[dict[str, Any]]:
    """What the users of these conversations said."""
    known = {row["conversation_id"] for row in agent_answers()}
    return [row for row in real_data.tool_feedback() if row["conversation_id"] in known]


def ranked_answers() -> list[dict[str, Any]]:
    """Five models on each of a few prompts: those with the shortest answers."""
    return [row for answers in _by_prompt()[:RANKED_PROMPTS] for row in answers]


def paired_answers() -> list[list[dict[str, Any]]]:
    """Two models on each of a few other prompts."""
    return [answers[:2] for answers in _by_prompt()[RANKED_PROMPTS : RANKED_PROMPTS + PAIRED_PROMPTS]]


def thumbed_answers() -> list[tuple[dict[str, Any], bool]]:
    """Answers, each with words of its own, and whether the thumb that they got was up."""
    thumb_of = {row["client_id"]: row["value"] for row in real_data.rated_feedback()}
    rows = list(_differing(real_data.rated_responses()))
    chosen = []
    for is_up in (True, False):
        alike = [row for row in rows if thumb_of[row["client_id"]] is is_up]
        chosen += sorted(alike, key=lambda row: len(json.dumps(row["input"])))[:THUMBS_OF_A_KIND]
    return [(row, thumb_of[row["client_id"]]) for row in chosen]


def all_words() -> list[str]:
    """All that was said, to make a tokenizer from."""
    messages = [message for row in _all() for message in [*row["input"]["messages"], row["output"]]]
    return [message["content"] for message in messages if message["content"]]


def all_answers() -> list[str]:
    """All that was answered."""
    return [text_of(row) for row in _all()]


def text_of(row: dict[str, Any]) -> str:
    """What was answered."""
    text: str = row["output"]["content"]
    return text


def _all() -> list[dict[str, Any]]:
    pairs = [row for pair in paired_answers() for row in pair]
    return [*agent_answers(), *ranked_answers(), *pairs, *(row for row, _ in thumbed_answers())]


def _differing(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen = set()
    for row in rows:
        if text_of(row) not in seen:
            seen.add(text_of(row))
            yield row


def _by_prompt() -> list[list[dict[str, Any]]]:
    """The models' answers to each prompt, the prompts with the shortest answers first."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for row in real_data.model_responses():
        answers.setdefault(row["metadata"]["prompt_id"], []).append(row)
    return sorted(answers.values(), key=lambda rows: max(len(text_of(row)) for row in rows))
