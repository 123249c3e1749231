"""Ways in which accounts say no."""

from hitl.core.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests


class NameUnacceptable(Invalid):
    """Give a name of 1 to 120 characters on one line."""

    code = "name_unacceptable"


class EmailUnacceptable(Invalid):
    """This is not an e-mail address."""

    code = "email_unacceptable"


class EmailTaken(Conflict):
    """There is already an account with this e-mail address."""

    code = "email_taken"


class UnknownEmail(Invalid):
    """There is no account with this e-mail address. An owner of this server can make one."""

    code = "unknown_email"


class PasswordUnacceptable(Invalid):
    """This password cannot be used."""

    code = "password_unacceptable"


class WrongPassword(Invalid):
    """This is not your present password."""

    code = "wrong_password"


class SignInSlowed(TooManyRequests):
    """Too many tries with a password that did not match. Wait a little and try again."""

    code = "sign_in_slowed"


class OwnersOnly(Forbidden):
    """Only an owner of this server may do this."""

    code = "owners_only"


class SlugUnacceptable(Invalid):
    """A short name has 2 to 63 lower-case letters, digits and hyphens, with no hyphen at either end."""

    code = "slug_unacceptable"


class SlugTaken(Conflict):
    """There is already a project with this short name."""

    code = "slug_taken"


class UnknownProject(NotFound):
    """There is no project with this short name."""

    code = "unknown_project"


class SettingsUnacceptable(Invalid):
    """A project has no such setting, or it cannot have this value."""

    code = "settings_unacceptable"


class UnknownRole(Invalid):
    """A role is one of annotator, lead, supervisor, engineer, admin."""

    code = "unknown_role"


class AlreadyMember(Conflict):
    """This person is already a member of the project. Change their role instead."""

    code = "already_member"


class AccountClosed(Conflict):
    """This person's account is deactivated."""

    code = "account_closed"


class LastAdmin(Conflict):
    """A project keeps at least one admin. Make somebody else an admin first."""

    code = "last_admin"


class AccountNotYours(Forbidden):
    """This person has rights in places where you are no admin. Ask whoever runs this server."""

    code = "account_not_yours"


class ResetLinkEnded(NotFound):
    """This link was used before, has ended or was cut short. Ask for a new one."""

    code = "reset_link_ended"


class ScopesUnacceptable(Invalid):
    """Choose at least one scope, and only scopes that your own role covers."""

    code = "scopes_unacceptable"


class AddressUnproven(Conflict):
    """This account was made by an invitation elsewhere, so nobody knows whose it is. Invite the person by a link."""

    code = "address_unproven"


class InvitationEnded(NotFound):
    """This invitation was used before, has ended, was withdrawn or was cut short. Ask for a new one."""

    code = "invitation_ended"


class InvitationForAnother(Forbidden):
    """This invitation is for another e-mail address."""

    code = "invitation_for_another"


class InvitationUsed(Conflict):
    """This invitation has been used. Remove the member instead."""

    code = "invitation_used"


class RoleNotYours(Forbidden):
    """Invite to no more than you may do yourself."""

    code = "role_not_yours"


class LifetimeUnacceptable(Invalid):
    """An invitation works for 1 to 90 days."""

    code = "lifetime_unacceptable"


class ChangedByAnother(Conflict):
    """Somebody changed this while you were at it. Nothing of yours was stored yet; compare, and save again."""

    code = "changed_by_another"


class GuidelinesUnacceptable(Invalid):
    """Guidelines are a text of at most 20,000 characters, without control characters."""

    code = "guidelines_unacceptable"
