"""Tables: who people are, which projects there are, and who may see what."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.accounts.permissions import ROLES
from hitl.core import clock
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.ids import Id


class User(Base):
    """A person who signs in."""

    __tablename__ = "users"

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(unique=True)  # lower case
    name: Mapped[str]
    password_hash: Mapped[str | None]  # argon2id; none until the person has set a password
    is_owner: Mapped[bool] = mapped_column(default=False)  # makes projects and users on this instance
    # An owner or the command line made the account, so the address is its person's; not so one made by an invitation.
    is_vouched_for: Mapped[bool] = mapped_column(default=True, server_default=true())
    epoch: Mapped[int] = mapped_column(default=1)  # rises at a password change: sessions of an older epoch are over
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    deactivated_at: Mapped[datetime | None]


class Project(Base):
    """One application whose responses are reviewed together, under one set of guidelines and one rubric."""

    __tablename__ = "projects"

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    guidelines: Mapped[str] = mapped_column(default="")  # Markdown
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # see hitl/accounts/projects.py
    # The rubric in use. No foreign key: rubric versions refer to projects, and neither table could be made first.
    rubric_version_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Membership(Base):
    """A person's role in one project."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("user_id", "project_id"), one_of("role", list(ROLES)))

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    user: Mapped[User] = relationship()
    project: Mapped[Project] = relationship()


class ApiKey(Base):
    """A program's key to one project. Only its digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    maker_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    hint: Mapped[str]  # its first characters, to tell keys apart
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    last_used_at: Mapped[datetime | None]  # to the hour: see hitl/accounts/keys.py
    revoked_at: Mapped[datetime | None]

    project: Mapped[Project] = relationship()
    maker: Mapped[User] = relationship()


class SignInSession(Base):
    """One signed-in browser."""

    __tablename__ = "sessions"

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    epoch: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class FailedSignIn(Base):
    """A try to sign in that has not succeeded (yet), counted to slow the next ones down."""

    __tablename__ = "failed_sign_ins"
    __table_args__ = (Index("ix_failed_sign_ins_email_at", "email", "at"), Index("ix_failed_sign_ins_at", "at"))

    id: Mapped[Id]
    email: Mapped[str]  # as typed, lower case; the person may not exist
    address: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(default=clock.now)


class ResetLink(Base):
    """A link by which a person sets a new password, made by an administrator. Works once."""

    __tablename__ = "reset_links"

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    made_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # none: made on the command line
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(foreign_keys=user_id)


class Invitation(Base):
    """A link by which whoever holds it joins a project, with a new account if they have none. Works once."""

    __tablename__ = "invitations"
    __table_args__ = (one_of("role", list(ROLES)),)

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    made_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # none: made on the command line
    role: Mapped[str]
    email: Mapped[str | None]  # the only address that may use it, lower case; none: whoever holds the link
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    used_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))

    project: Mapped[Project] = relationship()
    maker: Mapped[User | None] = relationship(foreign_keys=made_by_id)
    user: Mapped[User | None] = relationship(foreign_keys=used_by_id)


class AuditEntry(Base):
    """Who changed what, written in the transaction of the change."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_project_id", "project_id", **partial_index_where(text("project_id IS NOT NULL"))),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # none: the command line, or the service
    action: Mapped[str]  # past tense: "key_created"
    subject: Mapped[str]  # what was changed: "api_key:0198…"
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    at: Mapped[datetime] = mapped_column(default=clock.now)
