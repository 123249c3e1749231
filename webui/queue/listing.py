"""The items of a page of the queue, with what a lead wants to know about each."""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.core import clock
from hitl.queue.finding import items_page
from hitl.queue.models import Assignment, Item, ItemTarget, RuleVersion, Selection
from hitl.queue.queries import SlotCounts, slot_counts
from hitl.queue.reasons import why_here
from hitl.queue.rules import inclusion_probability
from hitl.queue.search import texts_of
from hitl.queue.words import Term, terms_in
from hitl.review.corrections import text_of
from hitl.review.search import said_in_reviews
from webui.queue.filters import Filters
from webui.queue.found import Piece, found_in
from webui.queue.wording import age, taken_in_words

PAGE_ITEMS = 25


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    item: Item
    said: str  # what is to be reviewed
    asked: str  # what it answers
    found: dict[str, list[Piece]]  # the words searched for, where they stand: in `said`, `asked` or `earlier`
    is_in_review: bool  # they stand in what a reviewer said
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


def listing(db: Session, project: Project, filters: Filters, cursor: str | None) -> Listing:
    """Return one page of the items that were asked for. Raises BadCursor."""
    targets = selectinload(Item.targets).options(joinedload(ItemTarget.response).defer(Response.context))
    page = items_page(db, project, filters.wanted(), cursor=cursor, limit=PAGE_ITEMS, options=[targets])
    ids = [item.id for item in page.rows]
    in_reviews = said_in_reviews(db, project, filters.search, ids) if filters.search else set()
    return Listing(_rows(db, page.rows, terms_in(filters.search), in_reviews), page.next_cursor)


def _rows(db: Session, items: Sequence[Item], terms: Sequence[Term], in_reviews: Set[UUID]) -> list[Row]:
    ids = [item.id for item in items]
    counts = defaultdict(SlotCounts, slot_counts(db, ids))
    reserved, now = _reserved_for(db, ids), clock.now()
    selections = _selections(db, items)
    return [
        Row(
            item=item,
            said=said_by(item),
            asked=asked_of(item),
            found=_found(item, terms) if terms else {},
            is_in_review=item.id in in_reviews,
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


def _found(item: Item, terms: Sequence[Term]) -> dict[str, list[Piece]]:
    """Return the lines in which words that were searched for stand; of what was said earlier only if in no other."""
    lines = {"said": found_in(said_by(item), terms), "asked": found_in(asked_of(item), terms, 120)}
    found = {name: pieces for name, pieces in lines.items() if pieces is not None}
    if found:
        return found
    texts = (text for target in item.targets if target.response for text in texts_of(target.response))
    earlier = next((pieces for text in texts if (pieces := found_in(text, terms)) is not None), None)
    return {} if earlier is None else {"earlier": earlier}


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
        return [f"{reason[0].upper()}{reason[1:]}" for reason in why_here(db, item)]
    by_hand = ["Picked by hand"] if item.added_by_id is not None else []
    return by_hand + [selection.rule_version.rule.name for selection in selections if selection.is_drawn]


def _chance(item: Item, selections: Sequence[Selection]) -> float | None:
    if item.added_by_id is not None or not selections:
        return None
    return inclusion_probability(selection.rate for selection in selections)


def said_by(item: Item) -> str:
    """Return the words under review."""
    if item.kind == "conversation":
        return "A whole conversation"
    if item.kind == "comparison":
        return f"{len(item.targets)} responses to the same input"
    response = response_of(item)
    return (text_of(response.output) or _calls(response)) if response else ""


def response_of(item: Item) -> Response | None:
    """Return the first response that an item is about: of a conversation, the one at which it stood."""
    return next((target.response for target in item.targets if target.response is not None), None)


def _calls(response: Response) -> str:
    names = [call["function"]["name"] for call in response.output.get("tool_calls", ())]
    return f"Calls {', '.join(names)}" if names else "No text"


def asked_of(item: Item) -> str:
    """Return the last thing that the user said before."""
    response = response_of(item)
    if response is None:
        return ""
    said = [message for message in response.input["messages"] if message["role"] == "user"]
    return text_of(said[-1]) if said else ""
