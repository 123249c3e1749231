"""What a lead does with several items at once."""

import pytest
from sqlalchemy import select

from hitl.accounts.models import AuditEntry
from hitl.core.errors import NotFound
from hitl.queue import leases
from hitl.queue.bulk import assign_all, close_all, put_back_all
from hitl.queue.errors import AlreadyTheirs, ItemClosed, NobodyHasIt, NoOpenSlot
from hitl.queue.items import assign, change_reviews_wanted, close_by_hand
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved


def message_of(error):
    return error().message


class TestSeveral:
    def test_it_reserves_what_is_open_and_says_why_not_the_rest(self, db, project, item, kim, lead):
        free, taken, theirs = item(), item(), item(reviews_wanted=2)
        change_reviews_wanted(db, taken, 1)
        assign(db, taken, lead, None)
        assign(db, theirs, kim, None)

        outcome = assign_all(db, project, [free.id, taken.id, theirs.id, free.id], kim, lead)

        assert outcome.done == 1
        assert outcome.refused == {message_of(NoOpenSlot): 1, message_of(AlreadyTheirs): 1}
        assert actions(db) == [("item_assigned", lead.id)]
        ensure_conserved(db, project.id)

    def test_it_closes_them(self, db, project, item, lead):
        first, second, closed = item(), item(reviews_wanted=3), item()
        close_by_hand(db, closed)

        outcome = close_all(db, project, [first.id, second.id, closed.id], lead)

        assert (outcome.done, dict(outcome.refused)) == (2, {message_of(ItemClosed): 1})
        assert all(one.closed_as == "by_hand" for one in (first, second))
        assert actions(db) == [("item_closed", lead.id)] * 2
        ensure_conserved(db, project.id)

    def test_it_puts_back_what_somebody_has(self, db, project, item, kim, lead):
        held, reserved, free = item(reviews_wanted=2), item(), item()
        lease = leases.claim(db, project, kim)
        assert lease.item_id == held.id
        assign(db, held, lead, None)
        assign(db, reserved, kim, None)

        outcome = put_back_all(db, project, [held.id, reserved.id, free.id], lead)

        assert (outcome.done, dict(outcome.refused)) == (2, {message_of(NobodyHasIt): 1})
        assert (held.open_slots, reserved.open_slots, free.open_slots) == (2, 1, 1)
        assert lease.ended_as == "given_back"
        assert actions(db) == [
            ("item_unassigned", lead.id),
            ("item_unassigned", lead.id),
            ("lease_taken_away", lead.id),
        ]
        ensure_conserved(db, project.id)

    @pytest.mark.parametrize("act", [close_all, put_back_all])
    def test_it_touches_no_other_project(self, db, project, item, lead, act):
        mine, other = item(), factories.Item()

        with pytest.raises(NotFound):
            act(db, project, [mine.id, other.id], lead)

        assert mine.closed_at is None


def actions(db):
    """What the audit log has by somebody: what was done beforehand was by nobody."""
    found = select(AuditEntry.action, AuditEntry.actor_id).where(AuditEntry.actor_id.is_not(None))
    return sorted(tuple(row) for row in db.execute(found))


@pytest.fixture
def kim(project):
    return factories.Membership(project=project, role="annotator").user


@pytest.fixture
def lead(project):
    return factories.Membership(project=project, role="lead").user


@pytest.fixture
def item(project):
    def make(reviews_wanted=1):
        return factories.Item(project=project, reviews_wanted=reviews_wanted, open_slots=reviews_wanted)

    return make
