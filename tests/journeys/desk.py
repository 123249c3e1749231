"""A project on a running service: made in the database, worked in by commands, the API, the client and the pages."""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.keys import create_key
from hitl.accounts.members import add_member
from hitl.accounts.models import Project, User
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.passwords import hash_password
from hitl.accounts.projects import change_settings, create_project
from hitl.accounts.users import create_user
from hitl.app import import_parts
from hitl.client import Client
from hitl.queue.models import Rule
from hitl.queue.rules import AllCondition, Terms, create_rule, end_rule
from tests.journeys import material
from tests.journeys.reviewers import PASSWORD, Person, letters_of, review_by_api, review_in_browser
from tests.machine.service import Service

SLUG = "hotel-desk"
SHARES = ("--shares", "0.8,0.1,0.1")

BETTER_OF_TWO = {"kind": "pairwise", "name": "better", "label": "Which is better", "required": True}
WRONG_IN_EACH = {
    "kind": "tags",
    "name": "wrong_here",
    "label": "Wrong here",
    "asked_of": ["comparison"],
    "per": "response",
    "options": [{"value": "made_up", "label": "Made up"}, {"value": "rude", "label": "Rude"}],
}


class Exported(NamedTuple):
    """The folders of the datasets."""

    pairs: Path
    pairs_for_hub: Path  # the same pairs with agreement and margin
    answers: Path
    verdicts: Path


class Desk:
    """One project, its people and what they do there."""

    def __init__(self, service: Service) -> None:
        self.service = service
        import_parts()
        with service.instance() as instance, instance.database.writing() as db:
            project = create_project(db, SLUG, "Hotel desk")
            change_settings(db, project, {"end_user_thumbs": "yes"})
            create_rule(db, project, "Everything", Terms(condition=AllCondition(), rate=1.0, reviews_wanted=2))
            people = {name: _member(db, project, name, "annotator") for name in ("bo", "cy", "di")}
            el = _member(db, project, "el", "admin")
            every_scope = ["capture", "feedback", "queue", "datasets"]
            _, self.admin_key = create_key(db, project, el, "everything", every_scope)
            _, self.client_key = create_key(db, project, el, "client", ["capture", "feedback"])
            _, self.reviewer_key = create_key(db, project, people["di"], "reviewer", ["review"])
        service.start()

    def ask_more(self) -> None:
        """Publish a rubric that also asks which of two is better, and what is wrong in each response compared."""
        path = f"/api/v1/projects/{SLUG}/rubrics"
        status, page = self.service.ask("GET", path, self.admin_key)
        assert status == 200, page
        criteria = [WRONG_IN_EACH, *page["rubrics"][0]["criteria"], BETTER_OF_TWO]
        status, published = self.service.ask("POST", path, self.admin_key, {"criteria": criteria})
        assert status == 201, published

    def take_in_by_api(self) -> None:
        """Put in answers of agents with their tool calls, and what users said; a rule draws each of them."""
        path = f"/api/v1/projects/{SLUG}"
        responses = {"responses": material.agent_answers()}
        for _ in range(2):  # a client that did not hear the answer sends again: nothing is stored twice
            status, stored = self.service.ask("POST", f"{path}/responses", self.admin_key, responses)
            assert status == 200, stored
        assert {result["status"] for result in stored["results"]} == {"duplicate"}
        feedback = {"feedback": material.agent_feedback()}
        status, said = self.service.ask("POST", f"{path}/feedback", self.admin_key, feedback)
        assert status == 200, said
        self._wait_for(material.AGENT_ANSWERS, "items")

    def take_in_by_client(self) -> None:
        """Capture what five models answered, and answers with thumbs, as a program does that runs them.

        A rule lays the five answers to a prompt side by side; of other prompts two answers are laid so by hand.
        """
        self._end_rules()
        compare = ("--compare", "5", "--compare-from", "5", "--reviews", "2")
        self.service.run("rule", "add", "Side by side", "--project", SLUG, *compare)
        pairs = material.paired_answers()
        thumbed = material.thumbed_answers()
        lost: list[Any] = []
        with Client(self.service.address, self.client_key, SLUG, on_problem=lost.append) as client:
            for row, is_up in thumbed:  # the thumb may come before its response
                client.feedback(client_id=row["client_id"], kind="thumbs", value=is_up)
            for row in [*material.ranked_answers(), *(row for pair in pairs for row in pair), *(r for r, _ in thumbed)]:
                _capture(client, row)
            assert client.flush(60), self.service.log()
            told = client.statistics()
        assert not lost
        assert told.stored_count == len(material.ranked_answers()) + 2 * len(pairs) + 2 * len(thumbed)
        by_command, *by_api = [[row["client_id"] for row in pair] for pair in pairs]
        self.service.run("queue", "compare", "--project", SLUG, "--reviews", "2", *by_command)
        picked = {"comparisons": [{"client_ids": ids} for ids in by_api], "reviews_wanted": 2}
        status, items = self.service.ask("POST", f"/api/v1/projects/{SLUG}/items", self.admin_key, picked)
        assert status == 201, items
        self._wait_for(material.AGENT_ANSWERS + material.RANKED_PROMPTS + material.PAIRED_PROMPTS, "items")

    def review_together(self) -> list[Person]:
        """Three people at once: two in browsers, one by the API. Return them with their notebooks."""
        known = {letters_of(text): text for text in material.all_answers()}
        bo, cy, di = (
            Person("bo", 0.3, True, known),
            Person("cy", 0.2, False, known),
            Person("di", 0.25, False, known),
        )
        for person in (bo, cy):
            person.start(partial(review_in_browser, self.service, SLUG))
        di.start(self._review_slowly_by_api)
        for person in (bo, cy, di):
            person.done()
        return [bo, cy, di]

    def freeze_and_export(self, folder: Path) -> Exported:
        """Freeze and export by the commands of the README; return the folders."""
        out = Exported(*(folder / name for name in ("pairs", "hub", "answers", "verdicts")))
        self._freeze("pairs", "preference")
        # Each, not the majority: one approves what another corrects, and both are worth imitating here.
        self._freeze("answers", "demonstration", "--policy", "each")
        self._freeze("found", "verdict")
        self._export("pairs@1", "trl-preference", out.pairs)
        self._export("pairs@1", "huggingface", out.pairs_for_hub)
        self._export("answers@1", "trl-prompt-completion", out.answers)
        self._export("found@1", "trl-unpaired-preference", out.verdicts)
        return out

    def all_of(self, kind: str) -> list[dict[str, Any]]:
        """Everything of a kind, as the API gives it."""
        status, page = self.service.ask("GET", f"/api/v1/projects/{SLUG}/{kind}?limit=1000", self.admin_key)
        assert status == 200, page
        assert page["next_cursor"] is None
        rows: list[dict[str, Any]] = page[kind]
        return rows

    def _end_rules(self) -> None:
        with self.service.instance() as instance, instance.database.writing() as db:
            for rule in db.scalars(select(Rule)):
                end_rule(db, rule)

    def _freeze(self, name: str, kind: str, *options: str) -> None:
        self.service.run("dataset", "freeze", name, "--project", SLUG, "--kind", kind, *options, *SHARES)

    def _export(self, version: str, form: str, out: Path) -> None:
        self.service.run("export", version, "--project", SLUG, "--format", form, "--out", str(out))

    def _wait_for(self, count: int, kind: str) -> None:
        deadline = time.monotonic() + 60
        while len(self.all_of(kind)) < count:
            assert time.monotonic() < deadline, self.service.log()
            time.sleep(0.2)

    def _review_slowly_by_api(self, person: Person) -> None:
        """A program is quicker than people: it lets them have their first items before it begins."""
        deadline = time.monotonic() + 60
        while not self.all_of("reviews") and time.monotonic() < deadline:
            time.sleep(0.2)
        review_by_api(self.service, self.reviewer_key, SLUG, person)


def _member(db: Session, project: Project, name: str, role: str) -> User:
    user = create_user(db, f"{name}@example.org", name.capitalize())
    set_password_hash(db, user, hash_password(PASSWORD), by=None)
    add_member(db, project, user, role)
    return user


def _capture(client: Client, row: dict[str, Any]) -> None:
    client.capture(
        messages=row["input"]["messages"],
        output=row["output"],
        client_id=row["client_id"],
        model=row["model"],
        parameters=row["parameters"],
        metadata=row["metadata"],
        may_train=row["may_train"],
    )
