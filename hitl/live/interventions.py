"""What people do to drafts, and what becomes of it: each intervention is settled by what is said instead.

An approval and an edit are settled by their own message, in its transaction; a refusal and a takeover by the next
message that a person writes or approves in answer to the same words of the user. What it teaches is derived then, by
hitl/preferences; or it is said here why it teaches nothing.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.masking import Masking
from hitl.core import clock, events
from hitl.core.secrets import keys_of
from hitl.live.events import InterventionSettled
from hitl.live.models import Draft, Event, Intervention, LiveConversation

# Why an intervention taught nothing, as a person reads it.
WHY_NOTHING = {
    "same_text": "What was sent says the same as the draft.",
    "empty_draft": "The draft was empty.",
    "may_not_train": "This response may not be used for training.",
    "not_captured": "The draft came without what the model saw.",
    "moved_on": "The conversation moved on: the user wrote again before anything was said instead.",
    "partly_sent": "Part of the draft had gone out already, so both do not answer the same.",
    "no_draft": "The bot had no draft to compare with.",
    "no_replacement": "Nothing was said instead.",
    "not_judged": "No person judged what was sent instead.",
}


def intervene(
    db: Session,
    talk: LiveConversation,
    decision: Event,
    draft: Draft | None,
    *,
    reason: str | None = None,
    why_nothing: str | None = None,
) -> Intervention:
    """Note what a person did to a draft; it is settled by what is said instead.

    decision: the approval, edit, refusal or takeover, as the log has it.
    why_nothing: why nothing can be learned whatever is said, a word of WHY_NOTHING: then it is settled already.
    """
    intervention = Intervention(
        project_id=talk.project_id,
        conversation_id=talk.id,
        draft_id=None if draft is None else draft.id,
        answers_number=talk.user_number if draft is None else draft.answers_number,
        event_number=decision.number,
        user_id=decision.user_id,
        kind=decision.kind,
        reason=reason,
        why_nothing=why_nothing,
        settled_at=None if why_nothing is None else clock.now(),
    )
    db.add(intervention)
    db.flush()
    return intervention


def settle(db: Session, talk: LiveConversation, message: Event, *, is_judged: bool) -> None:
    """Settle what waits in a conversation by the message that was sent. is_judged: a person wrote or approved it."""
    for intervention in _unsettled(db, talk):
        if intervention.kind != "approval":
            intervention.replacement = _as_captured(db, talk, message.content["message"])
            intervention.replacement_response_id = _response_of(db, message)
        _settle(db, intervention, _why_nothing(talk, intervention, message, is_judged=is_judged))


def settle_moved_on(db: Session, talk: LiveConversation) -> None:
    """The user has written again: what is said from now on answers other words."""
    for intervention in _unsettled(db, talk):
        _settle(db, intervention, "moved_on")


def settle_unreplaced(db: Session, talk: LiveConversation) -> None:
    """Nothing was said instead, and nothing will be."""
    for intervention in _unsettled(db, talk):
        _settle(db, intervention, "no_replacement")


def attach_late_draft(db: Session, talk: LiveConversation, draft: Draft) -> None:
    """Let a draft that came after the bot was overtaken be the one that the takeover replaced."""
    waiting = select(Intervention).where(
        Intervention.conversation_id == talk.id,
        Intervention.kind == "takeover",
        Intervention.draft_id.is_(None),
        Intervention.answers_number == draft.answers_number,
    )
    intervention = db.scalars(waiting.order_by(Intervention.id.desc()).limit(1)).first()
    if intervention is None:
        return
    intervention.draft_id = draft.id
    if intervention.why_nothing == "no_draft":
        _settle(db, intervention, None)


def _unsettled(db: Session, talk: LiveConversation) -> list[Intervention]:
    query = select(Intervention).where(Intervention.conversation_id == talk.id, Intervention.settled_at.is_(None))
    return list(db.scalars(query.order_by(Intervention.id)))


def _why_nothing(talk: LiveConversation, intervention: Intervention, message: Event, *, is_judged: bool) -> str | None:
    if intervention.answers_number != talk.user_number:
        return "moved_on"
    if message.content.get("is_partial"):
        return "partly_sent"
    if intervention.draft_id is None:
        return "no_draft"
    return None if is_judged else "not_judged"


def _settle(db: Session, intervention: Intervention, why_nothing: str | None) -> None:
    intervention.settled_at = clock.now()
    intervention.why_nothing = why_nothing
    if why_nothing is None:
        db.flush()
        events.publish(db, InterventionSettled(intervention.id))


def _as_captured(db: Session, talk: LiveConversation, output: dict[str, Any]) -> dict[str, Any]:
    """Return what a person said as it would have been captured: with placeholders where the project wants them."""
    masking = Masking.of(db.get_one(Project, talk.project_id), keys_of(db))
    return masking.message(output, talk.conversation.client_id)


def _response_of(db: Session, message: Event) -> UUID | None:
    draft = None if message.draft_id is None else db.get(Draft, message.draft_id)
    return None if draft is None or draft.output != message.content["message"] else draft.response_id
