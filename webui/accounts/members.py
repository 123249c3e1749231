"""Who works in a project."""

from collections import defaultdict
from uuid import UUID

from flask import Response, current_app, flash, g, make_response, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts import members, reset_links, users
from hitl.accounts.access import allow
from hitl.accounts.errors import UnknownEmail
from hitl.accounts.keys import working_keys_by_maker
from hitl.accounts.models import Membership, User
from hitl.accounts.permissions import ROLES, Permission
from hitl.core.errors import Conflict, Invalid, NotFound
from hitl.queue.queries import holdings
from webui.accounts.blueprint import bp

ROLE_HINTS = {
    "annotator": "reviews",
    "lead": "reviews, decides what is reviewed, sees all reviews and datasets",
    "supervisor": "watches and joins live conversations",
    "engineer": "responses, datasets and exports",
    "admin": "everything, members and keys too",
}


@bp.get("/projects/<slug>/members")
@allow(Permission.ADMIN)
def list_members(slug: str) -> Response:
    """List the members, and offer to add one."""
    return _page()


@bp.post("/projects/<slug>/members")
@allow(Permission.ADMIN)
def add_member(slug: str) -> AnyResponse:
    """Add somebody who has an account; an owner also makes the account, and gets its first link to hand over."""
    email, role = request.form.get("email", ""), request.form.get("role", "")
    try:
        person, is_new = _person_to_add(email)
        members.add_member(g.db, g.project, person, role, by=g.user)
    except (Invalid, Conflict) as error:
        g.db.rollback()
        return _page(error.status, problems={(error.param or "/email").strip("/"): error.message})
    if is_new:
        return _page(link=_new_link(person), link_for=person)
    flash(f"{person.name} is now a member.")
    return _back()


@bp.post("/projects/<slug>/members/<uuid:member_id>/role")
@allow(Permission.ADMIN)
def change_role(slug: str, member_id: UUID) -> AnyResponse:
    """Give a member another role."""
    membership = _membership(member_id)
    members.change_role(g.db, membership, request.form.get("role", ""), by=g.user)
    flash(f"{membership.user.name} is now {membership.role}.")
    return _back()


@bp.post("/projects/<slug>/members/<uuid:member_id>/removal")
@allow(Permission.ADMIN)
def remove_member(slug: str, member_id: UUID) -> AnyResponse:
    """End a membership."""
    membership = _membership(member_id)
    members.remove_member(g.db, membership, by=g.user)
    flash(f"{membership.user.name} is no longer a member. Their reviews stay.")
    return _back()


@bp.post("/projects/<slug>/members/<uuid:member_id>/reset-link")
@allow(Permission.ADMIN)
def create_reset_link(slug: str, member_id: UUID) -> Response:
    """Make a link by which the member sets a new password; it is shown now and never again."""
    person = _membership(member_id).user
    return _page(link=_new_link(person), link_for=person)


@bp.post("/projects/<slug>/members/<uuid:member_id>/deactivation")
@allow(Permission.ADMIN)
def deactivate(slug: str, member_id: UUID) -> AnyResponse:
    """Close a member's account."""
    person = _membership(member_id).user
    users.ensure_managed_by(g.db, g.user, person)
    users.deactivate(g.db, person, by=g.user)
    flash(f"{person.name} can no longer sign in. Their reviews stay.")
    return _back()


def _person_to_add(email: str) -> tuple[User, bool]:
    try:
        return users.person_to_add(g.db, email, by=g.user), False
    except UnknownEmail:
        if not g.user.is_owner:
            raise
    return users.create_user(g.db, email, request.form.get("name", ""), by=g.user), True


def _membership(member_id: UUID) -> Membership:
    membership: Membership | None = g.db.scalar(members.members_of(g.project).where(Membership.id == member_id))
    if membership is None:
        raise NotFound
    return membership


def _new_link(person: User) -> str:
    token = reset_links.create_reset_link(g.db, person, by=g.user)
    root = str(current_app.extensions["hitl"].settings.public_url).rstrip("/")
    return root + url_for("accounts.show_reset", token=token)


def _page(
    status: int = 200, problems: dict[str, str] | None = None, link: str | None = None, link_for: User | None = None
) -> Response:
    listed = g.db.scalars(members.members_of(g.project)).all()
    managed = select(User.id).where(User.id.in_([m.user_id for m in listed]), users.managed_by(g.user))
    page = render_template(
        "accounts/members.html",
        project=g.project,
        members=listed,
        managed=set(g.db.scalars(managed)),
        would_lose=_would_lose(),
        roles=list(ROLES),
        role_hints=ROLE_HINTS,
        problems=problems or {},
        form=request.form if problems else {},
        link=link,
        link_for=link_for,
    )
    return make_response(page, status)


def _would_lose() -> dict[UUID, str]:
    """Say by person what goes with their membership, for those who have something."""
    parts: dict[UUID, list[str]] = defaultdict(list)
    for person, held, kept in g.db.execute(holdings(g.project)):
        parts[person] += [_number(held, "item held")] * bool(held) + [_number(kept, "item kept for them")] * bool(kept)
    for person, made in g.db.execute(working_keys_by_maker(g.project)):
        parts[person].append(_number(made, "key"))
    return {person: ", ".join(said) for person, said in parts.items()}


def _number(count: int, what: str) -> str:
    noun, _, more = what.partition(" ")
    return f"{count:,} {noun}{'s' if count != 1 else ''} {more}".rstrip()


def _back() -> AnyResponse:
    """Show the list again, unless one has just ended one's own membership."""
    if members.membership_of(g.db, g.project, g.user) is None:
        return redirect("/", 303)
    return redirect(url_for("accounts.list_members", slug=g.project.slug), 303)
