"""What the user says and what the bot answers: nothing is sent twice, and nothing to a question that has moved on."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.capture.signals import words_asking_for_person
from hitl.capture.words import text_of
from hitl.core import clock, jobs
from hitl.core.bell import ring_after_commit
from hitl.live import needs
from hitl.live.interventions import attach_late_draft, settle, settle_moved_on
from hitl.live.log import append, locked
from hitl.live.models import Draft, Event, LiveConversation
from hitl.live.topics import topic_of

LOOK_AFTER_STREAM = "live.look_after_stream"
BEAT_SECONDS = 15.0  # a stream that gave no sign of life for so long has lost its sender

# Why a draft was not sent, as a person reads it.
WHY_UNSENT = {
    "user_said_more": "The user has written again.",
    "already_answered": "The user's message had its answer already.",
    "holder_changed": "Somebody else speaks in the conversation now.",
    "sender_died": "The program that was to send it went away.",
    "refused": "A person refused it.",
    "replaced": "A person sent an edited version instead.",
    "expired": "Nobody came in time.",
    "hold_ended": "The draft that it was to replace was not held any more.",
}


def receive(db: Session, talk: LiveConversation, message: dict[str, Any]) -> Event:
    """Note what the user said. Drafts that answer an older message are stale from now on, and a stream ends."""
    streaming = streaming_draft(db, talk)
    if streaming is not None:
        cut_off(db, talk, streaming, "user_said_more")
    event = append(db, talk, "user_message", audience="customer", content={"message": message})
    talk.user_number = event.number
    talk.waiting_since = talk.waiting_since or event.happened_at
    wish = words_asking_for_person(text_of(message))
    if wish is not None and talk.holder != "person":
        needs.add(talk, "wants_person", f"The user asked for a person: “{wish}”.")
    settle_moved_on(db, talk)
    return event


def propose(
    db: Session,
    talk: LiveConversation,
    output: dict[str, Any],
    *,
    answers: int,
    holder_number: int,
    response_id: UUID | None = None,
) -> Draft:
    """Keep what the bot would say. One that is stale already is kept as unsent.

    answers: number of the user message that it answers.
    holder_number: of the conversation when the bot began to think.
    """
    draft = Draft(
        conversation_id=talk.id,
        answers_number=answers,
        holder_number=holder_number,
        output=output,
        response_id=response_id,
    )
    db.add(draft)
    db.flush()
    append(db, talk, "draft", draft=draft, content={"message": output})
    why = why_stale(talk, draft)
    if why is not None:
        keep_unsent(draft, why)
        attach_late_draft(db, talk, draft)
    return draft


def why_stale(talk: LiveConversation, draft: Draft) -> str | None:
    """Return why the bot may not send this any more, a word of WHY_UNSENT; None if it may."""
    if talk.holder != "bot" or draft.holder_number != talk.holder_number:
        return "holder_changed"
    if draft.answers_number != talk.user_number:
        return "user_said_more"
    if talk.streaming_id is not None or talk.answered_number >= draft.answers_number > 0:
        return "already_answered"
    return None


def is_still_to_be_sent(talk: LiveConversation, draft: Draft) -> bool:
    """Return whether the bot may send a draft now; one that waited for that too long is kept as unsent."""
    if draft.state != "proposed":
        return False
    why = why_stale(talk, draft)
    if why is not None:
        keep_unsent(draft, why)
    return why is None


def keep_unsent(draft: Draft, why: str) -> None:
    """Note that a draft is not sent. why: a word of WHY_UNSENT."""
    draft.state = "unsent"
    draft.why_unsent = why


def send(db: Session, talk: LiveConversation, draft: Draft) -> Event | None:
    """Send the bot's draft as it is; None, and the draft kept as unsent, when the conversation has moved on."""
    if not is_still_to_be_sent(talk, draft):
        return None
    draft.state = "sent"
    return deliver(db, talk, draft.output, draft=draft)


def deliver(
    db: Session,
    talk: LiveConversation,
    output: dict[str, Any],
    *,
    by: User | None = None,
    draft: Draft | None = None,
    is_partial: bool = False,
    is_judged: bool = False,
) -> Event:
    """Write a message into the log as sent to the user: the newest user message has its answer.

    The only function that does: whoever calls it has made sure, under the lock, that the sender may speak.

    by: the person who wrote it; none: the bot did.
    is_judged: a person found the bot's words good.
    """
    content: dict[str, Any] = {"message": output}
    if is_partial:
        content["is_partial"] = True
    event = append(db, talk, "message", audience="customer", by=by, draft=draft, content=content)
    talk.answered_number = talk.user_number
    talk.waiting_since = None
    needs.drop(talk, "wants_person")
    settle(db, talk, event, is_judged=is_judged or by is not None)
    return event


def begin_streaming(db: Session, talk: LiveConversation, draft: Draft) -> bool:
    """Begin to send the bot's draft piece by piece; False when the conversation has moved on."""
    if not is_still_to_be_sent(talk, draft):
        return False
    draft.state, talk.streaming_id = "streaming", draft.id
    draft.beat_at = clock.now()
    _look_later(db, draft)
    return True


def go_on_streaming(db: Session, draft: Draft, piece: str) -> bool:
    """Note that a piece of text goes out now; False when somebody took over, and then it must not.

    Call it before the piece is written to the user: so what went out is never more than what is noted.
    """
    if draft.state != "streaming":
        return False
    draft.streamed += piece
    draft.beat_at = clock.now()
    ring_after_commit(db, topic_of(draft.conversation_id))
    return True


def end_streaming(db: Session, talk: LiveConversation, draft: Draft) -> Event | None:
    """Note that the whole draft went out; None when it was cut off before."""
    if draft.state != "streaming":
        return None
    draft.state, talk.streaming_id = "sent", None
    return deliver(db, talk, draft.output, draft=draft)


def cut_off(db: Session, talk: LiveConversation, draft: Draft, why: str) -> Event | None:
    """End a stream where it is. What went out is a sent message, marked partial; None if nothing did.

    why: a word of WHY_UNSENT, for the latter case.
    """
    talk.streaming_id = None
    if not draft.streamed:
        keep_unsent(draft, why)
        return None
    draft.state = "sent"
    return deliver(db, talk, {"role": "assistant", "content": draft.streamed}, draft=draft, is_partial=True)


def streaming_draft(db: Session, talk: LiveConversation) -> Draft | None:
    """Return the draft that is going out right now, if there is one."""
    return None if talk.streaming_id is None else db.get_one(Draft, talk.streaming_id, populate_existing=True)


def look_after_stream(db: Session, draft_id: UUID) -> None:
    """Cut off a stream whose sender died, so that somebody may answer again; while it lives, look again later."""
    talk = locked(db, db.get_one(Draft, draft_id).conversation_id)
    draft = streaming_draft(db, talk)
    if draft is None or draft.id != draft_id:
        return
    if draft.beat_at is None or draft.beat_at < clock.now() - timedelta(seconds=BEAT_SECONDS):
        cut_off(db, talk, draft, "sender_died")
    else:
        _look_later(db, draft)


def _look_later(db: Session, draft: Draft) -> None:
    jobs.enqueue(db, LOOK_AFTER_STREAM, {"draft_id": draft.id}, delay_seconds=BEAT_SECONDS)
