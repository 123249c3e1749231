"""Customers' browsers: a signed token lets one follow and write in one conversation for an hour.

A project's keys never reach a browser. The application, which holds a key, asks for a token and hands it out.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer

from hitl.core import clock
from hitl.core.secrets import Keys

LIFETIME_SECONDS = 3_600
LIFETIME = timedelta(seconds=LIFETIME_SECONDS)


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


def _serializer(keys: Keys) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(keys.sessions, salt="a customer's conversation")
