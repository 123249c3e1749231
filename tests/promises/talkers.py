"""One process of several that talk in a few live conversations: bots, a gate, supervisors, users, and who sweeps up.

Run as `python -m tests.promises.talkers '{"url": …}'` until it is killed, which may happen at any moment. Prints each
error that nobody expects. Each thing it does is one transaction, as a request would be.
"""

import json
import random
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from uuid import UUID

import sqlalchemy as sa

from hitl.accounts.models import User
from hitl.app import import_parts
from hitl.core import clock
from hitl.core.database import Database
from hitl.core.errors import AppError
from hitl.core.secrets import Keys
from hitl.live import holding, speaking, taking_over
from hitl.live.log import locked
from hitl.live.models import Draft, Hold, LiveConversation

KEYS = Keys.derive("a secret only for tests" * 2)
WHEN_NOBODY = ("send", "safe_reply", "refuse")


@dataclass(frozen=True)
class Crowd:
    """Where and as whom to talk."""

    url: str
    conversation_ids: list[str]
    person_ids: list[str]
    seed: int

    def as_json(self) -> str:
        return json.dumps(asdict(self))


class Talker:
    """Plays any part, at random."""

    def __init__(self, crowd: Crowd) -> None:
        self.database = Database(crowd.url, session_info={"keys": KEYS})
        self.chance = random.Random(crowd.seed)
        self.conversation_ids = [UUID(one) for one in crowd.conversation_ids]
        self.person_ids = [UUID(one) for one in crowd.person_ids]
        self.words = 0

    def act(self) -> None:
        parts = {self.user_writes: 20, self.bot_answers: 50, self.person_decides: 20, self.person_speaks: 15}
        parts |= {self.person_takes_over: 3, self.person_leaves: 20, self.sweep: 10}
        self.chance.choices(list(parts), list(parts.values()))[0](self.chance.choice(self.conversation_ids))

    def user_writes(self, conversation_id) -> None:
        with self.database.writing() as db:
            speaking.receive(db, locked(db, conversation_id), self.message("user"))

    def bot_answers(self, conversation_id) -> None:
        with self.database.reading() as db:
            talk = db.get_one(LiveConversation, conversation_id)
            looked_at = {"answers": talk.user_number, "holder_number": talk.holder_number}
        time.sleep(self.chance.random() / 100)
        with self.database.writing() as db:
            talk = locked(db, conversation_id)
            draft_id = speaking.propose(db, talk, self.message("assistant"), **looked_at).id
        self.chance.choice([self.send, self.hold, self.stream])(conversation_id, draft_id)

    def send(self, conversation_id, draft_id) -> None:
        with self.database.writing() as db:
            talk = locked(db, conversation_id)
            speaking.send(db, talk, db.get_one(Draft, draft_id))

    def hold(self, conversation_id, draft_id) -> None:
        with self.database.writing() as db:
            talk = locked(db, conversation_id)
            draft = db.get_one(Draft, draft_id)
            when_nobody, seconds = self.chance.choice(WHEN_NOBODY), self.chance.choice([0.02, 0.3])
            holding.hold_draft(
                db, talk, draft, ["Why not"], deadline_seconds=seconds, when_nobody=when_nobody, safe_reply="A moment."
            )

    def stream(self, conversation_id, draft_id) -> None:
        with self.database.writing() as db:
            talk = locked(db, conversation_id)
            goes_on = speaking.begin_streaming(db, talk, db.get_one(Draft, draft_id))
        for _ in range(self.chance.randint(0, 5)):
            if not goes_on:
                return
            time.sleep(0.005)
            with self.database.writing() as db:
                locked(db, conversation_id)
                goes_on = speaking.go_on_streaming(db, db.get_one(Draft, draft_id), "word ")
        with self.database.writing() as db:
            talk = locked(db, conversation_id)
            speaking.end_streaming(db, talk, db.get_one(Draft, draft_id))

    def person_decides(self, conversation_id) -> None:
        newest = sa.select(Hold.id).where(Hold.conversation_id == conversation_id).order_by(Hold.id.desc())
        if self.chance.random() < 0.8:  # else it is most likely one that has ended
            newest = newest.where(Hold.ended_at.is_(None))
        with self.database.reading() as db:
            hold_id = db.scalars(newest.limit(1)).first()
            read_to = db.get_one(LiveConversation, conversation_id).last_number
        if hold_id is None:
            return
        time.sleep(self.chance.random() / 100)
        with self.database.writing() as db:
            talk = locked(db, conversation_id)
            hold, person = holding.hold_in(db, talk, hold_id), self.person(db)
            match self.chance.randrange(3):
                case 0:
                    holding.approve(db, talk, hold, person, read_to=read_to)
                case 1:
                    holding.edit(db, talk, hold, person, self.message("assistant"), read_to=read_to)
                case _:
                    holding.refuse(db, talk, hold, person)

    def person_takes_over(self, conversation_id) -> None:
        with self.database.writing() as db:
            taking_over.take_over(db, locked(db, conversation_id), self.person(db))

    def person_speaks(self, conversation_id) -> None:
        with self.database.writing() as db:
            taking_over.say(db, locked(db, conversation_id), self.person(db), self.message("assistant"))

    def person_leaves(self, conversation_id) -> None:
        with self.database.writing() as db:
            taking_over.hand_back(db, locked(db, conversation_id), self.person(db))

    def sweep(self, _conversation_id) -> None:
        with self.database.reading() as db:
            due = sa.select(Hold.id).where(Hold.ended_at.is_(None), Hold.deadline_at <= clock.now())
            hold_ids = db.scalars(due).all()
            draft_ids = db.scalars(sa.select(Draft.id).where(Draft.state == "streaming")).all()
        for hold_id in hold_ids:
            with self.database.writing() as db:
                holding.end_at_deadline(db, hold_id)
        for draft_id in draft_ids:
            with self.database.writing() as db:
                speaking.look_after_stream(db, draft_id)

    def person(self, db) -> User:
        return db.get_one(User, self.chance.choice(self.person_ids))

    def message(self, role) -> dict:
        self.words += 1
        return {"role": role, "content": f"These are words {self.words} of {self.chance.random()}."}


def main() -> None:
    """Talk until killed."""
    import_parts()
    speaking.BEAT_SECONDS = 0.5
    talker = Talker(Crowd(**json.loads(sys.argv[1])))
    while True:
        try:
            talker.act()
        except AppError:
            pass
        except Exception:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
