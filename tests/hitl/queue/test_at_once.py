"""What two transactions do to each other at the same moment."""

import threading
import time

import pytest

from hitl.accounts.members import remove_member
from hitl.accounts.models import Membership, Project, User
from hitl.accounts.users import deactivate
from hitl.queue import leases
from hitl.queue.models import Item
from hitl.queue.slots import lock_reviewer
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved

A_WHILE = 0.5  # seconds in which the other transaction comes to its first wait


@pytest.mark.parametrize("role", ["annotator", "admin"])
@pytest.mark.parametrize("how", ["removed", "deactivated"])
class TestSendingAwayWhoClaims:
    def test_it_waits_for_the_claim_and_takes_its_lease_back(self, committed, shared_database, role, how):
        leaver = factories.Membership(role=role)
        factories.Membership(project=leaver.project, role="admin")
        item = factories.Item(project=leaver.project)
        committed.commit()
        problems = []

        def send_away():
            try:
                with shared_database.writing() as db:
                    if how == "removed":
                        remove_member(db, db.get_one(Membership, leaver.id))
                    else:
                        deactivate(db, db.get_one(User, leaver.user_id))
            except Exception as problem:
                problems.append(problem)

        meanwhile = threading.Thread(target=send_away)
        with shared_database.writing() as db:
            lock_reviewer(db, leaver.user_id, leaver.project_id)  # as each claim begins
            meanwhile.start()
            time.sleep(A_WHILE)
            project, person = db.get_one(Project, leaver.project_id), db.get_one(User, leaver.user_id)
            assert leases.claim(db, project, person).item_id == item.id
        meanwhile.join()

        assert problems == []
        with shared_database.reading() as db:
            assert db.get_one(Item, item.id).open_slots == 1
            ensure_conserved(db, leaver.project_id)
