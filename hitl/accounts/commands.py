"""`hitl user | project | member | key`: accounts from the command line, for whoever runs the server."""

import sys
from typing import Any

import click
import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts import invitations, keys, members, passwords, projects, reset_links, users
from hitl.accounts.errors import SettingsUnacceptable
from hitl.accounts.models import ApiKey, Membership, Project, User
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.permissions import ROLES, SCOPES
from hitl.core.errors import NotFound
from hitl.core.instance import Instance, open_ready_instance

role_option = click.option("--role", type=click.Choice(list(ROLES)), default="annotator", show_default=True)
project_option = click.option("--project", "slug", required=True, metavar="SLUG", help="The project's short name.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of making a link."
)


class UnknownKey(NotFound):
    """This project has no such key. `hitl key list --project SLUG` shows them."""

    code = "unknown_key"


class NotAMember(NotFound):
    """This person is not a member of the project."""

    code = "not_a_member"


# --- People ---


@click.group()
def user() -> None:
    """Add people and reset passwords."""


@user.command("add")
@click.argument("email")
@click.option("--name", required=True, help="How others see the person.")
@click.option("--owner", "is_owner", is_flag=True, help="May make projects and accounts on this server.")
@click.option("--project", "slug", metavar="SLUG", help="Make them a member of this project, too.")
@role_option
@password_option
@json_option
def add_user(
    email: str, name: str, is_owner: bool, slug: str | None, role: str, password_stdin: bool, as_json: bool
) -> None:
    """Make an account, and print a link by which the person sets a password."""
    instance = open_ready_instance()
    password_hash = _hash_from_stdin(email) if password_stdin else None
    with instance.database.writing() as db:
        person = users.create_user(db, email, name, is_owner=is_owner)
        if slug is not None:
            members.add_member(db, projects.project_of_slug(db, slug), person, role)
        link = None
        if password_hash is None:
            link = _reset_url(instance, reset_links.create_reset_link(db, person))
        else:
            set_password_hash(db, person, password_hash, by=None)
    _say({"id": person.id, "email": person.email, "link": link}, as_json, f"Added {person.email}.", _handing_over(link))


@user.command("reset-link")
@click.argument("email")
@json_option
def reset_link(email: str, as_json: bool) -> None:
    """Print a link by which the person sets a new password. It works once, for 24 hours."""
    instance = open_ready_instance()
    with instance.database.writing() as db:
        person = users.user_of_email(db, email)
        link = _reset_url(instance, reset_links.create_reset_link(db, person))
    _say({"email": person.email, "link": link}, as_json, _handing_over(link))


@user.command("invite")
@click.argument("email", required=False, default="")
@project_option
@role_option
@click.option(
    "--days", type=click.IntRange(1, invitations.MAX_DAYS), default=invitations.DEFAULT_DAYS, show_default=True
)
@json_option
def invite(email: str, slug: str, role: str, days: int, as_json: bool) -> None:
    """Print a link by which a person joins a project, with a new account if they have none. It works once.

    With EMAIL only an account with this address can join by it.
    """
    instance = open_ready_instance()
    with instance.database.writing() as db:
        found = projects.project_of_slug(db, slug)
        invitation, token = invitations.create_invitation(db, found, role, email=email, days=days)
    link = f"{_root(instance)}/invitation/{token}"
    result = {"link": link, "role": role, "email": invitation.email, "expires_at": invitation.expires_at}
    _say(result, as_json, f"Hand over this link to join {slug} as {role}; it works once, for {days} days:", link)


@user.command("deactivate")
@click.argument("email")
def deactivate(email: str) -> None:
    """Close an account: sessions end, keys are revoked, leases go back. Reviews stay."""
    with open_ready_instance().database.writing() as db:
        person = users.user_of_email(db, email)
        users.deactivate(db, person)
    click.echo(f"{person.email} can no longer sign in. Undo: hitl user activate {person.email}")


@user.command("activate")
@click.argument("email")
def activate(email: str) -> None:
    """Open a closed account again. Revoked keys stay revoked."""
    with open_ready_instance().database.writing() as db:
        person = users.user_of_email(db, email)
        users.activate(db, person)
    click.echo(f"{person.email} can sign in again.")


@user.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List all accounts."""
    with open_ready_instance().database.reading() as db:
        people = [_described_user(db, person) for person in db.scalars(select(User).order_by(User.email))]
    lines = [
        f"{p['email']:32} {p['name']:24} {'closed' if p['deactivated_at'] else 'owner' if p['is_owner'] else '':8}"
        + ", ".join(f"{slug}: {role}" for slug, role in p["roles"].items())
        for p in people
    ]
    _say({"users": people}, as_json, *lines)


# --- Projects ---


@click.group()
def project() -> None:
    """Make projects."""


@project.command("create")
@click.argument("slug")
@click.option("--name", required=True, help="What people read.")
@click.option("--admin", "email", metavar="EMAIL", help="Make this person the project's first admin.")
@json_option
def create_project(slug: str, name: str, email: str | None, as_json: bool) -> None:
    """Make a project, with the starter rubric."""
    with open_ready_instance().database.writing() as db:
        first_admin = None if email is None else users.user_of_email(db, email)
        made = projects.create_project(db, slug, name, by=first_admin)
    _say({"id": made.id, "slug": made.slug, "name": made.name}, as_json, f"Made the project {made.slug}.")


@project.command("list")
@json_option
def list_projects(as_json: bool) -> None:
    """List all projects."""
    with open_ready_instance().database.reading() as db:
        rows = db.scalars(select(Project).order_by(Project.slug)).all()
    found = [{"id": row.id, "slug": row.slug, "name": row.name} for row in rows]
    _say({"projects": found}, as_json, *(f"{row.slug:32} {row.name}" for row in rows))


@project.command("set")
@click.argument("slug")
@click.argument("changes", metavar="NAME=VALUE...", nargs=-1)
@json_option
def change_settings(slug: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Set a project's settings, such as lease_minutes=20; without any, show them."""
    named = dict(_name_and_value(change) for change in changes)
    database = open_ready_instance().database
    with database.writing() if named else database.reading() as db:
        found = projects.project_of_slug(db, slug)
        settings = projects.change_settings(db, found, named) if named else projects.settings_of(found)
    shown = settings.model_dump(mode="json")
    _say(shown, as_json, *(f"{name}={orjson.dumps(value).decode()}" for name, value in shown.items()))


# --- Members ---


@click.group()
def member() -> None:
    """Add people to projects."""


@member.command("add")
@click.argument("email")
@project_option
@role_option
def add_member(email: str, slug: str, role: str) -> None:
    """Make a person a member, or give a member another role."""
    with open_ready_instance().database.writing() as db:
        found, person = projects.project_of_slug(db, slug), users.user_of_email(db, email)
        membership = members.membership_of(db, found, person)
        if membership is None:
            members.add_member(db, found, person, role)
        else:
            members.change_role(db, membership, role)
    click.echo(f"{person.email} is {role} in {slug}.")


@member.command("remove")
@click.argument("email")
@project_option
def remove_member(email: str, slug: str) -> None:
    """End a membership: keys are revoked, leases go back. Reviews stay."""
    with open_ready_instance().database.writing() as db:
        membership = members.membership_of(db, projects.project_of_slug(db, slug), users.user_of_email(db, email))
        if membership is None:
            raise NotAMember
        members.remove_member(db, membership)
    click.echo(f"{email} is no longer a member of {slug}.")


# --- Keys ---


@click.group()
def key() -> None:
    """Make and revoke API keys."""


@key.command("create")
@project_option
@click.option("--maker", "email", required=True, metavar="EMAIL", help="The member on whose behalf the key acts.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(list(SCOPES)))
@click.option("--name", required=True, help="What the key is for.")
@json_option
def create_key(slug: str, email: str, scopes: tuple[str, ...], name: str, as_json: bool) -> None:
    """Make a key and print it. It is shown only now."""
    with open_ready_instance().database.writing() as db:
        found, maker = projects.project_of_slug(db, slug), users.user_of_email(db, email)
        made, token = keys.create_key(db, found, maker, name, scopes)
    click.echo("Keep this key; it is not shown again.", err=True)
    _say({"id": made.id, "key": token, "name": made.name, "scopes": made.scopes}, as_json, token)


@key.command("list")
@project_option
@json_option
def list_keys(slug: str, as_json: bool) -> None:
    """List a project's keys."""
    with open_ready_instance().database.reading() as db:
        found = [_described_key(row) for row in db.scalars(keys.keys_of(projects.project_of_slug(db, slug)))]
    _say({"keys": found}, as_json, *map(_key_in_words, found))


def _key_in_words(k: dict[str, Any]) -> str:
    used = f"used {k['last_used_at']:%Y-%m-%d}" if k["last_used_at"] else "never used"
    ended = "  revoked" if k["revoked_at"] else ""
    return f"{k['hint']}…  {k['name']:24} {k['maker']:32} {used:16} {','.join(k['scopes'])}{ended}"


@key.command("revoke")
@click.argument("hint")
@project_option
def revoke_key(hint: str, slug: str) -> None:
    """End a key for good. HINT is its beginning, as `hitl key list` shows it, or its id."""
    with open_ready_instance().database.writing() as db:
        running = [k for k in db.scalars(keys.keys_of(projects.project_of_slug(db, slug))) if k.revoked_at is None]
        wanted = hint.rstrip("…")
        matching = [k for k in running if wanted in (k.hint, str(k.id))]
        if not matching:
            raise UnknownKey
        for found in matching:
            keys.revoke_key(db, found)
    click.echo(f"Revoked {', '.join(found.name for found in matching)}.")


# --- What is printed ---


def _say(result: dict[str, Any], as_json: bool, *lines: str) -> None:
    if as_json:
        click.echo(orjson.dumps(result).decode())
        return
    for line in lines:
        if line:
            click.echo(line.rstrip())


def _handing_over(link: str | None) -> str:
    return "" if link is None else f"Hand over this link to set a password; it works once, for 24 hours:\n{link}"


def _reset_url(instance: Instance, token: str) -> str:
    return f"{_root(instance)}/reset/{token}"


def _root(instance: Instance) -> str:
    return str(instance.settings.public_url).rstrip("/")


def _hash_from_stdin(email: str) -> str:
    """Read a password and hash it before any transaction is open."""
    line = sys.stdin.buffer.readline(4096)
    password = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    passwords.ensure_acceptable(password, users.acceptable_email(email))
    return passwords.hash_password(password)


def _name_and_value(change: str) -> tuple[str, str]:
    name, equals, value = change.partition("=")
    if not equals:
        raise SettingsUnacceptable(f"Write “{change}” as NAME=VALUE.")
    return name, value


def _described_user(db: Session, person: User) -> dict[str, Any]:
    roles = db.execute(
        select(Project.slug, Membership.role)
        .join(Membership.project)
        .where(Membership.user_id == person.id)
        .order_by(Project.slug)
    )
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "is_owner": person.is_owner,
        "deactivated_at": person.deactivated_at,
        "roles": {row.slug: row.role for row in roles},
    }


def _described_key(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "hint": row.hint,
        "maker": row.maker.email,
        "scopes": row.scopes,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
        "revoked_at": row.revoked_at,
    }
