from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import func, select

from hitl.accounts import invitations, members, users
from hitl.accounts.access import permissions_in
from hitl.accounts.errors import (
    AddressUnproven,
    AlreadyMember,
    EmailTaken,
    EmailUnacceptable,
    InvitationEnded,
    InvitationForAnother,
    InvitationUsed,
    LifetimeUnacceptable,
    RoleNotYours,
    UnknownRole,
)
from hitl.accounts.jobs import tidy
from hitl.accounts.models import AuditEntry, Invitation, Membership, User
from hitl.accounts.permissions import ROLES
from hitl.accounts.sign_in import begin_attempt
from tests.hitl import factories
from tests.hitl.accounts.conftest import PASSWORD_HASH, member, membership_of


def invite(db, project, by=None, role="annotator", **more):
    return invitations.create_invitation(db, project, role, by=by, **more)[1]


def newcomer(db, token, email="nova@example.org", name="Nova New"):
    return invitations.accept_as_newcomer(db, token, begin_attempt(db, email, "10.0.0.1"), name, PASSWORD_HASH)


def actions(db, project):
    return list(db.scalars(select(AuditEntry.action).where(AuditEntry.project_id == project.id)))


class TestMaking:
    def test_it_keeps_a_digest_and_no_token(self, db, project, admin):
        invitation, token = invitations.create_invitation(db, project, "lead", by=admin)

        assert token not in repr(vars(invitation))
        assert invitations.invitation_of_token(db, token) is invitation
        assert "invitation_created" in actions(db, project)

    @pytest.mark.parametrize(
        ("asked", "refusal"),
        [
            ({"role": "king"}, UnknownRole),
            ({"email": "nobody at all"}, EmailUnacceptable),
            ({"days": 0}, LifetimeUnacceptable),
            ({"days": 91}, LifetimeUnacceptable),
        ],
    )
    def test_it_refuses_what_makes_no_sense(self, db, project, admin, asked, refusal):
        with pytest.raises(refusal):
            invite(db, project, admin, **asked)

    @pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
    def test_only_admins_invite(self, db, project, role):
        with pytest.raises(RoleNotYours):
            invite(db, project, member(project, role), role="annotator")

    def test_an_admin_elsewhere_invites_nobody_here(self, db, project):
        with pytest.raises(RoleNotYours):
            invite(db, project, member(factories.Project(), "admin"))


class TestAccepting:
    def test_it_ends_with_its_makers_right_even_at_that_moment(self, committed, shared_database):
        """Both databases wait for the change: SQLite before the look, PostgreSQL before the invitation is used up."""
        maker, person = factories.Membership(role="admin"), factories.User()
        factories.Membership(role="admin", project=maker.project)
        token = invite(committed, maker.project, maker.user)
        committed.commit()

        def use():
            with shared_database.writing() as db:
                invitations.accept(db, token, db.get_one(User, person.id))

        with ThreadPoolExecutor(1) as elsewhere:
            members.change_role(committed, maker, "engineer")
            committed.flush()
            using = elsewhere.submit(use)
            wait([using], timeout=0.5)
            assert not using.done()
            committed.commit()
            with pytest.raises(InvitationEnded):
                using.result()

    def test_somebody_with_an_account_joins_once(self, db, project, admin, person):
        token = invite(db, project, admin, role="lead")

        invitations.accept(db, token, person)

        assert permissions_in(db, person, project) == ROLES["lead"]
        assert {"member_added", "invitation_used"} <= set(actions(db, project))
        with pytest.raises(InvitationEnded):
            invitations.accept(db, token, factories.User())

    def test_a_newcomer_gets_an_account_that_nobody_vouches_for(self, db, project, admin):
        membership, session = newcomer(db, invite(db, project, admin, role="engineer"))

        assert (membership.role, membership.user.email) == ("engineer", "nova@example.org")
        assert not membership.user.is_vouched_for
        assert session.user is membership.user

    def test_a_member_leaves_it_to_somebody_else(self, db, project, admin, person):
        token = invite(db, project, admin)
        with pytest.raises(AlreadyMember):
            invitations.accept(db, token, admin)

        invitations.accept(db, token, person)
        assert membership_of(db, project, admin).role == "admin"

    def test_one_for_an_address_is_for_that_address(self, db, project, admin, person):
        token = invite(db, project, admin, email=person.email.upper())
        with pytest.raises(InvitationForAnother, match="signed in as"):
            invitations.accept(db, token, factories.User())
        with pytest.raises(InvitationForAnother):
            newcomer(db, token)

        invitations.accept(db, token, person)

    def test_it_takes_no_account_over(self, db, project, admin, person):
        with pytest.raises(EmailTaken):
            newcomer(db, invite(db, project, admin), email=person.email.upper())

    def test_it_ends_with_its_time(self, db, project, admin, person, hands):
        token = invite(db, project, admin, days=1)
        hands.move(hours=25)
        with pytest.raises(InvitationEnded):
            invitations.accept(db, token, person)

    def test_it_ends_with_its_maker(self, db, project, admin, person):
        another = member(project, "admin")
        demoted, removed, closed = (invite(db, project, admin), invite(db, project, another), None)
        members.change_role(db, membership_of(db, project, admin), "lead")
        with pytest.raises(InvitationEnded):
            invitations.accept(db, demoted, person)

        third = member(project, "admin")
        closed = invite(db, project, third)
        fourth = member(project, "admin")
        members.remove_member(db, membership_of(db, project, another))
        users.deactivate(db, third, by=fourth)
        for token in (removed, closed):
            with pytest.raises(InvitationEnded):
                invitations.accept(db, token, person)

    def test_it_ends_when_withdrawn(self, db, project, admin, person):
        invitation, token = invitations.create_invitation(db, project, "lead", by=admin)
        invitations.withdraw(db, invitation, by=admin)
        invitations.withdraw(db, invitation, by=admin)

        assert actions(db, project).count("invitation_withdrawn") == 1
        with pytest.raises(InvitationEnded):
            invitations.accept(db, token, person)

    def test_one_that_was_used_cannot_be_withdrawn(self, db, project, admin, person):
        invitation, token = invitations.create_invitation(db, project, "lead", by=admin)
        invitations.accept(db, token, person)
        with pytest.raises(InvitationUsed):
            invitations.withdraw(db, invitation, by=admin)

    def test_all_who_may_not_enter_read_the_same(self, db, project, admin, person, hands):
        used, withdrawn, expired = invite(db, project, admin), invite(db, project, admin), invite(db, project, admin)
        invitations.accept(db, used, person)
        listed = list(db.scalars(invitations.invitations_of(project)))
        invitations.withdraw(db, listed[1], by=admin)
        hands.move(days=8)
        said = set()
        for token in (used, withdrawn, expired, "unknown", "", "x" * 5000):
            with pytest.raises(InvitationEnded) as refusal:
                invitations.invitation_of_token(db, token)
            said.add(refusal.value.message)
        assert len(said) == 1


class TestAddingByAddress:
    """An account that somebody made by invitation could be anybody's: its address was never checked."""

    @pytest.fixture
    def unproven(self, db, project, admin):
        return newcomer(db, invite(db, project, admin), email="the.boss@example.org")[0].user

    def test_admins_elsewhere_do_not_rely_on_it(self, db, unproven):
        elsewhere = member(factories.Project(), "admin")
        with pytest.raises(AddressUnproven):
            users.person_to_add(db, unproven.email, by=elsewhere)

    def test_who_knows_the_account_adds_it(self, db, project, admin, unproven):
        second = factories.Membership(user=admin, role="admin").project
        assert users.person_to_add(db, unproven.email, by=admin) is unproven
        assert users.person_to_add(db, unproven.email, by=factories.User(is_owner=True)) is unproven
        lead_here = member(project, "lead")
        with pytest.raises(AddressUnproven):
            users.person_to_add(db, unproven.email, by=lead_here)
        assert second is not project


class TestTidying:
    def test_it_forgets_links_that_are_long_over_and_keeps_how_people_came_in(self, db, project, admin, person, hands):
        used, _ = invite(db, project, admin), invite(db, project, admin)
        invitations.accept(db, used, person)
        hands.move(days=60)
        tidy(db)
        (left,) = db.scalars(invitations.invitations_of(project))
        assert left.user is person


class TestAtOnce:
    """Many open one link at the same moment, each in a transaction of its own."""

    def test_one_of_many_joins_and_of_the_others_nothing_stays(self, shared_database, committed):
        project = factories.Project()
        admin = factories.Membership(project=project, role="admin").user
        token = invite(committed, project, admin)
        committed.commit()

        def join(number):
            try:
                with shared_database.writing() as db:
                    newcomer(db, token, email=f"nova{number}@example.org")
            except InvitationEnded:
                return "refused"
            return "joined"

        with ThreadPoolExecutor(8) as crowd:
            outcomes = list(crowd.map(join, range(8)))

        assert sorted(outcomes) == ["joined"] + ["refused"] * 7
        with shared_database.reading() as db:
            assert db.scalar(select(func.count()).select_from(Membership)) == 2
            assert db.scalar(select(func.count()).select_from(User)) == 2
            used = db.scalars(select(Invitation)).one()
            assert used.used_by_id is not None

    def test_one_person_who_presses_twice_joins_once(self, shared_database, committed):
        project, person = factories.Project(), factories.User()
        token = invite(committed, project)
        committed.commit()

        def join(_):
            try:
                with shared_database.writing() as db:
                    invitations.accept(db, token, db.get_one(User, person.id))
            except (InvitationEnded, AlreadyMember):
                return "refused"
            return "joined"

        with ThreadPoolExecutor(4) as crowd:
            assert list(crowd.map(join, range(4))).count("joined") == 1
