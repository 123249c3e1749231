"""What the doctor asks of what is stored: slots, reviews that count, jobs, feeds, files."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pyarrow import fs
from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from hitl.backup.making import named_places
from hitl.core import feeds
from hitl.core.jobs import Job, database_now
from hitl.datasets.models import DatasetVersion
from hitl.datasets.storage import Storage
from hitl.doctor.findings import Finding, fine, note, trouble
from hitl.queue.models import Assignment, Item, Lease
from hitl.review.models import Review, Revision

SHOWN = 3
LATE_SECONDS = 300.0
ORPHAN_AGE = timedelta(days=1)  # a freeze or an export writes its files before a row names them
TELL_US = "This is a mistake of ours: keep a backup and report it."


def look_at_slots(db: Session) -> Iterator[Finding]:
    """That each slot of each item is in exactly one place, as hitl/queue/slots.py promises."""
    holding = _count_by_item(select(Lease.item_id).where(Lease.holds_slot))
    reserving = _count_by_item(select(Assignment.item_id).where(Assignment.is_reserving))
    places = Item.open_slots + func.coalesce(holding.c.number, 0) + func.coalesce(reserving.c.number, 0)
    torn = (
        select(Item.id)
        .outerjoin(holding, holding.c.item_id == Item.id)
        .outerjoin(reserving, reserving.c.item_id == Item.id)
        .where(places != Item.reviews_wanted)
    )
    yield from _none_of(
        db, "slots", torn, "items whose slots do not add up to the reviews they want", "Every slot is in one place."
    )
    ended = Lease.ended_as.in_(("given_back", "expired", "skipped"))
    yield from _none_of(
        db, "slots", select(Lease.id).where(ended, Lease.holds_slot), "leases that ended and hold a slot"
    )
    counted = exists().where(Review.lease_id == Lease.id, Review.standing == "counted")
    unmatched = select(Lease.id).where(Lease.ended_as == "completed", Lease.holds_slot, ~counted)
    yield from _none_of(db, "slots", unmatched, "slots kept for reviews that do not count")


def look_at_counting_revisions(db: Session) -> Iterator[Finding]:
    """That of each review that counts, the newest blind revision counts, and of no other review any."""
    newer = aliased(Revision)
    newest = ~exists().where(newer.review_id == Review.id, ~newer.is_unblinded, newer.number > Revision.number)
    right = and_(Revision.review_id == Review.id, ~Revision.is_unblinded, newest)
    wrong = select(Review.id).where(
        or_(
            and_(Review.counting_revision_id.is_not(None), Review.standing != "counted"),
            and_(
                Review.counting_revision_id.is_not(None),
                ~exists().where(right, Revision.id == Review.counting_revision_id),
            ),
            and_(Review.counting_revision_id.is_(None), Review.standing == "counted", exists().where(right)),
        )
    )
    yield from _none_of(
        db, "counting", wrong, "reviews of which the wrong revision counts", "Of each review the right revision counts."
    )
    slotless = (
        select(Review.id)
        .join(Review.lease)
        .where(
            Review.standing == "counted",
            or_(~Lease.holds_slot, Lease.ended_as.is_(None), Lease.ended_as != "completed"),
        )
    )
    yield from _none_of(db, "counting", slotless, "reviews that count without a slot")


def look_at_jobs(db: Session) -> Iterator[Finding]:
    """Jobs that failed for good, and those that nobody does."""
    failed = db.execute(select(Job.kind, Job.error).where(Job.state == "failed").order_by(Job.created_at.desc())).all()
    if failed:
        kind, error = failed[0]
        last = (error or "").strip().rpartition("\n")[2]
        yield trouble(
            "jobs",
            f"{len(failed)} failed for good; the newest, {kind}: {last}",
            "The log says more; ask again for its work.",
        )
    late = Job.due < database_now() - LATE_SECONDS
    waiting = db.scalar(select(func.count()).select_from(Job).where(late, Job.state.in_(("queued", "running")))) or 0
    if waiting:
        yield trouble(
            "jobs",
            f"{waiting} have been due for five minutes.",
            "Start `hitl serve`, or `hitl worker` if it runs with --no-worker.",
        )
    if not failed and not waiting:
        open_ones = db.scalar(select(func.count()).select_from(Job).where(Job.state.in_(("queued", "running"))))
        yield fine("jobs", f"None failed or is late; {open_ones} wait for their time.")


def look_at_feeds(db: Session) -> Iterator[Finding]:
    """That the next number of the feeds is above all that rows carry."""
    given, highest = feeds.last_given(db), feeds.highest_number(db)
    if given < highest:
        says = f"Rows carry numbers up to {highest}, but {given} was the last given out: followers would miss rows."
        yield trouble("feeds", says, "Restart every process: at its start the numbers go on above.")
    else:
        yield fine("feeds", f"{given} is the last number given out, above all rows.")


def look_at_files(db: Session) -> Iterator[Finding]:
    """That the files of versions and exports are there, and that there are no others."""
    storage = Storage(db.info["storage_url"])
    infos = storage.files.get_file_info(fs.FileSelector("", allow_not_found=True, recursive=True))
    files: dict[str, Any] = {info.path: info for info in infos if info.is_file}
    places = named_places(db)
    frozen = db.scalars(select(DatasetVersion.location).where(DatasetVersion.state == "frozen"))
    needed = [f"{place}/rows.parquet" for place in frozen] + [place for place in places if place.endswith(".zip")]
    lost = [name for name in needed if name not in files]
    if lost:
        remedy = "Take them from a backup: `unzip BACKUP 'files/*'`, and lay them into the storage."
        yield trouble("files", f"{len(lost)} are missing, such as {lost[0]}.", remedy)
    kept = set(places)
    old = datetime.now(UTC) - ORPHAN_AGE
    orphans = [
        info
        for name, info in files.items()
        if not _is_within(name, kept) and info.mtime is not None and info.mtime < old
    ]
    if orphans:
        size = sum(info.size or 0 for info in orphans)
        says = f"{len(orphans)} that no version names, {size:,} bytes, such as {orphans[0].path}."
        yield note("files", says, "They are left of work that was cut short; they may be deleted.")
    if not lost and not orphans:
        yield fine("files", f"{len(files)} are there, each with its version.")


def _is_within(name: str, places: set[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[:length]) in places for length in range(1, len(parts) + 1))


def _count_by_item(items: Select[Any]) -> Any:
    (item_id,) = items.selected_columns
    return items.add_columns(func.count().label("number")).group_by(item_id).subquery()


def _none_of(db: Session, about: str, query: Select[Any], what: str, says: str | None = None) -> Iterator[Finding]:
    """Find trouble where a query finds anything. says: that it finds nothing."""
    number = db.scalar(select(func.count()).select_from(query.subquery())) or 0
    if number:
        some = ", ".join(str(one) for one in db.scalars(query.limit(SHOWN)))
        yield trouble(about, f"There are {number} {what}: {some}.", TELL_US)
    elif says is not None:
        yield fine(about, says)
