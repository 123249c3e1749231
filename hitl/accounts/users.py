"""People: making accounts, closing them, and who may do that to whom."""

from typing import Any

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from hitl.accounts import audit, sessions
from hitl.accounts.errors import (
    AccountNotYours,
    AddressUnproven,
    EmailTaken,
    EmailUnacceptable,
    LastAdmin,
    UnknownEmail,
)
from hitl.accounts.events import UserDeactivated
from hitl.accounts.models import ApiKey, Membership, Project, User
from hitl.accounts.names import clean_name
from hitl.accounts.sign_in import typed_email
from hitl.core import clock, events


def create_user(
    db: Session,
    email: str,
    name: str,
    *,
    is_owner: bool = False,
    is_vouched_for: bool = True,
    by: User | None = None,
) -> User:
    """Make an account without a password; a reset link lets the person choose one.

    Only owners and the command line do this: whoever makes an account hands out its first password, and admins of
    other projects rely on the account being who its e-mail address says. Whoever accepts an invitation makes one too;
    nobody vouches for its address, so those admins do not rely on it.
    Raises EmailUnacceptable, EmailTaken, NameUnacceptable.
    """
    user = User(email=acceptable_email(email), name=clean_name(name), is_owner=is_owner, is_vouched_for=is_vouched_for)
    try:
        with db.begin_nested():
            db.add(user)
    except IntegrityError as error:
        raise EmailTaken(param="/email") from error
    audit.record(db, by, "user_created", user, is_owner=is_owner)
    return user


def acceptable_email(email: str) -> str:
    """Return an e-mail address in one spelling. Raises EmailUnacceptable.

    Names such as `kim@localhost` and `kim@desk.internal` pass: nothing is ever sent to it.
    """
    try:
        validated = validate_email(email.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise EmailUnacceptable(param="/email") from error
    return typed_email(validated.normalized)


def user_of_email(db: Session, email: str) -> User:
    """Return the person with this e-mail address, active or not. Raises UnknownEmail."""
    user = db.scalar(select(User).where(User.email == typed_email(email)))
    if user is None:
        raise UnknownEmail(param="/email")
    return user


def person_to_add(db: Session, email: str, by: User) -> User:
    """Return the person whom somebody may make a member by naming their e-mail address.

    Not an account that its holder made by an invitation elsewhere: nobody checked that the address is theirs, and it
    could be anybody. Owners answer for all accounts, and an admin for those in projects of their own.
    Raises UnknownEmail, AddressUnproven.
    """
    user = user_of_email(db, email)
    if not (user.is_vouched_for or by.is_owner or db.scalar(_shares_project_of(by, user))):
        raise AddressUnproven(param="/email")
    return user


def rename(db: Session, user: User, name: str) -> None:
    """Let a person change how they are called. Raises NameUnacceptable."""
    user.name = clean_name(name)
    audit.record(db, user, "user_renamed", user)


def deactivate(db: Session, user: User, by: User | None = None) -> None:
    """Close an account: its sessions end, its keys are revoked, its leases go back. What the person did stays.

    Raises LastAdmin while a project would be left without an admin.
    """
    # The lock lets rows through that refer to the project, as in hitl/accounts/members.py.
    for project in db.scalars(_administered_by(user).with_for_update(key_share=True)):
        ensure_another_admin(db, project, user)
    user.deactivated_at = clock.now()
    sessions.end_all_sessions(db, user)
    live = (ApiKey.maker_id == user.id) & ApiKey.revoked_at.is_(None)
    db.execute(update(ApiKey).where(live).values(revoked_at=clock.now()))
    audit.record(db, by, "user_deactivated", user)
    events.publish(db, UserDeactivated(user.id))


def activate(db: Session, user: User, by: User | None = None) -> None:
    """Open a closed account again, with its old roles; revoked keys stay revoked."""
    user.deactivated_at = None
    audit.record(db, by, "user_activated", user)


def ensure_another_admin(db: Session, project: Project, leaving: User) -> None:
    """Raise LastAdmin if nobody else who is active would be admin. The caller has locked the project's row."""
    others = (
        select(func.count())
        .select_from(Membership)
        .join(Membership.user)
        .where(
            Membership.project_id == project.id,
            Membership.role == "admin",
            Membership.user_id != leaving.id,
            User.deactivated_at.is_(None),
        )
    )
    if not db.scalar(others):
        raise LastAdmin(f"{leaving.name} is the only admin of “{project.name}”. Make somebody else an admin first.")


def managed_by(manager: User) -> ColumnElement[bool]:
    """The condition that a user's account is this person's to reset or close.

    Resetting somebody's password is acting as them. So an admin manages only those who have no rights anywhere that
    the admin has not: members of projects of which the manager is admin, and of no other, and no owner of the
    instance. An owner also hands out the first password of an account that has none. The command line may do all.
    """
    own, anywhere, elsewhere = aliased(Membership), aliased(Membership), aliased(Membership)
    administered = select(own.project_id).where(own.user_id == manager.id, own.role == "admin")
    is_member = select(anywhere.id).where(anywhere.user_id == User.id).exists()
    is_elsewhere = (
        select(elsewhere.id).where(elsewhere.user_id == User.id, elsewhere.project_id.not_in(administered)).exists()
    )
    ways = [and_(is_member, ~is_elsewhere)]
    if manager.is_owner:
        ways.append(User.password_hash.is_(None))
    return and_(~User.is_owner, User.id != manager.id, User.deactivated_at.is_(None), or_(*ways))


def ensure_managed_by(db: Session, manager: User, user: User) -> None:
    """Raise AccountNotYours unless the manager may reset or close this account."""
    is_active = manager.deactivated_at is None
    if not is_active or db.scalar(select(User.id).where(User.id == user.id, managed_by(manager))) is None:
        raise AccountNotYours


def _shares_project_of(admin: User, user: User) -> Select[Any]:
    own, theirs = aliased(Membership), aliased(Membership)
    return (
        select(theirs.id)
        .join(own, own.project_id == theirs.project_id)
        .where(theirs.user_id == user.id, own.user_id == admin.id, own.role == "admin")
        .limit(1)
    )


def _administered_by(user: User) -> Select[Project]:
    return (
        select(Project)
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == user.id, Membership.role == "admin")
        .order_by(Project.id)  # in one order, so that two who lock several projects do not wait for each other
    )
