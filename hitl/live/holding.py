"""Drafts that wait for a person: until somebody decides, or the deadline does."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.core import clock, jobs
from hitl.core.errors import NotFound
from hitl.live import needs
from hitl.live.errors import UserSaidMore
from hitl.live.interventions import intervene, settle_unreplaced
from hitl.live.log import append, change_holder, locked
from hitl.live.models import Draft, Event, Hold, LiveConversation
from hitl.live.speaking import deliver, is_still_to_be_sent, keep_unsent, send

END_AT_DEADLINE = "live.end_at_deadline"

WhenNobody = Literal["send", "safe_reply", "refuse"]


def hold_draft(
    db: Session,
    talk: LiveConversation,
    draft: Draft,
    reasons: Sequence[str],
    *,
    deadline_seconds: float,
    when_nobody: WhenNobody,
    safe_reply: str | None = None,
) -> Hold | None:
    """Let a proposed draft wait for a person; None, and it is kept as unsent, when it is stale already.

    reasons: why, as sentences that the person reads.
    when_nobody: what happens at the deadline: the draft is sent, the safe reply is, or neither.
    """
    if not is_still_to_be_sent(talk, draft):
        return None
    change_holder(talk, "gate")
    draft.holder_number = talk.holder_number
    draft.state = "held"
    now = clock.now()
    hold = Hold(
        project_id=talk.project_id,
        conversation_id=talk.id,
        draft_id=draft.id,
        reasons=list(reasons),
        opened_at=now,
        deadline_at=now + timedelta(seconds=deadline_seconds),
        when_nobody=when_nobody,
        safe_reply=safe_reply,
    )
    db.add(hold)
    db.flush()
    jobs.enqueue(db, END_AT_DEADLINE, {"hold_id": hold.id}, delay_seconds=deadline_seconds)
    needs.add(talk, "held", reasons[0] if reasons else "")
    append(db, talk, "hold", draft=draft, content={"hold_id": str(hold.id), "reasons": list(reasons)})
    return hold


def open_hold(db: Session, talk: LiveConversation) -> Hold | None:
    """Return what is held in a locked conversation, if anything is."""
    query = select(Hold).where(Hold.conversation_id == talk.id, Hold.ended_at.is_(None))
    return db.scalar(query.execution_options(populate_existing=True))


def approve(db: Session, talk: LiveConversation, hold: Hold, by: User, *, read_to: int) -> Event | None:
    """Send the held draft as it is; None when it is not held any more.

    read_to: number of the newest event that the person had before their eyes. Raises UserSaidMore when the user has
        written again since: who approves must have read it.
    """
    if hold.ended_at is not None:
        return None
    _ensure_read(talk, read_to)
    _end(talk, hold, "approved", by)
    intervene(db, talk, append(db, talk, "approval", by=by, draft=hold.draft), hold.draft)
    hold.draft.state = "sent"
    return deliver(db, talk, hold.draft.output, draft=hold.draft, is_judged=True)


def edit(
    db: Session, talk: LiveConversation, hold: Hold, by: User, output: dict[str, Any], *, read_to: int
) -> Event | None:
    """Send an edited version of the held draft; None, and the edited text is kept, when it is not held any more.

    Raises UserSaidMore as `approve` does.
    """
    if hold.ended_at is not None:
        keep_text(db, talk, by, output, "hold_ended")
        return None
    _ensure_read(talk, read_to)
    _end(talk, hold, "edited", by)
    decision = append(db, talk, "edit", by=by, draft=hold.draft, content={"message": output})
    intervene(db, talk, decision, hold.draft)
    keep_unsent(hold.draft, "replaced")
    return deliver(db, talk, output, by=by, draft=hold.draft)


def refuse(db: Session, talk: LiveConversation, hold: Hold, by: User, *, reason: str | None = None) -> bool:
    """Keep the held draft from being sent, and let the bot try again; False when it is not held any more."""
    if hold.ended_at is not None:
        return False
    _end(talk, hold, "refused", by)
    decision = append(db, talk, "refusal", by=by, draft=hold.draft, content={"reason": reason} if reason else {})
    intervene(db, talk, decision, hold.draft, reason=reason)
    keep_unsent(hold.draft, "refused")
    return True


def end_at_deadline(db: Session, hold_id: UUID) -> None:
    """Do with a draft what was said when it was held, if nobody came in time."""
    talk = locked(db, db.get_one(Hold, hold_id).conversation_id)
    hold = hold_in(db, talk, hold_id)
    if hold.ended_at is None:  # nobody was quicker
        expire(db, talk, hold)


def expire(db: Session, talk: LiveConversation, hold: Hold) -> Event | None:
    """End a hold for which nobody came; return what was sent, if anything was."""
    _end(talk, hold, "expired", None)
    append(db, talk, "expiry", draft=hold.draft, content={"then": hold.when_nobody})
    draft = hold.draft
    if hold.when_nobody == "send":
        draft.state, draft.holder_number = "proposed", talk.holder_number
        return send(db, talk, draft)
    keep_unsent(draft, "expired")
    if hold.when_nobody == "safe_reply" and draft.answers_number == talk.user_number:
        return deliver(db, talk, {"role": "assistant", "content": hold.safe_reply}, draft=draft)
    settle_unreplaced(db, talk)
    return None


def end_by_takeover(talk: LiveConversation, hold: Hold, by: User) -> None:
    """End a hold because a person speaks themselves now. The caller changes the holder."""
    hold.ended_at, hold.ended_as, hold.decided_by = clock.now(), "taken_over", by.id
    keep_unsent(hold.draft, "holder_changed")
    needs.drop(talk, "held")


def keep_text(db: Session, talk: LiveConversation, by: User, output: dict[str, Any], why: str) -> Draft:
    """Keep what a person wrote and could not send. why: a word of hitl.live.speaking.WHY_UNSENT."""
    draft = Draft(
        conversation_id=talk.id,
        user_id=by.id,
        answers_number=talk.user_number,
        holder_number=talk.holder_number,
        output=output,
        state="unsent",
        why_unsent=why,
    )
    db.add(draft)
    db.flush()
    append(db, talk, "draft", by=by, draft=draft, content={"message": output})
    return draft


def hold_in(db: Session, talk: LiveConversation, hold_id: UUID) -> Hold:
    """Return a hold of a locked conversation, open or ended. Raises NotFound."""
    hold = db.get(Hold, hold_id, populate_existing=True)
    if hold is None or hold.conversation_id != talk.id:
        raise NotFound
    return hold


def _ensure_read(talk: LiveConversation, read_to: int) -> None:
    if read_to < talk.user_number:
        raise UserSaidMore


def _end(talk: LiveConversation, hold: Hold, how: str, by: User | None) -> None:
    hold.ended_at, hold.ended_as = clock.now(), how
    hold.decided_by = None if by is None else by.id
    needs.drop(talk, "held")
    change_holder(talk, "bot")
