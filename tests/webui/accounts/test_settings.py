import re
from html import unescape

import pytest
from sqlalchemy import select

from hitl.accounts.models import AuditEntry, Project
from hitl.accounts.projects import ProjectSettings, settings_of
from tests.webui.accounts.conftest import make_member
from tests.webui.words import words_of

FORM = {"second_opinion_percent": "0", "name": "Support bot", "lease_minutes": "15", "may_train_default": "unknown"} | {
    "personal_data": "keep"
}


def seen_by(page):
    return unescape(re.search(r'name="seen" value="([^"]*)"', page).group(1))


def stored(database, project):
    with database.reading() as db:
        return db.get_one(Project, project.id)


class TestSettings:
    @pytest.fixture
    def settings(self, project):
        return f"/projects/{project.slug}/settings"

    def test_it_saves_what_changed_and_notes_who(self, visitor, admin, project, settings, shared_database):
        visitor.sign_in(admin)
        seen = seen_by(visitor.get(settings).text)
        changed = FORM | {"name": "Help desk", "lease_minutes": "20", "end_user_thumbs": "on", "licence": "cc-by-4.0"}
        visitor.send(settings, seen=seen, **changed)

        assert "The settings are saved." in words_of(visitor.get(settings).text)
        now = stored(shared_database, project)
        assert (now.name, now.slug) == ("Help desk", project.slug)
        assert settings_of(now) == ProjectSettings(lease_minutes=20, end_user_thumbs=True, licence="cc-by-4.0")
        with shared_database.reading() as db:
            noted = db.execute(select(AuditEntry.action, AuditEntry.details).where(AuditEntry.actor_id == admin.id))
            entries = {row.action: row.details for row in noted}
        changes = {"lease_minutes": 20, "end_user_thumbs": True, "licence": "cc-by-4.0"}
        assert entries["settings_changed"] == {"changes": changes}
        assert entries["project_renamed"]["before"] == "Support bot"

    def test_every_setting_has_its_field(self, visitor, admin, settings):
        visitor.sign_in(admin)
        page = visitor.get(settings).text
        for name in ProjectSettings.model_fields:
            assert f'name="{name}"' in page

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"lease_minutes": "0"}, "from 1 to 1,440"),
            ({"lease_minutes": "1441"}, "from 1 to 1,440"),
            ({"lease_minutes": "²"}, "from 1 to 1,440"),
            ({"lease_minutes": ""}, "from 1 to 1,440"),
            ({"may_train_default": "perhaps"}, "Choose one"),
            ({"name": ""}, "Give a name"),
            ({"second_opinion_percent": "101"}, "From 0 to 100."),
            ({"licence": "CC BY 4.0"}, "such as cc-by-4.0"),
        ],
    )
    def test_it_names_what_is_wrong(self, visitor, admin, project, settings, shared_database, wrong, words):
        visitor.sign_in(admin)
        seen = seen_by(visitor.get(settings).text)
        answer = visitor.send(settings, seen=seen, **(FORM | {"end_user_thumbs": "on"} | wrong))
        assert answer.status_code == 422
        assert words in words_of(answer.text)
        assert stored(shared_database, project).settings == {}

    def test_of_two_admins_the_second_is_told(self, visitor, admin, project, settings, shared_database):
        visitor.sign_in(admin)
        seen = seen_by(visitor.get(settings).text)
        visitor.send(settings, seen=seen, **(FORM | {"lease_minutes": "20"}))

        late = visitor.send(settings, seen=seen, **(FORM | {"name": "Mine"}))
        assert late.status_code == 409
        assert "Somebody changed the settings" in words_of(late.text)
        assert "20 minutes" in words_of(late.text)
        assert 'value="Mine"' in late.text
        visitor.send(settings, seen=seen_by(late.text), **(FORM | {"name": "Mine"}))
        assert stored(shared_database, project).name == "Mine"

    def test_a_lead_has_no_such_tab(self, visitor, committed, project, settings):
        visitor.sign_in(make_member(committed, project, "lead"))
        assert visitor.get(settings).status_code == 403
        page = visitor.get(f"/projects/{project.slug}/guidelines/edit").text
        assert settings not in page


class TestGuidelines:
    @pytest.fixture
    def guidelines(self, project):
        return f"/projects/{project.slug}/guidelines/edit"

    @pytest.fixture
    def lead(self, visitor, committed, project):
        visitor.sign_in(make_member(committed, project, "lead"))
        return visitor

    def test_reviewers_read_what_a_lead_writes(self, lead, another, person, project, guidelines):
        seen = seen_by(lead.get(guidelines).text)
        lead.send(guidelines, seen=seen, guidelines="# Be kind\r\n\r\n- always")

        another.sign_in(person)
        page = another.get(f"/projects/{project.slug}/guidelines").text
        assert "<h3>Be kind</h3>" in page
        assert "<li>always</li>" in page

    def test_it_previews_without_saving(self, lead, project, guidelines, shared_database):
        page = lead.send(guidelines, seen="", guidelines="**Bold**", action="preview").text
        assert "<strong>Bold</strong>" in page
        assert "Not saved yet" in words_of(page)
        assert stored(shared_database, project).guidelines == ""

    def test_a_preview_runs_nothing(self, lead, guidelines):
        hostile = "<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![pixel](https://evil.example/x.png) \u202e"
        page = lead.send(guidelines, seen="", guidelines=hostile, action="preview").text
        assert "<script>alert" not in page
        assert 'href="javascript' not in page
        assert "<img" not in page

    def test_of_two_leads_the_second_reads_the_firsts(self, lead, project, guidelines, shared_database):
        seen = seen_by(lead.get(guidelines).text)
        lead.send(guidelines, seen=seen, guidelines="The first's")
        late = lead.send(guidelines, seen=seen, guidelines="The second's")
        assert late.status_code == 409
        words = words_of(late.text)
        assert "The first's" in words
        assert "The second's" in words
        assert stored(shared_database, project).guidelines == "The first's"
        lead.send(guidelines, seen=seen_by(late.text), guidelines="The second's")
        assert stored(shared_database, project).guidelines == "The second's"

    @pytest.mark.parametrize("text", ["x" * 20_001, "bell \x07"])
    def test_it_names_what_it_does_not_take(self, lead, guidelines, text):
        answer = lead.send(guidelines, seen=seen_by(lead.get(guidelines).text), guidelines=text)
        assert answer.status_code == 422
        assert "at most 20,000 characters" in words_of(answer.text)
