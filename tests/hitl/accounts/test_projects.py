import pytest
from sqlalchemy import select

from hitl.accounts.errors import SettingsUnacceptable, SlugTaken, SlugUnacceptable, UnknownProject
from hitl.accounts.models import AuditEntry, Membership
from hitl.accounts.projects import (
    ProjectSettings,
    change_settings,
    create_project,
    project_of_slug,
    projects_of,
    settings_of,
)


class TestCreateProject:
    def test_its_maker_becomes_its_first_admin_and_it_has_a_rubric(self, db, person):
        project = create_project(db, "support-bot", "Support bot", by=person)
        assert db.scalar(select(Membership.role).where(Membership.user_id == person.id)) == "admin"
        assert list(db.scalars(projects_of(person))) == [project]
        assert project.rubric_version_id is not None
        assert db.scalar(select(AuditEntry.action)) == "project_created"
        assert project_of_slug(db, "support-bot") is project

    @pytest.mark.parametrize("slug", ["", "a", "-ab", "ab-", "Ab", "a b", "a/b", "ä1", "a" * 64, "ab\n", "..", "a_b"])
    def test_it_refuses_what_does_not_fit_into_an_address(self, db, slug):
        with pytest.raises(SlugUnacceptable):
            create_project(db, slug, "Name")

    def test_it_refuses_a_short_name_that_is_taken_and_stays_usable(self, db, project):
        with pytest.raises(SlugTaken):
            create_project(db, project.slug, "Another")
        with pytest.raises(UnknownProject):
            project_of_slug(db, "no-such-project")


class TestSettings:
    def test_what_was_never_set_has_its_default(self, project):
        assert settings_of(project) == ProjectSettings(
            lease_minutes=15, may_train_default="unknown", end_user_thumbs=False, licence=""
        )

    def test_it_sets_some_and_keeps_the_others(self, db, project):
        change_settings(db, project, {"lease_minutes": "20"})
        change_settings(db, project, {"may_train_default": "yes"})
        assert settings_of(project) == ProjectSettings(lease_minutes=20, may_train_default="yes")

    @pytest.mark.parametrize(
        "changes", [{"lease_minutes": 0}, {"lease_minutes": "soon"}, {"may_train_default": "maybe"}, {"colour": "red"}]
    )
    def test_it_names_the_setting_at_fault(self, db, project, changes):
        with pytest.raises(SettingsUnacceptable) as refused:
            change_settings(db, project, changes)
        assert refused.value.param == f"/settings/{next(iter(changes))}"
        assert settings_of(project) == ProjectSettings()
