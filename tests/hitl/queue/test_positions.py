"""How far somebody is must never keep from them what is open to them."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from hitl.accounts.models import Project, User
from hitl.core import clock
from hitl.queue import claiming, leases
from hitl.queue.items import add_item, assign, change_priority, change_reviews_wanted, unassign
from hitl.queue.models import Item, QueuePosition
from hitl.queue.waiting import waiting_count
from tests.hitl import factories


class TestSomebodyFarAhead:
    """Ann has reviewed the first five of ten items that want two reviews, and her position is behind them."""

    def test_they_have_a_position(self, db, ann, passed):
        position = db.scalars(select(QueuePosition)).one()

        assert (position.reviewer_id, position.item_id) == (ann.id, passed[-1].id)

    def test_they_go_on_behind_it(self, db, project, ann, items, passed):
        assert [claim_and_complete(db, project, ann) for _ in range(5)] == [item.id for item in items[5:]]
        assert leases.claim(db, project, ann) is None

    def test_they_are_told_how_much_waits_before_and_behind_it(self, db, project, ann, ben, items, passed):
        assert waiting_count(db, ann, project) == 5
        assert waiting_count(db, ben, project) == 10

        add_item(db, project, [factories.Response(project=project)], priority=3)
        assign(db, items[8], ann, by=None)
        assert waiting_count(db, ann, project) == 6
        assert waiting_count(db, ben, project) == 11

    def test_they_get_first_what_comes_in_before_it(self, db, project, ann, passed):
        urgent = add_item(db, project, [factories.Response(project=project)], priority=3)

        assert claim_and_complete(db, project, ann) == urgent.id

    def test_they_get_all_that_comes_in_before_it_in_order(self, db, project, ann, items, passed):
        urgent = [add_item(db, project, [factories.Response(project=project)], priority=n) for n in (3, 5, 4)]
        in_order = sorted(urgent, key=lambda item: item.sort_key)

        found = [claim_and_complete(db, project, ann) for _ in range(4)]

        assert found == [*(item.id for item in in_order), items[5].id]

    def test_they_get_what_moves_before_it(self, db, project, ann, items, passed):
        change_priority(db, items[8], 3)

        assert claim_and_complete(db, project, ann) == items[8].id

    def test_they_get_what_they_give_back(self, db, project, ann, passed):
        lease = leases.claim(db, project, ann)
        claim_and_complete(db, project, ann)
        leases.give_back(db, lease)

        assert claim_and_complete(db, project, ann) == lease.item_id

    def test_they_get_what_expired(self, db, project, ann, passed, hands):
        first = leases.claim(db, project, ann)
        claim_and_complete(db, project, ann)
        hands.move(minutes=16)

        assert claim_and_complete(db, project, ann) == first.item_id

    def test_they_get_what_was_kept_for_them_and_no_longer_is(self, db, project, ann, items, passed):
        kept = assign(db, items[5], ann, by=None)
        leases.give_back(db, leases.claim(db, project, ann))
        reserved = leases.claim(db, project, ann)
        claim_and_complete(db, project, ann)
        unassign(db, kept)
        leases.give_back(db, reserved)

        assert claim_and_complete(db, project, ann) == items[5].id

    def test_they_get_what_others_give_free_before_it(self, db, project, ann, ben, items, passed):
        only_one = add_item(db, project, [factories.Response(project=project)], priority=3)
        held = leases.claim(db, project, ben)
        assert held.item_id == only_one.id
        claim_and_complete(db, project, ann)
        leases.give_back(db, held)

        assert claim_and_complete(db, project, ann) == only_one.id

    def test_they_get_what_wants_more_reviews(self, db, project, ann, ben, cleo, passed):
        closed = add_item(db, project, [factories.Response(project=project)], priority=3)
        assert claim_and_complete(db, project, ben) == closed.id
        claim_and_complete(db, project, ann)
        change_reviews_wanted(db, closed, 2)

        assert claim_and_complete(db, project, ann) == closed.id

    def test_they_get_what_is_taken_back_and_expires(self, db, project, ann, ben, passed, hands):
        lease = leases.claim(db, project, ann)
        leases.complete(db, lease)
        claim_and_complete(db, project, ann)
        leases.reopen(db, lease, counted=True)
        hands.move(minutes=16)

        assert claim_and_complete(db, project, ann) == lease.item_id

    def test_a_position_of_another_server_is_not_believed(self, db, project, ann, items, passed):
        urgent = add_item(db, project, [factories.Response(project=project)], priority=3)
        db.execute(update(QueuePosition).values(server="another", horizon=2**60))

        assert claim_and_complete(db, project, ann) == urgent.id

    def test_a_wrong_position_hides_nothing_when_nothing_else_waits(self, db, project, ann, items, passed):
        db.execute(update(QueuePosition).values(sort_key=2.0**40, horizon=2**60))

        assert claim_and_complete(db, project, ann) == items[5].id


class TestAtTheSameTime:
    """What is under way while somebody passes by must not stay behind them."""

    def test_they_get_what_comes_in_before_their_position_and_commits_later(self, committed, shared_database):
        if shared_database.is_sqlite:
            return  # one transaction writes at a time: nothing is under way
        ann = factories.Membership()
        project_id, ann_id = ann.project_id, ann.user_id
        for n in range(6):
            factories.Item(project=ann.project, reviews_wanted=2, created_at=clock.now() - timedelta(minutes=60 - n))
        earlier = factories.Response(project=ann.project)
        committed.commit()
        may_commit, is_added = threading.Event(), threading.Event()
        added = []

        def add_slowly():
            with shared_database.writing() as db:
                project, response = db.get_one(Project, project_id), db.get_one(type(earlier), earlier.id)
                added.append(add_item(db, project, [response], created_at=clock.now() - timedelta(hours=2)).id)
                is_added.set()
                may_commit.wait()

        adding = threading.Thread(target=add_slowly)
        adding.start()
        is_added.wait()
        for _ in range(4):
            claim_in_a_transaction_of_its_own(shared_database, project_id, ann_id)
        may_commit.set()
        adding.join()

        assert claim_in_a_transaction_of_its_own(shared_database, project_id, ann_id) == added[0]

    def test_they_get_what_was_locked_when_they_passed(self, committed, shared_database):
        if shared_database.is_sqlite:
            return
        ann = factories.Membership()
        project_id, ann_id = ann.project_id, ann.user_id
        items = [
            factories.Item(project=ann.project, reviews_wanted=2, created_at=clock.now() - timedelta(minutes=60 - n))
            for n in range(6)
        ]
        ids = [item.id for item in items]
        committed.commit()
        claim_in_a_transaction_of_its_own(shared_database, project_id, ann_id)

        with shared_database.writing() as db:
            db.execute(select(Item.id).where(Item.id == ids[1]).with_for_update())
            taken = [claim_in_a_transaction_of_its_own(shared_database, project_id, ann_id) for _ in range(3)]

        assert taken == ids[2:5]
        assert claim_in_a_transaction_of_its_own(shared_database, project_id, ann_id) == ids[1]


def claim_and_complete(db, project, person):
    lease = leases.claim(db, project, person)
    assert leases.complete(db, lease)
    return lease.item_id


def claim_in_a_transaction_of_its_own(database, project_id, person_id):
    with database.writing() as db:
        return claim_and_complete(db, db.get_one(Project, project_id), db.get_one(User, person_id))


@pytest.fixture(autouse=True)
def always_advance(monkeypatch):
    monkeypatch.setattr(claiming, "CLAIMS_BETWEEN_ADVANCES", 1)


@pytest.fixture
def cleo(join):
    return join()


@pytest.fixture
def items(project):
    begin = clock.now() - timedelta(hours=1)
    return [
        factories.Item(project=project, reviews_wanted=2, created_at=begin + timedelta(minutes=n)) for n in range(10)
    ]


@pytest.fixture
def passed(db, project, ann, items):
    for item in items[:5]:
        assert claim_and_complete(db, project, ann) == item.id
    return items[:5]
