import pytest

from hitl.accounts import keys, members, sessions, users
from hitl.accounts.access import (
    OWNER,
    PUBLIC,
    SIGNED_IN,
    Access,
    allow,
    declared_access,
    ensure_allowed,
    permissions_in,
    person_of_session,
    program_of_token,
)
from hitl.accounts.errors import OwnersOnly
from hitl.accounts.permissions import ROLES, Permission
from hitl.core.errors import Forbidden, NotFound, Unauthenticated
from tests.hitl import factories
from tests.hitl.accounts.conftest import member, membership_of

NOTHING = frozenset()


class TestAllow:
    def test_it_declares_a_door_or_permissions(self):
        @allow(Permission.REVIEW, Permission.QUEUE)
        def view():
            return "seen"

        assert declared_access(view) == Access(None, frozenset({Permission.REVIEW, Permission.QUEUE}))
        assert declared_access(allow(PUBLIC)(lambda: None)) == Access(PUBLIC)
        assert view() == "seen"

    def test_it_finds_no_declaration_where_none_is(self):
        assert declared_access(lambda: None) is None

    @pytest.mark.parametrize("needs", [(), (PUBLIC, SIGNED_IN), (OWNER, Permission.ADMIN)])
    def test_it_refuses_what_would_be_unclear(self, needs):
        with pytest.raises(ValueError, match="one door, or permissions"):
            allow(*needs)


class TestEnsureAllowed:
    def test_it_lets_nobody_in_but_through_public_doors(self):
        ensure_allowed(Access(PUBLIC), user=None, api_key=None, project=None, permissions=NOTHING)
        for access in (Access(SIGNED_IN), Access(OWNER), Access(None, frozenset(Permission))):
            with pytest.raises(Unauthenticated):
                ensure_allowed(access, user=None, api_key=None, project=None, permissions=NOTHING)

    def test_it_hides_a_project_from_strangers_and_refuses_members(self, db, project, person):
        needs = Access(None, frozenset({Permission.DATA}))
        with pytest.raises(NotFound):
            ensure_allowed(needs, user=person, api_key=None, project=project, permissions=NOTHING)
        with pytest.raises(NotFound):
            ensure_allowed(needs, user=person, api_key=None, project=None, permissions=NOTHING)
        with pytest.raises(Forbidden):
            ensure_allowed(needs, user=person, api_key=None, project=project, permissions=ROLES["annotator"])
        ensure_allowed(needs, user=person, api_key=None, project=project, permissions=ROLES["engineer"])

    def test_it_opens_an_owners_door_to_owners_but_not_to_their_keys(self, db, project):
        owner = member(project, "admin", is_owner=True)
        key, _ = keys.create_key(db, project, owner, "all", ["admin"])
        ensure_allowed(Access(OWNER), user=owner, api_key=None, project=None, permissions=NOTHING)
        with pytest.raises(OwnersOnly):
            ensure_allowed(Access(OWNER), user=owner, api_key=key, project=project, permissions=ROLES["admin"])

    def test_an_owner_has_no_rights_in_a_project_by_being_one(self, db, project):
        assert permissions_in(db, factories.User(is_owner=True), project) == NOTHING


class TestPersonOfSession:
    def test_it_knows_the_person_while_the_session_counts(self, db, person):
        session = sessions.start_session(db, person)
        assert person_of_session(db, session.id).user is person
        assert person_of_session(db, str(session.id)).user is person

    def test_it_ends_with_sign_out(self, db, person):
        session = sessions.start_session(db, person)
        sessions.end_session(db, session.id)
        assert person_of_session(db, session.id) is None

    def test_it_ends_after_two_weeks(self, db, person, hands):
        session = sessions.start_session(db, person)
        hands.move(days=13, hours=23)
        assert person_of_session(db, session.id).user is person
        hands.move(hours=2)
        assert person_of_session(db, session.id) is None

    def test_it_ends_with_a_new_epoch_and_with_the_account(self, db, person):
        first = sessions.start_session(db, person)
        sessions.end_all_sessions(db, person)
        second = sessions.start_session(db, person)
        assert person_of_session(db, first.id) is None
        assert person_of_session(db, second.id).user is person
        users.deactivate(db, person)
        assert person_of_session(db, second.id) is None

    def test_it_says_what_they_may_do_in_the_project_that_they_ask_about(self, db, project, person):
        session_id = sessions.start_session(db, person).id
        factories.Membership(project=project, user=person, role="lead")
        other = factories.Project()

        asked = {slug: person_of_session(db, session_id, slug) for slug in (None, project.slug, other.slug, "none")}
        assert {slug: (found.project, found.permissions) for slug, found in asked.items()} == {
            None: (None, NOTHING),
            project.slug: (project, ROLES["lead"]),
            other.slug: (other, NOTHING),
            "none": (None, NOTHING),
        }

    @pytest.mark.parametrize("nonsense", [None, "", "1", "x" * 5000, "\0", ["a"], 7, {}])
    def test_it_takes_nonsense_for_nobody(self, db, nonsense):
        assert person_of_session(db, nonsense) is None


class TestNoteUse:
    def test_it_notes_a_use_at_most_once_an_hour(self, committed, shared_database, hands):
        admin = factories.Membership(role="admin")
        key, _ = keys.create_key(committed, admin.project, admin.user, "ingest", ["capture"])
        committed.commit()

        def note():
            keys.note_use(shared_database, key.id)
            committed.refresh(key)
            committed.commit()
            return key.last_used_at

        first = note()
        assert not keys.is_use_to_be_noted(key)
        hands.move(minutes=59)
        assert note() == first
        hands.move(minutes=2)
        assert keys.is_use_to_be_noted(key)
        assert note() > first


class TestProgramOfToken:
    def test_it_knows_a_key_by_its_token(self, db, project, admin):
        key, token = keys.create_key(db, project, admin, "ingest", ["capture"])
        assert program_of_token(db, token).api_key is key
        assert program_of_token(db, token).permissions == {Permission.CAPTURE}

    @pytest.mark.parametrize(
        "token", ["", None, "hitl_", "hitl_" + "a" * 43, "hitl_\0", "hitl_é", "' OR 1=1", "hitl_" + "x" * 10**6]
    )
    def test_it_knows_no_other(self, db, project, admin, token):
        keys.create_key(db, project, admin, "ingest", ["capture"])
        assert program_of_token(db, token) is None

    def test_it_refuses_a_key_that_was_revoked(self, db, project, admin):
        key, token = keys.create_key(db, project, admin, "ingest", ["capture"])
        keys.revoke_key(db, key)
        assert program_of_token(db, token) is None

    def test_it_refuses_a_key_whose_maker_left_even_if_they_come_back(self, db, project, admin):
        maker = member(project, "engineer")
        _, token = keys.create_key(db, project, maker, "ingest", ["capture"])
        members.remove_member(db, membership_of(db, project, maker), by=admin)
        assert program_of_token(db, token) is None
        members.add_member(db, project, maker, "engineer")
        assert program_of_token(db, token) is None

    def test_it_refuses_a_key_whose_maker_was_deactivated(self, db, project, admin):
        maker = member(project, "engineer")
        _, token = keys.create_key(db, project, maker, "ingest", ["capture"])
        users.deactivate(db, maker)
        assert program_of_token(db, token) is None
        users.activate(db, maker)
        assert program_of_token(db, token) is None

    def test_a_key_does_no_more_than_its_makers_present_role(self, db, project, admin):
        maker = member(project, "lead")
        _, token = keys.create_key(db, project, maker, "work", ["review", "datasets"])
        members.change_role(db, membership_of(db, project, maker), "engineer", by=admin)
        assert program_of_token(db, token).permissions == {Permission.DATA}
        members.change_role(db, membership_of(db, project, maker), "supervisor", by=admin)
        assert program_of_token(db, token).permissions == NOTHING
