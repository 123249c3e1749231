"""Promise 3: a live conversation has one speaker at a time, and nothing is sent twice or to words that moved on.

What is allowed is worked out a second time here, from the log alone; and at the end the whole log, of which nothing
ever changes, is read as a colleague would read it. Both databases together see 100,000 steps; set TEST_EFFORT to 10 for
a million.
"""

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.core import clock, schema
from hitl.core.database import Database
from hitl.live import holding, speaking, taking_over
from hitl.live.errors import AlreadyTaken, NotYours, UserSaidMore
from hitl.live.log import locked
from hitl.live.models import Draft, Event, Hold, LiveConversation
from tests.hitl import factories
from tests.promises.reading_logs import Told, ensure_in_order
from tests.promises.talkers import KEYS, Crowd

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
DEADLINE_SECONDS = 60
STEPS = 100
ROOT = Path(__file__).parents[2]
CONVERSATIONS = 3
SECONDS_OF_TALK, MOST_SECONDS_OF_TALK = 12 * EFFORT, 90 * EFFORT
ENOUGH = {"message", "hold", "approval", "edit", "refusal", "expiry", "takeover", "handback"}

people = st.integers(0, 1)
# Which of the rows there are, counted from the newest, which is the most often asked for.
places = st.just(0) | st.integers(0, 3) | st.integers(0, 1_000)


class TestAnySequenceOfEvents:
    @pytest.mark.timeout(900 * EFFORT)
    def test_it_never_speaks_twice_nor_out_of_turn_and_learns_from_each_intervention(self, db, monkeypatch):
        try_any_sequence(Desk, db, monkeypatch, examples=500 * EFFORT)


def try_any_sequence(desk, db, monkeypatch, *, examples):
    """Let a desk work so many times, each STEPS steps long at most, with a clock that it moves on."""
    ahead = [timedelta()]
    real_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: real_now() + ahead[0])
    run_state_machine_as_test(
        lambda: desk(db, ahead),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=[Phase.generate],  # making a failure shorter takes many minutes
        ),
    )


class TestManyProcesses:
    @pytest.mark.timeout(180 * EFFORT)
    def test_they_never_speak_twice_nor_out_of_turn_and_some_are_killed(self, make_database):
        database = Database(make_database("postgresql"), session_info={"keys": KEYS})
        schema.upgrade(database)
        with database.writing() as db:
            factories.bind(db)
            project = factories.Project()
            people = [factories.Membership(project=project, role="supervisor").user for _ in range(2)]
            talks = [factories.LiveConversation(project=project).id for _ in range(CONVERSATIONS)]
            factories.unbind()
        said = crowd_talks(database, talks, [one.id for one in people])
        assert said == ""
        assert kinds_in(database) >= ENOUGH
        with database.reading() as db:
            for conversation_id in talks:
                query = select(Event).where(Event.conversation_id == conversation_id).order_by(Event.number)
                ensure_in_order(db, db.get_one(LiveConversation, conversation_id), list(db.scalars(query)))
        database.close()


def kinds_in(database):
    with database.reading() as db:
        return set(db.scalars(select(Event.kind).distinct()))


def crowd_talks(database, conversation_ids, person_ids):
    """Let several processes talk, kill one every now and then and start another; return what they print.

    A busy machine gets longer, until enough kinds of things have happened.
    """
    chance, printed = random.Random(), []
    began_at = time.monotonic()

    def start():
        url = database.url.render_as_string(hide_password=False)
        ids = {"conversation_ids": list(map(str, conversation_ids)), "person_ids": list(map(str, person_ids))}
        crowd = Crowd(url, seed=chance.randrange(2**32), **ids)
        command = [sys.executable, "-m", "tests.promises.talkers", crowd.as_json()]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    crowd = [start() for _ in range(4)]
    while crowd:
        time.sleep(2)
        victim = crowd.pop(0)
        victim.kill()
        printed.append(victim.communicate()[0])
        passed = time.monotonic() - began_at
        if passed < SECONDS_OF_TALK or (passed < MOST_SECONDS_OF_TALK and not kinds_in(database) >= ENOUGH):
            crowd.append(start())
    return "".join(printed)


class Desk(RuleBasedStateMachine):
    """One conversation with a bot that is sometimes slow, a gate, and two supervisors. Each step is one request."""

    def __init__(self, db: Session, ahead: list[timedelta]) -> None:
        super().__init__()
        self.db, self.ahead = db, ahead
        self.everything = db.begin_nested()
        project = factories.Project()
        self.people = [factories.Membership(project=project, role="supervisor").user for _ in range(2)]
        self.id = factories.LiveConversation(project=project).id
        self.thoughts: list[tuple[int, int]] = []  # what the bot looked at, before it began to think
        self.drafts: list[Draft] = []
        self.holds: list[Hold] = []
        self.words = 0
        self.so_far = Told()

    # ---- what happens

    @rule()
    def user_writes(self):
        speaking.receive(self.db, self.talk(), self.message("user"))

    @rule()
    def bot_begins_to_think(self):
        talk = self.talk()
        self.thoughts.append((talk.user_number, talk.holder_number))

    @rule()
    def bot_answers_at_once(self):
        self.bot_begins_to_think()
        self.bot_proposes(0)
        self.bot_sends(0)

    @rule(words_first=st.booleans())
    def bot_proposes_at_once(self, words_first):
        if words_first:
            self.user_writes()
        self.bot_begins_to_think()
        self.bot_proposes(0)

    @precondition(lambda self: self.thoughts)
    @rule(place=places)
    def bot_proposes(self, place):
        answers, holder_number = self.thoughts.pop(-1 - place % len(self.thoughts))
        may, talk = self.bot_may_answer(answers, holder_number), self.talk()
        draft = speaking.propose(
            self.db,
            talk,
            self.message("assistant"),
            answers=answers,
            holder_number=holder_number,
            response_id=self.captured(),
        )
        assert (draft.state == "proposed") == may
        self.drafts.append(draft)

    @precondition(lambda self: self.drafts)
    @rule(place=places)
    def bot_sends(self, place):
        draft = self.drafts[-1 - place % len(self.drafts)]
        may = draft.state == "proposed" and self.bot_may_answer(draft.answers_number, draft.holder_number)
        assert (speaking.send(self.db, self.talk(), draft) is not None) == may

    @precondition(lambda self: self.drafts)
    @rule(place=places, when_nobody=st.sampled_from(["send", "safe_reply", "refuse"]))
    def gate_holds(self, place, when_nobody):
        draft = self.drafts[-1 - place % len(self.drafts)]
        may = draft.state == "proposed" and self.bot_may_answer(draft.answers_number, draft.holder_number)
        hold = holding.hold_draft(
            self.db,
            self.talk(),
            draft,
            ["It names a price."],
            deadline_seconds=DEADLINE_SECONDS,
            when_nobody=when_nobody,
            safe_reply="One moment, please.",
        )
        assert (hold is not None) == may
        if hold is not None:
            self.holds.append(hold)

    @precondition(lambda self: self.drafts)
    @rule(place=places)
    def bot_begins_to_stream(self, place):
        draft = self.drafts[-1 - place % len(self.drafts)]
        may = draft.state == "proposed" and self.bot_may_answer(draft.answers_number, draft.holder_number)
        assert speaking.begin_streaming(self.db, self.talk(), draft) == may

    @precondition(lambda self: self.streaming())
    @rule(is_last=st.booleans())
    def bot_goes_on_streaming(self, is_last):
        draft = self.streaming()
        self.talk()
        assert speaking.go_on_streaming(self.db, draft, "word ")
        if is_last:
            assert speaking.end_streaming(self.db, self.talk(), draft) is not None

    @precondition(lambda self: self.holds)
    @rule(place=places, person=people, has_read=st.booleans())
    def person_approves(self, place, person, has_read):
        hold, was_open = self.hold(place)
        with suppress(UserSaidMore):
            sent = holding.approve(self.db, self.talk(), hold, self.people[person], read_to=self.read_to(has_read))
            assert (sent is not None) == was_open
            assert has_read or not was_open
            return
        assert was_open
        assert not has_read

    @precondition(lambda self: self.holds)
    @rule(place=places, person=people, has_read=st.booleans())
    def person_edits(self, place, person, has_read):
        hold, was_open = self.hold(place)
        before = self.talk().last_number
        with suppress(UserSaidMore):
            text = self.message("assistant")
            sent = holding.edit(self.db, self.talk(), hold, self.people[person], text, read_to=self.read_to(has_read))
            assert (sent is not None) == was_open
            assert has_read or not was_open
            assert was_open or self.kept(text)
            return
        assert was_open
        assert not has_read
        assert self.talk().last_number == before

    @precondition(lambda self: self.holds)
    @rule(place=places, person=people)
    def person_refuses(self, place, person):
        hold, was_open = self.hold(place)
        assert holding.refuse(self.db, self.talk(), hold, self.people[person]) == was_open

    @rule(person=people)
    def person_takes_over(self, person):
        speaker = self.told().speaker
        try:
            event = taking_over.take_over(self.db, self.talk(), self.people[person])
        except AlreadyTaken:
            assert speaker == self.people[1 - person].id
        else:
            assert (event is None) == (speaker == self.people[person].id)

    @rule()
    def whoever_has_it_hands_it_back(self):
        for person in range(2):
            self.person_hands_back(person)

    @rule(person=people)
    def person_hands_back(self, person):
        self.only_holder(person, lambda: taking_over.hand_back(self.db, self.talk(), self.people[person]))

    @rule(person=people)
    def person_hands_over(self, person):
        to = self.people[1 - person]
        self.only_holder(person, lambda: taking_over.hand_over(self.db, self.talk(), self.people[person], to))

    @rule(person=people)
    def person_speaks(self, person):
        may, text = self.told().speaker == self.people[person].id, self.message("assistant")
        assert (taking_over.say(self.db, self.talk(), self.people[person], text) is not None) == may
        assert may or self.kept(text)

    @rule(person=people)
    def person_leaves_a_note(self, person):
        taking_over.note(self.db, self.talk(), self.people[person], "Guest of honour")

    @rule(seconds=st.sampled_from([1, 70]))
    def time_passes(self, seconds):
        self.ahead[0] += timedelta(seconds=seconds)
        if self.streaming():
            speaking.look_after_stream(self.db, self.streaming().id)
        for hold in self.holds[-1:]:
            if hold.deadline_at <= clock.now():
                holding.end_at_deadline(self.db, hold.id)

    # ---- what must hold

    @invariant()
    def at_most_one_draft_is_on_its_way(self):
        states = [draft.state for draft in self.drafts]
        assert states.count("held") + states.count("streaming") <= 1
        assert (self.told().speaker == "gate") == ("held" in states)

    def teardown(self):
        self.ensure_all_is_well()
        self.everything.rollback()

    def ensure_all_is_well(self):
        self.told()
        ensure_in_order(self.db, self.talk(), self.so_far.log)

    # ---- how it looks there

    def captured(self):
        """Return the response that the bot's next draft was captured as: none here."""

    def talk(self):
        return locked(self.db, self.id)

    def told(self):
        """Read what was added to the log."""
        self.db.flush()
        log = self.so_far.log
        for event in self.db.scalars(
            select(Event).where(Event.conversation_id == self.id, Event.number > len(log)).order_by(Event.number)
        ):
            self.so_far.read(event)
        return self.so_far

    def bot_may_answer(self, answers, holder_number):
        told = self.told()
        is_its_turn = told.speaker == "bot" and holder_number == told.changes + 1
        is_open = (not told.is_answered or told.user_number == 0) and self.streaming() is None
        return is_its_turn and answers == told.user_number and is_open

    def hold(self, place):
        hold = self.holds[-1 - place % len(self.holds)]
        return hold, self.told().speaker == "gate" and hold.ended_at is None

    def read_to(self, has_read):
        return self.talk().last_number if has_read else self.told().user_number - 1

    def streaming(self):
        return next((draft for draft in self.drafts if draft.state == "streaming"), None)

    def only_holder(self, person, act):
        speaker = self.told().speaker
        try:
            act()
        except NotYours:
            assert speaker != self.people[person].id
        else:
            assert speaker == self.people[person].id

    def kept(self, text):
        return [draft for draft in self.all_drafts() if draft.output == text and draft.state == "unsent"]

    def all_drafts(self):
        self.db.flush()
        return list(self.db.scalars(select(Draft).where(Draft.conversation_id == self.id)))

    def message(self, role):
        self.words += 1
        return {"role": role, "content": f"These are words {self.words}."}
