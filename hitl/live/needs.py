"""Why somebody should look at a conversation: what the board sorts by.

Each is {"kind", "text", "since"}, at most one of a kind. Kinds, the most urgent first:

    held           a draft waits for a person
    wants_person   the user asked for one
    alert          the policy says so
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from hitl.core import clock
from hitl.live.models import LiveConversation

KINDS = ("held", "wants_person", "alert")
DISMISSIBLE = ("wants_person", "alert")  # a hold ends by a decision


def add(talk: LiveConversation, kind: str, text: str) -> None:
    """Say why somebody should look. A kind that is named already keeps its time and gets the newer words."""
    known = {need["kind"]: need for need in talk.needs}
    since = known[kind]["since"] if kind in known else clock.now().isoformat()
    known[kind] = {"kind": kind, "text": text, "since": since}
    _set(talk, known.values())


def dismissible(talk: LiveConversation) -> list[dict[str, Any]]:
    """Return what somebody may say that it is dealt with."""
    return [need for need in talk.needs if need["kind"] in DISMISSIBLE]


def drop(talk: LiveConversation, *kinds: str) -> None:
    """Take back what no longer needs anybody."""
    _set(talk, [need for need in talk.needs if need["kind"] not in kinds])


def _set(talk: LiveConversation, needs: Iterable[dict[str, Any]]) -> None:
    talk.needs = sorted(needs, key=lambda need: KINDS.index(need["kind"]))
    talk.needs_since = min((datetime.fromisoformat(need["since"]) for need in talk.needs), default=None)
