"""Invitations to a project: made and withdrawn by an admin, accepted by whoever holds the link."""

from uuid import UUID

from flask import Response, current_app, flash, g, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts import invitations, passwords
from hitl.accounts.access import PUBLIC, SESSION_ID, allow
from hitl.accounts.errors import AlreadyMember, EmailTaken, InvitationEnded, InvitationForAnother, SignInSlowed
from hitl.accounts.models import Invitation, Project
from hitl.accounts.names import clean_name
from hitl.accounts.permissions import ROLES, Permission
from hitl.accounts.sessions import end_session
from hitl.accounts.sign_in import begin_attempt
from hitl.accounts.users import acceptable_email
from hitl.core import clock
from hitl.core.errors import Forbidden, Invalid, NotFound
from webui.accounts.blueprint import bp
from webui.accounts.door import remember
from webui.accounts.members import ROLE_HINTS

LIFETIMES = ((1, "1 day"), (7, "7 days"), (30, "30 days"))
LISTED = 100

# --- What an admin sees -----------------------------------------------------------------------------------------------


@bp.get("/projects/<slug>/invitations")
@allow(Permission.ADMIN)
def list_invitations(slug: str) -> Response:
    """List the invitations and what became of them, and offer to make one."""
    return _list_page()


@bp.post("/projects/<slug>/invitations")
@allow(Permission.ADMIN)
def create_invitation(slug: str) -> Response:
    """Make an invitation; its link is shown now and never again."""
    sent = request.form
    days = sent.get("days", "")
    try:
        invitation, token = invitations.create_invitation(
            g.db,
            g.project,
            sent.get("role", ""),
            email=sent.get("email", ""),
            days=int(days) if days.isascii() and days.isdigit() and len(days) < 4 else 0,
            by=g.user,
        )
    except (Invalid, Forbidden) as error:
        return _list_page(error.status, {(error.param or "/role").strip("/"): error.message})
    root = str(current_app.extensions["hitl"].settings.public_url).rstrip("/")
    return _list_page(made=invitation, link=root + url_for("accounts.show_invitation", invitation_token=token))


@bp.post("/projects/<slug>/invitations/<uuid:invitation_id>/withdrawal")
@allow(Permission.ADMIN)
def withdraw_invitation(slug: str, invitation_id: UUID) -> AnyResponse:
    """Let a link work no more."""
    found = invitations.invitations_of(g.project).where(Invitation.id == invitation_id)
    invitation: Invitation | None = g.db.scalar(found)
    if invitation is None:
        raise NotFound
    invitations.withdraw(g.db, invitation, by=g.user)
    flash("The invitation is withdrawn. Its link opens nothing any more.")
    return redirect(url_for("accounts.list_invitations", slug=slug), 303)


def _list_page(
    status: int = 200,
    problems: dict[str, str] | None = None,
    made: Invitation | None = None,
    link: str | None = None,
) -> Response:
    listed = g.db.scalars(invitations.invitations_of(g.project).limit(LISTED)).all()
    page = render_template(
        "accounts/invitations.html",
        project=g.project,
        invitations=[(invitation, _state(invitation)) for invitation in listed],
        roles=list(ROLES),
        role_hints=ROLE_HINTS,
        lifetimes=LIFETIMES,
        problems=problems or {},
        form=request.form if problems else {},
        made=made,
        link=link,
    )
    return make_response(page, status)


def _state(invitation: Invitation) -> str:
    if invitation.used_at is not None:
        return "used"
    if invitation.withdrawn_at is not None:
        return "withdrawn"
    if invitation.expires_at <= clock.now():
        return "expired"
    return "waiting" if invitations.is_backed(g.db, invitation) else "unbacked"


# --- What whoever holds the link sees ---------------------------------------------------------------------------------


@bp.get("/invitation/<invitation_token>")
@allow(PUBLIC)
def show_invitation(invitation_token: str) -> AnyResponse:
    """Say where the invitation leads, and ask who is there."""
    return _used_before(invitation_token) or _door(invitation_token)


@bp.post("/invitation/<invitation_token>")
@allow(PUBLIC)
def accept_invitation(invitation_token: str) -> AnyResponse:
    """Join: as who one is, or with a new account."""
    try:
        if g.user is not None:
            return _used_before(invitation_token) or _join(invitation_token)
        return _make_account_and_join(invitation_token)
    except InvitationEnded:
        g.db.rollback()  # somebody else was quicker: of what was begun here nothing stays
        return _door(invitation_token)


def _join(token: str) -> AnyResponse:
    project = invitations.invitation_of_token(g.db, token).project
    try:
        invitations.accept(g.db, token, g.user)
    except AlreadyMember:
        return _into(project, "You are a member already. The invitation is still good for somebody else.")
    except InvitationForAnother:
        return _door(token)  # which says so
    return _into(project, f"Welcome to {project.name}.")


def _make_account_and_join(token: str) -> AnyResponse:
    sent = request.form
    invitation = invitations.invitation_of_token(g.db, token)
    email, password = invitation.email or sent.get("email", ""), sent.get("password", "")
    if password != sent.get("again"):
        return _door(token, 422, again="The two are not the same.")
    try:
        email = acceptable_email(email)
        clean_name(sent.get("name", ""))
        passwords.ensure_acceptable(password, email)
        attempt = begin_attempt(g.db, email, request.remote_addr)
        g.db.commit()  # the try counts from here on, and lets go of the database while the password is hashed
        password_hash = passwords.hash_password(password)
        membership, signed_in = invitations.accept_as_newcomer(
            g.db, token, attempt, sent.get("name", ""), password_hash
        )
    except EmailTaken:
        g.db.rollback()
        return _door(token, 409, taken=True, email="There is an account with this address. Sign in with it.")
    except SignInSlowed as error:
        g.db.rollback()
        return _door(token, 429, retry_after_seconds=error.retry_after_seconds, email=error.message)
    except Invalid as error:
        g.db.rollback()
        return _door(token, error.status, **{(error.param or "/email").strip("/"): error.message})
    end_session(g.db, session.get(SESSION_ID))
    remember(signed_in)
    return _into(membership.project, f"Welcome to {membership.project.name}. Your account is made.")


def _used_before(token: str) -> AnyResponse | None:
    """Whoever joined by this link, and opens it again, is where they wanted to be."""
    used = invitations.used_by(g.db, token, g.user) if g.user is not None else None
    return None if used is None else redirect(url_for("home.show", slug=used.project.slug), 303)


def _into(project: Project, said: str) -> AnyResponse:
    flash(said)
    return redirect(url_for("home.show", slug=project.slug), 303)


def _door(
    token: str, status: int = 200, *, retry_after_seconds: int | None = None, taken: bool = False, **problems: str
) -> Response:
    try:
        invitation = invitations.invitation_of_token(g.db, token)
    except InvitationEnded as error:
        page = render_template("accounts/ended.html", title="This invitation has ended", message=error.message)
        return make_response(page, error.status)
    page = render_template(
        "accounts/invitation.html",
        invitation=invitation,
        role_hint=ROLE_HINTS[invitation.role],
        person=g.user,
        is_for_another=g.user is not None and invitation.email not in (None, g.user.email),
        here=url_for("accounts.show_invitation", invitation_token=token),
        taken=taken,
        problems=problems,
        form=request.form,
    )
    response = make_response(page, status)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response
