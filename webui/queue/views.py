"""The queue as leads see it: what waits and why, who has it, and the rules that fill it."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hitl.accounts.access import allow
from hitl.accounts.errors import NameUnacceptable
from hitl.accounts.models import User
from hitl.accounts.permissions import Permission
from hitl.capture.facts import names_for_people
from hitl.core import clock
from hitl.core.errors import NotFound
from hitl.core.expressions import ExpressionUnacceptable
from hitl.queue import bulk, items, leases, rules
from hitl.queue.capacity import Draws, capacity, draws_by_rule
from hitl.queue.comparisons import add_comparisons
from hitl.queue.conversations import add_conversations
from hitl.queue.errors import NoRubric, NotAReviewer, RuleNameTaken, UnknownConversation, UnknownResponses
from hitl.queue.finding import COUNTED, counts
from hitl.queue.models import Assignment, Item, Lease, Rule
from hitl.queue.queries import reviewers, running_rules
from hitl.queue.reasons import share_in_words
from hitl.queue.rule_preview import preview_of_rule
from hitl.queue.rules import MAX_PRIORITY_DAYS, MAX_REVIEWS_WANTED, terms_of
from hitl.review.corrections import text_of
from hitl.review.errors import NothingToCompareBy
from hitl.review.models import RubricVersion
from hitl.review.rubrics import rubric_of_version
from hitl.review.submission import admit
from webui.base.layout import QUEUE_KEYS
from webui.queue.filters import AGES, KINDS, PRIORITIES, SORTS, STATES, Filters
from webui.queue.forms import WHOM, RuleForm, read_whole_number
from webui.queue.item_page import item_page, review_of
from webui.queue.listing import listing
from webui.queue.wording import (
    age,
    capacity_in_words,
    kinds_in_words,
    looked_at,
    outcome_in_words,
    plural,
    preview_in_words,
    terms_in_words,
    waits_in_words,
)
from webui.review.compared import LETTERS

bp = Blueprint(
    "queue",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static/queue",
)
# No prefix of the blueprint: its static files belong to no project.
PROJECT = "/projects/<slug>"
ITEM = f"{PROJECT}/items/<uuid:item_id>"
RULE = f"{PROJECT}/rules/<uuid:rule_id>"


@bp.get(f"{PROJECT}/queue")
@allow(Permission.QUEUE)
def index(slug: str) -> str:
    """Show the items of one state, whether people keep up, and the rules."""
    running, people = _running_rules(), _people()
    names = {str(shown.rule.id): shown.rule.name for shown in running}
    filters = Filters.read(request.args, names, people)
    if filters.state not in STATES:
        raise NotFound
    cursor = request.args.get("cursor")
    now_and_then = capacity(g.db, g.project)
    return render_template(
        "queue/index.html",
        filters=filters,
        state=filters.state,
        cursor=cursor,
        page=listing(g.db, g.project, filters, cursor),
        counts=counts(g.db, g.project, midnight=clock.now().replace(hour=0, minute=0, second=0, microsecond=0)),
        counted=COUNTED,
        kinds_in_words=kinds_in_words,
        capacity=capacity_in_words(now_and_then),
        looked_at=looked_at(now_and_then),
        rules=running,
        people=people,
        choices={
            "kind": KINDS,
            "rule": [("", "Any rule"), *names.items()],
            "person": [("", "Any person"), ("nobody", "For anyone"), *people.items()],
            "priority": PRIORITIES,
            "age": AGES,
            "sort": SORTS,
        },
        keys=QUEUE_KEYS,
    )


@dataclass(frozen=True)
class ShownRule:
    """A rule that is on, in words."""

    rule: Rule
    says: str
    draws: Draws
    waits: str  # why it draws nothing of some inputs; empty where nothing keeps it from it


def _running_rules() -> list[ShownRule]:
    draws = draws_by_rule(g.db, g.project)
    version = g.db.get(RubricVersion, g.project.rubric_version_id) if g.project.rubric_version_id else None
    rubric = rubric_of_version(version) if version else None
    return [
        ShownRule(rule, terms_in_words(terms), draws.get(rule.id, Draws()), waits_in_words(terms, rubric))
        for rule, version in g.db.execute(running_rules(g.project.id))
        for terms in (terms_of(version),)
    ]


def _people() -> dict[str, str]:
    return {str(person.id): person.name for person in g.db.scalars(reviewers(g.project))}


# --- Items ------------------------------------------------------------------------------------------------------------


@bp.get(ITEM)
@allow(Permission.QUEUE)
def show_item(slug: str, item_id: UUID) -> str:
    """Show an item with everything a lead may know about it."""
    page = item_page(g.db, g.project, _item(item_id), g.user)
    return render_template(
        "queue/item.html",
        page=page,
        item=page.item,
        text_of=text_of,
        letters=LETTERS,
        share_in_words=share_in_words,
        age=age,
        now=clock.now(),
        limits={"reviews": MAX_REVIEWS_WANTED, "priority": MAX_PRIORITY_DAYS},
    )


@bp.post(f"{ITEM}/reviews-wanted")
@allow(Permission.QUEUE)
def change_reviews_wanted(slug: str, item_id: UUID) -> Response:
    """Let an item get more reviews or fewer."""
    wanted = read_whole_number(request.form.get("reviews_wanted", ""), 1, MAX_REVIEWS_WANTED)
    if wanted is None:
        return _back_to(
            item_id, f"Nothing was changed: reviews wanted is a whole number from 1 to {MAX_REVIEWS_WANTED}.", "warn"
        )
    items.change_reviews_wanted(g.db, _item(item_id), wanted, by=g.user)
    return _back_to(item_id, f"It wants {plural(wanted, 'review')} now.")


@bp.post(f"{ITEM}/priority")
@allow(Permission.QUEUE)
def change_priority(slug: str, item_id: UUID) -> Response:
    """Move an item forward or back in the queue."""
    days = read_whole_number(request.form.get("priority", ""), -MAX_PRIORITY_DAYS, MAX_PRIORITY_DAYS)
    if days is None:
        return _back_to(item_id, f"Nothing was changed: priority is a whole number up to {MAX_PRIORITY_DAYS}.", "warn")
    items.change_priority(g.db, _item(item_id), days, by=g.user)
    return _back_to(item_id, f"Its priority is {days} now.")


@bp.post(f"{ITEM}/closing")
@allow(Permission.QUEUE)
def close_item(slug: str, item_id: UUID) -> Response:
    """Let an item want no more reviews than it has."""
    items.close_by_hand(g.db, _item(item_id), by=g.user)
    return _back_to(item_id, "Closed. It opens again when you ask for more reviews.")


@bp.post(f"{ITEM}/assignments")
@allow(Permission.QUEUE)
def assign(slug: str, item_id: UUID) -> Response:
    """Reserve one of its open slots for a person."""
    item, person = _item(item_id), _reviewer(request.form.get("reviewer", ""))
    items.assign(g.db, item, person, by=g.user)
    return _back_to(item_id, f"Reserved for {person.name}.")


@bp.post(f"{ITEM}/assignments/<uuid:assignment_id>/end")
@allow(Permission.QUEUE)
def unassign(slug: str, item_id: UUID, assignment_id: UUID) -> Response:
    """Let a reservation go."""
    assignment = g.db.get(Assignment, assignment_id)
    if assignment is None or assignment.item_id != _item(item_id).id:
        raise NotFound
    items.unassign(g.db, assignment, by=g.user)
    return _back_to(item_id, f"No longer reserved for {assignment.reviewer.name}.")


@bp.post(f"{ITEM}/leases/<uuid:lease_id>/end")
@allow(Permission.QUEUE)
def end_lease(slug: str, item_id: UUID, lease_id: UUID) -> Response:
    """Give an item back that somebody holds and does not get to; what they filled in is kept as their draft."""
    lease = g.db.get(Lease, lease_id)
    if lease is None or lease.item_id != _item(item_id).id:
        raise NotFound
    leases.take_away(g.db, lease, by=g.user)
    return _back_to(item_id, f"{lease.reviewer.name} holds it no longer. Their draft is kept.")


@bp.post(f"{ITEM}/comparisons")
@allow(Permission.QUEUE)
def compare(slug: str, item_id: UUID) -> Response:
    """Let the response of an item be compared with other answers to the same question."""
    target = next((one for one in _item(item_id).targets if one.response_id is not None), None)
    chosen = [_as_uuid(typed) for typed in request.form.getlist("response")]
    if target is None or None in chosen:
        raise UnknownResponses
    if not chosen:
        return _back_to(item_id, "Nothing was added: choose at least one other answer to compare with.", "warn")
    ids = [target.response_id, *dict.fromkeys(chosen)]
    (item,) = add_comparisons(g.db, g.project, [(ids, items.Wish())], added_by=g.user)
    return _back_to(item.id, f"{len(ids)} answers wait to be compared.")


@bp.post(f"{ITEM}/conversations")
@allow(Permission.QUEUE)
def review_conversation(slug: str, item_id: UUID) -> Response:
    """Let the conversation that a response is part of be reviewed as a whole."""
    response = next((one.response for one in _item(item_id).targets if one.response is not None), None)
    if response is None or response.conversation_id is None:
        raise UnknownConversation
    (item,) = add_conversations(g.db, g.project, [response.conversation_id], items.Wish(), added_by=g.user)
    return _back_to(item.id, "The conversation waits for review, as it stands now.")


def _as_uuid(typed: str) -> UUID | None:
    try:
        return UUID(typed)
    except ValueError:
        return None


@bp.post(f"{ITEM}/reviews/<uuid:review_id>/admission")
@allow(Permission.QUEUE)
def admit_review(slug: str, item_id: UUID, review_id: UUID) -> Response:
    """Let an extra review count."""
    review = review_of(g.db, _item(item_id), review_id)
    if review is None:
        raise NotFound
    admit(g.db, review, by=g.user)
    return _back_to(item_id, f"The review of {review.reviewer.name} counts now.")


def _item(item_id: UUID) -> Item:
    return items.item_of_project(g.db, item_id, g.project)


def _reviewer(typed_id: str) -> User:
    found = [person for person in g.db.scalars(reviewers(g.project)) if str(person.id) == typed_id]
    if not found:
        raise NotAReviewer
    return found[0]


def _back_to(item_id: UUID, said: str, tone: str = "good") -> Response:
    flash(said, tone)
    return redirect(url_for("queue.show_item", slug=g.project.slug, item_id=item_id), 303)


# --- Several items at once --------------------------------------------------------------------------------------------


@bp.post(f"{PROJECT}/queue/assignments")
@allow(Permission.QUEUE)
def assign_several(slug: str) -> Response:
    """Reserve an open slot of each chosen item for a person."""
    person = _reviewer(request.form.get("reviewer", ""))
    return _done_with_several(
        f"reserved for {person.name}", lambda ids: bulk.assign_all(g.db, g.project, ids, person, g.user)
    )


@bp.post(f"{PROJECT}/queue/returns")
@allow(Permission.QUEUE)
def put_back_several(slug: str) -> Response:
    """Take the chosen items from those who hold them or have them reserved."""
    return _done_with_several("put back", lambda ids: bulk.put_back_all(g.db, g.project, ids, g.user))


@bp.post(f"{PROJECT}/queue/closings")
@allow(Permission.QUEUE)
def close_several(slug: str) -> Response:
    """Let the chosen items want no more reviews than they have."""
    return _done_with_several("closed", lambda ids: bulk.close_all(g.db, g.project, ids, g.user))


def _done_with_several(done: str, act: Callable[[list[UUID]], bulk.Outcome]) -> Response:
    """Act on the chosen items, and go back to the list they were chosen from with what came of it."""
    chosen = [_as_uuid(typed) for typed in request.form.getlist("item")]
    ids = [item_id for item_id in chosen if item_id is not None]
    if len(ids) < len(chosen) or len(ids) > bulk.MAX_CHOSEN:
        raise NotFound
    if ids:
        outcome = act(ids)
        flash(outcome_in_words(done, outcome), "good" if outcome.done else "warn")
    else:
        flash("Nothing was done: choose at least one item.", "warn")
    names = {str(rule.id): rule.name for rule, _ in g.db.execute(running_rules(g.project.id))}
    back = Filters.read(request.form, names, _people()).as_arguments()
    return redirect(url_for("queue.index", slug=g.project.slug, **back) + "#h-items", 303)


# --- Rules ------------------------------------------------------------------------------------------------------------


@bp.get(f"{PROJECT}/rules/new")
@allow(Permission.QUEUE)
def new_rule(slug: str) -> str:
    """Ask what a new rule should draw."""
    return _rule_page(RuleForm.empty())


@bp.post(f"{PROJECT}/rules")
@allow(Permission.QUEUE)
def create_rule(slug: str) -> Response | tuple[str, int]:
    """Switch on a new rule."""
    form = RuleForm.read(request.form)
    terms = form.terms()
    looks_back = bool(form.values["include_earlier"])
    if terms is not None:
        try:
            rule = rules.create_rule(g.db, g.project, form.values["name"], terms, by=g.user, include_earlier=looks_back)
        except (NameUnacceptable, RuleNameTaken) as error:
            form.problems["name"] = error.message
        except ExpressionUnacceptable as error:
            form.problems["expression"] = error.message
        except (NoRubric, NothingToCompareBy) as error:
            form.problems["compare_at_most"] = error.message
        else:
            also = ", and draws from those that are here already" if looks_back else ""
            return _back_to_queue(f"“{rule.name}” is on. It applies to responses that come in from now on{also}.")
    return _rule_page(form), 422


@bp.get(f"{PROJECT}/rules/preview")
@allow(Permission.QUEUE)
def preview_rule(slug: str) -> str:
    """Say what the rule that is being typed would have drawn."""
    return render_template("queue/_rule_preview.html", preview=_preview(RuleForm.read(request.args)))


@bp.get(RULE)
@allow(Permission.QUEUE)
def show_rule(slug: str, rule_id: UUID) -> str:
    """Show what a rule says, and said."""
    rule = rules.rule_of_project(g.db, rule_id, g.project)
    return _rule_page(RuleForm.of(rule.name, terms_of(rules.newest_version(g.db, rule))), rule)


@bp.post(RULE)
@allow(Permission.QUEUE)
def change_rule(slug: str, rule_id: UUID) -> Response | tuple[str, int]:
    """Let a rule say something else from now on."""
    rule = rules.rule_of_project(g.db, rule_id, g.project)
    form = RuleForm.read(request.form)
    form.values["name"] = rule.name
    terms = form.terms()
    if terms is None:
        return _rule_page(form, rule), 422
    try:
        rules.change_rule(g.db, rule, terms, by=g.user)
    except ExpressionUnacceptable as error:
        form.problems["expression"] = error.message
        return _rule_page(form, rule), 422
    except (NoRubric, NothingToCompareBy) as error:
        form.problems["compare_at_most"] = error.message
        return _rule_page(form, rule), 422
    return _back_to_queue(f"“{rule.name}” says from now on: {terms_in_words(terms)}.")


@bp.post(f"{RULE}/end")
@allow(Permission.QUEUE)
def end_rule(slug: str, rule_id: UUID) -> Response:
    """Switch a rule off."""
    rule = rules.rule_of_project(g.db, rule_id, g.project)
    rules.end_rule(g.db, rule, by=g.user)
    return _back_to_queue(f"“{rule.name}” is off. What it drew stays in the queue.")


def _rule_page(form: RuleForm, rule: Rule | None = None) -> str:
    said = [] if rule is None else [(version, terms_in_words(terms_of(version))) for version in reversed(rule.versions)]
    preview = _preview(RuleForm.read(form.values))
    return render_template(
        "queue/rule.html", form=form, rule=rule, versions=said, whom=WHOM, preview=preview, names=names_for_people()
    )


def _preview(form: RuleForm) -> str:
    terms = form.terms()
    if terms is None:
        return ""
    try:
        return preview_in_words(preview_of_rule(g.db, g.project, terms), is_comparing=terms.compare is not None)
    except ExpressionUnacceptable as error:
        return error.message


def _back_to_queue(said: str) -> Response:
    flash(said)
    return redirect(url_for("queue.index", slug=g.project.slug) + "#rules", 303)
