"""Promise 2 as a check: every slot of an item is in exactly one place."""

from collections import Counter

from sqlalchemy import select

from hitl.queue.models import Assignment, Item, Lease


def ensure_conserved(db, project_id):
    """Check every item of a project, as it is in the database."""
    db.flush()
    leases = db.execute(
        select(Lease.item_id, Lease.reviewer_id, Lease.ended_as, Lease.holds_slot).where(Lease.project_id == project_id)
    ).all()
    reserving = Counter(
        db.scalars(select(Assignment.item_id).where(Assignment.is_reserving, Assignment.ended_at.is_(None)))
    )
    ended_but_reserving = select(Assignment.id).where(Assignment.is_reserving, Assignment.ended_at.is_not(None))
    assert db.scalar(ended_but_reserving) is None
    assigned = {
        tuple(row)
        for row in db.execute(select(Assignment.item_id, Assignment.reviewer_id).where(Assignment.ended_at.is_(None)))
    }
    columns = (Item.id, Item.reviews_wanted, Item.open_slots, Item.closed_at)
    for item_id, wanted, open_slots, closed_at in db.execute(select(*columns).where(Item.project_id == project_id)):
        of_item = [lease for lease in leases if lease.item_id == item_id]
        running = [lease for lease in of_item if lease.ended_as is None]
        counted = [lease for lease in of_item if lease.ended_as == "completed" and lease.holds_slot]
        held = sum(lease.holds_slot for lease in running)
        assert open_slots + held + reserving[item_id] + len(counted) == wanted, "a slot was lost or made up"
        assert not any(lease.holds_slot for lease in of_item if lease.ended_as not in (None, "completed"))
        assert len({lease.reviewer_id for lease in running}) == len(running), "somebody holds an item twice"
        people = {lease.reviewer_id for lease in counted}
        assert len(people) == len(counted) <= wanted, "somebody counts twice"
        barred = {lease.reviewer_id for lease in of_item if lease.ended_as in ("completed", "skipped")}
        assert not barred & {lease.reviewer_id for lease in running}, "somebody holds what they reviewed or skipped"
        assert not any((item_id, person) in assigned for person in barred), "kept for somebody who cannot take it"
        has_slots_left = bool(open_slots or held or reserving[item_id])
        assert not (has_slots_left and closed_at), "a closed item has slots left"
        assert has_slots_left or running or closed_at, "an item with nothing left to do is not closed"
