"""What is to become of a draft, as the program sees it that wrote it and waits."""

from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.core.database import Database
from hitl.live.models import Draft, Event, Hold, Intervention
from hitl.live.speaking import WHY_UNSENT
from hitl.live.topics import topic_of

_WORDS = {"proposed": "wait", "held": "wait", "streaming": "stream", "sent": "send", "unsent": "drop"}


@dataclass(frozen=True)
class DraftDecision:
    """What is to become of a draft. word: send, stream, wait, regenerate or drop."""

    word: str
    draft: Draft
    hold: Hold | None  # it waits, or waited, under
    message: Event | None  # what was sent to the user: the draft, or what a person made of it
    why: str | None  # it is not sent, as a sentence
    reason: str | None  # why a person refused it, in their words


def decision_about(db: Session, draft: Draft) -> DraftDecision:
    """Return what is to become of a draft as things stand."""
    hold = db.scalar(select(Hold).where(Hold.draft_id == draft.id))
    message = db.scalar(
        select(Event).where(
            Event.conversation_id == draft.conversation_id, Event.draft_id == draft.id, Event.kind == "message"
        )
    )
    if message is not None:
        return DraftDecision("send", draft, hold, message, None, None)
    is_refused = draft.why_unsent == "refused"
    why = None if draft.why_unsent is None else WHY_UNSENT[draft.why_unsent]
    reason = _reason_of_refusal(db, draft) if is_refused else None
    return DraftDecision("regenerate" if is_refused else _WORDS[draft.state], draft, hold, None, why, reason)


def wait_for_decision(database: Database, conversation_id: UUID, draft_id: UUID, seconds: float) -> None:
    """Return once a draft does not wait for a person any more, or so much time is over."""
    deadline = monotonic() + seconds
    with database.bell.listen(topic_of(conversation_id)) as heard:
        while not database.bell.is_closed:
            with database.reading() as db:
                draft = db.get(Draft, draft_id)
                if draft is None or draft.state != "held":
                    return
            left = deadline - monotonic()
            if left <= 0:
                return
            heard.wait(left)


def _reason_of_refusal(db: Session, draft: Draft) -> str | None:
    refusal = select(Intervention.reason).where(Intervention.draft_id == draft.id, Intervention.kind == "refusal")
    return db.scalar(refusal.order_by(Intervention.id.desc()).limit(1))
