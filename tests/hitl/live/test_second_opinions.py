"""A share of interventions is reviewed by somebody else."""

import pytest
from sqlalchemy import func, select

from hitl.accounts.projects import change_settings
from hitl.core.jobs import Worker
from hitl.live import holding, speaking
from hitl.queue.models import Item, ItemTarget
from tests.hitl import factories


class TestSecondOpinion:
    def test_a_drawn_draft_goes_into_the_queue(self, committed, project, edited, work):
        change_settings(committed, project, {"second_opinion_percent": 100})
        response = edited("See a doctor.")
        work()

        target = committed.scalars(select(ItemTarget)).one()
        assert target.response_id == response.id

    def test_none_does_unless_the_project_asks_for_it(self, committed, edited, work):
        edited("See a doctor.")
        work()
        assert committed.scalar(select(func.count()).select_from(Item)) == 0

    def test_what_taught_nothing_needs_no_opinion(self, committed, project, edited, work):
        change_settings(committed, project, {"second_opinion_percent": 100})
        edited("Take an aspirin.")  # the same as the draft
        work()
        assert committed.scalar(select(func.count()).select_from(Item)) == 0

    def test_about_so_many_are_drawn_as_the_project_says(self, committed, project, edited, work):
        change_settings(committed, project, {"second_opinion_percent": 50})
        for _ in range(40):
            edited("See a doctor.")
        work()
        assert 8 <= committed.scalar(select(func.count()).select_from(Item)) <= 32


@pytest.fixture
def project(committed):
    return factories.Project()


@pytest.fixture
def edited(committed, project):
    """A draft that somebody edited; returns its response."""
    supervisor = factories.Membership(project=project, role="supervisor").user

    def edit(text):
        talk = factories.LiveConversation(project=project)
        asked = speaking.receive(committed, talk, {"role": "user", "content": "I feel sick."})
        response = factories.Response(project=project, output=said("Take an aspirin."), may_train="yes")
        draft = speaking.propose(
            committed, talk, response.output, answers=asked.number, holder_number=1, response_id=response.id
        )
        hold = holding.hold_draft(committed, talk, draft, ["Health."], deadline_seconds=600, when_nobody="refuse")
        holding.edit(committed, talk, hold, supervisor, said(text), read_to=100)
        return response

    return edit


@pytest.fixture
def work(committed, shared_database):
    """Do what is due now."""

    def run():
        committed.commit()
        Worker(shared_database).run_until_idle()

    return run


def said(text):
    return {"role": "assistant", "content": text}
