"""The people of a journey: they sign in and review until nothing is left, in a browser or by the API."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page, expect

from tests.machine.chromium import chromium
from tests.machine.service import Service

PASSWORD = "a long enough passphrase"


@dataclass
class Person:
    """Somebody who reviews in a thread of their own; what went wrong there is raised by `done`."""

    name: str
    work: Callable[[], None]
    trouble: list[BaseException] = field(default_factory=list)

    def start(self) -> "Person":
        self._thread = threading.Thread(target=self._run, name=self.name)
        self._thread.start()
        return self

    def done(self) -> None:
        self._thread.join(timeout=240)
        assert not self._thread.is_alive(), f"{self.name} is still at it"
        if self.trouble:
            raise self.trouble[0]

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as trouble:
            self.trouble.append(trouble)


def review_in_browser(service: Service, email: str, slug: str, *, corrects: bool) -> None:
    """Review everything by keyboard: rate, tag what is wrong, correct, submit and go on."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.set_default_timeout(20_000)
        sign_in(page, service.address, email)
        page.goto(f"{service.address}/projects/{slug}/review")
        while True:
            form = page.locator("form#review")
            expect(form.or_(page.get_by_text("Nothing waits for you"))).to_be_visible()
            if not form.is_visible():
                return
            lease = form.get_attribute("action")
            fill_in(page, corrects=corrects)
            page.keyboard.press("Control+Enter")
            page.wait_for_function(
                "lease => document.querySelector('form#review')?.getAttribute('action') !== lease", arg=lease
            )


def fill_in(page: Page, *, corrects: bool) -> None:
    """Judge the item at hand as a person does who thinks little of it, or much."""
    page.locator("[data-criterion].is-current").wait_for()
    page.keyboard.press("2" if corrects else "5")
    page.keyboard.press("j")
    page.keyboard.press("1" if corrects else "5")
    if not corrects:
        return
    page.keyboard.press("j")
    page.keyboard.press("2")
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(" Please tell me if that is not what you meant.")


def sign_in(page: Page, address: str, email: str) -> None:
    """Sign in on the page."""
    page.goto(f"{address}/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def review_by_api(service: Service, key: str, slug: str) -> None:
    """Review everything as a program does for its maker: every second answer is corrected."""
    corrects = True
    while True:
        status, lease = service.ask("POST", f"/api/v1/projects/{slug}/leases", key, {})
        if status == 204:
            return
        assert status == 201, lease
        said = lease["targets"][0]["output"]["content"]
        answers = {"helpful": 2 if corrects else 4, "correct": "unsure", "wrong": []}
        if corrects:
            answers["correction"] = f"Thank you for waiting. {said}"
        body = {"answers": answers, "seconds_on_display": 3.2}
        status, review = service.ask("POST", f"/api/v1/leases/{lease['id']}/review", key, body)
        assert status == 201, review
        assert review["counted"]
        corrects = not corrects
