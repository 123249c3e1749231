"""The people of a journey: they sign in and judge until nothing is left, in a browser or by the API.

Each keeps a notebook of what they said, in the words that they read; what comes out at the other end is held to it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Locator, Page, expect

from tests.journeys.notebook import Notebook, Order, best_first
from tests.machine.chromium import chromium
from tests.machine.service import Service

PASSWORD = "a long enough passphrase"
ADDED = " Please tell me if that is not what you meant."


@dataclass
class Person:
    """Somebody who reviews in a thread of their own; what went wrong there is raised by `done`.

    coarseness: how far two answers must be apart for them to prefer one. severe: whether they find answers bad.
    """

    name: str
    coarseness: float
    severe: bool
    known: dict[str, str]  # answers by their letters: which one stands on the page
    notes: Notebook = field(default_factory=Notebook)
    trouble: list[BaseException] = field(default_factory=list)

    def start(self, work: Callable[["Person"], None]) -> None:
        self._thread = threading.Thread(target=self._run, args=(work,), name=self.name)
        self._thread.start()

    def done(self) -> None:
        self._thread.join(timeout=400)
        assert not self._thread.is_alive(), f"{self.name} is still at it"
        if self.trouble:
            raise self.trouble[0]

    def _run(self, work: Callable[["Person"], None]) -> None:
        try:
            work(self)
        except BaseException as trouble:
            self.trouble.append(trouble)


def letters_of(text: str) -> str:
    """A text as it is recognised on a page, whatever became of white space, numbers and signs."""
    return "".join(filter(str.isalpha, text))


def review_in_browser(service: Service, slug: str, person: Person) -> None:
    """Judge everything by keyboard: rate, tag what is wrong, correct, compare, submit and go on."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.set_default_timeout(60_000)
        sign_in(page, service.address, f"{person.name}@example.org")
        page.goto(f"{service.address}/projects/{slug}/review")
        while True:
            form = page.locator("form#review")
            expect(form.or_(page.get_by_text("Nothing waits for you"))).to_be_visible(timeout=60_000)
            if not form.is_visible():
                return
            lease = form.get_attribute("action")
            if page.locator("[data-candidate]").count():
                compare(page, person)
            else:
                fill_in(page, person)
            page.keyboard.press("Control+Enter")
            page.wait_for_function(
                "lease => document.querySelector('form#review')?.getAttribute('action') !== lease", arg=lease
            )


def fill_in(page: Page, person: Person) -> None:
    """Judge the response at hand as a person does who thinks little of it, or much."""
    page.locator("[data-criterion].is-current").wait_for()
    said = read(page.locator("#response"), person)
    person.notes.found(said, is_good=not person.severe)
    page.keyboard.press("2" if person.severe else "5")
    page.keyboard.press("j")
    page.keyboard.press("1" if person.severe else "5")
    if not person.severe:
        person.notes.demonstrated(said)
        return
    page.keyboard.press("j")
    page.keyboard.press("2")
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(ADDED)
    person.notes.corrected(said, said + ADDED)


def compare(page: Page, person: Person) -> None:
    """Put responses in order by their letters, and mark what is wrong in the last of them."""
    page.locator("[data-criterion].is-current").wait_for()
    texts = {
        str(one.get_attribute("data-candidate")): read(one.locator(".candidate__text"), person)
        for one in page.locator("[data-candidate]").all()
    }
    letter_of = {text: letter for letter, text in texts.items()}
    order = best_first(texts.values(), person.coarseness)
    worst = order[-1][-1]
    for _ in range(sorted(letter_of.values()).index(letter_of[worst])):  # one criterion for each response
        page.keyboard.press("j")
    page.keyboard.press("1")
    person.notes.tagged(worst)
    if page.locator("[data-order=pairwise]").count():
        choose(page, order, letter_of, person)
    else:
        rank(page, order, letter_of, person)


def rank(page: Page, order: Order, letter_of: dict[str, str], person: Person) -> None:
    """Best first; what is equal is joined by “=”."""
    for group in order:
        for place, text in enumerate(group):
            if place:
                page.keyboard.press("=")
            page.keyboard.press(letter_of[text].lower())
    person.notes.ranked(order)


def choose(page: Page, order: Order, letter_of: dict[str, str], person: Person) -> None:
    """Of two, the better one: its letter once for slightly, twice for much. This person's choices are all clear."""
    if len(order) == 1:
        page.keyboard.press("e")
        person.notes.chose(order[0], None)
        return
    page.keyboard.press(letter_of[order[0][0]].lower())
    page.keyboard.press(letter_of[order[0][0]].lower())
    person.notes.chose([order[0][0], order[1][0]], "much")


def read(place: Locator, person: Person) -> str:
    """Which of the answers stands there, by its letters."""
    shown = letters_of(place.inner_text())
    found = [text for letters, text in person.known.items() if letters in shown]
    assert found, f"nobody said this: {place.inner_text()}"
    return max(found, key=len)


def sign_in(page: Page, address: str, email: str) -> None:
    """Sign in on the page."""
    page.goto(f"{address}/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def review_by_api(service: Service, key: str, slug: str, person: Person) -> None:
    """Judge everything as a program does for its maker: every second answer is corrected."""
    while True:
        status, lease = service.ask("POST", f"/api/v1/projects/{slug}/leases", key, {})
        if status == 204:
            return
        assert status == 201, lease
        said = {target["response_id"]: target["output"]["content"] for target in lease["targets"]}
        answers = compared_by_api(said, person) if len(said) > 1 else judged_by_api(*said.values(), person)
        body = {"answers": answers, "seconds_on_display": 3.2}
        status, review = service.ask("POST", f"/api/v1/leases/{lease['id']}/review", key, body)
        assert status == 201, review
        assert review["counted"]


def judged_by_api(said: str, person: Person) -> dict[str, object]:
    """What to answer about a response, noted."""
    person.severe = not person.severe
    person.notes.found(said, is_good=not person.severe)
    answers: dict[str, object] = {"helpful": 2 if person.severe else 4, "correct": "unsure", "wrong": []}
    if person.severe:
        answers["correction"] = f"Thank you for waiting. {said}"
        person.notes.corrected(said, f"Thank you for waiting. {said}")
    else:
        person.notes.demonstrated(said)
    return answers


def compared_by_api(said: dict[str, str], person: Person) -> dict[str, object]:
    """What to answer about responses side by side, noted: the first ones are all bad, of two one is slightly better."""
    name_of = {text: name for name, text in said.items()}
    order = best_first(said.values(), person.coarseness)
    if len(said) == 2:
        if len(order) == 1:
            person.notes.chose(order[0], None)
            return {"better": "equal"}
        person.notes.chose([order[0][0], order[1][0]], "slightly")
        return {"better": {"better": name_of[order[0][0]], "strength": "slightly"}}
    if not person.notes.has_found_all_bad:
        person.notes.found_all_bad(list(said.values()))
        return {"ranking": "all_bad"}
    person.notes.ranked(order)
    return {"ranking": [[name_of[text] for text in group] for group in order], "reasons": ["more_correct"]}
