"""The editor's form as a browser without scripts fills it in and sends it."""

from html.parser import HTMLParser

import pytest
from werkzeug.datastructures import MultiDict

from hitl.review.starter_rubric import starter_rubric
from tests.hitl import factories


class Fields(HTMLParser):
    """Gathers what a browser would send of the form with an id."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id, self.is_inside, self.fields, self._select = form_id, False, MultiDict(), None

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "form":
            self.is_inside = found.get("id") == self.form_id
        belongs = found["form"] == self.form_id if "form" in found else self.is_inside
        if tag == "select" and belongs:
            self._select = found["name"]
        if tag == "option" and self._select and "selected" in found:
            self.fields.add(self._select, found["value"])
        if tag != "input" or not belongs or "name" not in found:
            return
        if found.get("type") in ("checkbox", "radio") and "checked" not in found:
            return
        self.fields.add(found["name"], found.get("value", "on"))

    def handle_endtag(self, tag):
        if tag == "form":
            self.is_inside = False
        if tag == "select":
            self._select = None


class Editor:
    """The rubric editor in one lead's browser."""

    def __init__(self, browser, project) -> None:
        self.browser, self.url = browser, f"/projects/{project.slug}/rubric"
        self.open()

    def open(self) -> str:
        self.page = self.browser.get(self.url).text
        return self.page

    @property
    def fields(self) -> MultiDict:
        parser = Fields("rubric-form")
        parser.feed(self.page)
        return parser.fields

    def press(self, action: str, **changes):
        """Change fields, such as `0.label`, and press a button; follows to the page that comes next."""
        fields = self.fields
        for name, value in {"action": action, **changes}.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            fields.setlist(name, values)
        answer = self.browser.post(f"{self.url}/draft", data=fields)
        self.page = self.browser.get(answer.location).text if answer.status_code == 303 else answer.text
        return answer

    def publish(self, **fields):
        seen = self.fields["seen_number"]
        answer = self.browser.post(f"{self.url}/publication", data={"seen_number": seen, **fields})
        self.open()
        return answer


@pytest.fixture
def desk(sign_in, committed):
    """A project whose rubric asks four things: a scale, another, tags and a correction."""
    criteria = [one for one in starter_rubric().as_json() if "response" in one["asked_of"]]
    # After `sign_in`: the application is put together before anything waits here to be committed.
    return factories.Project(slug="hotel-desk", name="Hotel desk", rubric=criteria)


@pytest.fixture
def lead(member):
    return member("lead", name="Ana Lima")


@pytest.fixture
def editor(desk, lead, sign_in):
    return Editor(sign_in(lead), desk)


@pytest.fixture
def another(desk, member, sign_in):
    """The editor in the browser of another lead, opened when asked for."""
    return lambda: Editor(sign_in(member("lead", name="Kim Berg")), desk)


@pytest.fixture
def item(desk):
    """An open item of the desk."""
    return factories.Item(project=desk, response=factories.Response(project=desk, text="Breakfast is until ten."))
