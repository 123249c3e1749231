"""What an exporter is given: plain values, as they lie in a frozen dataset version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

# One message in OpenAI's chat shape: role, content (string, null or a list of parts), name, tool_calls, tool_call_id,
# refusal, reasoning_content. https://platform.openai.com/docs/api-reference/chat/create
Message = dict[str, Any]

# One tool of OpenAI's `tools` parameter: {"type": "function", "function": {"name", "description", "parameters"}}.
Tool = dict[str, Any]

# One row of a file: names and JSON values.
Row = dict[str, Any]


SPLITS = ("train", "validation", "test")  # the names that load_dataset and TRL know


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """To this prompt, people preferred one answer over the other."""

    kind: ClassVar[str] = "preference"

    prompt: list[Message]
    chosen: Message
    rejected: Message
    tools: list[Tool] | None
    split: str  # one of SPLITS
    id: str  # the row's content hash
    origin: str  # correction, ranking, …: where the evidence is from
    agreement: float  # share of the judgements that agree with this order, 0 to 1
    margin: float | None  # mean distance between the two on the rubric's scale; None where nothing was measured


@dataclass(frozen=True, slots=True)
class Demonstration:
    """To this prompt, a person wrote or approved this answer."""

    kind: ClassVar[str] = "demonstration"

    prompt: list[Message]
    completion: Message
    tools: list[Tool] | None
    split: str
    id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """To this prompt, people found this answer good or bad in itself, not better or worse than another.

    Never made from a pair: the better of two bad answers is bad, and the worse of two good ones is good.
    """

    kind: ClassVar[str] = "verdict"

    prompt: list[Message]
    completion: Message
    is_good: bool
    tools: list[Tool] | None
    split: str
    id: str
    origin: str  # reviewer or end_user: who said so
    agreement: float  # share of the verdicts that agree with this one, 0 to 1


Example = PreferencePair | Demonstration | Verdict
