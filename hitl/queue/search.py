"""Search over what was asked and answered, in the items that there are, and over what reviewers said of them.

The words of each response are stored once it is in the queue, by a job, so that capture and claims wait for nothing.
PostgreSQL searches a tsvector that it makes of them, SQLite an FTS5 table over them; migrations make both, and when a
response is deleted its words go with it. Who knows of further words adds a `Searched`, as hitl/review/search.py does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, exists, or_, select, text, union, union_all
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.models import Conversation, Response
from hitl.capture.words import text_of
from hitl.core import jobs
from hitl.core.database import Database, insert_into
from hitl.queue.models import Item, ItemTarget, SearchedResponse
from hitl.queue.words import MAX_TYPED, Term, as_fts5, as_tsquery, indexed, of_project, terms_in

INDEX_WORDS = "queue.index_words"
INDEXED_AT_ONCE = 200
MAX_FOUND = 10_000  # responses with the words
MAX_BY_ID = 100  # items found by an id: a conversation or a response may be in several
SPOKEN = ("user", "assistant")


@dataclass(frozen=True)
class Searched:
    """A table whose words are searched, and the items that its rows are about.

    table, index: as given to `let_search`.
    items: selects their ids; a condition on the rows is added.
    """

    table: str
    index: str
    items: Select[UUID]


SEARCHED = [
    Searched(
        "searched_responses",
        "searched_words",
        select(ItemTarget.item_id).join(SearchedResponse, SearchedResponse.response_id == ItemTarget.response_id),
    )
]


def index_later(db: Session, response_ids: Iterable[UUID]) -> None:
    """Let the words of these responses be found soon."""
    jobs.enqueue(db, INDEX_WORDS, {"response_ids": list(response_ids)})


@jobs.long(INDEX_WORDS)
def index_words(run: jobs.Run, response_ids: list[str] | None) -> None:
    """Store the words of these responses; of all that are in the queue if none are named."""
    if response_ids is None:
        index_everything(run.database)
        return
    ids = [UUID(response_id) for response_id in response_ids]
    for start in range(0, len(ids), INDEXED_AT_ONCE):
        _index(run.database, ids[start : start + INDEXED_AT_ONCE])


def index_everything(database: Database) -> None:
    """Store the words of all responses that are in the queue and have none stored, in short transactions."""
    after: UUID | None = None
    while True:
        with database.reading() as db:
            missing = select(ItemTarget.response_id).where(
                ItemTarget.response_id.is_not(None),
                ~exists().where(SearchedResponse.response_id == ItemTarget.response_id),
            )
            if after is not None:
                missing = missing.where(ItemTarget.response_id > after)
            found = db.scalars(missing.distinct().order_by(ItemTarget.response_id).limit(INDEXED_AT_ONCE))
            ids = [response_id for response_id in found if response_id is not None]
        if not ids:
            return
        _index(database, ids)
        after = ids[-1]


def _index(database: Database, response_ids: Sequence[UUID]) -> None:
    """Cut the words outside of the transaction that stores them: on SQLite all others would wait for it."""
    with database.reading() as db:
        columns = (Response.id, Response.project_id, Response.input, Response.output)
        found = db.execute(select(*columns).where(Response.id.in_(response_ids)))
        rows = [
            {"response_id": row.id, "words": f"{of_project(row.project_id)} {indexed(texts_of(row))}"} for row in found
        ]
    if not rows:
        return
    with database.writing() as db:
        ids = [row["response_id"] for row in rows]
        still_there = set(db.scalars(select(Response.id).where(Response.id.in_(ids)).with_for_update(key_share=True)))
        rows = [row for row in rows if row["response_id"] in still_there]
        if rows:
            db.execute(insert_into(db, SearchedResponse).on_conflict_do_nothing(), rows)


def texts_of(response: Any) -> list[str]:
    """Return what is searched of a response (or a row with input and output): the answer, then what came before."""
    spoken = [message for message in response.input["messages"] if message["role"] in SPOKEN]
    return [text_of(response.output), *(text_of(message) for message in reversed(spoken))]


def is_found(db: Session, project: Project, typed: str) -> ColumnElement[bool]:
    """Whether an item is one that somebody searches for.

    typed: words and "phrases" that all stand in what was said, or in what one reviewer said of it, in any order; or an
        id: of an item, a response or a conversation, ours or the client's.
    """
    typed = typed.replace("\0", "")[:MAX_TYPED].strip()
    by_id = _items_with_id(db, project, typed)
    terms = terms_in(typed)
    if not terms:
        return Item.id.in_(by_id)
    # Looked up whole before the items: else PostgreSQL may walk the queue and probe each, in the hope of an early end.
    everywhere = union(*(items_with_words(db, project, terms, searched) for searched in SEARCHED))
    with_words = everywhere.cte("with_words").prefix_with("MATERIALIZED", dialect="postgresql")
    found: Any = select(with_words.c[0])
    if by_id:
        found = union_all(found, select(Item.id).where(Item.id.in_(by_id)))
    return Item.id.in_(found)


def items_with_words(db: Session, project: Project, terms: Sequence[Term], searched: Searched) -> Select[UUID]:
    """The items of which all of this is found in one of these tables."""
    terms = [Term((of_project(project.id),), is_start=False), *terms]
    # Beyond that joining them takes longer than people wait: of a word that is nearly everywhere, the newest.
    newest = f"ORDER BY 1 DESC LIMIT {MAX_FOUND}"
    if db.get_bind().dialect.name == "sqlite":
        fitting = f"SELECT rowid FROM {searched.index} WHERE words MATCH :typed"  # noqa: S608 - names of our own
        typed = as_fts5(terms)
    else:
        is_fitting = r"vector @@ to_tsquery('simple'\:\:regconfig, :typed)"
        fitting = f"SELECT id FROM {searched.table} WHERE {is_fitting}"  # noqa: S608 - names of our own
        typed = as_tsquery(terms)
    is_one = text(f"{searched.table}.id IN ({fitting} {newest})").bindparams(bindparam("typed", typed, unique=True))
    return searched.items.where(is_one)


def _items_with_id(db: Session, project: Project, typed: str) -> list[UUID]:
    """Return the items of this project that bear an id, or are about something that does."""
    if not 1 <= len(typed) <= 255:
        return []
    responses = set(db.scalars(_with_client_id(Response, project, typed)))
    conversations = set(db.scalars(_with_client_id(Conversation, project, typed)))
    named = _as_uuid(typed)
    if named is not None:
        responses.add(named)
        conversations.add(named)
    if not responses and not conversations:
        return []
    about = or_(ItemTarget.response_id.in_(responses), ItemTarget.conversation_id.in_(conversations))
    found = set(db.scalars(select(ItemTarget.item_id).where(about).limit(MAX_BY_ID)))
    return [*found, *([named] if named is not None else [])]


def _with_client_id(model: type[Response | Conversation], project: Project, typed: str) -> Select[UUID]:
    return select(model.id).where(model.project_id == project.id, model.client_id == typed)


def _as_uuid(typed: str) -> UUID | None:
    try:
        return UUID(typed)
    except ValueError:
        return None
