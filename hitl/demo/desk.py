"""The demo's projects, the people who work on them, and the rules that pick.

A support desk with real conversations, and a writing desk (hitl/demo/writing_desk.py).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.members import add_member
from hitl.accounts.models import Project
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.passwords import hash_password
from hitl.accounts.projects import change_settings, create_project
from hitl.accounts.users import create_user
from hitl.app import import_parts
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.core import schema
from hitl.core.instance import Instance, open_instance
from hitl.core.jobs import Worker
from hitl.core.secrets import ensure_same_secret
from hitl.core.settings import Settings
from hitl.demo import real_data, writing_desk
from hitl.demo.live_desk import SUPPORT, prepare_live
from hitl.demo.sign_ins import SignIn, kept_sign_ins
from hitl.queue.rules import AllCondition, Comparing, FeedbackCondition, Terms, create_rule

SLUG = "support-desk"
ROLES = ("annotator", "lead", "supervisor", "engineer", "admin")
Rows: TypeAlias = list[real_data.JsonObject]
Keep: TypeAlias = Callable[[Session, Project, Rows, Instance], None]
BATCH_ROWS = 20  # all five answers to a prompt come in one
GUIDELINES = """\
# How to judge answers

Read the conversation first, then the answer that is marked, or the answers side by side.

- **Helpful**: does the user get further with it?
- **Correct**: compare it with what the tools said. What no tool said and no one can know is made up.
- **Correct it** when you can say it better: write the whole answer as it should have been sent. Change no more than \
needed. Your correction is what the model learns from.
- **Best first**: put first what you would rather have been sent. What is so comes before what reads well; a short \
answer that says it all comes before a long one. Answers between which you would not choose share a place, and where \
none is fit to be sent, all are bad.
- Skip what you cannot judge, and say why.
"""


@dataclass(frozen=True)
class Demo:
    """What the demo made: accounts, and a key for the application of each project."""

    sign_ins: list[SignIn]
    chat_key: str
    writing_key: str


def prepare(settings: Settings, folder: Path, *, upstream: str, say: Callable[[str], None]) -> Demo:
    """Make the demo's database, or bring an earlier one up to date. Safe to interrupt and to run again.

    upstream: address of the bot, as the gateway calls it this time.
    """
    import_parts()
    sign_ins = kept_sign_ins(folder / "sign-ins.txt", ROLES)
    instance = open_instance(settings)
    schema.upgrade(instance.database)
    ensure_same_secret(instance.database, instance.keys)
    with instance.database.writing() as db:
        project = db.scalar(select(Project).where(Project.slug == SLUG))
        is_new = project is None
        if project is None:
            project = _open_desk(db, sign_ins)
        writing = db.scalar(select(Project).where(Project.slug == writing_desk.SLUG))
        if writing is None:
            writing = writing_desk.open_writing_desk(db, sign_ins)
    if is_new:
        say("Filling the demo project with real conversations …")
    with instance.database.writing() as db:
        chat_key = prepare_live(db, project, SUPPORT, sign_ins, folder / "application-key.txt", upstream)
        writing_key = prepare_live(db, writing, writing_desk.DESK, sign_ins, folder / "writing-key.txt", upstream)
    _bring_in(instance, project)
    Worker(instance.database).run_until_idle()
    instance.database.close()
    return Demo(sign_ins, chat_key, writing_key)


def _open_desk(db: Session, sign_ins: list[SignIn]) -> Project:
    project = create_project(db, SLUG, "Support desk")
    project.guidelines = GUIDELINES
    # The licences of the shipped data allow training; see data/README.md.
    change_settings(db, project, {"may_train_default": "yes", "end_user_thumbs": "yes"})
    for person in sign_ins:
        user = create_user(db, person.email, person.role.capitalize(), is_owner=person.role == "admin")
        set_password_hash(db, user, hash_password(person.password), by=None)
        add_member(db, project, user, person.role)
    create_rule(
        db,
        project,
        "Users who say it did not work",
        Terms(condition=FeedbackCondition(negative_only=True), rate=0.5, priority=1, reviews_wanted=2),
    )
    create_rule(db, project, "Random sample", Terms(condition=AllCondition(), rate=0.1))
    side_by_side = Comparing(at_least=3, at_most=3)
    create_rule(db, project, "Models side by side", Terms(compare=side_by_side, rate=0.3, priority=1, reviews_wanted=2))
    return project


def _bring_in(instance: Instance, project: Project) -> None:
    """Capture what is not there yet: rows are known by their ids, so a second run stores nothing twice.

    A little of everything in turn, so that the queue, which goes by age, is as mixed.
    """
    sources = (
        (_capture, real_data.tool_responses()),
        (_hear, real_data.tool_feedback()),
        (_capture, real_data.model_responses()),
        (_capture, real_data.rated_responses()),
        (_hear, real_data.rated_feedback()),
        (_capture, real_data.support_responses()),
    )
    for keep, rows in _in_turn(sources):
        with instance.database.writing() as db:
            keep(db, project, rows, instance)


def _capture(db: Session, project: Project, rows: Rows, instance: Instance) -> None:
    capture_responses(db, project, rows, instance.keys)


def _hear(db: Session, project: Project, rows: Rows, _instance: Instance) -> None:
    give_feedback(db, project, rows)


def _in_turn(sources: Iterable[tuple[Keep, Iterator[real_data.JsonObject]]]) -> Iterator[tuple[Keep, Rows]]:
    """Yield a batch of each source in turn, until all are at their end."""
    remaining = list(sources)
    while batches := [(keep, batch, rows) for keep, rows in remaining if (batch := list(islice(rows, BATCH_ROWS)))]:
        yield from ((keep, batch) for keep, batch, _ in batches)
        remaining = [(keep, rows) for keep, _, rows in batches]
