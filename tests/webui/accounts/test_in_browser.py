"""The pages as a real browser shows them, under the strict Content-Security-Policy."""

import os
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_every_page_fits(browsing, address, enter, admin, person, project, committed, width, dark):
    make_member(committed, project, "supervisor", name="Maximiliane von Hohenstein-Schillingsfürst")
    factories.Membership(project=project, role="engineer", user=factories.User(name="Nova New"))
    create_key(committed, project, admin, "Production", ["capture", "feedback"])
    token = create_reset_link(committed, committed.get(type(person), person.id))
    committed.commit()
    page = browsing.open(width=width, dark=dark)
    for name, path in {"signin": "/sign-in", "reset": f"/reset/{token}"}.items():
        look(page, address + path, name, width, dark)
    enter(page, admin)
    for name in ("members", "keys"):
        look(page, f"{address}/projects/{project.slug}/{name}", name, width, dark)
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
