"""What the queue does later."""

import pytest
from sqlalchemy import func, select

from hitl.core.jobs import Worker, enqueue
from hitl.queue import jobs
from hitl.queue.models import Item, Selection
from hitl.queue.rules import AllCondition, Terms, create_rule, end_rule
from tests.hitl import factories


def draws_in(database):
    with database.reading() as db:
        return db.scalars(select(Selection.is_drawn).order_by(Selection.response_id)).all()


class TestDrawFromEarlier:
    def test_it_lets_a_new_rule_draw_from_what_is_there(self, shared_database, committed, project):
        create_rule(committed, project, "All", Terms(condition=AllCondition(), rate=1), include_earlier=True)
        committed.commit()

        Worker(shared_database).run_until_idle()

        assert committed.scalar(select(func.count()).select_from(Item)) == 5

    def test_it_leaves_them_alone_unless_asked(self, shared_database, committed, project):
        create_rule(committed, project, "All", Terms(condition=AllCondition(), rate=1))
        committed.commit()

        Worker(shared_database).run_until_idle()

        assert committed.scalar(select(func.count()).select_from(Item)) == 0

    def test_it_draws_once_though_the_work_was_begun_before(self, shared_database, committed, project):
        rule = create_rule(committed, project, "Half", Terms(condition=AllCondition(), rate=0.5), include_earlier=True)
        committed.commit()
        Worker(shared_database).run_until_idle()
        drawn = draws_in(shared_database)

        with shared_database.writing() as db:
            enqueue(db, "queue.draw_from_earlier", {"rule_id": str(rule.id)})
        Worker(shared_database).run_until_idle()

        assert draws_in(shared_database) == drawn
        assert len(drawn) == 5

    def test_it_draws_nothing_for_a_rule_that_was_switched_off_meanwhile(self, shared_database, committed, project):
        rule = create_rule(committed, project, "All", Terms(condition=AllCondition(), rate=1), include_earlier=True)
        end_rule(committed, rule)
        committed.commit()

        Worker(shared_database).run_until_idle()

        assert committed.scalar(select(func.count()).select_from(Item)) == 0

    @pytest.fixture
    def project(self, committed):
        project = factories.Project()
        for _ in range(5):
            factories.Response(project=project)
        return project

    @pytest.fixture(autouse=True)
    def short_batches(self, monkeypatch):
        monkeypatch.setattr(jobs, "DRAWN_AT_ONCE", 2)
