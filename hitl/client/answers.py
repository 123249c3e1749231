"""What an answer means: delivered, try later, or refused."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeAlias

from hitl.client.transport import Answer

STORED = ("created", "updated", "waiting")
REPEATED = "duplicate"
REJECTED = "rejected"

# Refusals that one row of a batch may have caused: without it, the others may pass.
_ABOUT_THE_BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_FOR_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True)
class RowAnswer:
    """What became of one row; code, message and param only when it was rejected."""

    status: str
    code: str = ""
    message: str = ""
    param: str | None = None


@dataclass(frozen=True)
class Delivered:
    """Every row has its answer, in the order sent."""

    rows: list[RowAnswer]


@dataclass(frozen=True)
class Later:
    """No usable answer: the same again, with the same key.

    retry_after_seconds: how long the service asked to wait, if it did.
    is_about_the_batch: the service itself failed at it; perhaps it will fail at nothing else.
    """

    reason: str
    retry_after_seconds: float | None = None
    is_about_the_batch: bool = False


@dataclass(frozen=True)
class Refused:
    """The service refused the request as a whole, and would again.

    is_about_the_body: one row may be the cause.
    """

    code: str
    message: str
    is_about_the_body: bool


Verdict: TypeAlias = Delivered | Later | Refused


def judge(answer: Answer, row_count: int) -> Verdict:
    """Say what an answer means for a batch of so many rows.

    Only what has the shape of the service's own answers is believed. A page of a proxy, a sign-in page or a redirect
    says nothing about the rows, whatever its status.
    """
    content = _read(answer.body)
    if answer.status == HTTPStatus.OK:
        rows = _row_answers(content, row_count)
        return Later("The answer is none of this service's.") if rows is None else Delivered(rows)
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return Later(f"The address answers with a redirect ({answer.status}), which is not followed. Is the url right?")
    refusal = _refusal_in(content)
    if refusal is not None and _is_final(answer.status):
        return Refused(refusal["code"], refusal["message"], answer.status in _ABOUT_THE_BODY)
    return Later(
        f"The answer has the status {answer.status}.",
        _retry_after(answer),
        is_about_the_batch=answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and refusal is not None,
    )


def _is_final(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _FOR_NOW


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _row_answers(content: Any, row_count: int) -> list[RowAnswer] | None:
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or len(results) != row_count:
        return None
    answers = [_row_answer(result) for result in results]
    return [answer for answer in answers if answer is not None] if all(answers) else None


def _row_answer(result: Any) -> RowAnswer | None:
    status = result.get("status") if isinstance(result, dict) else None
    if status in STORED or status == REPEATED:
        return RowAnswer(status)
    if status != REJECTED:
        return None
    error = result.get("error")
    said = error if isinstance(error, dict) else {}
    param = said.get("param")
    return RowAnswer(
        REJECTED,
        str(said.get("code", REJECTED)),
        str(said.get("message", "The service refused it.")),
        _within_row(param) if isinstance(param, str) else None,
    )


def _within_row(param: str) -> str:
    """Leave out of `/responses/17/input` where the row stood in a batch of which the caller knows nothing."""
    parts = param.split("/", 3)
    return "/" + parts[3] if len(parts) == 4 else ""


def _refusal_in(content: Any) -> dict[str, str] | None:
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return None
    return {"code": error["code"], "message": str(error.get("message", ""))}


def _retry_after(answer: Answer) -> float | None:
    """Return the seconds that a Retry-After asks for, written as a number or as a date."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
