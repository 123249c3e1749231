"""What an address is told, and trying until it has heard it."""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from hitl.capture.models import Conversation
from hitl.core import clock, jobs
from hitl.core.database import Database
from hitl.core.outgoing import Outgoing, OutgoingError
from hitl.core.sealing import CannotOpen
from hitl.live.decisions import decision_about
from hitl.live.models import Draft, Event
from hitl.live.schemas import draft_as_json, for_customer
from hitl.webhooks.addresses import secret_of
from hitl.webhooks.models import Delivery
from hitl.webhooks.signing import signed_headers

TELL = "webhooks.tell"
TIMEOUT_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024  # which is read so that the connection can be kept, and thrown away
GONE = 410
# Between one attempt and the next. As Standard Webhooks proposes: about a day in all.
PAUSES_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)


def kind_of(event: Event) -> str | None:
    """Return as what an event is told; None where it is nobody's business outside."""
    if event.audience == "customer":
        return "message.created"
    if event.kind in ("approval", "edit", "refusal", "expiry"):
        return "draft.decided"
    return {"takeover": "conversation.taken_over", "handback": "conversation.handed_back"}.get(event.kind)


def begin_telling(db: Session, delivery: Delivery, delay_seconds: float = 0.0) -> None:
    """Ask for the next attempt."""
    delivery.next_at = clock.now() + timedelta(seconds=delay_seconds)
    db.flush()
    jobs.enqueue(db, TELL, {"delivery_id": delivery.id}, delay_seconds=delay_seconds)


def tell_again(db: Session, delivery: Delivery) -> None:
    """Tell it once more from the beginning: the same message under the same id, so that who has it knows it."""
    delivery.attempts, delivery.delivered_at, delivery.last_problem = 0, None, None
    begin_telling(db, delivery)


def attempt(database: Database, calls: Outgoing, delivery_id: UUID) -> None:
    """Try once to tell an address; ask for another attempt if it does not hear.

    Nothing is locked while the other side thinks. An attempt that is made twice sends the same message under the same
    id.
    """
    with database.writing() as db:
        delivery = db.get(Delivery, delivery_id)
        if delivery is None or delivery.delivered_at is not None or delivery.webhook.why_off is not None:
            return
        if delivery.body is None:
            delivery.body = _body(db, delivery)
        url, body = delivery.webhook.url, orjson.dumps(delivery.body)
        try:
            headers = signed_headers(secret_of(db, delivery.webhook), str(delivery.id), int(time.time()), body)
        except CannotOpen as error:
            delivery.last_problem, delivery.next_at = error.message, None
            return
    status, problem = _call(calls, url, headers, body)
    with database.writing() as db:
        _note(db, delivery_id, status, problem)


def _call(calls: Outgoing, url: str, headers: dict[str, str], body: bytes) -> tuple[int | None, str | None]:
    """Return the status of the answer, and what is wrong with it. What it says is not looked at."""
    try:
        answer = calls.call(
            "POST",
            url,
            headers={**headers, "Content-Type": "application/json", "User-Agent": "hitl-webhooks"},
            body=body,
            total_seconds=TIMEOUT_SECONDS,
        )
        answer.read(MAX_ANSWER_BYTES)
    except OutgoingError as error:
        return None, str(error) or type(error).__name__
    is_good = 200 <= answer.status < 300
    return answer.status, None if is_good else f"It answered with the status {answer.status}."


def _note(db: Session, delivery_id: UUID, status: int | None, problem: str | None) -> None:
    delivery = db.get(Delivery, delivery_id)
    if delivery is None:
        return
    now = clock.now()
    delivery.attempts += 1
    delivery.tried_at, delivery.last_status, delivery.last_problem, delivery.next_at = now, status, problem, None
    if problem is None:
        delivery.delivered_at = now
    elif status == GONE:
        delivery.webhook.why_off = "gone"
    elif delivery.attempts <= len(PAUSES_SECONDS):
        begin_telling(db, delivery, PAUSES_SECONDS[delivery.attempts - 1])


def _body(db: Session, delivery: Delivery) -> dict[str, Any]:
    event = db.get_one(Event, (delivery.conversation_id, delivery.event_number))
    conversation = db.get_one(Conversation, delivery.conversation_id)
    data: dict[str, Any] = {"id": str(conversation.id), "conversation_id": conversation.client_id}
    if delivery.kind == "message.created":
        data |= for_customer(event)
    else:
        data |= {"number": event.number, "at": event.happened_at.isoformat()}
    if delivery.kind == "draft.decided":
        data["draft"] = draft_as_json(decision_about(db, db.get_one(Draft, event.draft_id)))
    return {"type": delivery.kind, "timestamp": event.happened_at.isoformat(), "data": data}
