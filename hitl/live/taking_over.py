"""A person speaks instead of the bot, until they hand the conversation back."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.live import needs
from hitl.live.errors import AlreadyTaken, ColleagueCannotSpeak, NotTaken, NotYours
from hitl.live.holding import end_by_takeover, keep_text, open_hold
from hitl.live.interventions import intervene, settle_unreplaced
from hitl.live.log import append, change_holder, locked
from hitl.live.models import Draft, Event, LiveConversation
from hitl.live.queries import speakers
from hitl.live.speaking import cut_off, deliver, keep_unsent, streaming_draft


def take_over(db: Session, talk: LiveConversation, by: User) -> Event | None:
    """Let a person speak from now on; None if they do already.

    A held draft stays unsent. A stream ends at its next piece; what went out is a sent message, marked partial.
    Raises AlreadyTaken when another person has the conversation: see `take_from_colleague`.
    """
    if talk.holder_id == by.id:
        return None
    if talk.holder_id is not None:
        raise AlreadyTaken
    draft = _draft_in_the_way(db, talk)
    hold = open_hold(db, talk)
    if hold is not None:
        end_by_takeover(talk, hold, by)
    cut = draft is not None and draft.state == "streaming" and cut_off(db, talk, draft, "holder_changed")
    if draft is not None and draft.state == "proposed":
        keep_unsent(draft, "holder_changed")
    change_holder(talk, "person", by)
    event = append(db, talk, "takeover", by=by, draft=draft)
    intervene(db, talk, event, draft, why_nothing="partly_sent" if cut else None)
    needs.drop(talk, *needs.KINDS)
    return event


def take_from_colleague(db: Session, talk: LiveConversation, by: User) -> Event:
    """Speak instead of a colleague who has gone away. The log says whose conversation it was.

    Raises NotTaken when no colleague has it.
    """
    if talk.holder_id is None or talk.holder_id == by.id:
        raise NotTaken
    before = talk.holder_id
    change_holder(talk, "person", by)
    return append(db, talk, "handover", by=by, content={"from": str(before), "to": str(by.id)})


def hand_over(db: Session, talk: LiveConversation, by: User, to: User) -> Event:
    """Let a colleague speak instead. Raises NotYours, ColleagueCannotSpeak."""
    _ensure_holds(talk, by)
    if db.scalar(speakers(talk.project_id).where(User.id == to.id)) is None:
        raise ColleagueCannotSpeak
    change_holder(talk, "person", to)
    return append(db, talk, "handover", by=by, content={"to": str(to.id)})


def hand_back(db: Session, talk: LiveConversation, by: User) -> Event:
    """Let the bot speak again. Raises NotYours."""
    _ensure_holds(talk, by)
    change_holder(talk, "bot")
    settle_unreplaced(db, talk)
    return append(db, talk, "handback", by=by)


def hand_back_all(db: Session, by: User, conversation_ids: Select[UUID]) -> None:
    """Let the bot speak again in conversations that a person cannot see any more."""
    for conversation_id in db.scalars(conversation_ids).all():
        talk = locked(db, conversation_id)
        if talk.holder_id == by.id:
            hand_back(db, talk, by)


def say(db: Session, talk: LiveConversation, by: User, output: dict[str, Any]) -> Event | None:
    """Send what a person wrote; None, and their text is kept as unsent, when the conversation is not theirs."""
    if talk.holder_id != by.id:
        keep_text(db, talk, by, output, "holder_changed")
        return None
    return deliver(db, talk, output, by=by)


def dismiss(db: Session, talk: LiveConversation, by: User) -> Event | None:
    """Say that what the board says of a conversation is dealt with; None when it says nothing of that kind."""
    dealt_with = needs.dismissible(talk)
    if not dealt_with:
        return None
    needs.drop(talk, *needs.DISMISSIBLE)
    return append(db, talk, "dismissal", by=by, content={"needs": dealt_with})


def note(db: Session, talk: LiveConversation, by: User, text: str) -> Event:
    """Leave words for colleagues."""
    return append(db, talk, "note", by=by, content={"text": text})


def whisper(db: Session, talk: LiveConversation, by: User, text: str) -> Event:
    """Tell the bot what to do with its next answer, once."""
    return append(db, talk, "whisper", by=by, content={"text": text})


def _draft_in_the_way(db: Session, talk: LiveConversation) -> Draft | None:
    """Return what the bot would say, or is saying, to the newest words of the user."""
    streaming = streaming_draft(db, talk)
    if streaming is not None:
        return streaming
    newest = select(Draft).where(
        Draft.conversation_id == talk.id,
        Draft.answers_number == talk.user_number,
        Draft.user_id.is_(None),
        Draft.state.in_(["held", "proposed"]),
    )
    return db.scalars(newest.order_by(Draft.id.desc()).limit(1)).first()


def _ensure_holds(talk: LiveConversation, by: User) -> None:
    if talk.holder_id != by.id:
        raise NotYours
