"""JSON routes of the queue. A key acts as its maker: what it claims, they hold."""

from collections.abc import Sequence

from flask import Response as HttpResponse
from flask import g
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from hitl.accounts.access import allow
from hitl.accounts.models import User
from hitl.accounts.permissions import Permission
from hitl.core import feeds
from hitl.core.errors import NotFound
from hitl.core.http import ProjectPath, answer, no_content
from hitl.queue import leases, picking, rules
from hitl.queue.comparisons import add_comparisons
from hitl.queue.conversations import add_conversations
from hitl.queue.errors import NotAReviewer
from hitl.queue.finding import items_page
from hitl.queue.items import (
    Wish,
    add_items,
    assign,
    change_priority,
    change_reviews_wanted,
    close_by_hand,
    item_of_project,
    unassign,
)
from hitl.queue.models import Assignment, Item, Lease
from hitl.queue.queries import (
    SlotCounts,
    running_leases,
    running_rules,
    slot_counts,
    standing_assignments,
)
from hitl.queue.schemas import (
    AssignBody,
    AssignmentOut,
    AssignmentPath,
    ItemChange,
    ItemFeed,
    ItemFeedQuery,
    ItemOut,
    ItemPage,
    ItemPath,
    ItemQuery,
    ItemWithAssignments,
    LeaseList,
    LeaseOut,
    LeasePath,
    NewRule,
    PickBody,
    PickedItems,
    RuleList,
    RuleOut,
    RulePath,
    SkipBody,
    lease_as_json,
)

bp = APIBlueprint(
    "queue_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Queue", description="What is reviewed next, and who holds it")],
    abp_security=[{"key": []}],
)


@bp.post("/projects/<slug>/leases", responses={201: LeaseOut, 204: None})
@allow(Permission.REVIEW)
def claim_lease(path: ProjectPath) -> HttpResponse:
    """Claim the next item and hold it for a while; 204 when nothing waits for you.

    409 `too_many_leases` while you hold three. What you get says nothing about which model wrote it.
    """
    lease = leases.claim(g.db, g.project, g.user)
    return no_content() if lease is None else answer(_shown(lease), 201)


@bp.get("/projects/<slug>/leases", responses={200: LeaseList})
@allow(Permission.REVIEW)
def list_my_leases(path: ProjectPath) -> HttpResponse:
    """List what you hold, oldest first: where to go on after a claim whose answer was lost."""
    mine = g.db.scalars(running_leases(g.user, g.project))
    return answer({"leases": [_shown(lease) for lease in mine]})


@bp.get("/leases/<uuid:lease_id>", responses={200: LeaseOut})
@allow(Permission.REVIEW)
def show_lease(path: LeasePath) -> HttpResponse:
    """Show a lease of yours and what to review."""
    return answer(_shown(_lease(path)))


@bp.post("/leases/<uuid:lease_id>/skip", responses={200: LeaseOut})
@allow(Permission.REVIEW)
def skip_lease(path: LeasePath, body: SkipBody) -> HttpResponse:
    """Leave an item to others for good. 409 `lease_ended` if you no longer hold it."""
    lease = _lease(path)
    leases.skip(g.db, lease, body.reason)
    return answer(_shown(lease))


@bp.post("/leases/<uuid:lease_id>/extension", responses={201: LeaseOut})
@allow(Permission.REVIEW)
def extend_lease(path: LeasePath) -> HttpResponse:
    """Hold an item for a whole lease's length from now. 409 `lease_ended` if you no longer hold it."""
    lease = _lease(path)
    leases.extend(g.db, lease)
    return answer(_shown(lease), 201)


@bp.delete("/leases/<uuid:lease_id>", responses={204: None})
@allow(Permission.REVIEW)
def give_back_lease(path: LeasePath) -> HttpResponse:
    """Give an item back, for others or for later. 409 `lease_ended` once you reviewed or skipped it."""
    leases.give_back(g.db, _lease(path))
    return no_content()


@bp.get("/projects/<slug>/items", responses={200: ItemPage})
@allow(Permission.QUEUE)
def list_items(path: ProjectPath, query: ItemQuery) -> HttpResponse:
    """Page through the items that fit, oldest first unless you ask for another order.

    `search` takes words and "phrases" of what was asked and answered, all of which have to stand there, or an id.
    """
    options = [selectinload(Item.targets)]
    page = items_page(g.db, g.project, query.wanted(), cursor=query.cursor, limit=query.limit, options=options)
    return answer(ItemPage(items=_shown_items(page.rows), next_cursor=page.next_cursor))


@bp.get("/projects/<slug>/items/changes", responses={200: ItemFeed})
@allow(Permission.QUEUE)
def follow_items(path: ProjectPath, query: ItemFeedQuery) -> HttpResponse:
    """Page through the items in the order in which they came in or last changed, and go on with `resume_cursor`.

    A feed: no item is missed. One comes again, as it is by then, when it was closed or opened again, or wants another
    number of reviews or another priority; not with every claim. Where its slots are is told as of now.
    """
    items = select(Item).where(Item.project_id == g.project.id).options(selectinload(Item.targets))
    if query.kind is not None:
        items = items.where(Item.kind == query.kind)
    stretch = feeds.follow(g.db, items, Item, cursor=query.cursor, limit=query.limit)
    return answer(ItemFeed(items=_shown_items(stretch.rows), **stretch.cursors))


@bp.post("/projects/<slug>/items", responses={201: PickedItems})
@allow(Permission.QUEUE)
def pick_items(path: ProjectPath, body: PickBody) -> HttpResponse:
    """Put responses, comparisons and conversations into the queue by hand.

    What has an item keeps it, with the more reviews and the higher priority of both: a response, the same responses to
    compare, a conversation that has not gone on. 422 `different_inputs`, `same_response_twice`, `same_answers`,
    `wrong_number_to_compare`, `empty_conversation`; 409 `nothing_to_compare_by`, `nothing_to_ask` where the rubric in
    use has no question for them.
    """
    wish = Wish(body.reviews_wanted, body.priority)
    picked = dict.fromkeys(picking.responses(g.db, g.project, body.response_ids, body.client_ids), wish)
    by_response = add_items(g.db, g.project, picked, added_by=g.user)
    compared = [
        (picking.responses(g.db, g.project, one.response_ids, one.client_ids, f"/comparisons/{place}"), wish)
        for place, one in enumerate(body.comparisons)
    ]
    talks = picking.conversations(g.db, g.project, body.conversation_ids, body.client_conversation_ids)
    # Conversations before comparisons: see lock_items.
    of_talks = add_conversations(g.db, g.project, talks, wish, added_by=g.user, at="/conversation_ids")
    items = [
        *(by_response[response_id] for response_id in picked),
        *add_comparisons(g.db, g.project, compared, added_by=g.user, at="/comparisons"),
        *of_talks,
    ]
    return answer(PickedItems(items=_shown_items(items)), 201)


@bp.get("/items/<uuid:item_id>", responses={200: ItemWithAssignments})
@allow(Permission.QUEUE)
def show_item(path: ItemPath) -> HttpResponse:
    """Show an item and for whom it is reserved."""
    return answer(_shown_item(_item(path)))


@bp.patch("/items/<uuid:item_id>", responses={200: ItemWithAssignments})
@allow(Permission.QUEUE)
def change_item(path: ItemPath, body: ItemChange) -> HttpResponse:
    """Let an item get more reviews or fewer, or move it in the queue. 409 `fewer_than_counted`."""
    item = _item(path)
    if body.reviews_wanted is not None:
        change_reviews_wanted(g.db, item, body.reviews_wanted, by=g.user)
    if body.priority is not None:
        change_priority(g.db, item, body.priority, by=g.user)
    return answer(_shown_item(item))


@bp.post("/items/<uuid:item_id>/closing", responses={201: ItemWithAssignments})
@allow(Permission.QUEUE)
def close_item(path: ItemPath) -> HttpResponse:
    """Let an item want no more reviews than it has. 409 `item_closed`."""
    item = _item(path)
    close_by_hand(g.db, item, by=g.user)
    return answer(_shown_item(item), 201)


@bp.post("/items/<uuid:item_id>/assignments", responses={201: AssignmentOut})
@allow(Permission.QUEUE)
def assign_item(path: ItemPath, body: AssignBody) -> HttpResponse:
    """Reserve an open slot for a member. 409 `no_open_slot`, `already_theirs`, `not_theirs_again`."""
    assignment = assign(g.db, _item(path), _reviewer(body), by=g.user)
    return answer(AssignmentOut.of(assignment), 201)


@bp.delete("/items/<uuid:item_id>/assignments/<uuid:assignment_id>", responses={204: None})
@allow(Permission.QUEUE)
def unassign_item(path: AssignmentPath) -> HttpResponse:
    """Let a reservation go; whoever took the item by it goes on."""
    item = item_of_project(g.db, path.item_id, g.project)
    assignment = g.db.get(Assignment, path.assignment_id)
    if assignment is None or assignment.item_id != item.id:
        raise NotFound
    unassign(g.db, assignment, by=g.user)
    return no_content()


@bp.get("/projects/<slug>/rules", responses={200: RuleList})
@allow(Permission.QUEUE)
def list_rules(path: ProjectPath) -> HttpResponse:
    """List the rules that are switched on."""
    found = g.db.execute(running_rules(g.project.id))
    return answer(RuleList(rules=[RuleOut.of(rule, version) for rule, version in found]))


@bp.post("/projects/<slug>/rules", responses={201: RuleOut})
@allow(Permission.QUEUE)
def create_rule(path: ProjectPath, body: NewRule) -> HttpResponse:
    """Switch on a rule for what comes in from now on, and if asked for what came before. 409 `rule_name_taken`."""
    rule = rules.create_rule(g.db, g.project, body.name, body.terms(), by=g.user, include_earlier=body.include_earlier)
    return answer(RuleOut.of(rule, rules.newest_version(g.db, rule)), 201)


@bp.put("/rules/<uuid:rule_id>", responses={200: RuleOut})
@allow(Permission.QUEUE)
def change_rule(path: RulePath, body: rules.Terms) -> HttpResponse:
    """Let a rule say something else from now on. What it drew stays. 409 `rule_ended`."""
    rule = rules.rule_of_project(g.db, path.rule_id, g.project)
    return answer(RuleOut.of(rule, rules.change_rule(g.db, rule, body, by=g.user)))


@bp.delete("/rules/<uuid:rule_id>", responses={204: None})
@allow(Permission.QUEUE)
def end_rule(path: RulePath) -> HttpResponse:
    """Switch a rule off. What it drew stays. 409 `rule_ended`."""
    rules.end_rule(g.db, rules.rule_of_project(g.db, path.rule_id, g.project), by=g.user)
    return no_content()


def _lease(path: LeasePath) -> Lease:
    return leases.lease_held_by(g.db, g.user, path.lease_id, g.project)


def _shown(lease: Lease) -> dict[str, object]:
    leases.load_subject(g.db, lease)
    return lease_as_json(g.db, lease, lease.item)


def _item(path: ItemPath) -> Item:
    return item_of_project(g.db, path.item_id, g.project)


def _shown_items(items: Sequence[Item]) -> list[ItemOut]:
    counts = slot_counts(g.db, [item.id for item in items])
    return [ItemOut.of(item, counts.get(item.id, SlotCounts())) for item in items]


def _shown_item(item: Item) -> ItemWithAssignments:
    (shown,) = _shown_items([item])
    assignments = [AssignmentOut.of(assignment) for assignment in g.db.scalars(standing_assignments(item))]
    return ItemWithAssignments(**dict(shown), assignments=assignments)


def _reviewer(body: AssignBody) -> User:
    is_meant = User.id == body.reviewer_id if body.email is None else User.email == body.email.lower()
    reviewer: User | None = g.db.scalar(select(User).where(is_meant))
    if reviewer is None:
        raise NotAReviewer(param="/reviewer_id" if body.email is None else "/email")
    return reviewer
