from datetime import timedelta

import pytest
from sqlalchemy import select

from hitl.accounts.projects import change_settings
from hitl.core import clock
from hitl.core.errors import NotFound
from hitl.queue import claiming, leases
from hitl.queue.errors import LeaseEnded, NoMember, TooManyLeases
from hitl.queue.items import assign, change_reviews_wanted, unassign
from hitl.queue.jobs import expire_leases
from hitl.queue.models import Assignment
from hitl.queue.queries import running_leases
from hitl.queue.sweeping import SWEPT_AT_ONCE
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved


@pytest.fixture(autouse=True)
def conserved(db, project):
    yield
    ensure_conserved(db, project.id)


class TestClaim:
    def test_it_gives_the_item_that_waits_longest(self, db, project, ann, add):
        add(created_at=clock.now())
        oldest = add(created_at=clock.now() - timedelta(hours=2))
        add(created_at=clock.now() - timedelta(hours=1))

        lease = leases.claim(db, project, ann)

        assert (lease.item_id, lease.reviewer_id, lease.ended_as) == (oldest.id, ann.id, None)
        assert oldest.open_slots == 0

    def test_it_counts_each_step_of_priority_like_a_day_of_waiting(self, db, project, ann, add):
        add(created_at=clock.now() - timedelta(hours=23))
        urgent = add(created_at=clock.now(), priority=1)

        assert leases.claim(db, project, ann).item_id == urgent.id

    def test_it_lets_what_waited_longer_than_the_priority_go_first(self, db, project, ann, add):
        old = add(created_at=clock.now() - timedelta(hours=25))
        add(created_at=clock.now(), priority=1)

        assert leases.claim(db, project, ann).item_id == old.id

    def test_it_gives_nothing_when_nothing_waits(self, db, project, ann):
        assert leases.claim(db, project, ann) is None

    def test_it_never_gives_one_person_two_slots_of_an_item(self, db, project, ann, ben, add):
        item = add(reviews_wanted=2)
        leases.claim(db, project, ann)

        assert leases.claim(db, project, ann) is None
        assert leases.claim(db, project, ben).item_id == item.id

    def test_it_gives_no_more_than_the_item_wants(self, db, project, ann, ben, add):
        add(reviews_wanted=1)
        leases.claim(db, project, ann)

        assert leases.claim(db, project, ben) is None

    def test_it_gives_what_is_reserved_for_the_person_first(self, db, project, ann, add):
        add(created_at=clock.now() - timedelta(days=9))
        reserved = add()
        assignment = assign(db, reserved, ann, by=None)

        lease = leases.claim(db, project, ann)

        assert (lease.item_id, lease.assignment_id) == (reserved.id, assignment.id)
        assert not assignment.is_reserving

    def test_it_never_gives_what_is_reserved_for_another(self, db, project, ann, ben, add):
        assign(db, add(), ann, by=None)

        assert leases.claim(db, project, ben) is None

    def test_it_keeps_to_the_project(self, db, ann, add):
        add()
        other = factories.Project()
        factories.Membership(project=other, user=ann)

        assert leases.claim(db, other, ann) is None

    def test_it_lasts_as_long_as_the_project_says(self, db, project, ann, add):
        add()
        change_settings(db, project, {"lease_minutes": 40})

        lease = leases.claim(db, project, ann)

        assert lease.expires_at - lease.started_at == timedelta(minutes=40)

    def test_it_refuses_a_fourth_item(self, db, project, ann, add):
        for _ in range(4):
            add()
        for _ in range(3):
            leases.claim(db, project, ann)

        with pytest.raises(TooManyLeases):
            leases.claim(db, project, ann)
        assert len(db.scalars(running_leases(ann, project)).all()) == 3

    def test_it_does_not_count_leases_whose_time_is_over(self, db, project, ann, add, hands):
        for _ in range(4):
            add()
        for _ in range(3):
            leases.claim(db, project, ann)
        hands.move(minutes=16)

        assert leases.claim(db, project, ann) is not None
        assert len(db.scalars(running_leases(ann, project)).all()) == 1

    def test_it_hands_out_what_just_expired(self, db, project, ann, ben, add, hands):
        item = add()
        first = leases.claim(db, project, ann)
        hands.move(minutes=16)

        assert leases.claim(db, project, ben).item_id == item.id
        assert first.ended_as == "expired"

    @pytest.mark.parametrize("end", ["complete", "skip"])
    def test_it_never_gives_again_what_was_reviewed_or_skipped(self, db, project, ann, add, end):
        add(reviews_wanted=2)
        getattr(leases, end)(db, leases.claim(db, project, ann))

        assert leases.claim(db, project, ann) is None

    def test_it_gives_again_what_was_given_back(self, db, project, ann, add):
        item = add()
        leases.give_back(db, leases.claim(db, project, ann))

        assert leases.claim(db, project, ann).item_id == item.id

    @pytest.mark.parametrize(
        ("statement", "index"),
        [
            (claiming._FROM_HEAD.alone, "ix_items_open "),
            (claiming._AT_ONCE.alone, "ix_items_open "),
            (claiming._AT_ONCE.alone, "ix_items_opened_in"),
            (claiming._TAKE_RESERVED, "ix_assignments_reviewer_id"),
        ],
    )
    def test_it_walks_along_its_indices_whatever_the_size_of_the_queue(self, db, database, statement, index):
        if not database.is_sqlite:  # PostgreSQL plans by what is in the tables, and these are empty
            return
        sql = statement.sql_for(database.engine.dialect)
        plan = db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ("",) * sql.count("?")).all()

        steps = [step.detail for step in plan]
        assert any(index in step for step in steps)
        assert not any("SCAN" in step and "SUBQUERY" not in step and "opened_since" not in step for step in steps)

    def test_it_is_for_members_only(self, db, project, add):
        add()
        with pytest.raises(NoMember):
            leases.claim(db, project, factories.User())

    def test_it_is_not_for_closed_accounts(self, db, project, join, add):
        add()
        with pytest.raises(NoMember):
            leases.claim(db, project, join(deactivated_at=clock.now()))


class TestLeaseHeldBy:
    def test_it_finds_ones_own(self, db, project, ann, add):
        add()
        lease = leases.claim(db, project, ann)

        assert leases.lease_held_by(db, ann, lease.id, project) is lease

    def test_it_hides_those_of_others_and_of_other_projects(self, db, project, ann, ben, add):
        add()
        lease = leases.claim(db, project, ann)

        with pytest.raises(NotFound):
            leases.lease_held_by(db, ben, lease.id, project)
        with pytest.raises(NotFound):
            leases.lease_held_by(db, ann, lease.id, factories.Project())


class TestExtend:
    def test_it_lasts_a_whole_length_from_now(self, db, project, ann, add, hands):
        add()
        lease = leases.claim(db, project, ann)
        hands.move(minutes=10)

        leases.extend(db, lease)

        assert lease.expires_at - lease.started_at > timedelta(minutes=24)

    def test_it_refuses_a_lease_that_ended(self, db, project, ann, add, hands):
        add()
        lease = leases.claim(db, project, ann)
        hands.move(minutes=16)
        leases.expire_due(db, project)

        with pytest.raises(LeaseEnded):
            leases.extend(db, lease)


class TestGiveBack:
    def test_it_opens_the_slot(self, db, project, ann, add):
        item = add()
        lease = leases.claim(db, project, ann)

        leases.give_back(db, lease)

        assert (item.open_slots, lease.ended_as) == (1, "given_back")

    def test_it_returns_a_reserved_slot_to_the_reservation(self, db, project, ann, ben, add):
        item = add()
        assignment = assign(db, item, ann, by=None)

        leases.give_back(db, leases.claim(db, project, ann))

        assert (item.open_slots, assignment.is_reserving) == (0, True)
        assert leases.claim(db, project, ben) is None

    def test_it_may_be_said_twice(self, db, project, ann, add):
        item = add()
        lease = leases.claim(db, project, ann)
        leases.give_back(db, lease)
        leases.give_back(db, lease)

        assert item.open_slots == 1

    def test_it_refuses_what_was_reviewed(self, db, project, ann, add):
        add()
        lease = leases.claim(db, project, ann)
        leases.complete(db, lease)

        with pytest.raises(LeaseEnded):
            leases.give_back(db, lease)


class TestSkip:
    def test_it_opens_the_slot_for_others_and_keeps_the_reason(self, db, project, ann, ben, add):
        item = add()
        lease = leases.claim(db, project, ann)

        leases.skip(db, lease, "not my language")

        assert (lease.ended_as, lease.skip_reason) == ("skipped", "not my language")
        assert leases.claim(db, project, ben).item_id == item.id

    def test_it_ends_the_assignment(self, db, project, ann, add):
        item = add()
        assignment = assign(db, item, ann, by=None)

        leases.skip(db, leases.claim(db, project, ann))

        assert item.open_slots == 1
        assert assignment.ended_at is not None

    def test_it_refuses_a_lease_that_ended(self, db, project, ann, add):
        add()
        lease = leases.claim(db, project, ann)
        leases.skip(db, lease)

        with pytest.raises(LeaseEnded):
            leases.skip(db, lease)


class TestComplete:
    def test_it_counts_and_closes_the_item(self, db, project, ann, add):
        item = add()

        assert leases.complete(db, leases.claim(db, project, ann)) is True
        assert (item.closed_as, item.open_slots) == ("complete", 0)

    def test_it_leaves_an_item_open_that_wants_more(self, db, project, ann, add):
        item = add(reviews_wanted=2)

        leases.complete(db, leases.claim(db, project, ann))

        assert (item.closed_at, item.open_slots) == (None, 1)

    def test_it_counts_a_late_review_if_a_slot_is_open(self, db, project, ann, add, hands):
        item = add()
        lease = leases.claim(db, project, ann)
        hands.move(minutes=16)
        leases.expire_due(db, project)

        assert leases.complete(db, lease) is True
        assert (lease.ended_as, item.closed_as) == ("completed", "complete")

    def test_it_keeps_a_late_review_as_an_extra_if_the_slot_is_taken(self, db, project, ann, ben, add, hands):
        add()
        lease = leases.claim(db, project, ann)
        hands.move(minutes=16)
        leases.claim(db, project, ben)

        assert leases.complete(db, lease) is False
        assert lease.ended_as == "completed"

    def test_it_counts_a_due_lease_that_nobody_swept(self, db, project, ann, add, hands):
        add()
        lease = leases.claim(db, project, ann)
        hands.move(minutes=16)

        assert leases.complete(db, lease) is True

    def test_it_uses_the_slot_of_a_newer_lease_of_the_same_person(self, db, project, ann, add):
        item = add()
        old = leases.claim(db, project, ann)
        leases.give_back(db, old)
        newer = leases.claim(db, project, ann)

        assert leases.complete(db, old) is True
        assert (newer.ended_as, newer.holds_slot, item.closed_as) == ("given_back", False, "complete")
        with pytest.raises(LeaseEnded):
            leases.complete(db, newer)

    def test_it_uses_a_reservation_made_after_the_lease_ended(self, db, project, ann, add):
        item = add()
        lease = leases.claim(db, project, ann)
        leases.give_back(db, lease)
        assignment = assign(db, item, ann, by=None)

        assert leases.complete(db, lease) is True
        assert assignment.ended_at is not None
        assert item.closed_as == "complete"

    def test_it_ends_the_assignment_that_it_fulfils(self, db, project, ann, add):
        assign(db, add(), ann, by=None)

        leases.complete(db, leases.claim(db, project, ann))

        assert db.scalars(select(Assignment)).one().ended_at is not None

    def test_it_makes_an_extra_of_a_lease_that_lost_its_slot(self, db, project, ann, ben, add):
        item = add(reviews_wanted=2)
        first, second = leases.claim(db, project, ann), leases.claim(db, project, ben)
        change_reviews_wanted(db, item, 1)

        assert leases.complete(db, first) is True
        assert item.closed_at is None  # somebody is still at it
        assert leases.complete(db, second) is False
        assert item.closed_as == "complete"

    @pytest.mark.parametrize("end", ["complete", "skip"])
    def test_it_refuses_what_was_decided(self, db, project, ann, add, end):
        add(reviews_wanted=2)
        lease = leases.claim(db, project, ann)
        getattr(leases, end)(db, lease)

        with pytest.raises(LeaseEnded):
            leases.complete(db, lease)


class TestReopen:
    def test_it_keeps_the_slot_and_opens_the_item_again(self, db, project, ann, ben, add):
        item = add()
        lease = leases.claim(db, project, ann)
        leases.complete(db, lease)

        again = leases.reopen(db, lease, counted=True)

        assert (again.item_id, again.reviewer_id, again.ended_as, again.holds_slot) == (item.id, ann.id, None, True)
        assert item.closed_at is None
        assert leases.claim(db, project, ben) is None
        assert leases.complete(db, again) is True

    def test_it_opens_the_slot_when_its_time_is_over(self, db, project, ann, ben, add, hands):
        item = add()
        lease = leases.claim(db, project, ann)
        leases.complete(db, lease)
        leases.reopen(db, lease, counted=True)
        hands.move(minutes=16)

        assert leases.claim(db, project, ben).item_id == item.id

    def test_it_gives_an_extra_no_slot(self, db, project, ann, ben, add, hands):
        item = add()
        late = leases.claim(db, project, ann)
        hands.move(minutes=16)
        leases.complete(db, leases.claim(db, project, ben))
        leases.complete(db, late)

        again = leases.reopen(db, late, counted=False)

        assert again.holds_slot is False
        assert item.closed_at is not None
        assert leases.complete(db, again) is False

    def test_it_refuses_what_is_not_reviewed(self, db, project, ann, add):
        add()
        lease = leases.claim(db, project, ann)
        leases.complete(db, lease)
        leases.reopen(db, lease, counted=True)

        with pytest.raises(LeaseEnded):
            leases.reopen(db, lease, counted=True)

    def test_it_is_no_way_around_the_limit(self, db, project, ann, add):
        for _ in range(4):
            add()
        lease = leases.claim(db, project, ann)
        leases.complete(db, lease)
        for _ in range(3):
            leases.claim(db, project, ann)

        with pytest.raises(TooManyLeases):
            leases.reopen(db, lease, counted=True)


class TestExpireDue:
    def test_it_ends_what_is_over_and_nothing_else(self, db, project, ann, ben, add, hands):
        add(), add()
        over = leases.claim(db, project, ann)
        hands.move(minutes=10)
        fresh = leases.claim(db, project, ben)
        hands.move(minutes=6)

        assert leases.expire_due(db) == 1
        assert (over.ended_as, fresh.ended_as) == ("expired", None)

    def test_it_returns_a_reserved_slot_unless_the_reservation_was_ended(self, db, project, ann, ben, add, hands):
        kept, ended = add(), add()
        standing = assign(db, kept, ann, by=None)
        let_go = assign(db, ended, ben, by=None)
        leases.claim(db, project, ann), leases.claim(db, project, ben)
        unassign(db, let_go)
        hands.move(minutes=16)

        leases.expire_due(db, project)

        assert (standing.is_reserving, kept.open_slots) == (True, 0)
        assert (let_go.is_reserving, ended.open_slots) == (False, 1)

    def test_the_job_ends_all_even_those_of_an_item_that_many_hold(self, db, project, hands):
        crowded = factories.Item(project=project, reviews_wanted=SWEPT_AT_ONCE + 1, open_slots=0)
        for _ in range(SWEPT_AT_ONCE + 1):
            factories.Lease(item=crowded)
        hands.move(minutes=1)
        last = factories.Lease(item=factories.Item(project=project, open_slots=0))
        hands.move(minutes=16)

        expire_leases(db)

        assert crowded.open_slots == SWEPT_AT_ONCE + 1
        assert last.ended_as == "expired"
