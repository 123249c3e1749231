"""JSON shapes of live conversations.

What a customer gets is listed field by field (`for_customer`): nothing of the staff is in it, neither names nor notes.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from hitl.capture.messages import AssistantMessage, Message
from hitl.capture.models import Conversation
from hitl.capture.rows import ClientId, ResponseRow, SmallObject
from hitl.core.http import ApiModel, PageQuery
from hitl.live.decisions import DraftDecision
from hitl.live.models import Event, Hold, LiveConversation

MAX_NUMBER = 2**31 - 1
MAX_TEXT_CHARACTERS = 10_000
LONGEST_WAIT_SECONDS = 60

Number = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00]*$")]


class ConversationPath(ApiModel):
    """A conversation, by our id."""

    conversation_id: UUID


class DraftPath(ApiModel):
    """A draft, by its id."""

    draft_id: UUID


class HoldPath(ApiModel):
    """A hold, by its id."""

    hold_id: UUID


class ConversationBody(ApiModel):
    """A conversation that begins."""

    conversation_id: ClientId = Field(description="Your own id, unique in the project")
    end_user: ClientId | None = Field(None, description="Your name for the person; only a keyed hash of it is stored")
    metadata: SmallObject = Field(default_factory=dict)


class ConversationQuery(PageQuery):
    """Which conversations."""

    needs: bool = Field(False, description="Only those that need a person")


class EventsQuery(ApiModel):
    """From where on."""

    after: Number = Field(0, description="Number of the newest event that you have")
    limit: int = Field(100, ge=1, le=1000)


class CustomerEventsQuery(EventsQuery):
    """From where on. A browser's EventSource cannot send headers, so the token may stand here."""

    token: str | None = Field(None, description="The customer token, where it cannot be a header")


class MessageBody(ApiModel):
    """What is said: by the user (scope `capture`), or by the person who has taken over (scope `supervise`)."""

    message: Message


class CustomerMessageBody(ApiModel):
    """What the customer says."""

    text: Text


class LiveDraftBody(ApiModel):
    """What the bot would say."""

    answers: Number = Field(description="Number of the user message that it answers; 0: it opens the conversation")
    holder_number: Number = Field(description="As it was when the bot began to think")
    response: ResponseRow = Field(description="What the model saw and said; it is captured")
    stream: bool = Field(False, description="You will send it piece by piece, if it may be sent")


class PieceBody(ApiModel):
    """A piece of text that is about to go out."""

    text: Text


class WaitQuery(ApiModel):
    """How long to wait for a decision."""

    wait_seconds: int = Field(0, ge=0, le=LONGEST_WAIT_SECONDS)


class DecisionBody(ApiModel):
    """What a person decides about a held draft."""

    decision: Literal["approve", "edit", "refuse"]
    read_to: Number = Field(description="Number of the newest event that the person had before their eyes")
    message: AssistantMessage | None = Field(None, description="The edited version")
    reason: Text | None = Field(None, description="Why it is refused: the bot may be told")


class TextBody(ApiModel):
    """Words for colleagues, or for the bot."""

    text: Text


class HandoverBody(ApiModel):
    """Who is to speak."""

    to: UUID


class DeliveryBody(ApiModel):
    """What your application has shown to the customer."""

    number: Number = Field(description="Of the newest event that was shown")


class NeedOut(ApiModel):
    """Why a person should look."""

    kind: str
    text: str
    since: datetime


class HoldOut(ApiModel):
    """A draft that waits, or waited, for a person."""

    id: UUID
    conversation_id: UUID
    draft_id: UUID
    reasons: list[str]
    message: dict[str, Any]
    opened_at: datetime
    deadline_at: datetime
    when_nobody: str
    ended_as: str | None


class HoldList(ApiModel):
    """What waits, the nearest deadline first."""

    holds: list[HoldOut]


class WhisperOut(ApiModel):
    """What a person told the bot to do with its next answer."""

    number: int
    text: str


class TurnOut(ApiModel):
    """Who may speak, and what the bot needs to know for its next draft."""

    id: UUID
    conversation_id: str = Field(description="Your own id")
    holder: str = Field(description="bot, gate (a draft waits) or person")
    holder_number: int
    user_number: int = Field(description="Of the newest user message; 0: none yet")
    answered_number: int = Field(description="Of the newest user message that has its answer")
    last_number: int
    whispers: list[WhisperOut] = Field(description="Put them into the next prompt, once")


class ConversationOut(TurnOut):
    """A conversation as supervisors see it."""

    end_user: str | None = Field(description="A pseudonym")
    needs: list[NeedOut]
    waiting_since: datetime | None
    last_text: str
    last_at: datetime
    delivered_number: int


class ConversationPage(ApiModel):
    """Conversations, the newest first; those that need a person by how long they do."""

    conversations: list[ConversationOut]
    next_cursor: str | None


class EventOut(ApiModel):
    """One thing that happened."""

    number: int
    kind: str
    at: datetime
    message: dict[str, Any] | None = None
    is_partial: bool = False
    by: str | None = Field(None, description="For the staff: who did it; for others `bot`, `person` or `user`")
    text: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class EventPage(ApiModel):
    """Events in order. Numbers jump where something is not for you."""

    events: list[EventOut]
    last_number: int = Field(description="Ask for what comes after it")


class LiveDraftOut(ApiModel):
    """What is to become of a draft."""

    id: UUID
    response_id: UUID | None
    decision: str = Field(
        description="send: show `message` to the user · stream: send it piece by piece · wait: a person decides · "
        "regenerate: it was refused, write another · drop: it is not to be sent"
    )
    message: dict[str, Any] | None = Field(description="What is sent, which a person may have edited")
    number: int | None = Field(description="Of the event that sent it")
    why: str | None = Field(description="Why it is not sent")
    reason: str | None = Field(description="What the person said who refused it")
    hold_id: UUID | None
    deadline_at: datetime | None


class GoOnOut(ApiModel):
    """Whether the piece may go out."""

    go_on: bool


class TokenOut(ApiModel):
    """A token for a customer's browser."""

    token: str
    expires_at: datetime


def turn_as_json(talk: LiveConversation, conversation: Conversation, whispers: list[Event]) -> dict[str, Any]:
    """Return what the application needs for its next draft."""
    return TurnOut(
        id=talk.id,
        conversation_id=conversation.client_id,
        holder=talk.holder,
        holder_number=talk.holder_number,
        user_number=talk.user_number,
        answered_number=talk.answered_number,
        last_number=talk.last_number,
        whispers=[WhisperOut(number=event.number, text=event.content["text"]) for event in whispers],
    ).model_dump(mode="json")


def conversation_as_json(talk: LiveConversation, whispers: list[Event]) -> dict[str, Any]:
    """Return a conversation as supervisors see it."""
    return {
        **turn_as_json(talk, talk.conversation, whispers),
        "end_user": talk.conversation.end_user,
        "needs": talk.needs,
        "waiting_since": None if talk.waiting_since is None else talk.waiting_since.isoformat(),
        "last_text": talk.last_text,
        "last_at": talk.last_at.isoformat(),
        "delivered_number": talk.delivered_number,
    }


def for_staff(event: Event) -> dict[str, Any]:
    """Return an event as members of the staff see it."""
    details = {key: value for key, value in event.content.items() if key not in ("message", "is_partial", "text")}
    if event.draft_id is not None:
        details["draft_id"] = str(event.draft_id)
    return EventOut(
        number=event.number,
        kind=event.kind,
        at=event.happened_at,
        message=event.content.get("message"),
        is_partial=event.content.get("is_partial", False),
        by=None if event.user is None else event.user.name,
        text=event.content.get("text"),
        details=details,
    ).model_dump(mode="json")


def for_customer(event: Event) -> dict[str, Any]:
    """Return an event of the customer's as they, and the application, see it."""
    said_by = "user" if event.kind == "user_message" else "bot" if event.user_id is None else "person"
    return EventOut(
        number=event.number,
        kind=event.kind,
        at=event.happened_at,
        message=_shown_message(event.content["message"]),
        is_partial=event.content.get("is_partial", False),
        by=said_by,
    ).model_dump(mode="json")


def _shown_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without what the model thought: that is for nobody outside."""
    return {key: value for key, value in message.items() if key in ("role", "content", "refusal", "tool_calls")}


def hold_as_json(hold: Hold) -> dict[str, Any]:
    """Return a hold."""
    return HoldOut(
        id=hold.id,
        conversation_id=hold.conversation_id,
        draft_id=hold.draft_id,
        reasons=hold.reasons,
        message=hold.draft.output,
        opened_at=hold.opened_at,
        deadline_at=hold.deadline_at,
        when_nobody=hold.when_nobody,
        ended_as=hold.ended_as,
    ).model_dump(mode="json")


def draft_as_json(decision: DraftDecision) -> dict[str, Any]:
    """Return what is to become of a draft."""
    return LiveDraftOut(
        id=decision.draft.id,
        response_id=decision.draft.response_id,
        decision=decision.word,
        message=None if decision.message is None else decision.message.content["message"],
        number=None if decision.message is None else decision.message.number,
        why=decision.why,
        reason=decision.reason,
        hold_id=None if decision.hold is None else decision.hold.id,
        deadline_at=None if decision.hold is None else decision.hold.deadline_at,
    ).model_dump(mode="json")
