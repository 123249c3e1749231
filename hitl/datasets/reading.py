"""Plain rows for a freeze: what was learned, in the order of the inputs, and what it refers to.

Ids come as texts and JSON as the bytes that are stored, for most of it is passed on and never looked at. No transaction
lasts longer than one of these reads, so that a freeze holds no old snapshot in the way of the review queue.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from psycopg.adapt import Buffer, Loader
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from hitl.capture.models import Conversation, Response
from hitl.core.database import Database
from hitl.datasets.models import FrozenIntervention, FrozenRevision, FrozenThumb
from hitl.datasets.plan import HOLDS_PERSONAL_DATA, Plan
from hitl.live.models import Intervention
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.queue.models import Item
from hitl.queue.models import Selection as Draw
from hitl.review.models import Review, Revision

PAGE = 2_000  # rows of what was learned, in one read

Plain = tuple[Any, ...]


def text(column: Any) -> ColumnElement[str]:
    """Return a column as the text that the database makes of it: nothing is built from it in this process."""
    return cast(column, Text)


class stored_json(FunctionElement[Any]):
    """A JSON column as the bytes that are stored: nothing is built from them in this process."""

    type: NullType = NullType()
    inherit_cache = True


@compiles(stored_json, "postgresql")
def _postgresql_json(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))  # `_rows` tells the driver how to load it


@compiles(stored_json, "sqlite")
def _sqlite_json(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BLOB)"


class _AsBytes(Loader):
    """Loads what PostgreSQL sends as text, in UTF-8, as it comes."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


RESPONSE_COLUMNS = (
    text(Response.id),
    stored_json(Response.output),
    text(Response.conversation_id),
    Response.end_user,
    Conversation.end_user.label("end_user_of_conversation"),  # another of its responses may have named them
    Response.model,
    type_coerce(Response.created_at, NullType()),  # as the driver has it: compared with its like, and rarely shown
    # One value, so that what may not be trained on is worked out once for each: "yes!" holds personal data.
    case((Response.personal_data.is_not(None), Response.may_train + HOLDS_PERSONAL_DATA), else_=Response.may_train),
)


def learned(database: Database, plan: Plan) -> Iterator[Plain]:
    """Yield what a version of this kind may take, by input and id; the first two values of each are these.

    preference: …, asked, a's response, its text, b's, its text, outcome, distance, origin, cause (all ids).
    demonstration: …, response, text or none, origin, cause.
    verdict: …, response, whether good, origin, cause or none, feedback or none.
    The cause is the revision or the intervention that said so.
    """
    match plan.kind:
        case "preference":
            columns: tuple[Any, ...] = (
                text(Evidence.input_response_id),
                text(Evidence.a_response_id),
                stored_json(Evidence.a_output),
                text(Evidence.b_response_id),
                stored_json(Evidence.b_output),
                Evidence.outcome,
                Evidence.distance,
                Evidence.origin,
                text(func.coalesce(Evidence.revision_id, Evidence.intervention_id)),
            )
            yield from _pages(database, _wanted(plan, Evidence, Evidence.input_response_id, columns), Evidence.id)
        case "demonstration":
            columns = (
                text(Demonstration.response_id),
                stored_json(Demonstration.output),
                Demonstration.origin,
                text(func.coalesce(Demonstration.revision_id, Demonstration.intervention_id)),
            )
            yield from _pages(
                database, _wanted(plan, Demonstration, Demonstration.response_id, columns), Demonstration.id
            )
        case "verdict":
            by_reviewers = _pages(database, _wanted_verdicts(plan), Verdict.id)
            by_end_users = _pages(database, _wanted_thumbs(plan), FrozenThumb.verdict_id)
            yield from merge(by_reviewers, by_end_users, key=itemgetter(0))


def revisions_frozen(db: Session, plan: Plan, revision_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return reviewer and rubric version of those of these revisions that the version was fixed to."""
    query = (
        select(text(Revision.id), text(Review.reviewer_id), text(Item.rubric_version_id))
        .join(FrozenRevision, FrozenRevision.revision_id == Revision.id)
        .join(Review, Review.id == Revision.review_id)
        .join(Item, Item.id == Review.item_id)
        .where(FrozenRevision.version_id == plan.version_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows_with(db, query, Revision.id, revision_ids)}


def interventions_frozen(db: Session, plan: Plan, intervention_ids: Iterable[str]) -> dict[str, str]:
    """Return who made those of these interventions that the version was fixed to."""
    query = (
        select(text(Intervention.id), text(Intervention.user_id))
        .join(FrozenIntervention, FrozenIntervention.intervention_id == Intervention.id)
        .where(FrozenIntervention.version_id == plan.version_id)
    )
    return dict(rows_with(db, query, Intervention.id, intervention_ids))


def responses(db: Session, response_ids: Iterable[str], *, with_input: bool) -> Sequence[Plain]:
    """Return RESPONSE_COLUMNS of these responses, and their inputs (else none)."""
    asked = stored_json(Response.input) if with_input else null()
    query = select(*RESPONSE_COLUMNS, asked).outerjoin(Conversation, Conversation.id == Response.conversation_id)
    return rows_with(db, query, Response.id, response_ids)


def draws(db: Session, response_ids: Iterable[str]) -> Sequence[Plain]:
    """Return response, draw, rule version, rate and whether drawn, of all rules that these responses met."""
    query = select(text(Draw.response_id), text(Draw.id), text(Draw.rule_version_id), Draw.rate, Draw.is_drawn)
    return rows_with(db, query, Draw.response_id, response_ids)


def rows_with(
    db: Session, query: Any, column: InstrumentedAttribute[UUID], identifiers: Iterable[str]
) -> Sequence[Plain]:
    """Return the rows of a query for these ids. They go as one value: databases bound the values in one statement."""
    wanted = list(identifiers)
    if not wanted:
        return []
    connection = db.connection()
    if connection.dialect.name == "sqlite":
        ids: Any = func.json_each(bindparam("ids")).table_valued("value")
        given: Any = orjson.dumps(wanted).decode()
        query = query.where(type_coerce(column, Text).in_(select(ids.c.value)))
    else:
        # One probe of an index for each id: that is what the planner chooses for a list it expects to be short.
        array = cast(bindparam("ids", type_=ARRAY(Text)), ARRAY(Uuid))
        given = wanted
        query = query.where(column.in_(select(func.unnest(array))))
    return _rows(connection, query, {"ids": given})


def _wanted(
    plan: Plan,
    table: type[Evidence] | type[Demonstration] | type[Verdict],
    response_id: InstrumentedAttribute[UUID],
    columns: Sequence[Any],
) -> Any:
    chosen = plan.selection
    query = select(table.input_hash, text(table.id), *columns).where(table.project_id == plan.project_id)
    if chosen.origins is not None:
        query = query.where(table.origin.in_(chosen.origins))
    if chosen.criteria is not None and table is not Demonstration:
        query = query.where(table.criterion.in_(chosen.criteria))  # type: ignore[union-attr]
    return _in_time(plan, query, response_id)


def _wanted_verdicts(plan: Plan) -> Any:
    columns = (text(Verdict.response_id), Verdict.is_good, Verdict.origin, text(Verdict.revision_id), null())
    return _wanted(plan, Verdict, Verdict.response_id, columns).where(Verdict.revision_id.is_not(None))


def _wanted_thumbs(plan: Plan) -> Any:
    query = select(
        FrozenThumb.input_hash,
        text(FrozenThumb.verdict_id),
        text(FrozenThumb.response_id),
        FrozenThumb.is_good,
        literal("end_user"),
        null(),
        text(FrozenThumb.feedback_id),
    ).where(FrozenThumb.version_id == plan.version_id)
    return _in_time(plan, query, FrozenThumb.response_id)


def _in_time(plan: Plan, query: Any, response_id: InstrumentedAttribute[UUID]) -> Any:
    chosen = plan.selection
    if chosen.since is None and chosen.until is None:
        return query
    query = query.join(Response, Response.id == response_id)
    if chosen.since is not None:
        query = query.where(Response.created_at >= chosen.since)
    if chosen.until is not None:
        query = query.where(Response.created_at < chosen.until)
    return query


def _pages(database: Database, query: Any, identifier: InstrumentedAttribute[UUID]) -> Iterator[Plain]:
    """Yield the rows of a query by input and id, a page in each transaction. An index has them in this order."""
    input_hash: Column[str] = identifier.class_.__table__.c.input_hash
    query = query.order_by(input_hash, identifier).limit(PAGE)
    after = tuple_(input_hash, identifier) > tuple_(
        bindparam("last_hash"), bindparam("last_id", type_=Uuid()), types=[Text(), Uuid()]
    )
    last: dict[str, Any] = {}
    while True:
        with database.reading() as db:
            page = _rows(db.connection(), query.where(after) if last else query, last)
        yield from page
        if len(page) < PAGE:
            return
        last = {"last_hash": page[-1][0], "last_id": UUID(page[-1][1])}


def _rows(connection: Connection, query: Any, values: dict[str, Any]) -> list[Plain]:
    """Return the rows of a query as the driver makes them: plain tuples, not SQLAlchemy's, which cost as much again."""
    result = connection.execute(query, values)
    cursor: Any = result.cursor
    if connection.dialect.name == "postgresql":
        cursor.adapters.register_loader("json", _AsBytes)
    rows: list[Plain] = cursor.fetchall()
    result.close()
    return rows
