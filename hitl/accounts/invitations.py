"""Invitations: links by which whoever holds one joins a project, with a new account if they have none.

Made by an admin or on the command line; nothing is sent, the link is handed over. It works once, until its time is
over or somebody withdraws it. Whether its maker may still invite is asked again when it is used, like an API key's.

An account that somebody made by such a link says about itself who it is: its holder typed the e-mail address, and
nobody checked it. Admins of other projects therefore do not add it by that address (users.person_to_add).
"""

import secrets
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, select, update
from sqlalchemy.orm import Session, joinedload

from hitl.accounts import audit, members, sessions
from hitl.accounts.access import permissions_in
from hitl.accounts.errors import (
    InvitationEnded,
    InvitationForAnother,
    InvitationUsed,
    LifetimeUnacceptable,
    RoleNotYours,
    UnknownRole,
)
from hitl.accounts.models import Invitation, Membership, Project, SignInSession, User
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.permissions import ROLES, Permission
from hitl.accounts.sign_in import Attempt, forgive
from hitl.accounts.users import acceptable_email, create_user
from hitl.core import clock
from hitl.core.secrets import token_digest

DEFAULT_DAYS = 7
MAX_DAYS = 90


def create_invitation(
    db: Session, project: Project, role: str, *, email: str = "", days: int = DEFAULT_DAYS, by: User | None = None
) -> tuple[Invitation, str]:
    """Make an invitation and return it with its token, which is known only now: the database keeps a digest.

    email: the only address that may use it; empty: whoever holds the link.
    days: how long it works, 1 to 90.
    Raises UnknownRole, RoleNotYours, EmailUnacceptable, LifetimeUnacceptable.
    """
    if role not in ROLES:
        raise UnknownRole(param="/role")
    if by is not None and not _covers(permissions_in(db, by, project), role):
        raise RoleNotYours(param="/role")
    if not 1 <= days <= MAX_DAYS:
        raise LifetimeUnacceptable(param="/days")
    token = secrets.token_urlsafe(32)
    invitation = Invitation(
        project=project,
        maker=by,
        role=role,
        email=acceptable_email(email) if email.strip() else None,
        digest=token_digest(token),
        expires_at=clock.now() + timedelta(days=days),
    )
    db.add(invitation)
    db.flush()
    audit.record(
        db, by, "invitation_created", invitation, project, role=role, days=days, for_one_address=bool(invitation.email)
    )
    return invitation, token


def invitation_of_token(db: Session, token: str) -> Invitation:
    """Return an invitation that still works. Raises InvitationEnded, whatever it is that ended it."""
    invitation = db.scalar(_with_context().where(Invitation.digest == token_digest(token), *_works()))
    if invitation is None or not is_backed(db, invitation):
        raise InvitationEnded
    return invitation


def used_by(db: Session, token: str, user: User) -> Invitation | None:
    """Return the invitation by which this person joined before, if this was its link."""
    return db.scalar(_with_context().where(Invitation.digest == token_digest(token), Invitation.used_by_id == user.id))


def is_backed(db: Session, invitation: Invitation) -> bool:
    """Tell whether whoever made an invitation may still invite to this role. The command line always may."""
    if invitation.maker is None:
        return True
    is_active = invitation.maker.deactivated_at is None
    return is_active and _covers(permissions_in(db, invitation.maker, invitation.project), invitation.role)


def accept(db: Session, token: str, user: User) -> Membership:
    """Make a person who has an account a member, and use the invitation up.

    Raises InvitationEnded, InvitationForAnother; AlreadyMember, which leaves the invitation to somebody else.
    """
    invitation = invitation_of_token(db, token)
    if invitation.email not in (None, user.email):
        raise InvitationForAnother(f"This invitation is for {invitation.email}, and you are signed in as {user.email}.")
    membership = members.add_member(db, invitation.project, user, invitation.role, by=user)
    _use_up(db, invitation, user)
    return membership


def accept_as_newcomer(
    db: Session, token: str, attempt: Attempt, name: str, password_hash: str
) -> tuple[Membership, SignInSession]:
    """Make an account with a password that was checked and hashed before, make it a member, and sign it in.

    attempt: counted for the e-mail address of the account (sign_in.begin_attempt) and committed.
    Raises InvitationEnded, InvitationForAnother, EmailTaken, EmailUnacceptable, NameUnacceptable.
    """
    invitation = invitation_of_token(db, token)
    email = acceptable_email(attempt.email)
    if invitation.email not in (None, email):
        raise InvitationForAnother(param="/email")
    user = create_user(db, email, name, is_vouched_for=False)
    set_password_hash(db, user, password_hash, by=user)
    membership = members.add_member(db, invitation.project, user, invitation.role, by=user)
    _use_up(db, invitation, user)
    forgive(db, attempt)
    return membership, sessions.start_session(db, user)


def withdraw(db: Session, invitation: Invitation, by: User | None = None) -> None:
    """End an invitation before its time; withdrawing it again changes nothing. Raises InvitationUsed."""
    unused = (Invitation.id == invitation.id) & Invitation.used_at.is_(None)
    withdrawn = update(Invitation).where(unused, Invitation.withdrawn_at.is_(None)).values(withdrawn_at=clock.now())
    if db.execute(withdrawn.returning(Invitation.id)).first() is not None:
        audit.record(db, by, "invitation_withdrawn", invitation, invitation.project)
    elif db.scalar(select(Invitation.used_at).where(Invitation.id == invitation.id)) is not None:
        raise InvitationUsed


def invitations_of(project: Project) -> Select[Invitation]:
    """The invitations to a project with who made and who used them, newest first, those that ended too."""
    return (
        select(Invitation)
        .options(joinedload(Invitation.maker), joinedload(Invitation.user), joinedload(Invitation.project))
        .where(Invitation.project_id == project.id)
        .order_by(Invitation.id.desc())
    )


def _with_context() -> Select[Invitation]:
    return select(Invitation).options(joinedload(Invitation.project), joinedload(Invitation.maker))


def _works() -> tuple[ColumnElement[bool], ...]:
    return (
        Invitation.used_at.is_(None),
        Invitation.withdrawn_at.is_(None),
        Invitation.expires_at > clock.now(),
    )


def _use_up(db: Session, invitation: Invitation, user: User) -> None:
    """Note who used it. Of two who use one link at the same moment the second finds it used: InvitationEnded.

    So does whoever uses it while its maker is losing the right to invite.
    """
    mine = update(Invitation).where(Invitation.id == invitation.id, *_works())
    taken = db.execute(mine.values(used_at=clock.now(), used_by_id=user.id).returning(Invitation.id))
    if taken.first() is None or not _is_still_backed(db, invitation):
        raise InvitationEnded
    audit.record(db, user, "invitation_used", invitation, invitation.project)


def _is_still_backed(db: Session, invitation: Invitation) -> bool:
    """Ask again whether the maker may invite: a change that was under way when it was asked first is waited for."""
    if invitation.made_by_id is None:
        return True
    role = db.scalar(
        select(Membership.role)
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.user_id == invitation.made_by_id,
            Membership.project_id == invitation.project_id,
            User.deactivated_at.is_(None),
        )
        .with_for_update(read=True)
    )
    return role is not None and _covers(ROLES[role], invitation.role)


def _covers(permissions: frozenset[Permission], role: str) -> bool:
    """Nobody invites to more than they may do themselves."""
    return Permission.ADMIN in permissions and ROLES[role] <= permissions
