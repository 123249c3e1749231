"""A database of each kind whose data is committed, for a freeze has transactions of its own; and reviews to freeze."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.accounts.projects import change_settings
from hitl.capture.feedback import give_feedback
from hitl.capture.models import Feedback
from hitl.core import jobs, schema
from hitl.core.database import Database
from hitl.core.ids import new_id
from hitl.core.secrets import Keys
from hitl.datasets.exporting import ask_for_export
from hitl.datasets.freeze import start_freeze
from hitl.datasets.jobs import freeze_version  # noqa: F401  registers the job
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import Selection
from hitl.preferences import models as preferences
from hitl.preferences.end_users import take_thumbs_as_verdicts
from hitl.queue import models as queue
from hitl.review import models as review
from tests.hitl import factories

SECRET = "a secret only for tests" * 2


def open_database(url: str, storage: Path) -> Database:
    keys = Keys.derive(SECRET)
    return Database(url, session_info={"keys": keys, "storage_url": str(storage)})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stored(
    request: pytest.FixtureRequest, make_database: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database with tables, and a storage beside it."""
    database = open_database(make_database(request.param), tmp_path_factory.mktemp("storage"))
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def desk(stored: Database) -> "Desk":
    """A project in which people review."""
    return Desk.open(stored)


@dataclass
class Desk:
    """A project in which reviews are made and versions frozen, each step committed."""

    database: Database
    project: Project
    people: dict[str, UUID] = field(default_factory=dict)

    @classmethod
    def open(cls, database: Database) -> "Desk":
        with database.writing() as db:
            factories.bind(db)
            return cls(database, factories.Project(slug=f"desk-{new_id()}"))

    def person(self, name: str) -> UUID:
        if name not in self.people:
            self.people[name] = factories.User(name=name).id
        return self.people[name]

    def write(self, work: Callable[[Session], Any]) -> Any:
        with self.database.writing() as db:
            factories.bind(db)
            return work(db)

    def response(self, asked: str, text: str, **more: Any) -> Any:
        return self.write(lambda db: factories.Response(project=self.project, asked=asked, text=text, **more))

    def corrects(self, response: Any, text: str, by: str = "kim") -> UUID:
        """A reviewer corrects a response; returns the revision."""
        output = {"role": "assistant", "content": text}

        def derive(db: Session, revision: review.Revision) -> None:
            db.add(self._evidence(response, revision, a_output=output, outcome="a", origin="correction"))
            db.add(self._demonstration(response, revision, output, "correction"))

        return self._review(response, by, derive)

    def approves(self, response: Any, by: str = "kim") -> UUID:
        return self._review(
            response, by, lambda db, revision: db.add(self._demonstration(response, revision, None, "approval"))
        )

    def prefers(self, better: Any, worse: Any, by: str = "kim", outcome: str = "a", distance: float = 1.0) -> UUID:
        def derive(db: Session, revision: review.Revision) -> None:
            db.add(
                self._evidence(
                    worse, revision, a_response_id=better.id, outcome=outcome, origin="ranking", distance=distance
                )
            )

        return self._review(better, by, derive)

    def judges(self, response: Any, is_good: bool, by: str = "kim") -> UUID:
        """A reviewer finds a response good or bad in itself; returns the revision."""

        def derive(db: Session, revision: review.Revision) -> None:
            db.add(
                preferences.Verdict(
                    project_id=self.project.id,
                    response_id=response.id,
                    input_hash=response.input_hash,
                    is_good=is_good,
                    origin="reviewer",
                    revision_id=revision.id,
                    criterion="helpful",
                )
            )

        return self._review(response, by, derive)

    def thumbs(self, response: Any, value: bool | None) -> None:
        """The end user gives a thumb to a response, changes it, or (None) takes it away; the worker learns from it."""

        def give(db: Session) -> None:
            project = db.get_one(Project, self.project.id)
            if value is None:
                db.execute(update(Feedback).where(Feedback.response_id == response.id).values(value=None))
            else:
                give_feedback(db, project, [{"response": str(response.id), "kind": "thumbs", "value": value}])
            take_thumbs_as_verdicts(db, project, [response.id])

        self.write(give)

    def takes_thumbs(self) -> None:
        """From now on end users' thumbs count as verdicts."""
        self.write(lambda db: change_settings(db, db.get_one(Project, self.project.id), {"end_user_thumbs": True}))

    def forgets(self, revision_id: UUID) -> None:
        """The review is reopened: what it taught does not count any more."""

        def reopen(db: Session) -> None:
            revision = db.get_one(review.Revision, revision_id)
            revision.review.counting_revision_id = None

        self.write(reopen)

    def freeze(self, name: str = "desk", kind: Any = None, **selection: Any) -> DatasetVersion:
        """Freeze a version and return it, frozen or failed."""
        chosen = Selection(**selection) if selection else None
        started = self.write(lambda db: start_freeze(db, db.get_one(Project, self.project.id), name, kind, chosen))
        jobs.Worker(self.database).run_until_idle()
        return self.version(started.id)

    def exports(self, version: DatasetVersion, format: str) -> None:
        """Let a worker make the file of an export."""
        self.write(lambda db: ask_for_export(db, db.get_one(DatasetVersion, version.id), format))
        jobs.Worker(self.database).run_until_idle()

    def version(self, version_id: UUID) -> DatasetVersion:
        with self.database.reading() as db:
            version = db.get_one(DatasetVersion, version_id)
            assert version.dataset is not None
            return version

    def _review(self, response: Any, by: str, derive: Callable[[Session, review.Revision], None]) -> UUID:
        def make(db: Session) -> UUID:
            reviewer_id = self.person(by)
            item = factories.Item(project=self.project, response=response, open_slots=0)
            lease = queue.Lease(
                project_id=self.project.id,
                item_id=item.id,
                reviewer_id=reviewer_id,
                expires_at=item.created_at,
                ended_as="completed",
            )
            db.add(lease)
            db.flush()
            made = review.Review(
                project_id=self.project.id,
                item_id=item.id,
                reviewer_id=reviewer_id,
                lease_id=lease.id,
                standing="counted",
            )
            revision = review.Revision(number=1, review=made)
            db.add_all([made, revision])
            db.flush()
            made.counting_revision_id = revision.id
            derive(db, revision)
            return revision.id

        revision_id: UUID = self.write(make)
        return revision_id

    def _evidence(self, response: Any, revision: review.Revision, **more: Any) -> preferences.Evidence:
        return preferences.Evidence(
            project_id=self.project.id,
            input_hash=response.input_hash,
            input_response_id=response.id,
            b_response_id=response.id,
            revision_id=revision.id,
            criterion="correction",
            **more,
        )

    def _demonstration(
        self, response: Any, revision: review.Revision, output: dict[str, Any] | None, origin: str
    ) -> preferences.Demonstration:
        return preferences.Demonstration(
            project_id=self.project.id,
            response_id=response.id,
            input_hash=response.input_hash,
            output=output,
            origin=origin,
            revision_id=revision.id,
        )
