"""Promise 6: every intervention yields what it teaches in the transaction of the send, or a stated reason why not.

The same desk as for promise 3, whose drafts are captured responses now. Set TEST_EFFORT to a number above 1 to try
that much longer than continuous integration does.
"""

import os

import pytest
from sqlalchemy import select

from hitl.accounts.models import Project
from hitl.live.interventions import WHY_NOTHING
from hitl.live.models import Draft, Intervention, LiveConversation
from hitl.preferences.models import Demonstration, Evidence
from tests.hitl import factories
from tests.promises.test_03_one_speaker_at_a_time import Desk, try_any_sequence

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))


class TestAnySequenceOfEvents:
    @pytest.mark.timeout(300 * EFFORT)
    def test_it_teaches_or_says_why_not(self, db, monkeypatch):
        try_any_sequence(TeachingDesk, db, monkeypatch, examples=40 * EFFORT)


class TeachingDesk(Desk):
    def captured(self):
        talk = self.db.get_one(LiveConversation, self.id)
        project = self.db.get_one(Project, talk.project_id)
        said = f"These are words {self.words}."  # those of the draft
        may_train = "no" if self.words % 7 == 0 else "unknown"
        return factories.Response(project=project, text=said, may_train=may_train).id

    def ensure_all_is_well(self):
        super().ensure_all_is_well()
        evidence = {one.intervention_id: one for one in self.lessons(Evidence)}
        demonstrations = {one.intervention_id: one for one in self.lessons(Demonstration)}
        interventions = list(self.db.scalars(select(Intervention).where(Intervention.conversation_id == self.id)))
        for one in interventions:
            if one.settled_at is None or one.why_nothing is not None:
                assert one.why_nothing is None or one.why_nothing in WHY_NOTHING
                assert one.id not in evidence
                assert one.id not in demonstrations
                continue
            draft = self.db.get_one(Draft, one.draft_id)
            assert demonstrations[one.id].response_id == draft.response_id
            assert demonstrations[one.id].output == one.replacement
            if one.kind != "approval":
                assert evidence[one.id].b_response_id == draft.response_id
                assert evidence[one.id].a_output == one.replacement
        taught = {one.id for one in interventions if one.settled_at is not None and one.why_nothing is None}
        assert evidence.keys() | demonstrations.keys() == taught

    def lessons(self, table):
        made_here = select(Intervention.id).where(Intervention.conversation_id == self.id)
        return list(self.db.scalars(select(table).where(table.intervention_id.in_(made_here))))
