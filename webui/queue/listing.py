"""The items of a page of the queue, with what a lead wants to know about each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, exists, select, tuple_
from sqlalchemy.orm import Session, joinedload, selectinload

from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.core import clock, cursors
from hitl.queue.models import Assignment, Item, ItemTarget, Lease, RuleVersion, Selection
from hitl.queue.queries import SlotCounts, items_of_project, open_items, slot_counts, stuck_items
from hitl.queue.reasons import why_here
from hitl.queue.rules import inclusion_probability
from hitl.review.corrections import text_of
from hitl.review.models import Review
from webui.queue.wording import age, taken_in_words

PAGE_ITEMS = 25


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    item: Item
    said: str  # what is to be reviewed
    asked: str  # what it answers
    reasons: list[str]
    chance: float | None  # how likely it was to be drawn; none where chance had no part in it
    counts: SlotCounts
    taken: str  # by whom it is held or reserved, if at all
    waited: str
    reserved_for: list[str]


@dataclass(frozen=True)
class Listing:
    """One page of the queue."""

    rows: list[Row]
    next_cursor: str | None


def items_in(project: Project, state: str) -> Select[Item]:
    """The items of a state: open, held, partly, stuck, extras (with a review that waits to be counted) or closed."""
    held = exists().where(Lease.item_id == Item.id, Lease.ended_as.is_(None))
    partly = exists().where(Lease.item_id == Item.id, Lease.ended_as == "completed", Lease.holds_slot)
    extras = exists().where(Review.item_id == Item.id, Review.standing == "extra")
    return {
        "open": open_items(project),
        "held": open_items(project).where(held),
        "partly": open_items(project).where(partly),
        "stuck": stuck_items(project),
        "extras": items_of_project(project).where(extras).order_by(Item.sort_key, Item.id),
        "closed": items_of_project(project).where(Item.closed_at.is_not(None)),
    }[state]


def listing(db: Session, project: Project, state: str, cursor: str | None) -> Listing:
    """Return one page of the items in a state: in the order of the queue, closed ones newest first.

    Raises BadCursor.
    """
    query = items_in(project, state).options(
        selectinload(Item.targets).options(joinedload(ItemTarget.response).defer(Response.context))
    )
    if state == "closed":
        page = cursors.page(db, query, Item.id, cursor=cursor, limit=PAGE_ITEMS, newest_first=True)
        return Listing(_rows(db, page.rows), page.next_cursor)
    if cursor is not None:
        query = query.where(_after(db, project, cursor))
    items = db.scalars(query.limit(PAGE_ITEMS + 1)).all()
    more = len(items) > PAGE_ITEMS
    items = items[:PAGE_ITEMS]
    return Listing(_rows(db, items), cursors.encode(items[-1].id) if more else None)


def _after(db: Session, project: Project, cursor: str) -> object:
    """The condition of what follows an item in the queue's order, where it stands now."""
    last = db.get(Item, cursors.decode(cursor))
    if last is None or last.project_id != project.id:
        raise cursors.BadCursor(param="/cursor")
    return tuple_(Item.sort_key, Item.id) > tuple_(last.sort_key, last.id)


def _rows(db: Session, items: Sequence[Item]) -> list[Row]:
    ids = [item.id for item in items]
    counts = defaultdict(SlotCounts, slot_counts(db, ids))
    reserved, now = _reserved_for(db, ids), clock.now()
    selections = _selections(db, items)
    return [
        Row(
            item=item,
            said=said_by(item),
            asked=asked_of(item),
            reasons=_reasons(db, item, selections[item.id]),
            chance=_chance(item, selections[item.id]),
            counts=counts[item.id],
            taken=taken_in_words(counts[item.id]),
            waited=_waited(item, now),
            reserved_for=reserved[item.id],
        )
        for item in items
    ]


def _waited(item: Item, now: datetime) -> str:
    return age(item.created_at, item.closed_at or now)


def _reserved_for(db: Session, item_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    standing = (
        select(Assignment)
        .where(Assignment.item_id.in_(item_ids), Assignment.ended_at.is_(None))
        .options(joinedload(Assignment.reviewer))
        .order_by(Assignment.created_at, Assignment.id)
    )
    names = defaultdict(list)
    for assignment in db.scalars(standing):
        names[assignment.item_id].append(assignment.reviewer.name)
    return names


def _selections(db: Session, items: Sequence[Item]) -> dict[UUID, list[Selection]]:
    """Return by item the rules that its response was eligible for. Comparisons are left out: see `_reasons`."""
    item_of = {target.response_id: item.id for item in items if item.kind == "response" for target in item.targets}
    found = defaultdict(list)
    with_rule = joinedload(Selection.rule_version).joinedload(RuleVersion.rule)
    eligible = select(Selection).where(Selection.response_id.in_(item_of)).options(with_rule)
    for selection in db.scalars(eligible.order_by(Selection.at, Selection.id)):
        found[item_of[selection.response_id]].append(selection)
    return found


def _reasons(db: Session, item: Item, selections: Sequence[Selection]) -> list[str]:
    """Name the rules that drew it; of a comparison, whose models must not be told apart, say it without names."""
    if item.kind != "response":
        return why_here(db, item)
    by_hand = ["Picked by hand"] if item.added_by_id is not None else []
    return by_hand + [selection.rule_version.rule.name for selection in selections if selection.is_drawn]


def _chance(item: Item, selections: Sequence[Selection]) -> float | None:
    if item.added_by_id is not None or not selections:
        return None
    return inclusion_probability(selection.rate for selection in selections)


def said_by(item: Item) -> str:
    """Return the words under review."""
    if item.kind != "response":
        return f"{len(item.targets)} responses to the same input"
    response = item.targets[0].response
    return (text_of(response.output) or _calls(response)) if response else ""


def _calls(response: Response) -> str:
    names = [call["function"]["name"] for call in response.output.get("tool_calls", ())]
    return f"Calls {', '.join(names)}" if names else "No text"


def asked_of(item: Item) -> str:
    """Return the last thing that the user said before."""
    response = item.targets[0].response if item.targets else None
    if response is None:
        return ""
    said = [message for message in response.input["messages"] if message["role"] == "user"]
    return text_of(said[-1]) if said else ""
