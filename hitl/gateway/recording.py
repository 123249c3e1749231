"""What went through becomes captured responses: after the last byte, in batches, by one thread of each process.

When the database does not answer, or comes behind, exchanges go to disk (hitl/gateway/spool.py) and are recorded later.
Nobody who asks waits for any of this.
"""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.orm import Session

from hitl.accounts.keys import note_uses
from hitl.accounts.models import Project
from hitl.capture.errors import IdTaken
from hitl.capture.intake import capture_responses
from hitl.capture.models import Response
from hitl.capture.pseudonyms import pseudonym
from hitl.capture.results import Result
from hitl.core.database import Database
from hitl.core.secrets import Keys, keys_of
from hitl.gateway.budgets import Used, add_usage, cost_of
from hitl.gateway.conversations import Asker, Place, Placing
from hitl.gateway.exchanges import Exchange
from hitl.gateway.settings import Handling, handling_of
from hitl.gateway.spool import Spool

log = structlog.get_logger()

BATCH = 200
GATHER_SECONDS = 0.05  # exchanges that end within this time of each other are recorded together
MAX_WAITING = 10_000
MAX_WAITING_BYTES = 128 * 1024 * 1024
RETRY_SECONDS = 2.0
END_SECONDS = 10.0
NOT_PARAMETERS = frozenset(
    {"messages", "tools", "model", "metadata", "user", "safety_identifier", "stream", "stream_options"}
)
OF_A_MESSAGE = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning_content"})


class Recorder:
    """Takes exchanges and records them."""

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database, self._spool = database, spool
        self._waiting: queue.Queue[Exchange | None] = queue.Queue(MAX_WAITING)
        self._bytes = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_away_until = 0.0  # the database, as far as we know
        self._is_closed = False
        self.recorded_count = 0
        self.refused_count = 0

    def put(self, exchange: Exchange) -> None:
        """Take an exchange. Waits only for the disk, and only when far behind."""
        self._ensure_running()
        with self._lock:
            is_too_much = self._bytes + exchange.size > MAX_WAITING_BYTES or self._is_closed
            if not is_too_much:
                self._bytes += exchange.size
        try:
            if is_too_much:
                raise queue.Full
            self._waiting.put_nowait(exchange)
        except queue.Full:
            self._spool.keep([exchange])

    def close(self) -> None:
        """Record what waits, or keep it on disk; then end."""
        self._is_closed = True
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(END_SECONDS)
        left = []
        while not self._waiting.empty():
            exchange = self._waiting.get_nowait()
            if exchange is not None:
                left.append(exchange)
        self._spool.keep(left)

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until all that came so far is recorded or on disk; for tests and for the end."""
        deadline = time.monotonic() + timeout_seconds
        while self._waiting.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self._waiting.unfinished_tasks

    @property
    def waiting_count(self) -> int:
        """How many are not recorded yet, those on disk not counted."""
        return self._waiting.unfinished_tasks

    def _ensure_running(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="gateway-recorder", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        is_ended = False
        while not is_ended:
            batch, is_ended = self._next_batch()
            if batch:
                self._take(batch)
                with self._lock:
                    self._bytes -= sum(exchange.size for exchange in batch)
            for _ in range(len(batch) + is_ended):
                self._waiting.task_done()
            if time.monotonic() >= self._is_away_until:
                self._recover()

    def _next_batch(self) -> tuple[list[Exchange], bool]:
        batch: list[Exchange] = []
        try:
            found = self._waiting.get(timeout=RETRY_SECONDS)
            gather_until = time.monotonic() + GATHER_SECONDS
            while found is not None:
                batch.append(found)
                if len(batch) >= BATCH:
                    return batch, False
                found = self._waiting.get(timeout=max(0.0, gather_until - time.monotonic()))
        except queue.Empty:
            return batch, False
        return batch, True

    def _take(self, batch: list[Exchange]) -> None:
        if time.monotonic() < self._is_away_until:
            self._spool.keep(batch)
            return
        try:
            self.record(batch)
        except (DBAPIError, NoFreeConnection) as error:
            log.warning("gateway_spools", error=str(error), exchanges=len(batch))
            self._is_away_until = time.monotonic() + RETRY_SECONDS
            self._spool.keep(batch)

    def _recover(self) -> None:
        """Record what lies on disk, the oldest first, as long as the database answers and nothing newer waits."""
        try:
            while self._waiting.empty() and self._spool.replay(self.record):
                pass
        except (DBAPIError, NoFreeConnection):
            self._is_away_until = time.monotonic() + RETRY_SECONDS
        except OSError as error:
            log.error("gateway_spool_unreadable", error=str(error))
            self._is_away_until = time.monotonic() + RETRY_SECONDS

    def record(self, exchanges: Sequence[Exchange]) -> None:
        """Store exchanges, each project's in a transaction of its own. Safe to do again.

        One that cannot be stored whatever happens is put aside, and does not keep the others.
        Raises DBAPIError, NoFreeConnection.
        """
        by_project: dict[UUID, list[Exchange]] = defaultdict(list)
        for exchange in exchanges:
            by_project[exchange.project_id].append(exchange)
        for project_id, of_project in by_project.items():
            try:
                self._record_in_project(project_id, of_project)
            except (DBAPIError, NoFreeConnection) as error:
                if isinstance(error, DBAPIError) and not error.connection_invalidated and _is_our_fault(error):
                    self._one_by_one(project_id, of_project, error)
                else:
                    raise
            except Exception as error:
                self._one_by_one(project_id, of_project, error)

    def _record_in_project(self, project_id: UUID, exchanges: Sequence[Exchange]) -> None:
        with self._database.writing() as db:
            project = db.get(Project, project_id)
            if project is None:  # deleted meanwhile, with all that was in it
                return
            refused = record_exchanges(db, project, exchanges)
        self.recorded_count += len(exchanges)
        self.refused_count += refused

    def _one_by_one(self, project_id: UUID, exchanges: Sequence[Exchange], error: Exception) -> None:
        if len(exchanges) > 1:
            for exchange in exchanges:
                self.record([exchange])
            return
        log.error("gateway_cannot_record", exchange=str(exchanges[0].id), exc_info=error)
        self.refused_count += 1
        self._spool.put_aside(exchanges[0])


def _is_our_fault(error: DBAPIError) -> bool:
    return type(error).__name__ in ("DataError", "IntegrityError", "ProgrammingError", "NotSupportedError")


def record_exchanges(db: Session, project: Project, exchanges: Sequence[Exchange]) -> int:
    """Capture answers and count usage, in the caller's transaction; return how many answers were refused."""
    handling = handling_of(db, project)
    keys = keys_of(db)
    placing = Placing(db, project)
    rows: list[dict[str, Any]] = []
    owners: list[Exchange] = []
    for exchange in sorted(exchanges, key=lambda exchange: (exchange.started_at, exchange.id)):
        for row in _rows(exchange, placing, handling, keys):
            rows.append(row)
            owners.append(exchange)
    placing.store()
    results = _capture(db, project, rows, owners, keys)
    created = {id(owner) for owner, result in zip(owners, results, strict=True) if result.status == "created"}
    refused = [result for result in results if result.status == "rejected"]
    for result in refused:
        message = "" if result.error is None else result.error.message
        log.warning(
            "gateway_answer_refused", project=project.slug, error=message, param=getattr(result.error, "param", None)
        )
    add_usage(db, project.id, _used(exchanges, handling, created))
    note_uses(db, {exchange.api_key_id for exchange in exchanges})
    return len(refused)


def _capture(
    db: Session, project: Project, rows: list[dict[str, Any]], owners: list[Exchange], keys: Keys
) -> list[Result]:
    """An id that the upstream gave out twice gets ours beside it; an exchange that comes again is a duplicate."""
    results = capture_responses(db, project, rows, keys)
    taken = [place for place, result in enumerate(results) if isinstance(result.error, IdTaken)]
    known = {
        response.client_id: (response.id, response.created_at)
        for response in db.execute(
            select(Response.client_id, Response.id, Response.created_at).where(
                Response.project_id == project.id,
                Response.client_id.in_([rows[place]["client_id"] for place in taken]),
            )
        )
    }
    for place in taken:
        response_id, created_at = known[rows[place]["client_id"]]
        # Its conversation was guessed, and may be guessed otherwise the second time.
        if created_at == datetime.fromisoformat(owners[place].started_at):
            results[place] = Result("duplicate", response_id)
            continue
        again = {**rows[place], "client_id": f"{rows[place]['client_id'][:200]}-{owners[place].id}"}
        results[place] = capture_responses(db, project, [again], keys)[0]
    return results


def _rows(exchange: Exchange, placing: Placing, handling: Handling, keys: Keys) -> list[dict[str, Any]]:
    if not exchange.is_answered or exchange.is_captured or exchange.is_from_cache:
        return []
    answers = list(exchange.assembly().answers())
    messages = exchange.request.get("messages")
    if not answers or not isinstance(messages, list):
        return []
    end_user = end_user_of(exchange.request)
    hidden = None if end_user is None else pseudonym(keys, exchange.project_id, end_user)
    asker = Asker(exchange.api_key_id, hidden, datetime.fromisoformat(exchange.started_at))
    place = placing.place(exchange.conversation, messages, asker, exchange.id)
    if exchange.broke_off is None and len(answers) == 1:
        placing.remember(place, messages, answers[0][1]["output"], asker)
    return [row_of(exchange, place, end_user, fields, handling, index) for index, fields in answers]


def end_user_of(request: Mapping[str, Any]) -> str | None:
    """Return the application's name for the person who asks, if the request tells it."""
    name = request.get("user") or request.get("safety_identifier")
    return name if isinstance(name, str) and 0 < len(name) <= 255 and "\0" not in name else None


def captured(db: Session, project: Project, exchange: Exchange, handling: Handling) -> UUID | None:
    """Store the one answer of an exchange now, and return its id; None if it cannot be stored as it is.

    Only its usage is left to be counted then.
    """
    keys = keys_of(db)
    placing = Placing(db, project)
    rows = _rows(exchange, placing, handling, keys)
    placing.store()
    exchange.is_captured = True
    if not rows:
        return None
    (result,) = _capture(db, project, rows[:1], [exchange], keys)
    return result.id


def row_of(
    exchange: Exchange, place: Place, end_user: str | None, fields: dict[str, Any], handling: Handling, index: int = 0
) -> dict[str, Any]:
    """Return an answer as a row for capture. fields: as `Assembly.answers` yields them."""
    request = exchange.request
    messages, dropped = _known_keys(request["messages"])
    metadata = request.get("metadata")
    told = (
        {key: value for key, value in metadata.items() if key != "conversation_id"}
        if isinstance(metadata, dict)
        else {}
    )
    details = {**told, **fields.get("metadata", {}), "upstream": exchange.upstream}
    if place.is_guessed:
        details["conversation_is_guessed"] = True
    if exchange.broke_off:
        details |= {"is_partial": True, "broke_off": exchange.broke_off}
    if dropped:
        details["keys_not_kept"] = dropped
    row: dict[str, Any] = {
        "client_id": fields.get("client_id") or f"gw-{exchange.id}{f'-{index}' if index else ''}",
        "input": {"messages": messages, "tools": request.get("tools") or []},
        "output": fields["output"],
        "model": request.get("model"),
        "model_version": fields.get("model") if fields.get("model") != request.get("model") else None,
        "parameters": {name: value for name, value in request.items() if name not in NOT_PARAMETERS},
        "input_tokens": fields.get("input_tokens"),
        "output_tokens": fields.get("output_tokens"),
        "latency_seconds": exchange.latency_seconds,
        "conversation_id": place.conversation,
        "turn": sum(message.get("role") == "assistant" for message in messages if isinstance(message, dict)),
        "end_user": end_user,
        "metadata": details,
        "created_at": exchange.started_at,
        "may_train": "no" if exchange.broke_off else "unknown",
    }
    cost = cost_of(
        handling.prices,
        [fields.get("model"), request.get("model")],
        row["input_tokens"] or 0,
        row["output_tokens"] or 0,
    )
    if cost:
        row["cost_usd"] = cost
    return row


def _known_keys(messages: list[Any]) -> tuple[list[Any], list[str]]:
    """Return messages without the keys that capture does not know, and the names of those."""
    dropped: set[str] = set()
    kept = []
    for message in messages:
        if isinstance(message, dict):
            unknown = {key for key, value in message.items() if key not in OF_A_MESSAGE and value not in (None, [], "")}
            dropped |= unknown
            message = {key: value for key, value in message.items() if key in OF_A_MESSAGE}
        kept.append(message)
    return kept, sorted(map(str, dropped))[:20]


def _used(exchanges: Sequence[Exchange], handling: Handling, created: set[int]) -> dict[Any, Used]:
    """Return what was used, by day, key and model. An answer that was stored before was counted before."""
    used: dict[Any, Used] = defaultdict(Used)
    for exchange in exchanges:
        if (
            exchange.is_answered
            and not (exchange.is_from_cache or exchange.is_captured)
            and id(exchange) not in created
        ):
            continue
        day = datetime.fromisoformat(exchange.started_at).date()
        used[day, exchange.api_key_id, exchange.model] += used_by(exchange, handling)
    return used


def used_by(exchange: Exchange, handling: Handling) -> Used:
    """Return what one exchange used."""
    if exchange.is_from_cache:
        return Used(answers=1, from_cache=1)
    if not exchange.is_answered:
        return Used(failures=1)
    usage = exchange.usage()
    asked, answered = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    return Used(
        answers=1,
        failures=int(exchange.broke_off == "upstream"),
        without_usage=int(usage is None),
        input_tokens=asked,
        output_tokens=answered,
        cost_usd=cost_of(handling.prices, [exchange.model], asked, answered),
    )


def _count(usage: Any, name: str) -> int:
    value = (usage or {}).get(name)
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0
