"""The pages as a real browser shows them, under the strict Content-Security-Policy."""

import os
from pathlib import Path

import pytest

from hitl.accounts.invitations import create_invitation
from hitl.accounts.keys import create_key
from hitl.accounts.reset_links import create_reset_link
from tests.hitl import factories
from tests.webui.accounts.conftest import PASSWORD, make_member

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_one_signs_in_by_keyboard_and_out_again(browsing, address, person):
    page = browsing.open(f"{address}/account")
    page.keyboard.type(person.email)
    page.keyboard.press("Tab")
    page.keyboard.type("another password")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("That did not match").wait_for()
    assert page.get_by_label("E-mail").input_value() == person.email
    page.keyboard.type(PASSWORD)  # the password has the focus: it is what has to be typed again
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your account").wait_for()
    page.locator("summary", has_text="account and appearance").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()


def test_one_invites_and_the_newcomer_joins_by_keyboard(browsing, address, enter, admin, project, committed):
    page = browsing.open()
    enter(page, admin)
    page.goto(f"{address}/projects/{project.slug}/invitations")
    page.get_by_label("lead").check()
    page.get_by_role("button", name="Make link").click()
    link = page.get_by_label("The link", exact=True).input_value()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == link

    newcomer = browsing.open(address + "/invitation/" + link.rpartition("/")[2])
    for typed in ("nova@example.org", "Nova New", "a new and better one", "a new and better one"):
        newcomer.keyboard.type(typed)
        newcomer.keyboard.press("Tab")
    newcomer.keyboard.press("Enter")  # on the button
    newcomer.get_by_text("Welcome to Support bot").wait_for()


def test_guidelines_are_previewed_while_one_types(browsing, address, enter, admin, project):
    page = browsing.open()
    enter(page, admin)
    page.goto(f"{address}/projects/{project.slug}/guidelines/edit")
    page.get_by_label("Guidelines", exact=True).fill("# Be kind")
    page.locator("#preview h3", has_text="Be kind").wait_for()
    page.get_by_role("button", name="Save guidelines").click()
    page.get_by_text("This is what reviewers see now").wait_for()


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_every_page_fits(browsing, address, enter, admin, person, project, committed, width, dark):
    make_member(committed, project, "supervisor", name="Maximiliane von Hohenstein-Schillingsfürst")
    factories.Membership(project=project, role="engineer", user=factories.User(name="Nova New"))
    create_key(committed, project, admin, "Production", ["capture", "feedback"])
    _, invitation = create_invitation(committed, project, "lead", by=admin)
    create_invitation(committed, project, "annotator", email="maximiliane.von.hohenstein@example.org")
    token = create_reset_link(committed, committed.get(type(person), person.id))
    committed.commit()
    page = browsing.open(width=width, dark=dark)
    for name, path in {
        "signin": "/sign-in",
        "reset": f"/reset/{token}",
        "invitation": f"/invitation/{invitation}",
    }.items():
        look(page, address + path, name, width, dark)
    enter(page, admin)
    for name in ("invitations", "settings", "guidelines/edit", "members", "keys"):
        look(page, f"{address}/projects/{project.slug}/{name}", name.replace("/", "-"), width, dark)
        if name == "members":
            page.get_by_label("More about Kim Reader").click()
            page.get_by_role("button", name="Close the account").wait_for()
            look(page, None, "members-more", width, dark)
    page.get_by_label("What it is for").fill("Nightly export")
    page.get_by_label("datasets").check()
    page.get_by_role("button", name="Make key").click()
    page.get_by_label("The key", exact=True).wait_for()
    look(page, None, "key-made", width, dark)
    look(page, f"{address}/account", "account", width, dark)


def look(page, url, name, width, dark):
    """Open a page and make sure that nothing sticks out; keep a picture where PICTURES says."""
    if url is not None:
        page.goto(url)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
    folder = os.environ.get("PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}-{width}-{'dark' if dark else 'light'}.png", full_page=True)
