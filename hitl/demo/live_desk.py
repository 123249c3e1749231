"""The live part of the demo's projects: the gateway with its bot, a policy, and ready replies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.access import program_of_token
from hitl.accounts.keys import create_key
from hitl.accounts.members import add_member, membership_of
from hitl.accounts.models import Project, User
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.passwords import hash_password
from hitl.accounts.users import create_user
from hitl.demo.sign_ins import SignIn, private_file
from hitl.gateway.settings import change_handling
from hitl.gateway.upstreams import add_upstream, change_upstream, upstreams_of
from hitl.live.policy.rules import PolicyTerms, create_rule, rules_of
from hitl.live.replies import add_reply, ready_replies

UPSTREAM = "Demo bot"
ANY_KEY = "demo"  # the bot takes any, but wants one, as models do
SAFE_REPLY = "One moment please, I am looking into it."
HEALTH = r'question.matches("(?i)\\b(headache|sick|ill|pain|symptoms?|doctor)\\b")'
MONEY = r'answer.matches("(?i)\\b(refund|pay|dollars?|price|cost)\\b")'


@dataclass(frozen=True)
class Desk:
    """What a project has for its supervisors from the start."""

    rules: tuple[tuple[str, PolicyTerms], ...]  # the policy, by name
    replies: tuple[tuple[str, str], ...]  # ready ones, by name


SUPPORT = Desk(
    rules=(
        ("Health", PolicyTerms(expression=HEALTH, safe_reply=SAFE_REPLY)),
        ("Money", PolicyTerms(expression=MONEY, hold_out=0.2, safe_reply=SAFE_REPLY)),
        ("Repeats itself", PolicyTerms(expression="signals.repeats > 0.5", action="alert")),
    ),
    replies=(
        ("Looking into it", SAFE_REPLY),
        ("Call the desk", "Please call the desk if it is urgent."),
        ("Anything else", "Is there anything else that I can do for you?"),
    ),
)


def prepare_live(
    db: Session, project: Project, desk: Desk, people: Sequence[SignIn], key_file: Path, upstream: str
) -> str:
    """Let the gateway of a project lead to the bot, and return the application's key. Safe to run again.

    upstream: the bot's address this time.
    """
    ensure_members(db, project, people)
    known = db.scalar(upstreams_of(project))
    if known is None:
        add_upstream(db, project, {"name": UPSTREAM, "base_url": upstream}, ANY_KEY)
        change_handling(db, project, {"mode": "gate"})
    else:
        change_upstream(db, project, known, {"base_url": upstream}, ANY_KEY)
    if db.scalar(rules_of(project).limit(1)) is None:
        for name, terms in desk.rules:
            create_rule(db, project, name, terms)
    if db.scalar(ready_replies(project.id).limit(1)) is None:
        for name, text in desk.replies:
            add_reply(db, project, name, text)
    return _application_key(db, project, key_file)


def ensure_members(db: Session, project: Project, people: Sequence[SignIn]) -> None:
    """Let each of these people work in a project, in their role."""
    for person in people:
        _ensure_member(db, project, person)


def _ensure_member(db: Session, project: Project, person: SignIn) -> None:
    user = db.scalar(select(User).where(User.email == person.email))
    if user is None:
        user = create_user(db, person.email, person.role.capitalize())
        set_password_hash(db, user, hash_password(person.password), by=None)
    if membership_of(db, project, user) is None:
        add_member(db, project, user, person.role)


def _application_key(db: Session, project: Project, path: Path) -> str:
    """Return a key that works: the one that was kept, or a new one."""
    kept = path.read_text().strip() if path.exists() else ""
    if kept and program_of_token(db, kept) is not None:
        return kept
    engineer = db.scalars(select(User).where(User.email == "engineer@demo.example")).one()
    _, token = create_key(db, project, engineer, "Application", ["capture"])
    with private_file(path, "w") as file:
        file.write(token)
    return token
