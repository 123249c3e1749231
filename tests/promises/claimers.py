"""Many reviewers and hasty leads at one database: threads in processes, of which one is killed every second or so.

Run as a process: `python -m tests.promises.claimers '{"url": …}'`. Prints each error that nobody expects (refusals are
expected). When its standard input ends, it kills all that are left and prints how many it had killed before. Time goes
faster here: leases of 15 minutes expire within two seconds.
"""

import json
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from hitl.accounts.events import UserDeactivated
from hitl.accounts.models import AuditEntry, Project, User
from hitl.app import import_parts
from hitl.core import clock, events
from hitl.core.database import Database
from hitl.core.errors import AppError
from hitl.core.secrets import Keys
from hitl.queue import leases
from hitl.queue.items import assign, change_reviews_wanted, close_by_hand, unassign
from hitl.queue.models import Assignment, Item, Lease

KEYS = Keys.derive("a secret only for tests" * 2)
TIMES_FASTER = 600
MOST_REVIEWS = 4


@dataclass(frozen=True)
class Shift:
    """Who works where: so many processes share the people. `since` is when the fast clock began, in Unix time."""

    url: str
    project_id: str
    reviewer_ids: list[str]
    processes: int
    since: float
    seconds_between_kills: float
    seed: int

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def fast_clock(since: float):
    """Return a `now` that runs faster from a moment on, the same in all processes."""
    return lambda: datetime.fromtimestamp(since + (time.time() - since) * TIMES_FASTER, UTC)


class Reviewer:
    """Claims, and does with what they hold all that people do: review, skip, give back, walk away, come back late."""

    def __init__(self, database, project_id, reviewer_id, chance):
        self.database, self.project_id, self.reviewer_id, self.chance = database, project_id, reviewer_id, chance
        self.lease_ids = []

    def act(self):
        if not self.lease_ids or self.chance.random() < 0.4:
            return self.claim()
        lease_id = self.chance.choice(self.lease_ids[-6:])
        how = self.chance.choices(
            [self.submit, self.skip, self.give_back, self.extend, self.undo, self.walk_away], [50, 6, 12, 10, 8, 14]
        )[0]
        return how(lease_id)

    def claim(self):
        with self.database.writing() as db:
            project, reviewer = db.get_one(Project, self.project_id), db.get_one(User, self.reviewer_id)
            lease = leases.claim(db, project, reviewer)
        if lease is not None:
            self.lease_ids.append(lease.id)

    def submit(self, lease_id):
        with self.database.writing() as db:
            lease = db.get_one(Lease, lease_id)
            if leases.complete(db, lease):
                note(db, lease, "counted")

    def undo(self, lease_id):
        with self.database.writing() as db:
            lease = db.get_one(Lease, lease_id)
            was_counted = lease.holds_slot
            again = leases.reopen(db, lease, was_counted)
            if was_counted:
                note(db, lease, "undone")
        self.lease_ids.append(again.id)

    def skip(self, lease_id):
        with self.database.writing() as db:
            leases.skip(db, db.get_one(Lease, lease_id))

    def give_back(self, lease_id):
        with self.database.writing() as db:
            leases.give_back(db, db.get_one(Lease, lease_id))

    def extend(self, lease_id):
        with self.database.writing() as db:
            leases.extend(db, db.get_one(Lease, lease_id))

    def walk_away(self, _lease_id):
        """The lease expires; it may be submitted late."""


class Lead:
    """Reserves, lets reservations go, changes how many reviews are wanted, closes, sends people away and back."""

    def __init__(self, database, project_id, reviewer_ids, chance):
        self.database, self.project_id, self.reviewer_ids, self.chance = database, project_id, reviewer_ids, chance
        with database.reading() as db:
            self.item_ids = db.scalars(sa.select(Item.id).where(Item.project_id == project_id)).all()

    def act(self):
        time.sleep(0.01)
        ways = {self.assign: 10, self.unassign: 4, self.change: 6, self.close: 1, self.send_away: 2, self.sweep: 2}
        with self.database.writing() as db:
            item = db.get_one(Item, self.chance.choice(self.item_ids))
            self.chance.choices(list(ways), list(ways.values()))[0](db, item)

    def assign(self, db, item):
        assign(db, item, db.get_one(User, self.chance.choice(self.reviewer_ids)), by=None)

    def unassign(self, db, item):
        for assignment in db.scalars(sa.select(Assignment).where(Assignment.item_id == item.id)):
            unassign(db, assignment)

    def change(self, db, item):
        change_reviews_wanted(db, item, self.chance.randint(1, MOST_REVIEWS))

    def close(self, db, item):
        close_by_hand(db, item)

    def send_away(self, db, _item):
        person = db.get_one(User, self.chance.choice(self.reviewer_ids))
        if person.deactivated_at is None:
            person.deactivated_at = clock.now()
            db.flush()
            events.publish(db, UserDeactivated(person.id))
        else:
            person.deactivated_at = None

    def sweep(self, db, _item):
        leases.expire_due(db)


def note(db, lease, what):
    """Keep book of counted reviews apart from the leases, in the same transaction."""
    db.add(
        AuditEntry(
            project_id=lease.project_id, actor_id=lease.reviewer_id, action=what, subject=str(lease.item_id), details={}
        )
    )


def work(shift, reviewer_ids, chance):
    """Let people and two leads act until the process is killed; print the errors that nobody expects."""
    database = Database(shift.url, pool_size=3, session_info={"keys": KEYS})
    project_id, everybody = UUID(shift.project_id), [UUID(person) for person in shift.reviewer_ids]
    actors = [Reviewer(database, project_id, UUID(p), random.Random(chance.random())) for p in reviewer_ids]
    actors += [Lead(database, project_id, everybody, random.Random(chance.random())) for _ in range(2)]

    def keep_acting(actor):
        while True:
            try:
                actor.act()
            except AppError:
                pass
            except Exception:
                print(traceback.format_exc(), flush=True)
                return

    threads = [threading.Thread(target=keep_acting, args=[actor], daemon=True) for actor in actors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work_in_processes(shift):
    """Fork the processes, kill one now and then, and fork another in its place; return how many were killed.

    This process has neither threads nor connections, so that forking it is safe.
    """
    chance = random.Random(shift.seed)
    shares = [shift.reviewer_ids[start :: shift.processes] for start in range(shift.processes)]

    def begin(share):
        seed = chance.random()
        pid = os.fork()
        if pid == 0:
            work(shift, share, random.Random(seed))
            os._exit(0)
        return pid

    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    pids, killed = [begin(share) for share in shares], 0
    while not select.select([sys.stdin], [], [], shift.seconds_between_kills)[0]:
        victim = chance.randrange(shift.processes)
        kill(pids[victim])
        killed += 1
        pids[victim] = begin(shares[victim])
    for pid in pids:
        kill(pid)
    return killed


if __name__ == "__main__":
    import_parts()
    shift = Shift(**json.loads(sys.argv[1]))
    clock.now = fast_clock(shift.since)
    print(f"killed: {work_in_processes(shift)}", flush=True)
