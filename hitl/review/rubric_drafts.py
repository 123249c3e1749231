"""The rubric that leads are working on: one draft a project, shared, which may be incomplete until it is published.

A draft holds criteria in the shape of hitl/review/rubrics.py, as far as they are filled in. A save names the number of
the draft it was typed over, so that of two leads the second cannot overwrite the first unseen.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, and_, false, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Project, User
from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import ensure_storable, pointer
from hitl.core import clock
from hitl.core.database import insert_into
from hitl.core.ids import new_id
from hitl.queue.models import ITEM_KINDS, Item, ItemTarget, Lease
from hitl.review.errors import RubricDraftChanged, RubricDraftTooLarge, RubricRefused
from hitl.review.models import Draft, Review, RubricDraft, RubricVersion
from hitl.review.rubrics import RESERVED_NAMES, Criterion, Rubric, publish_rubric

MAX_DRAFT_BYTES = 256 * 1024
MAX_NAME_CHARACTERS = 40
# So many items can get another rubric in the transaction that publishes it; more would hold up the queue.
MAX_ITEMS_MOVED = 10_000

Criteria = list[dict[str, Any]]

_CRITERION: TypeAdapter[Criterion] = TypeAdapter(Criterion)


def rubric_draft_of(db: Session, project: Project) -> RubricDraft | None:
    """Return what leads are working on in this project, if anything."""
    found = select(RubricDraft).options(joinedload(RubricDraft.editor)).where(RubricDraft.project_id == project.id)
    draft = db.scalar(found)
    return draft if draft is not None and draft.criteria is not None else None


def save_rubric_draft(
    db: Session,
    project: Project,
    criteria: Criteria,
    *,
    seen_number: int,
    by: User,
    base: RubricVersion | None = None,
) -> RubricDraft:
    """Keep unpublished work, complete or not.

    seen_number: of the draft that this was typed over; 0 where there was none.
    base: the version that a new draft starts from; that of a draft stays what it was.
    A save that changes nothing is none. Raises RubricDraftChanged, RubricDraftTooLarge.
    """
    _ensure_storable(criteria)
    draft = _locked_draft(db, project)
    is_new = draft.criteria is None
    if draft.criteria == criteria and base is None:
        return draft
    if draft.number != seen_number and not (is_new and seen_number == 0):
        raise RubricDraftChanged(param="/seen_number")
    draft.criteria = criteria
    draft.number += 1
    draft.editor = by
    draft.updated_at = clock.now()
    if is_new or base is not None:
        draft.base_id = project.rubric_version_id if base is None else base.id
    db.flush()
    return draft


def discard_rubric_draft(db: Session, project: Project, *, seen_number: int) -> None:
    """Forget unpublished work. Raises RubricDraftChanged.

    The row stays for its number: a page from before must not pass for up to date.
    """
    draft = _locked_draft(db, project)
    if draft.criteria is None:
        return
    if draft.number != seen_number:
        raise RubricDraftChanged(param="/seen_number")
    _end(draft)
    db.flush()


def publish_rubric_draft(
    db: Session, project: Project, *, seen_number: int, by: User, also_untouched: bool = False
) -> tuple[RubricVersion, int]:
    """Make the draft the project's next version, put it in use, and end the draft.

    also_untouched: give it to the open items that nobody has begun and of which it asks something, too, unless these
        are very many.
    Returns the version and how many items were given it.
    Raises RubricDraftChanged, RubricRefused.
    """
    draft = _locked_draft(db, project)
    if draft.criteria is None or draft.number != seen_number:
        raise RubricDraftChanged(param="/seen_number")
    problems = problems_in(draft.criteria)
    if problems:
        param, said = next(iter(problems.items()))
        raise RubricRefused(said, param=param)
    rubric = rubric_of_draft(draft.criteria)
    version = publish_rubric(db, project, rubric, by=by)
    _end(draft)
    moved = _give_to_untouched(db, project, rubric, version) if also_untouched else 0
    return version, moved


def open_items(db: Session, project: Project) -> int:
    """Return how many open items there are; they keep the rubric that they were made with."""
    return db.scalar(select(func.count()).select_from(Item).where(Item.project_id == project.id, _is_open())) or 0


def untouched_items(db: Session, project: Project, rubric: Rubric) -> int:
    """Return how many open items that a rubric can judge nobody has begun, up to one more than can be given it."""
    untouched = select(Item.id).where(*_untouched(project), _can_be_judged_by(rubric)).limit(MAX_ITEMS_MOVED + 1)
    return db.scalar(select(func.count()).select_from(untouched.subquery())) or 0


# --- Whether it can be published --------------------------------------------------------------------------------------


def rubric_of_draft(criteria: Sequence[Mapping[str, Any]]) -> Rubric:
    """Return the rubric that criteria without problems make."""
    return Rubric.model_validate({"criteria": completed(criteria)})


def completed(criteria: Sequence[Mapping[str, Any]]) -> Criteria:
    """Return criteria with the names filled in that were left to be derived from labels."""
    done: Criteria = []
    for criterion in criteria:
        filled = dict(criterion)
        if not filled.get("name"):
            filled["name"] = derived_name(str(filled.get("label", "")))
        for part in ("options", "severities"):
            if isinstance(filled.get(part), list):
                filled[part] = [_with_value(option) for option in filled[part]]
        done.append(filled)
    return done


def derived_name(label: str) -> str:
    """Return the name that a label gives: "What is wrong?" is what_is_wrong; empty if it has no Latin letter."""
    plain = unicodedata.normalize("NFKD", label.lower()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_0123456789")
    return words[:MAX_NAME_CHARACTERS].rstrip("_")


def problems_in(criteria: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what keeps criteria from being published: JSON pointer to the field → what to do, as a sentence."""
    whole = completed(criteria)
    problems: dict[str, str] = {}
    for index, criterion in enumerate(whole):
        for path, said in _problems_of_one(criterion):
            problems.setdefault(pointer(("criteria", index, *path)), said)
    for path, said in _problems_among(whole):
        problems.setdefault(pointer(("criteria", *path)), said)
    if not problems:
        try:
            Rubric.model_validate({"criteria": whole})
        except ValidationError as error:
            problems["/criteria"] = _sentence(error.errors()[0]["msg"])
    return problems


def _problems_of_one(criterion: Mapping[str, Any]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    try:
        _CRITERION.validate_python(dict(criterion))
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False):
            path = found["loc"][1:]  # the first says which kind pydantic took the criterion for
            if path == ("name",) and not criterion.get("label"):
                continue  # the name comes from the label that is asked for anyhow
            yield path, _in_words(path, found["type"], found["msg"], criterion)


def _problems_among(criteria: Criteria) -> Iterator[tuple[tuple[int | str, ...], str]]:
    if not criteria:
        yield (), "Add at least one criterion."
    seen: dict[str, int] = {}
    overall = None
    for index, criterion in enumerate(criteria):
        name = str(criterion.get("name", ""))
        if name and name in seen:
            yield (index, "name"), f"Criterion {seen[name] + 1} is named “{name}”, too. Give this one another name."
        elif name in RESERVED_NAMES:
            yield (index, "name"), f"“{name}” is part of every review. Give this one another name."
        seen.setdefault(name, index)
        if criterion.get("overall"):
            if overall is not None:
                yield (index, "overall"), f"Criterion {overall + 1} is the overall one already; there can be only one."
            overall = index


def _in_words(path: tuple[int | str, ...], kind: str, message: str, criterion: Mapping[str, Any]) -> str:
    field = path[-1] if path else ""
    if field == "label" and kind in ("string_too_short", "too_short"):
        return "Say what this means, or remove it." if len(path) > 1 else "Give it a label."
    if field in ("name", "value") and kind.startswith("string"):
        return "Lower-case letters, digits, - and _, a letter first; at most 40. It is in the API and in exports."
    if field == "value" and kind.startswith(("int", "greater", "less")):
        return "A whole number from -1,000 to 1,000."
    if kind in ("too_short", "too_long"):
        return _COUNTS.get((str(field), kind), _sentence(message))
    return _sentence(message)


_COUNTS = {
    ("points", "too_short"): "Describe at least two points.",
    ("points", "too_long"): "Use at most ten points.",
    ("options", "too_short"): "Give at least one to choose.",
    ("options", "too_long"): "Use at most 50.",
    ("severities", "too_long"): "Use at most nine.",
    ("asked_of", "too_short"): "Choose at least one kind of item.",
}


def _sentence(message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"{said[:1].upper()}{said[1:]}".rstrip(".") + "."


def _with_value(option: Any) -> Any:
    if not isinstance(option, dict) or option.get("value"):
        return option
    return option | {"value": derived_name(str(option.get("label", "")))}


# --- Rows -------------------------------------------------------------------------------------------------------------


def _ensure_storable(criteria: Criteria) -> None:
    try:
        ensure_storable(criteria)
    except RowInvalid as error:
        raise RubricRefused(error.message, param=f"/criteria{error.param or ''}") from error
    if len(orjson.dumps(criteria)) > MAX_DRAFT_BYTES:
        raise RubricDraftTooLarge(param="/criteria")


def _locked_draft(db: Session, project: Project) -> RubricDraft:
    fresh = {"id": new_id(), "project_id": project.id, "number": 0, "updated_at": clock.now()}
    db.execute(insert_into(db, RubricDraft).values(fresh).on_conflict_do_nothing())
    return db.scalars(
        select(RubricDraft)
        .where(RubricDraft.project_id == project.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _end(draft: RubricDraft) -> None:
    """A save that was sent before, and comes late, does not bring the draft back: it saw another number."""
    draft.criteria, draft.base_id = None, None
    draft.number += 1


def _is_open() -> ColumnElement[bool]:
    return Item.closed_at.is_(None)


def _untouched(project: Project) -> tuple[ColumnElement[bool], ...]:
    """Nobody holds them, has them reserved, has a draft or a review of them.

    Whoever begins one at this very moment takes one of its slots, and so the database sees it when it comes to write.
    """
    return (
        Item.project_id == project.id,
        _is_open(),
        Item.open_slots == Item.reviews_wanted,
        ~select(Lease.id).where(Lease.item_id == Item.id, Lease.ended_as.is_(None)).exists(),
        ~select(Draft.id).where(Draft.item_id == Item.id).exists(),
        ~select(Review.id).where(Review.item_id == Item.id).exists(),
    )


def _can_be_judged_by(rubric: Rubric) -> ColumnElement[bool]:
    """By a rubric that asks nothing of an item, nobody could ever review it."""
    kinds = [kind for kind in ITEM_KINDS if kind != "comparison" and rubric.can_judge(kind)]
    has_third = select(ItemTarget.item_id).where(ItemTarget.item_id == Item.id, ItemTarget.position == 2).exists()
    compared = [is_so for count, is_so in ((2, ~has_third), (3, has_third)) if rubric.can_judge("comparison", count)]
    return or_(Item.kind.in_(kinds), and_(Item.kind == "comparison", or_(false(), *compared)))


def _give_to_untouched(db: Session, project: Project, rubric: Rubric, version: RubricVersion) -> int:
    if untouched_items(db, project, rubric) > MAX_ITEMS_MOVED:
        return 0
    # Locked as in hitl/queue/slots.py: an item that somebody has locked is about to be begun, or to change.
    free = select(Item.id).where(*_untouched(project), _can_be_judged_by(rubric)).order_by(Item.id)
    ids = db.scalars(free.with_for_update(key_share=True, skip_locked=True)).all()
    given = update(Item).where(Item.id.in_(ids)).values(rubric_version_id=version.id)
    db.execute(given, execution_options={"synchronize_session": False})
    return len(ids)
