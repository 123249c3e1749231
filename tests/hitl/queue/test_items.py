from datetime import timedelta

import pytest
from sqlalchemy import select

from hitl.accounts.events import MemberRemoved, UserDeactivated
from hitl.core import clock, events
from hitl.core.errors import NotFound
from hitl.queue import leases
from hitl.queue.errors import (
    AlreadyTheirs,
    FewerThanCounted,
    ItemClosed,
    NoOpenSlot,
    NoRubric,
    NotAReviewer,
    NotTheirsAgain,
    UnknownResponses,
)
from hitl.queue.items import (
    add_item,
    assign,
    change_priority,
    change_reviews_wanted,
    close_by_hand,
    item_of_project,
    release_reviewer,
    unassign,
)
from hitl.queue.models import Item
from hitl.queue.queries import counts_by_state, open_items, stuck_items
from hitl.queue.waiting import waiting_count
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved


@pytest.fixture(autouse=True)
def conserved(db, project):
    yield
    ensure_conserved(db, project.id)


class TestAddItem:
    def test_it_waits_with_the_rubric_in_use(self, db, project, ann):
        response = factories.Response(project=project)

        item = add_item(db, project, [response], reviews_wanted=2, priority=1, added_by=ann)

        assert (item.reviews_wanted, item.open_slots, item.added_by_id) == (2, 2, ann.id)
        assert item.rubric_version_id == project.rubric_version_id
        assert [target.response_id for target in item.targets] == [response.id]

    def test_it_gives_a_response_one_item_with_the_more_of_both(self, db, project):
        response = factories.Response(project=project)
        first = add_item(db, project, [response], reviews_wanted=1, priority=3)

        second = add_item(db, project, [response], reviews_wanted=2, priority=1)

        assert second is first
        assert (first.reviews_wanted, first.open_slots, first.priority) == (2, 2, 3)

    def test_it_opens_a_closed_item_that_should_get_more(self, db, project, ann):
        response = factories.Response(project=project)
        item = add_item(db, project, [response], reviews_wanted=1)
        leases.complete(db, leases.claim(db, project, ann))

        add_item(db, project, [response], reviews_wanted=2)

        assert (item.open_slots, item.closed_at, item.closed_as) == (1, None, None)

    def test_it_refuses_responses_of_another_project(self, db, project):
        with pytest.raises(UnknownResponses):
            add_item(db, project, [factories.Response()])

    def test_it_refuses_a_project_without_a_rubric(self, db, project):
        project.rubric_version_id = None
        with pytest.raises(NoRubric):
            add_item(db, project, [factories.Response(project=project)])


class TestItemOfProject:
    def test_it_hides_items_of_other_projects(self, db, add):
        with pytest.raises(NotFound):
            item_of_project(db, add().id, factories.Project())


class TestChangeReviewsWanted:
    def test_it_opens_slots(self, db, add):
        item = add(reviews_wanted=1)
        change_reviews_wanted(db, item, 3)

        assert item.open_slots == 3

    def test_it_takes_open_slots_then_reservations_then_the_newest_leases(
        self, db, project, ann, ben, join, add, hands
    ):
        item = add(reviews_wanted=4)
        first = leases.claim(db, project, ann)
        hands.move(seconds=1)
        second = leases.claim(db, project, ben)
        reservation = assign(db, item, join(), by=None)

        change_reviews_wanted(db, item, 3)
        assert (item.open_slots, reservation.is_reserving) == (0, True)
        change_reviews_wanted(db, item, 2)
        assert reservation.ended_at is not None
        change_reviews_wanted(db, item, 1)
        assert (first.holds_slot, second.holds_slot) == (True, False)

    def test_it_refuses_fewer_than_are_counted(self, db, project, ann, add):
        item = add(reviews_wanted=2)
        leases.complete(db, leases.claim(db, project, ann))

        with pytest.raises(FewerThanCounted):
            change_reviews_wanted(db, item, 0)

    def test_it_closes_an_item_that_has_enough(self, db, project, ann, add):
        item = add(reviews_wanted=2)
        leases.complete(db, leases.claim(db, project, ann))

        change_reviews_wanted(db, item, 1)

        assert item.closed_as == "complete"

    def test_it_gives_a_lease_that_lost_its_slot_another_at_its_review(self, db, project, ann, ben, add):
        item = add(reviews_wanted=2)
        leases.claim(db, project, ann)
        surplus = leases.claim(db, project, ben)
        change_reviews_wanted(db, item, 1)
        change_reviews_wanted(db, item, 2)

        assert leases.complete(db, surplus) is True


class TestCloseByHand:
    def test_it_wants_no_more_than_it_has(self, db, project, ann, ben, add):
        item = add(reviews_wanted=3)
        leases.complete(db, leases.claim(db, project, ann))
        at_work = leases.claim(db, project, ben)

        close_by_hand(db, item)

        assert (item.closed_as, item.reviews_wanted, item.open_slots) == ("by_hand", 1, 0)
        assert leases.complete(db, at_work) is False
        assert item.closed_as == "by_hand"

    def test_it_opens_again_when_more_is_wanted(self, db, project, ann, add):
        item = add()
        close_by_hand(db, item)
        change_reviews_wanted(db, item, 1)

        assert leases.claim(db, project, ann).item_id == item.id

    def test_it_refuses_a_closed_item(self, db, add):
        item = add()
        close_by_hand(db, item)
        with pytest.raises(ItemClosed):
            close_by_hand(db, item)


class TestAssign:
    def test_it_takes_an_open_slot(self, db, ann, ben, add):
        item = add(reviews_wanted=2)

        assignment = assign(db, item, ann, by=ben)

        assert (item.open_slots, assignment.is_reserving, assignment.assigned_by_id) == (1, True, ben.id)

    def test_it_refuses_when_no_slot_is_open(self, db, project, ann, ben, add):
        item = add()
        leases.claim(db, project, ann)
        with pytest.raises(NoOpenSlot):
            assign(db, item, ben, by=None)

    def test_it_refuses_who_has_it_already(self, db, project, ann, ben, add):
        item = add(reviews_wanted=3)
        leases.claim(db, project, ann)
        assign(db, item, ben, by=None)
        for person in (ann, ben):
            with pytest.raises(AlreadyTheirs):
                assign(db, item, person, by=None)

    @pytest.mark.parametrize("end", ["complete", "skip"])
    def test_it_refuses_who_is_done_with_it(self, db, project, ann, add, end):
        item = add(reviews_wanted=2)
        getattr(leases, end)(db, leases.claim(db, project, ann))
        with pytest.raises(NotTheirsAgain):
            assign(db, item, ann, by=None)

    def test_it_refuses_strangers_supervisors_and_closed_accounts(self, db, join, add):
        item = add()
        for person in (factories.User(), join(role="supervisor"), join(deactivated_at=clock.now())):
            with pytest.raises(NotAReviewer):
                assign(db, item, person, by=None)


class TestUnassign:
    def test_it_opens_the_slot(self, db, ann, add):
        item = add()
        assignment = assign(db, item, ann, by=None)
        unassign(db, assignment)
        unassign(db, assignment)

        assert item.open_slots == 1

    def test_it_lets_a_lease_run_on(self, db, project, ann, add):
        item = add()
        assignment = assign(db, item, ann, by=None)
        lease = leases.claim(db, project, ann)
        unassign(db, assignment)

        assert (lease.ended_as, item.open_slots) == (None, 0)
        leases.give_back(db, lease)
        assert item.open_slots == 1


class TestReleaseReviewer:
    def test_it_gives_back_everything(self, db, project, ann, add):
        held, reserved, taken = add(), add(), add()
        assign(db, reserved, ann, by=None)
        assign(db, taken, ann, by=None)
        given = [leases.claim(db, project, ann) for _ in range(2)]

        release_reviewer(db, ann)

        assert [lease.ended_as for lease in given] == ["given_back", "given_back"]
        assert (held.open_slots, reserved.open_slots, taken.open_slots) == (1, 1, 1)

    def test_it_happens_when_an_account_is_closed(self, db, project, ann, add):
        item = add()
        leases.claim(db, project, ann)
        events.publish(db, UserDeactivated(ann.id))

        assert item.open_slots == 1

    def test_it_happens_in_the_project_that_somebody_left(self, db, project, ann, add):
        item = add()
        leases.claim(db, project, ann)
        events.publish(db, MemberRemoved(ann.id, factories.Project().id))
        assert item.open_slots == 0
        events.publish(db, MemberRemoved(ann.id, project.id))
        assert item.open_slots == 1

    def test_it_keeps_their_reviews(self, db, project, ann, add):
        item = add()
        leases.complete(db, leases.claim(db, project, ann))
        release_reviewer(db, ann)

        assert (item.closed_as, item.open_slots) == ("complete", 0)


class TestQueries:
    def test_they_list_open_items_in_their_order(self, db, project, add):
        later, sooner = add(created_at=clock.now()), add(created_at=clock.now() - timedelta(days=1))
        close_by_hand(db, add())
        assert db.scalars(open_items(project)).all() == [sooner, later]

        change_priority(db, later, 2)
        assert db.scalars(open_items(project)).all() == [later, sooner]

    def test_they_count_what_somebody_may_still_take(self, db, project, ann, ben, add):
        add(), add(), add()
        assign(db, add(), ann, by=None)
        assign(db, add(), ben, by=None)
        assert waiting_count(db, ann, project) == 4

        leases.skip(db, leases.claim(db, project, ann))
        assert waiting_count(db, ann, project) == 3

    def test_they_count_items_by_state(self, db, project, ann, add):
        add(), add(reviews_wanted=2)
        close_by_hand(db, add())
        leases.complete(db, leases.claim(db, project, ann))
        leases.complete(db, leases.claim(db, project, ann))

        assert tuple(db.execute(counts_by_state(project)).one()) == (1, 1, 1, 2)

    def test_it_takes_no_item_for_stuck_because_of_others(self, db, project, join):
        one, other = join(), join()
        factories.Item(project=project)
        factories.Item(project=project)

        leases.skip(db, leases.claim(db, project, one))
        leases.skip(db, leases.claim(db, project, other))
        leases.skip(db, leases.claim(db, project, one))

        assert len(db.scalars(stuck_items(project)).all()) == 1

    def test_they_find_items_that_nobody_is_left_for(self, db, project, ann, add):
        item = add(reviews_wanted=2)
        assert db.scalars(stuck_items(project)).all() == []

        leases.complete(db, leases.claim(db, project, ann))
        assert db.scalars(stuck_items(project)).all() == [item]

        factories.Membership(project=project, role="supervisor")
        assert db.scalars(stuck_items(project)).all() == [item]

        factories.Membership(project=project)
        assert db.scalars(stuck_items(project)).all() == []

    def test_they_find_items_reserved_for_somebody_who_left(self, db, project, ann, ben, add):
        item = add()
        assign(db, item, ann, by=None)
        assert db.scalars(stuck_items(project)).all() == []

        ann.deactivated_at = clock.now()
        assert db.scalars(stuck_items(project)).all() == [item]

    def test_they_know_every_open_item_as_stuck_when_nobody_may_review(self, db, project, add):
        items = {add(), add()}
        assert set(db.scalars(stuck_items(project))) == items
        assert set(db.scalars(select(Item).where(Item.project_id == project.id))) == items
