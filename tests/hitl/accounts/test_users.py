import pytest
from sqlalchemy import select

from hitl.accounts import keys, members, passwords, reset_links, sessions, users
from hitl.accounts.access import person_of_session
from hitl.accounts.errors import (
    AccountClosed,
    AccountNotYours,
    AlreadyMember,
    EmailTaken,
    EmailUnacceptable,
    LastAdmin,
    NameUnacceptable,
    ResetLinkEnded,
    ScopesUnacceptable,
    UnknownRole,
)
from hitl.accounts.events import MemberRemoved, UserDeactivated
from hitl.accounts.models import ApiKey, AuditEntry, ResetLink
from hitl.core import events
from tests.hitl import factories
from tests.hitl.accounts.conftest import PASSWORD_HASH, member, membership_of

HASH = PASSWORD_HASH


@pytest.fixture
def told(monkeypatch):
    """What was published, in order."""
    facts = []
    for kind in (MemberRemoved, UserDeactivated):
        monkeypatch.setitem(events._within, kind, [*events._within[kind], lambda db, fact: facts.append(fact)])
    return facts


def actions(db):
    return list(db.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


class TestCreateUser:
    def test_it_keeps_one_spelling_of_the_address(self, db):
        assert users.create_user(db, " Kim@Example.ORG ", "Kim").email == "kim@example.org"
        with pytest.raises(EmailTaken):
            users.create_user(db, "KIM@example.org", "Kim again")

    @pytest.mark.parametrize("email", ["kim@localhost", "kim@desk.internal", "kim+hitl@example.org", "ü@exämple.de"])
    def test_it_takes_addresses_of_any_kind_of_network(self, db, email):
        if email == "kim@localhost":
            with pytest.raises(EmailUnacceptable):
                users.create_user(db, email, "Kim")
        else:
            assert users.create_user(db, email, "Kim").email == email

    @pytest.mark.parametrize("email", ["", "kim", "kim@", "@example.org", "a b@c.de", "a\0@b.de", "x" * 300 + "@a.de"])
    def test_it_refuses_what_is_no_address(self, db, email):
        with pytest.raises(EmailUnacceptable):
            users.create_user(db, email, "Kim")

    @pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\0b", "x" * 121, "\u202eevil", "\ud800"])
    def test_it_refuses_names_that_a_page_cannot_show(self, db, name):
        with pytest.raises(NameUnacceptable):
            users.create_user(db, "kim@example.org", name)


class TestDeactivate:
    def test_it_ends_sessions_and_keys_and_tells(self, db, project, admin, told):
        person = member(project, "engineer")
        session = sessions.start_session(db, person)
        key, _ = keys.create_key(db, project, person, "ingest", ["capture"])

        users.deactivate(db, person, by=admin)

        db.refresh(key)
        assert person_of_session(db, session.id) is None
        assert key.revoked_at is not None
        assert told == [UserDeactivated(person.id)]
        assert actions(db)[-1] == "user_deactivated"

    def test_it_keeps_the_last_admin_of_a_project(self, db, project, admin):
        with pytest.raises(LastAdmin):
            users.deactivate(db, admin)
        second = member(project, "admin")
        users.deactivate(db, admin)
        with pytest.raises(LastAdmin):
            users.deactivate(db, second)  # the other one is no longer active


class TestMembers:
    def test_it_removes_a_member_with_their_keys_and_tells(self, db, project, admin, told):
        person = member(project, "engineer")
        keys.create_key(db, project, person, "ingest", ["capture"])
        members.remove_member(db, membership_of(db, project, person), by=admin)

        assert told == [MemberRemoved(person.id, project.id)]
        assert db.scalar(select(ApiKey.revoked_at)) is not None
        assert members.membership_of(db, project, person) is None

    def test_it_keeps_the_last_admin(self, db, project, admin):
        own = membership_of(db, project, admin)
        for act in (lambda: members.remove_member(db, own), lambda: members.change_role(db, own, "lead")):
            with pytest.raises(LastAdmin):
                act()
        member(project, "admin")
        members.change_role(db, own, "lead")
        assert own.role == "lead"

    def test_it_refuses_what_makes_no_sense(self, db, project, admin, person):
        with pytest.raises(UnknownRole):
            members.add_member(db, project, person, "king")
        with pytest.raises(AlreadyMember):
            members.add_member(db, project, admin, "lead")
        users.deactivate(db, person)
        with pytest.raises(AccountClosed):
            members.add_member(db, project, person, "lead")


class TestKeys:
    def test_it_shows_the_token_once_and_keeps_a_digest(self, db, project, admin):
        key, token = keys.create_key(db, project, admin, "ingest", ["feedback", "capture", "capture"])
        assert token.startswith("hitl_")
        assert len(token) == 48
        assert token not in {key.digest, key.hint}
        assert token.startswith(key.hint)
        assert key.scopes == ["capture", "feedback"]
        assert not any(token in str(entry.details) for entry in db.scalars(select(AuditEntry)))

    @pytest.mark.parametrize("scopes", [[], ["admin"], ["review"], ["capture", "admin"], ["nonsense"]])
    def test_it_gives_no_more_than_the_maker_has(self, db, project, scopes):
        with pytest.raises(ScopesUnacceptable):
            keys.create_key(db, project, member(project, "engineer"), "ingest", scopes)

    def test_it_gives_nothing_to_strangers_and_closed_accounts(self, db, project, person):
        with pytest.raises(ScopesUnacceptable):
            keys.create_key(db, project, person, "ingest", ["capture"])
        users.deactivate(db, person)
        with pytest.raises(AccountClosed):
            keys.create_key(db, project, person, "ingest", ["capture"])


class TestResetLinks:
    def test_it_works_once_and_ends_sessions_and_other_links(self, db, project, admin):
        person = member(project, "annotator", password_hash=HASH)
        session = sessions.start_session(db, person)
        first, second = (reset_links.create_reset_link(db, person, by=admin) for _ in range(2))

        reset_links.use_reset_link(db, first, HASH)

        assert person_of_session(db, session.id) is None
        for token in (first, second):
            with pytest.raises(ResetLinkEnded):
                reset_links.use_reset_link(db, token, HASH)

    def test_it_keeps_a_digest_and_lasts_a_day(self, db, person, hands):
        token = reset_links.create_reset_link(db, person)
        assert db.scalar(select(ResetLink.digest)) != token
        hands.move(hours=24, seconds=1)
        with pytest.raises(ResetLinkEnded):
            reset_links.link_of_token(db, token)

    def test_it_ends_when_the_account_is_closed(self, db, person):
        token = reset_links.create_reset_link(db, person)
        users.deactivate(db, person)
        with pytest.raises(ResetLinkEnded):
            reset_links.link_of_token(db, token)
        with pytest.raises(AccountClosed):
            reset_links.create_reset_link(db, person)

    @pytest.mark.parametrize("nonsense", ["", "x", "\0", "é" * 5000])
    def test_it_knows_no_other_token(self, db, nonsense):
        with pytest.raises(ResetLinkEnded):
            reset_links.link_of_token(db, nonsense)


class TestManagingAccounts:
    """An admin must not become somebody with more rights by resetting a password."""

    def refused(self, db, manager, user):
        try:
            reset_links.create_reset_link(db, user, by=manager)
        except AccountNotYours:
            return True
        return False

    def test_an_admin_manages_members_of_their_own_projects_alone(self, db, project, admin):
        person = member(project, "annotator", password_hash=HASH)
        assert not self.refused(db, admin, person)
        elsewhere = factories.Membership(user=person, role="annotator").project
        assert self.refused(db, admin, person)
        factories.Membership(user=admin, project=elsewhere, role="lead")
        assert self.refused(db, admin, person)
        membership_of(db, elsewhere, admin).role = "admin"
        db.flush()
        assert not self.refused(db, admin, person)

    def test_nobody_manages_owners_themselves_strangers_or_without_being_admin(self, db, project, admin, person):
        owner = member(project, "annotator", is_owner=True, password_hash=HASH)
        lead = member(project, "lead", password_hash=HASH)
        assert self.refused(db, admin, owner)
        assert self.refused(db, admin, admin)
        assert self.refused(db, admin, person)
        assert self.refused(db, lead, admin)
        assert self.refused(db, owner, lead)

    def test_an_owner_hands_out_a_first_password_and_no_second(self, db, person):
        owner, fresh = factories.User(is_owner=True), factories.User(password_hash=None)
        assert not self.refused(db, owner, fresh)
        assert self.refused(db, owner, person)

    def test_a_link_dies_when_the_person_gains_rights_elsewhere(self, db, project, admin):
        person = member(project, "annotator", password_hash=HASH)
        token = reset_links.create_reset_link(db, person, by=admin)
        factories.Membership(user=person, role="annotator")
        with pytest.raises(ResetLinkEnded):
            reset_links.use_reset_link(db, token, HASH)

    def test_a_link_dies_with_its_makers_rights(self, db, project, admin):
        person = member(project, "annotator", password_hash=HASH)
        token = reset_links.create_reset_link(db, person, by=admin)
        member(project, "admin")
        members.change_role(db, membership_of(db, project, admin), "lead")
        with pytest.raises(ResetLinkEnded):
            reset_links.use_reset_link(db, token, passwords._NOBODY)
