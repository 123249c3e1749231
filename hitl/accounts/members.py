"""Members: who works in a project, and as what."""

from sqlalchemy import Select, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from hitl.accounts import audit
from hitl.accounts.access import ring_for_rights
from hitl.accounts.errors import AccountClosed, AlreadyMember, UnknownRole
from hitl.accounts.events import MemberRemoved, RoleChanged
from hitl.accounts.models import ApiKey, Membership, Project, User
from hitl.accounts.permissions import ROLES
from hitl.accounts.users import ensure_another_admin
from hitl.core import clock, events
from hitl.core.errors import Conflict


def members_of(project: Project) -> Select[Membership]:
    """The members of a project with their accounts, by name."""
    return (
        select(Membership)
        .join(Membership.user)
        .options(joinedload(Membership.user))
        .where(Membership.project_id == project.id)
        .order_by(User.name, User.id)
    )


def membership_of(db: Session, project: Project, user: User) -> Membership | None:
    """Return a person's membership in a project, if they have one."""
    return db.scalar(select(Membership).where(Membership.project_id == project.id, Membership.user_id == user.id))


def add_member(db: Session, project: Project, user: User, role: str, by: User | None = None) -> Membership:
    """Make a person a member. Raises UnknownRole, AlreadyMember, AccountClosed."""
    _ensure_role(role)
    if user.deactivated_at is not None:
        raise AccountClosed(param="/email")
    membership = Membership(user=user, project=project, role=role)
    try:
        with db.begin_nested():
            db.add(membership)
    except IntegrityError as error:
        raise AlreadyMember(param="/email") from error
    audit.record(db, by, "member_added", membership, project, user=str(user.id), role=role)
    return membership


def change_role(db: Session, membership: Membership, role: str, by: User | None = None) -> None:
    """Give a member another role; their keys do from now on only what it covers. Raises UnknownRole, LastAdmin."""
    _ensure_role(role)
    if role != "admin":
        _ensure_not_last_admin(db, membership)
    if role == membership.role:
        return
    details = {"user": str(membership.user_id), "role": role, "before": membership.role}
    membership.role = role
    audit.record(db, by, "role_changed", membership, membership.project, **details)
    ring_for_rights(db, membership.user_id)
    events.publish(db, RoleChanged(membership.user_id, membership.project_id, role))


def remove_member(db: Session, membership: Membership, by: User | None = None) -> None:
    """End a membership. The keys that the person made here are revoked, their leases go back, their reviews stay.

    Raises LastAdmin.
    """
    _ensure_not_last_admin(db, membership)
    user_id, project = membership.user_id, membership.project
    made_here = (ApiKey.maker_id == user_id) & (ApiKey.project_id == project.id) & ApiKey.revoked_at.is_(None)
    db.execute(update(ApiKey).where(made_here).values(revoked_at=clock.now()))
    audit.record(db, by, "member_removed", membership, project, user=str(user_id), role=membership.role)
    db.delete(membership)
    db.flush()
    ring_for_rights(db, user_id)
    events.publish(db, MemberRemoved(user_id, project.id))


def _ensure_role(role: str) -> None:
    if role not in ROLES:
        raise UnknownRole(param="/role")


def _ensure_not_last_admin(db: Session, membership: Membership) -> None:
    # Two admins who remove each other at the same moment must not both succeed. The lock lets rows through that refer
    # to the project: whoever claims an item has locked their membership, which this transaction will wait for.
    db.execute(select(Project.id).where(Project.id == membership.project_id).with_for_update(key_share=True))
    role = db.scalar(select(Membership.role).where(Membership.id == membership.id))
    if role is None:
        raise Conflict
    if role == "admin":
        ensure_another_admin(db, membership.project, membership.user)
