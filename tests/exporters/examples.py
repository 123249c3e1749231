"""Real rows, in the shapes that exports meet. golden/README.md says where the words are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporters.rows import Demonstration, Example, PreferencePair, Verdict

PLANE_BOOK = {
    "type": "function",
    "function": {
        "name": "plane_book",
        "description": "Check or book a flight.",
        "parameters": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "CustomerName": {"type": "string"},
                "RequestType": {"type": "string", "enum": ["Check", "Book"]},
            },
            "required": ["id", "RequestType"],
        },
    },
}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def call(name: str, arguments: str, id: str = "call_1") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def result(text: str, id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "name": "plane_book", "content": text}


CHECK = '{"id": "766", "CustomerName": "Mark", "RequestType": "Check"}'
BOOK = '{"id": "146", "CustomerName": "Mark", "RequestType": "Book"}'

FLIGHT = [
    user("I need a flight reserved ASAP!"),
    assistant("May I have your name, please?"),
    user("I guess so.  My name is Mark."),
    call("plane_book", CHECK),
    result('{"APIName": "plane_book", "Message": "Available", "id": 766}'),
    assistant("Can I have your flight ID, please?"),
    user("Whatever. It's 146."),
]

HOTEL = [
    {"role": "system", "content": "You work at the reception of the Hilton Hotel."},
    user("I need to make a service request. Can you help?"),
    assistant("Could I get your name, please?"),
    user("John"),
]

PRINCETON = (
    "General Lord Cornwallis had left 1,400 British troops under the command of Lieutenant Colonel Charles Mawhood "
    "in Princeton."
)

PAIRS = [
    PreferencePair(
        prompt=HOTEL,
        chosen=assistant("Do you have a hotel name in mind?"),
        rejected=assistant("Do you have a hotel preference?"),
        tools=None,
        split="train",
        id="1f" * 32,
        origin="correction",
        agreement=1.0,
        margin=2.0,
    ),
    PreferencePair(
        prompt=FLIGHT,
        chosen=call("plane_book", BOOK, "call_2"),
        rejected=assistant("The flight id is 766"),
        tools=[PLANE_BOOK],
        split="train",
        id="2e" * 32,
        origin="ranking",
        agreement=0.75,
        margin=None,
    ),
    PreferencePair(
        prompt=[user([{"type": "text", "text": "Who led the british in the battle of princeton?"}])],
        chosen={**assistant(PRINCETON), "reasoning_content": "The passage names Cornwallis and Mawhood."},
        rejected=assistant(
            "The Battle of Princeton was a battle of the American Revolutionary War, fought near Princeton, New Jersey "
            "on January 3, 1777."
        ),
        tools=None,
        split="test",
        id="3d" * 32,
        origin="correction",
        agreement=0.6666666666666666,
        margin=1.5,
    ),
]

DEMONSTRATIONS = [
    Demonstration(
        HOTEL, assistant("Right, please let us know your request now."), None, "train", "4c" * 32, "approval"
    ),
    Demonstration(FLIGHT, call("plane_book", BOOK, "call_2"), [PLANE_BOOK], "validation", "5b" * 32, "correction"),
    Demonstration(
        [
            {"role": "developer", "content": "Answer in one sentence."},
            user("Why do people say “gif” in two ways — and which is right? 🙂"),
        ],
        assistant("Yes, both pronunciations are technically correct."),
        None,
        "train",
        "6a" * 32,
        "approval",
    ),
]

VERDICTS = [
    Verdict(HOTEL, assistant("Do you have a hotel name in mind?"), True, None, "train", "7d" * 32, "reviewer", 1.0),
    Verdict(HOTEL, assistant("Do you have a hotel preference?"), False, None, "train", "8c" * 32, "end_user", 0.75),
    Verdict(FLIGHT, call("plane_book", BOOK, "call_2"), True, [PLANE_BOOK], "train", "9b" * 32, "reviewer", 1.0),
    Verdict(FLIGHT, assistant("The flight id is 766"), False, [PLANE_BOOK], "test", "af" * 32, "reviewer", 1.0),
]

OF_KIND: dict[str, Sequence[Example]] = {"preference": PAIRS, "demonstration": DEMONSTRATIONS, "verdict": VERDICTS}
PAIR, DEMONSTRATION, VERDICT = PAIRS[0], DEMONSTRATIONS[0], VERDICTS[0]


def pair(**changes: Any) -> PreferencePair:
    return replace(PAIR, **changes)


def demonstration(**changes: Any) -> Demonstration:
    return replace(DEMONSTRATION, **changes)


def verdict(**changes: Any) -> Verdict:
    return replace(VERDICT, **changes)
