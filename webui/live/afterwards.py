"""What happened: interventions with what each taught, one replayed, and the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Project, User
from hitl.capture.words import text_of
from hitl.core.errors import NotFound
from hitl.live.interventions import WHY_NOTHING
from hitl.live.models import Event, Hold, Intervention, LiveConversation
from hitl.live.queries import events_after
from hitl.preferences.models import Demonstration, Evidence
from webui.base.word_diff import WordDiff, word_diff
from webui.live import shown

KINDS = {"approval": "Let pass", "edit": "Edited", "refusal": "Refused", "takeover": "Taken over"}
SHOWN_BEFORE = 40  # events before an intervention that its replay shows


@dataclass(frozen=True)
class Told:
    """An intervention in words."""

    intervention: Intervention
    talk: LiveConversation
    what: str
    who: str
    draft: str
    instead: str
    taught: str
    is_lesson: bool


@dataclass(frozen=True)
class Replay:
    """An intervention with what was on the screen."""

    told: Told
    before: Sequence[shown.Line]
    after: Sequence[shown.Line]
    hold: Hold | None
    waited_seconds: float | None
    diff: WordDiff | None


def interventions(project_id: UUID, kind: str = "", person: str = "", taught: str = "") -> Select[Intervention]:
    """The interventions of a project that fit."""
    query = (
        select(Intervention)
        .options(joinedload(Intervention.user), joinedload(Intervention.draft))
        .where(Intervention.project_id == project_id)
    )
    if kind in KINDS:
        query = query.where(Intervention.kind == kind)
    if taught == "yes":
        query = query.where(Intervention.settled_at.is_not(None), Intervention.why_nothing.is_(None))
    if taught == "no":
        query = query.where(Intervention.why_nothing.is_not(None))
    try:
        return query.where(Intervention.user_id == UUID(person)) if person else query
    except ValueError:
        return query


def told(db: Session, found: Sequence[Intervention]) -> list[Told]:
    """Return interventions in words."""
    ids = [intervention.id for intervention in found]
    pairs = set(db.scalars(select(Evidence.intervention_id).where(Evidence.intervention_id.in_(ids))))
    good = set(db.scalars(select(Demonstration.intervention_id).where(Demonstration.intervention_id.in_(ids))))
    talks = {
        talk.id: talk
        for talk in db.scalars(
            select(LiveConversation)
            .options(joinedload(LiveConversation.conversation))
            .where(LiveConversation.id.in_({intervention.conversation_id for intervention in found}))
        )
    }
    return [_told(one, talks[one.conversation_id], one.id in pairs, one.id in good) for one in found]


def _told(one: Intervention, talk: LiveConversation, has_pair: bool, has_demonstration: bool) -> Told:
    if one.settled_at is None:
        taught = "Not yet known: nothing has been said instead so far."
    elif one.why_nothing is not None:
        taught = f"Nothing. {WHY_NOTHING[one.why_nothing]}"
    elif has_pair:
        taught = "A preference pair: what was said instead is better than the draft. And a good answer."
    elif has_demonstration:
        taught = "A good answer: the draft itself."
    else:
        taught = "Nothing that is still here."
    return Told(
        one,
        talk,
        KINDS[one.kind],
        shown.first_name(one.user),
        "" if one.draft is None else text_of(one.draft.output),
        "" if one.replacement is None else text_of(one.replacement),
        taught,
        has_pair or has_demonstration,
    )


def replay_of(db: Session, project: Project, intervention_id: UUID) -> Replay:
    """Return an intervention with what was on the screen. Raises NotFound."""
    one = db.get(Intervention, intervention_id)
    if one is None or one.project_id != project.id:
        raise NotFound
    (words,) = told(db, [one])
    start = max(0, one.event_number - SHOWN_BEFORE - 1)
    events = db.scalars(
        events_after(one.conversation_id, start)
        .options(joinedload(Event.user))
        .where(Event.number <= one.event_number + 6)
    ).all()
    hold = None if one.draft_id is None else db.scalar(select(Hold).where(Hold.draft_id == one.draft_id))
    return Replay(
        words,
        shown.lines_of(db, words.talk, [event for event in events if event.number < one.event_number]),
        shown.lines_of(db, words.talk, [event for event in events if event.number >= one.event_number]),
        hold,
        None if hold is None or hold.ended_at is None else (hold.ended_at - hold.opened_at).total_seconds(),
        word_diff(words.draft, words.instead) if words.draft and words.instead else None,
    )


def people_who_intervened(db: Session, project_id: UUID) -> list[tuple[str, str]]:
    """Return who did, as the options of a choice."""
    ids = select(Intervention.user_id).where(Intervention.project_id == project_id).distinct()
    people: list[Any] = list(db.scalars(select(User).where(User.id.in_(ids)).order_by(User.name)))
    return [("", "Everybody"), *((str(user.id), user.name) for user in people)]


def duration(seconds: float | None) -> str:
    """Return a duration as a person says it."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def sought(db: Session, project_id: UUID, words: str, limit: int) -> list[tuple[LiveConversation, Event]]:
    """Return the newest things that were said with these words in them, with their conversations."""
    text = Event.content["message"]["content"].as_string()
    query = (
        select(LiveConversation, Event)
        .join(Event, Event.conversation_id == LiveConversation.id)
        .options(joinedload(LiveConversation.conversation))
        .where(
            LiveConversation.project_id == project_id,
            Event.kind.in_(("user_message", "message")),
            *(text.icontains(word, autoescape=True) for word in words.split()[:10]),
        )
        .order_by(LiveConversation.last_at.desc(), Event.number.desc())
        .limit(limit)
    )
    return [(talk, event) for talk, event in db.execute(query)]


def since_days(days: str, now: datetime) -> tuple[int, datetime]:
    """Return how far back one looks: the days asked for, 30 otherwise."""
    number = int(days) if days in ("1", "7", "30", "90") else 30
    return number, now - timedelta(days=number)
