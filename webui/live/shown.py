"""What the live pages show, as plain values that the templates draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import User
from hitl.capture.models import Response
from hitl.capture.words import text_of
from hitl.core import clock
from hitl.live import board, needs, presence, replies
from hitl.live.models import Draft, Event, Hold, LiveConversation, Presence, ReadyReply
from hitl.live.queries import events_after, speakers, waiting_whispers
from hitl.live.speaking import WHY_UNSENT
from webui.base.content import parts_of, time_of_day
from webui.base.layout import initials_of
from webui.base.tool_use import tool_uses
from webui.base.transcript import Message

LINES_SHOWN = 300  # of a long conversation the newest
DECIDING = ("edit", "refusal", "expiry", "takeover")

THEN = {
    "send": "then it is sent as it is",
    "safe_reply": "then the user gets the safe reply",
    "refuse": "then the user gets no answer",
}
AFTER_EXPIRY = {
    "send": "Nobody came in time. It was sent as it is.",
    "safe_reply": "Nobody came in time. The user got the safe reply.",
    "refuse": "Nobody came in time. It was not sent.",
}
NEEDS = {
    "held": ("clock", "Held", "warn"),
    "wants_person": ("user", "Wants a person", "bad"),
    "alert": ("warn", "", "warn"),
}


@dataclass(frozen=True)
class Line:
    """One line of a conversation's log."""

    number: int
    kind: Literal["message", "person", "event", "note", "whisper"]
    who: str
    at: str
    message: Message | None = None
    text: str = ""
    unsent: str = ""  # what the bot would have said
    is_partial: bool = False


@dataclass(frozen=True)
class Person:
    """Somebody who has the conversation open."""

    name: str
    initials: str
    is_me: bool
    is_typing: bool


@dataclass(frozen=True)
class Tile:
    """A conversation on the board."""

    talk: LiveConversation
    name: str
    icon: str
    why: str
    tone: str
    hold: Hold | None
    since: datetime
    is_unread: bool
    people: tuple[Person, ...]


@dataclass(frozen=True)
class BoardShown:
    """The board, its tiles in groups."""

    needing: Sequence[Tile]
    needing_count: int
    with_person: Sequence[Tile]
    with_person_count: int
    alone: Sequence[Tile]
    alone_count: int
    counting_stopped: bool
    now: datetime

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.needing or self.with_person or self.alone)


@dataclass(frozen=True)
class Desk:
    """What a person can do in a conversation now."""

    talk: LiveConversation
    state: Literal["held", "mine", "colleague", "bot"]
    hold: Hold | None
    then: str
    draft_text: str
    is_editable: bool  # a text and nothing else
    colleagues: Sequence[User]
    replies: Sequence[ReadyReply]
    whispers: Sequence[Event]
    read_to: int
    now: datetime

    @property
    def version(self) -> str:
        """Changes when the desk is about something else, so that what is typed into it stays until then."""
        return f"{self.state}-{self.talk.holder_number}-{len(self.whispers)}-{len(self.needs)}"

    @property
    def needs(self) -> list[Mapping[str, Any]]:
        """Return what the board says of it that can be dealt with here."""
        return needs.dismissible(self.talk) if self.state == "bot" else []


@dataclass(frozen=True)
class About:
    """What is known of the answer that is looked at."""

    name: str
    client_id: str
    started: str
    facts: Sequence[tuple[str, str]]
    context: Sequence[Mapping[str, Any]]
    notes: Sequence[Line]


def board_shown(db: Session, found: board.Board, by: User) -> BoardShown:
    """Return the board as a person sees it."""
    talks = [*found.needing.talks, *found.with_person.talks, *found.alone.talks]
    ids = [talk.id for talk in talks]
    here: dict[UUID, list[Presence]] = {}
    for one in db.scalars(presence.present(ids)):
        here.setdefault(one.conversation_id, []).append(one)
    read = presence.read_numbers(db, by, ids)
    urgent = {talk.id for talk in found.needing.talks}

    def tiles(group: board.Group) -> list[Tile]:
        return [
            _tile(
                talk,
                found.holds.get(talk.id),
                # What nobody asked this person to look at is unread only once they have looked.
                read.get(talk.id, 0 if talk.id in urgent else talk.last_number),
                _people(here.get(talk.id, ()), by),
            )
            for talk in group.talks
        ]

    return BoardShown(
        tiles(found.needing),
        found.needing.count,
        tiles(found.with_person),
        found.with_person.count,
        tiles(found.alone),
        found.alone.count,
        found.alone.counting_stopped,
        clock.now(),
    )


def _tile(talk: LiveConversation, hold: Hold | None, read_to: int, people: tuple[Person, ...]) -> Tile:
    icon, why, tone = "", "", ""
    if talk.needs:
        icon, why, tone = NEEDS[talk.needs[0]["kind"]]
        why = why or talk.needs[0]["text"].rstrip(".")
    elif talk.holder_user is not None:
        icon, why, tone = "takeover", f"{first_name(talk.holder_user)} has it", "person"
    since = talk.needs_since or talk.waiting_since or talk.last_at
    return Tile(talk, name_of(talk), icon, why, tone, hold, since, talk.last_number > read_to, people)


def people_in(db: Session, talk: LiveConversation, by: User) -> tuple[Person, ...]:
    """Return who has a conversation open."""
    return _people(db.scalars(presence.present([talk.id])).all(), by)


def _people(present: Sequence[Presence], by: User) -> tuple[Person, ...]:
    return tuple(
        Person(first_name(one.user), initials_of(one.user.name), one.user_id == by.id, presence.is_typing(one))
        for one in present
    )


def desk_of(db: Session, talk: LiveConversation, by: User) -> Desk:
    """Return what a person can do in a conversation now."""
    held = select(Hold).options(joinedload(Hold.draft)).where(Hold.conversation_id == talk.id, Hold.ended_at.is_(None))
    hold = db.scalar(held)
    state: Literal["held", "mine", "colleague", "bot"] = "bot"
    if hold is not None:
        state = "held"
    elif talk.holder_id is not None:
        state = "mine" if talk.holder_id == by.id else "colleague"
    output = {} if hold is None else hold.draft.output
    return Desk(
        talk,
        state,
        hold,
        "" if hold is None else THEN[hold.when_nobody],
        text_of(output) if output else "",
        set(output) <= {"role", "content", "reasoning_content"} and isinstance(output.get("content"), str),
        [user for user in db.scalars(speakers(talk.project_id)) if user.id != by.id] if state == "mine" else [],
        db.scalars(replies.ready_replies(talk.project_id).limit(50)).all() if state in ("mine", "held") else [],
        db.scalars(waiting_whispers(talk.id)).all(),
        talk.last_number,
        clock.now(),
    )


def newest_lines(db: Session, talk: LiveConversation) -> tuple[list[Line], int]:
    """Return the newest lines of a conversation, and how many events come before them."""
    skipped = max(0, talk.last_number - LINES_SHOWN)
    events = db.scalars(events_after(talk.id, skipped).options(joinedload(Event.user))).all()
    return lines_of(db, talk, events), skipped


def lines_of(db: Session, talk: LiveConversation, events: Sequence[Event]) -> list[Line]:
    """Return events as lines; those that say nothing to a person are left out."""
    decided = set(
        db.scalars(
            select(Event.draft_id).where(
                Event.conversation_id == talk.id, Event.kind.in_(DECIDING), Event.draft_id.is_not(None)
            )
        )
    )
    ids = [event.draft_id for event in events if event.draft_id is not None]
    drafts = {draft.id: draft for draft in db.scalars(select(Draft).where(Draft.id.in_(ids)))}
    users = {user.id: user for user in db.scalars(select(User).where(User.id.in_(_named(events))))}
    lines = (_line(event, drafts.get(event.draft_id) if event.draft_id else None, decided, users) for event in events)
    return [line for line in lines if line is not None]


def _named(events: Sequence[Event]) -> list[UUID]:
    return [UUID(event.content[key]) for event in events for key in ("to", "from") if key in event.content]


def _line(event: Event, draft: Draft | None, decided: set[UUID | None], users: Mapping[UUID, User]) -> Line | None:
    who = "" if event.user is None else first_name(event.user)
    at = time_of_day(event.happened_at)
    if event.kind in ("user_message", "message"):
        role, name = ("user", "User") if event.kind == "user_message" else ("assistant", who or "Bot")
        said = _message(event.content["message"], role, name, at)
        kind: Any = "person" if event.user is not None else "message"
        return Line(event.number, kind, name, at, said, is_partial=bool(event.content.get("is_partial")))
    if event.kind in ("note", "whisper"):
        return Line(event.number, event.kind, who, at, text=event.content["text"])  # type: ignore[arg-type]
    unsent = text_of(draft.output) if draft is not None and draft.state == "unsent" else ""
    text = _sentence(event, draft, who, decided, users)
    return None if text is None else Line(event.number, "event", "", at, text=text, unsent=unsent)


def _sentence(
    event: Event, draft: Draft | None, who: str, decided: set[UUID | None], users: Mapping[UUID, User]
) -> str | None:
    content = event.content
    if event.kind == "draft":
        if draft is None or draft.state != "unsent" or (draft.id in decided):
            return None  # it went out, waits, or was decided about: said elsewhere
        author = f"{who} wrote" if who else "The bot drafted"
        return f"{author} something that was not sent. {WHY_UNSENT[draft.why_unsent or 'holder_changed']}"
    if event.kind == "hold":
        return "Held. " + " ".join(content["reasons"])
    if event.kind == "expiry":
        return AFTER_EXPIRY[content["then"]]
    if event.kind == "handover":
        if "from" in content:
            return f"{who} took it from {_first_of(users, content['from'])}."
        return f"{who} handed it to {_first_of(users, content['to'])}."
    sentences = {
        "approval": f"{who} let it pass as it is.",
        "edit": f"{who} edited the draft.",
        "refusal": f"{who} refused the draft{': ' + content['reason'] if content.get('reason') else '.'}",
        "takeover": f"{who} took over.",
        "handback": f"{who} handed it back to the bot.",
        "dismissal": f"{who} dealt with it.",
        "alert": "Alert. " + " ".join(content.get("reasons", ())),
    }
    return sentences.get(event.kind)


def _message(message: Mapping[str, Any], role: str, who: str, at: str) -> Message:
    uses = tuple(use for _, use in tool_uses(message))
    return Message(
        role=role,
        who=who,
        parts=parts_of(message.get("content")),
        refusal=str(message.get("refusal") or ""),
        at=at,
        tool_uses=tuple(replace(use, is_open=False) for use in uses),
    )


def about_of(db: Session, talk: LiveConversation, lines: Sequence[Line]) -> About:
    """Return what is known of the newest answer in a conversation, and its notes."""
    newest = (
        select(Response)
        .join(Draft, Draft.response_id == Response.id)
        .where(Draft.conversation_id == talk.id)
        .order_by(Draft.id.desc())
        .limit(1)
    )
    response = db.scalar(newest)
    return About(
        name_of(talk),
        talk.conversation.client_id,
        time_of_day(talk.started_at),
        () if response is None else _facts(response),
        () if response is None else response.context,
        [line for line in lines if line.kind == "note"],
    )


def _facts(response: Response) -> list[tuple[str, str]]:
    tokens = [
        f"{count:,} tokens {way}"
        for count, way in ((response.input_tokens, "in"), (response.output_tokens, "out"))
        if count is not None
    ]
    took = [] if response.latency_seconds is None else [f"{response.latency_seconds:.1f} s"]
    named = (
        ("Model", " ".join(filter(None, (response.model, response.model_version)))),
        ("Prompt", ", version ".join(filter(None, (response.prompt_name, response.prompt_version)))),
        ("Took", ", ".join(took + tokens)),
    )
    return [(name, value) for name, value in named if value]


def name_of(talk: LiveConversation) -> str:
    """Return what a conversation is called: its end user by the beginning of the pseudonym, or the client's own id."""
    end_user = talk.conversation.end_user
    return f"user {end_user[:4]}" if end_user else talk.conversation.client_id


def first_name(user: User) -> str:
    """Return how a member of the staff is called in a sentence."""
    return user.name.split()[0] if user.name.split() else user.name


def _first_of(users: Mapping[UUID, User], user_id: str) -> str:
    user = users.get(UUID(user_id))
    return "a colleague" if user is None else first_name(user)
