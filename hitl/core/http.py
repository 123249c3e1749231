"""The edge between HTTP and the product: one request is one transaction, and every refusal is said once, here.

Only routes (`api.py` files and pages) and hitl/app.py use this module.
"""

import hashlib
import math
import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import structlog
from flask import Flask, Response, current_app, g, make_response, request
from flask.wrappers import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.exceptions import MethodNotAllowed as NoSuchMethod

from hitl.core import errors, idempotency
from hitl.core.database import Database
from hitl.core.errors import AppError

log = structlog.get_logger()

JSON_TYPE = "application/json"
READING_METHODS = ("GET", "HEAD", "OPTIONS")
API_PREFIX = "/api/"
GATEWAY_PREFIX = "/gateway/"
API_MANUAL = "/api/docs"  # a page about the API, for people

ErrorPage = Callable[[AppError], str | Response]


class MalformedJson(errors.Invalid):
    """The body is not valid JSON."""

    code = "malformed_json"


class ApiModel(BaseModel):
    """The base of what the API takes and gives: unknown fields are refused, times carry a zone."""

    model_config = ConfigDict(extra="forbid")

    # flask-openapi3 asks for the schema at every request with path or query parameters.
    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return _json_schema(cls, *args, **kwargs)


@cache
def _json_schema(model: type[ApiModel], *args: Any, **kwargs: Any) -> dict[str, Any]:
    return super(ApiModel, model).model_json_schema(*args, **kwargs)


class ErrorBody(ApiModel):
    """What went wrong."""

    type: str
    code: str
    message: str
    param: str | None = Field(description="JSON pointer to the field at fault")


class ErrorEnvelope(ApiModel):
    """Every refusal has this shape."""

    error: ErrorBody


class PageQuery(ApiModel):
    """Which page of a list."""

    cursor: str | None = Field(None, description="`next_cursor` of the page before")
    limit: int = Field(100, ge=1, le=1000)


class FeedQuery(ApiModel):
    """Which part of a feed."""

    cursor: str | None = Field(None, description="`next_cursor` or `resume_cursor` of the answer before")
    limit: int = Field(100, ge=1, le=1000)


class FeedPage(ApiModel):
    """Where to go on in a feed."""

    next_cursor: str | None = Field(description="Null when there is no more for now")
    resume_cursor: str = Field(description="Where to go on, now or at any later time; never null")


class ProjectPath(ApiModel):
    """A project, by its slug."""

    slug: str


class JsonRequest(Request):
    """A request whose JSON is parsed strictly, with the error that the API promises."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        if "parsed_json" not in self.__dict__:
            if self.mimetype != JSON_TYPE and not self.mimetype.endswith("+json"):
                raise errors.UnsupportedMedia
            try:
                self.__dict__["parsed_json"] = orjson.loads(self.get_data())
            except orjson.JSONDecodeError as error:
                raise MalformedJson(f"The body is not valid JSON: {error}.") from error
        return self.__dict__["parsed_json"]


def answer(content: BaseModel | dict[str, Any], status: int = 200) -> Response:
    """Return JSON."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    return Response(orjson.dumps(plain), status=status, mimetype=JSON_TYPE)


def no_content() -> Response:
    """Return 204."""
    return Response(status=204)


STREAM_TYPE = "text/event-stream"
SEND_SECONDS = 20.0  # a reader who takes no byte for so long is dropped
RECONNECT_MILLISECONDS = 2_000
_OPEN_STREAMS = "hitl_open_streams"
_STREAMS_OF_EACH = "hitl_streams_of_each"
_counting = threading.Lock()


class TooManyStreams(errors.Unavailable):
    """As many streams are open here as may be. Try again in a moment, or ask for pages instead."""

    code = "too_many_streams"


def is_stream_wanted() -> bool:
    """Whether the asker wants events as they happen."""
    return request.accept_mimetypes.best_match((JSON_TYPE, STREAM_TYPE), default=JSON_TYPE) == STREAM_TYPE


def event_stream(chunks: Iterator[bytes], *, whose: str | None = None, at_most: int = 0) -> Response:
    """Return an answer that goes on for as long as `chunks` does. The request's transaction ends before it begins.

    whose, at_most: as for `stay_open`. Raises TooManyStreams.
    """
    release = stay_open(whose=whose, at_most=at_most)
    be_patient_again = drop_slow_readers()

    def body() -> Iterator[bytes]:
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
        try:
            yield from chunks
        except (DBAPIError, NoFreeConnection) as error:
            log.warning("stream_ends", error=str(error))  # its reader comes again, and goes on where it was

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = Response(body(), mimetype=STREAM_TYPE, headers=headers)
    response.call_on_close(release)
    response.call_on_close(be_patient_again)
    return response


def stay_open(*, whose: str | None = None, at_most: int = 0) -> Callable[[], None]:
    """Count a request that stays open for long, and return what to call at its end.

    whose: who may have no more than `at_most` of them, so that one asker does not take the places of all.
    Raises TooManyStreams.
    """
    slots: threading.BoundedSemaphore = current_app.extensions[_OPEN_STREAMS]
    of_each: Counter[str] = current_app.extensions[_STREAMS_OF_EACH]
    with _counting:
        if whose is not None and of_each[whose] >= at_most:
            raise TooManyStreams
        if not slots.acquire(blocking=False):
            raise TooManyStreams
        if whose is not None:
            of_each[whose] += 1

    def release() -> None:
        slots.release()
        if whose is not None:
            with _counting:
                of_each[whose] -= 1
                if not of_each[whose]:
                    del of_each[whose]

    return release


def caller_has_left() -> Callable[[], bool]:
    """Return a function that says whether whoever made this request has closed the connection since."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")

    def has_left() -> bool:
        if connection is None:
            return False
        try:
            asking = select.poll()  # not `select.select`, which knows no more than 1,024 files
            asking.register(connection, select.POLLIN)
            return bool(asking.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    return has_left


def drop_slow_readers() -> Callable[[], None]:
    """Let the answer end when its reader takes nothing for a while; what they have not read is in the database.

    Returns what to call at its end: the connection may be used for another request, and may be idle before it.
    """
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    if connection is None:
        return lambda: None
    before = connection.gettimeout()
    connection.settimeout(SEND_SECONDS)
    return lambda: connection.settimeout(before)


def server_sent(data: Any, *, number: int | None = None, kind: str | None = None) -> bytes:
    """Return one server-sent event. data: a text, or what becomes JSON. number: where a reader goes on after it."""
    text = data if isinstance(data, str) else orjson.dumps(data).decode()
    fields = [] if number is None else [f"id: {number}"]
    if kind is not None:
        fields.append(f"event: {kind}")
    fields.extend(f"data: {line}" for line in text.split("\n"))
    return ("\n".join(fields) + "\n\n").encode()


SIGN_OF_LIFE = b": still here\n\n"


def validation_problem(error: ValidationError, prefix: str = "") -> errors.Invalid:
    """Say the first thing that a body got wrong, naming the field by JSON pointer."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    pointer = prefix + "".join(f"/{_escape(part)}" for part in first["loc"])
    return errors.Invalid(f"{first['msg']}.", param=pointer or "")


def _escape(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def is_api_request() -> bool:
    """Whether the asker is a program, which wants JSON."""
    return (request.path.startswith(API_PREFIX) and request.path != API_MANUAL) or is_gateway_request()


def is_gateway_request() -> bool:
    """Whether this is a call to a model, which must not wait for the database."""
    return request.path.startswith(GATEWAY_PREFIX)


def open_transactions(app: Flask, database: Database) -> None:
    """Make each request one transaction: committed after a view has answered, rolled back when anything raised.

    The transaction opens at the first use of `g.db`; a request that only reads cannot write.
    """

    app.extensions[_STREAMS_OF_EACH] = Counter()
    app.extensions[_OPEN_STREAMS] = threading.BoundedSemaphore(app.extensions["hitl"].settings.web_streams)

    @app.before_request
    def open_session() -> None:
        # The whole body first: a slow sender must not hold SQLite's write lock.
        if request.method not in READING_METHODS:
            body = request.get_data(
                cache=True, parse_form_data=request.mimetype.startswith(("application/x-www", "multipart/"))
            )
            # Of a body sent in chunks, without its length, Werkzeug silently reads no more than the limit.
            if request.content_length is None and len(body) >= (request.max_content_length or math.inf):
                raise errors.TooLarge
        _refuse_nul()
        g.db = database.session(readonly=request.method in READING_METHODS)

    @app.after_request  # registered first, so it runs last
    def commit(response: Response) -> Response:
        db: Session | None = g.get("db")
        if db is None or g.get("has_failed"):
            return response
        if "idempotency_key" in g:
            owner_id, key = g.idempotency_key
            idempotency.finish(db, owner_id, key, response.status_code, response.get_data(as_text=True))
        db.commit()
        return response

    @app.teardown_request
    def close_session(_error: BaseException | None) -> None:
        db: Session | None = g.pop("db", None)
        if db is not None:
            db.close()


def _refuse_nul() -> None:
    """PostgreSQL cannot store or compare a text with NUL; the JSON bodies are read more strictly by their routes."""
    if "\0" in request.path:
        raise errors.NotFound
    for name, value in (*request.args.items(multi=True), *request.form.items(multi=True)):
        if "\0" in name or "\0" in value:
            raise errors.Invalid(
                "A text cannot contain the character NUL.", param=f"/{_escape(name)}".replace("\0", "")
            )


def answer_repeats(owner_id: UUID) -> Response | None:
    """Give a request that carries a known Idempotency-Key its first answer; remember a new one's."""
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST":
        return None
    asked = hashlib.sha256(request.full_path.encode() + b"\0" + request.get_data()).hexdigest()
    earlier = idempotency.begin(g.db, owner_id, key, asked)
    if earlier is None:
        g.idempotency_key = (owner_id, key)
        return None
    is_empty = earlier.status == 204
    response = no_content() if is_empty else Response(earlier.body, earlier.status, mimetype=JSON_TYPE)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def say_errors(app: Flask, error_page: ErrorPage) -> None:
    """Show every refusal once: as the API's envelope, or as a page."""

    def say(error: AppError) -> Response:
        _roll_back()
        if is_api_request():
            response = answer(error.as_json(), error.status)
        else:
            response = make_response(error_page(error), error.status)
        if isinstance(error, errors.TooManyRequests):
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        if isinstance(error, errors.Unavailable):
            response.headers["Retry-After"] = "1"
        if isinstance(error, MethodNotAllowed):
            response.allow.update(error.details["methods"])
        if isinstance(error, errors.Unauthenticated) and is_api_request():
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @app.errorhandler(AppError)
    def refused(error: AppError) -> Response:
        if error.status >= 500 and error.is_fault:
            log.error("request_failed", code=error.code, route=str(request.url_rule))
        return say(error)

    @app.errorhandler(DBAPIError)
    @app.errorhandler(NoFreeConnection)
    def database_trouble(error: DBAPIError | NoFreeConnection) -> Response:
        return say(_as_app_error(error))

    @app.errorhandler(HTTPException)
    def http_problem(error: HTTPException) -> Response:
        cause = error.original_exception if isinstance(error, InternalServerError) else None
        return say(_as_app_error(cause or error))


def _roll_back() -> None:
    g.has_failed = True
    db: Session | None = g.get("db")
    if db is not None:
        db.rollback()


def _as_app_error(error: BaseException) -> AppError:
    if isinstance(error, AppError):
        return error
    if isinstance(error, OperationalError | InterfaceError | NoFreeConnection):
        log.warning("database_unavailable", error=str(error))
        return errors.Unavailable()
    if isinstance(error, HTTPException) and not isinstance(error, InternalServerError):
        return _http_refusal(error)
    log.error("unexpected_error", route=str(request.url_rule), exc_info=error)
    return UnexpectedError()


class UnexpectedError(AppError):
    """Something went wrong on our side. Nothing of this request was stored; it has been logged."""

    status = 500
    type = code = "internal_error"


class MethodNotAllowed(AppError):
    """This address does not take that method."""

    status = 405
    type = code = "method_not_allowed"


class BadRequest(AppError):
    """The request could not be understood."""

    status = 400
    type = code = "bad_request"


_REFUSALS: dict[int, type[AppError]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    413: errors.TooLarge,
    415: errors.UnsupportedMedia,
}


def _http_refusal(error: HTTPException) -> AppError:
    if isinstance(error, NoSuchMethod):
        return MethodNotAllowed(methods=error.valid_methods or ())
    if error.code in _REFUSALS:
        return _REFUSALS[error.code]()
    return BadRequest(error.description)
