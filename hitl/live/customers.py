"""Customers' browsers: a signed token lets one follow and write in one conversation for an hour.

A project's keys never reach a browser. The application, which holds a key, asks for a token and hands it out.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hitl.core import clock
from hitl.core.errors import TooManyRequests
from hitl.core.secrets import Keys
from hitl.live.models import Event, LiveConversation

LIFETIME_SECONDS = 3_600
LIFETIME = timedelta(seconds=LIFETIME_SECONDS)
MINUTE = timedelta(minutes=1)
MESSAGES_A_MINUTE = 20  # nobody who types comes near it
LOOKED_AT = 200  # events: enough to hold so many messages and what happens between them
STREAMS_AT_ONCE = 8  # of one conversation in one process: tabs, and what a browser has not closed yet


@dataclass(frozen=True)
class CustomerPass:
    """What a token lets in to."""

    conversation_id: UUID
    expires_at: datetime


def issue_token(keys: Keys, conversation_id: UUID) -> tuple[str, datetime]:
    """Return a token for a conversation, and until when it counts."""
    return _serializer(keys).dumps(conversation_id.hex), clock.now() + LIFETIME


def pass_of_token(keys: Keys, token: str) -> CustomerPass | None:
    """Return what a token lets in to; None if it is not ours or its time is over."""
    try:
        text, signed_at = _serializer(keys).loads(token, max_age=LIFETIME_SECONDS, return_timestamp=True)
        return CustomerPass(UUID(text), signed_at.astimezone(UTC) + LIFETIME)
    except (BadData, ValueError, AttributeError, TypeError):
        return None


def ensure_not_flooding(db: Session, talk: LiveConversation) -> None:
    """Raise TooManyRequests when more was said in a conversation in the last minute than somebody types."""
    lately = select(func.count(), func.min(Event.happened_at)).where(
        Event.conversation_id == talk.id,
        Event.number > talk.last_number - LOOKED_AT,
        Event.kind == "user_message",
        Event.happened_at > clock.now() - MINUTE,
    )
    count, first_at = db.execute(lately).one()
    if count >= MESSAGES_A_MINUTE:
        wait = (first_at + MINUTE - clock.now()).total_seconds()
        raise TooManyRequests("That is more than can be read. Wait a little.", retry_after_seconds=max(1, round(wait)))


def _serializer(keys: Keys) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(keys.sessions, salt="a customer's conversation")
