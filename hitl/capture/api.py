"""The API of capture: responses and feedback come in, responses can be read."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from flask import Response as HttpResponse
from flask import g, request
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.capture.errors import RowInvalid, TooManyRows
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.capture.json_values import read_json
from hitl.capture.models import Conversation, Feedback, Response
from hitl.capture.queries import feedback_about, responses_of
from hitl.capture.results import Result
from hitl.capture.schemas import (
    MAX_ROWS,
    BatchResults,
    FeedbackBody,
    FeedbackPage,
    FeedbackQuery,
    ResponsePage,
    ResponsePath,
    ResponseQuery,
    ResponsesBody,
    ResponseWithFeedback,
    RowResult,
)
from hitl.core import feeds
from hitl.core.errors import NotFound
from hitl.core.http import ErrorEnvelope, ProjectPath, answer
from hitl.core.secrets import keys_of

bp = APIBlueprint(
    "capture_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Capture", description="Put responses and feedback in")],
    abp_security=[{"key": []}],
)

Take = Callable[..., list[Result]]


@bp.before_request
def read_leniently() -> None:
    """Let a body pass that holds NaN or half a surrogate pair, so that its row is refused by name, not the batch."""
    if request.method == "POST" and request.is_json:
        with contextlib.suppress(ValueError):  # not JSON at all: refused where every other body is
            request.__dict__["parsed_json"] = read_json(request.get_data())


@bp.post("/projects/<slug>/responses", responses={200: BatchResults, 201: RowResult, 409: ErrorEnvelope})
@allow(Permission.CAPTURE)
def capture(path: ProjectPath, body: ResponsesBody) -> HttpResponse:
    """Store one response, or a batch of up to 1,000.

    One: 201 created, 200 duplicate, 409 `id_taken`, 422 with the field at fault. A batch: always 200 with a result for
    each row; only a body that is no batch is 422. A row with a `client_id` may be sent again without harm. Of a key
    that comes twice in one object, the last counts.
    """

    def take(rows: list[Any], at: str = "") -> list[Result]:
        return capture_responses(g.db, g.project, rows, keys_of(g.db), at=at)

    return _one_or_many(body.root, "responses", take)


@bp.post("/projects/<slug>/feedback", responses={200: BatchResults, 201: RowResult, 202: RowResult})
@allow(Permission.FEEDBACK)
def feedback(path: ProjectPath, body: FeedbackBody) -> HttpResponse:
    """Keep what an end user said about a response or a conversation; one, or a batch of up to 1,000.

    One: 201 created, 200 updated or duplicate, 202 waiting for its response (kept for 24 hours), 404 for an id of ours
    that this project does not have, 422 with the field at fault. A batch: always 200 with a result for each row. The
    same kind from the same source again updates; what was said later counts.
    """

    def take(rows: list[Any], at: str = "") -> list[Result]:
        return give_feedback(g.db, g.project, rows, at=at)

    return _one_or_many(body.root, "feedback", take)


@bp.get("/projects/<slug>/feedback", responses={200: FeedbackPage})
@allow(Permission.DATA)
def list_feedback(path: ProjectPath, query: FeedbackQuery) -> HttpResponse:
    """Page through what end users said, in the order in which they said it last; go on with `resume_cursor`.

    A feed: nothing is missed. What was said anew comes again. What still waits for its response is not among it.
    """
    found = select(Feedback).where(Feedback.project_id == g.project.id)
    asked = {Feedback.kind: query.kind, Feedback.source: query.source}
    found = found.where(*(column == word for column, word in asked.items() if word is not None))
    stretch = feeds.follow(g.db, found, Feedback, cursor=query.cursor, limit=query.limit)
    names = _clients_names(stretch.rows)
    return answer({"feedback": [_shown_with_subject(one, names) for one in stretch.rows], **stretch.cursors})


@bp.get("/projects/<slug>/responses", responses={200: ResponsePage})
@allow(Permission.DATA)
def list_responses(path: ProjectPath, query: ResponseQuery) -> HttpResponse:
    """Page through the project's responses as they came in, and go on where you were with `resume_cursor`.

    A feed: no response is missed or comes twice, however many are being stored meanwhile.
    """
    found = responses_of(g.project.id).options(joinedload(Response.conversation))
    if query.model is not None:
        found = found.where(Response.model == query.model)
    if query.captured_since is not None:
        found = found.where(Response.captured_at >= query.captured_since)
    stretch = feeds.follow(g.db, found, Response, cursor=query.cursor, limit=query.limit)
    return answer({"responses": [_shown(response) for response in stretch.rows], **stretch.cursors})


@bp.get("/responses/<uuid:response_id>", responses={200: ResponseWithFeedback})
@allow(Permission.DATA)
def show_response(path: ResponsePath) -> HttpResponse:
    """Show one response and what end users said about it."""
    response = g.db.scalar(responses_of(g.project.id).where(Response.id == path.response_id))
    if response is None:
        raise NotFound
    said = g.db.scalars(feedback_about(response).order_by(Feedback.given_at))
    return answer({**_shown(response), "feedback": [_shown_feedback(one) for one in said]})


_STATUSES = {"created": 201, "duplicate": 200, "updated": 200, "waiting": 202}


def _one_or_many(body: Any, batch_key: str, take: Take) -> HttpResponse:
    if isinstance(body, dict) and batch_key in body:
        rows = _rows_of_batch(body, batch_key)
        results = take(rows, at=f"/{batch_key}")
        return answer({"results": [result.as_json(index) for index, result in enumerate(results)]})
    if isinstance(body, list):
        raise RowInvalid(f"Send a batch as an object with one key, `{batch_key}`.", param="")
    (result,) = take([body])
    if result.error is not None:
        raise result.error
    return answer({"id": str(result.id), "status": result.status}, _STATUSES[result.status])


def _rows_of_batch(body: dict[str, Any], batch_key: str) -> list[Any]:
    for key in body:
        if key != batch_key:
            raise RowInvalid(f"A batch has the one key `{batch_key}`.", param="")
    rows = body[batch_key]
    if not isinstance(rows, list):
        raise RowInvalid(f"`{batch_key}` is a list of rows.", param=f"/{batch_key}")
    if not 0 < len(rows) <= MAX_ROWS:
        raise TooManyRows(param=f"/{batch_key}")
    return rows


_SHOWN_AS_STORED = (
    "client_id",
    "turn",
    "input",
    "output",
    "model",
    "model_version",
    "prompt_name",
    "prompt_version",
    "parameters",
    "input_tokens",
    "output_tokens",
    "latency_seconds",
    "cost_usd",
    "trace_id",
    "context",
    "signals",
    "may_train",
)


def _shown(response: Response) -> dict[str, Any]:
    return {
        **{name: getattr(response, name) for name in _SHOWN_AS_STORED},
        "id": str(response.id),
        "conversation_id": None if response.conversation is None else response.conversation.client_id,
        "has_end_user": response.end_user is not None,
        "metadata": response.details,
        "personal_data": response.personal_data.split(",") if response.personal_data else [],
        "created_at": response.created_at.isoformat(),
        "captured_at": response.captured_at.isoformat(),
    }


def _clients_names(feedback: Sequence[Feedback]) -> dict[UUID | None, str | None]:
    """Return the client's own ids, by ours, of the responses and conversations that were spoken of."""
    responses = select(Response.id, Response.client_id).where(Response.id.in_([one.response_id for one in feedback]))
    conversations = select(Conversation.id, Conversation.client_id).where(
        Conversation.id.in_([one.conversation_id for one in feedback])
    )
    return {row.id: row.client_id for found in (responses, conversations) for row in g.db.execute(found)}


def _shown_with_subject(said: Feedback, names: dict[UUID | None, str | None]) -> dict[str, Any]:
    return {
        **_shown_feedback(said),
        "response_id": None if said.response_id is None else str(said.response_id),
        "client_id": names.get(said.response_id),
        "conversation_id": names.get(said.conversation_id),
    }


def _shown_feedback(said: Feedback) -> dict[str, Any]:
    return {
        "id": str(said.id),
        "kind": said.kind,
        "value": said.value,
        "comment": said.comment,
        "source": said.source,
        "given_at": said.given_at.isoformat(),
    }
