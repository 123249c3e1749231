"""The editor as a real browser shows it, under the strict Content-Security-Policy."""

import os
from pathlib import Path

import pytest

from hitl.accounts.models import Project
from hitl.review.rubric_drafts import rubric_draft_of

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def rubric(desk, lead, enter, address):
    """Opens the editor in a page of the lead's browser."""

    def rubric(page):
        enter(page, lead)
        page.goto(f"{address}/projects/{desk.slug}/rubric")
        return page

    return rubric


@pytest.fixture
def draft(shared_database, desk):
    """The stored draft."""

    def draft():
        with shared_database.reading() as db:
            found = rubric_draft_of(db, db.get_one(Project, desk.id))
            return None if found is None else found.criteria

    return draft


def test_the_preview_follows_while_one_types_and_nothing_loses_the_focus(browsing, rubric, draft):
    page = rubric(browsing.open())
    page.locator("#criterion-0 summary").click()
    page.locator("#c0-label").fill("How helpful")
    page.locator("#preview legend", has_text="How helpful").wait_for()
    page.get_by_text("Draft saved").wait_for()
    page.keyboard.type("?")
    page.locator("#preview legend", has_text="How helpful?").wait_for()
    assert page.evaluate("document.activeElement.id") == "c0-label"
    assert draft()[0]["label"] == "How helpful?"
    page.get_by_role("link", name="Publish version 2").click()
    page.get_by_role("button", name="Publish version 2").click()
    page.get_by_text("Version 2 is in use").wait_for()


def test_one_adds_moves_and_removes_by_keyboard(browsing, rubric, draft):
    page = rubric(browsing.open())
    page.keyboard.press("n")
    page.get_by_role("button", name="Text their own words").press("Enter")
    page.locator("#c4-label:focus").wait_for()
    page.keyboard.type("Why")
    page.keyboard.press("Alt+ArrowUp")
    page.locator("#criterion-3 summary", has_text="Why").wait_for()
    assert [criterion["label"] for criterion in draft()][3:] == ["Why", "Correct it"]
    page.locator("#criterion-3 [data-move=up]:focus").press("Enter")
    page.locator("#criterion-2 summary", has_text="Why").wait_for()
    page.get_by_role("button", name="Remove Why", exact=True).press("Enter")
    page.locator("#criterion-4").wait_for(state="detached")
    assert len(draft()) == 4


def test_one_drags_a_criterion(browsing, rubric, draft):
    page = rubric(browsing.open())
    page.locator("#criterion-2 [data-grip]").hover()
    page.mouse.down()
    box = page.locator("#criterion-0").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10, steps=8)
    page.mouse.up()
    page.locator("#criterion-0 summary", has_text="What is wrong").wait_for()
    assert [criterion["name"] for criterion in draft()] == ["wrong", "helpful", "correct", "correction"]


def test_one_tries_to_mark_a_passage_in_the_preview(browsing, rubric):
    page = rubric(browsing.open())
    page.keyboard.press("n")
    page.get_by_role("button", name="Spans").press("Enter")
    page.locator("#c4-label").fill("Mistakes")
    page.locator("#c4-options-0").fill("Made up")
    view = page.locator("#preview marked-words")
    view.wait_for()
    page.get_by_text("Draft saved").wait_for()
    page.locator("#criterion-0 summary").focus()
    page.keyboard.press("m")
    assert page.locator("marked-words.is-marking").count() == 0
    view.evaluate("view => view.select(0, 3)")
    page.locator(".markmenu").get_by_role("button", name="Made up").click()
    page.locator("#preview .marks li", has_text="Made up").wait_for()


def test_it_works_without_scripts(browsing, rubric, draft):
    page = rubric(browsing.open(javascript=False))
    page.get_by_text("Add n").click()
    page.get_by_role("button", name="Thumbs good or bad").click()
    page.locator("#c4-label").fill("Good")
    page.get_by_role("button", name="Move New criterion up").click()
    assert [criterion["label"] for criterion in draft()][3:] == ["Good", "Correct it"]
    page.get_by_role("link", name="Publish version 2").click()
    page.get_by_role("button", name="Publish version 2").click()
    page.get_by_text("Version 2 is in use").wait_for()


@pytest.mark.parametrize(("width", "dark"), [(320, False), (390, True), (1280, False)])
def test_it_fits(browsing, rubric, width, dark):
    page = rubric(browsing.open(width=width, dark=dark))
    look(page, "rubric", width, dark)
    page.locator("#criterion-2 summary").click()
    page.get_by_role("button", name="Remove name 1").click()
    page.get_by_text("Draft saved").wait_for()
    page.locator("#c0-label").evaluate("field => { field.value = ''; }")
    page.get_by_role("button", name="Save draft").last.click()
    page.get_by_text("1 thing to mend first").wait_for()
    look(page, "rubric-problem", width, dark)


def look(page, name, width, dark):
    """Make sure that nothing sticks out; keep a picture where PICTURES says."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
    folder = os.environ.get("PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}-{width}-{'dark' if dark else 'light'}.png", full_page=True)
