"""Promise 7 for rows: where a row comes from, and where a response went."""

import dataclasses

import pytest

from hitl.accounts.models import Project
from hitl.capture.models import Conversation
from hitl.datasets.biography import biography, versions_with
from hitl.datasets.errors import NoSuchRow, NoSuchVersion, VersionNotFrozen
from hitl.datasets.storage import storage_of
from hitl.datasets.versions import parse_version_name, rows_page, version_named
from hitl.queue.models import Rule, RuleVersion
from hitl.queue.models import Selection as Draw

ANYTHING = {"include_unknown": True}


@pytest.fixture
def reviewed(desk):
    """A response of a conversation, drawn by a rule, corrected by two people; and another."""
    conversation = desk.write(lambda db: _added(db, Conversation(project_id=desk.project.id, client_id="star-461")))
    response = desk.response("A room?", "I booked it!", conversation_id=conversation.id, end_user="secret-guest")
    desk.write(lambda db: _draw(db, desk, response))
    desk.corrects(response, "There is no room.", by="kim")
    desk.corrects(response, "There is  no room.", by="lee")
    desk.corrects(desk.response("Another?", "No"), "Yes")
    return response


def _added(db, row):
    db.add(row)
    db.flush()
    return row


def _draw(db, desk, response):
    rule = _added(db, Rule(project_id=desk.project.id, name="Random sample"))
    version = _added(db, RuleVersion(rule_id=rule.id, number=1, condition={}, rate=0.05))
    db.add(Draw(response_id=response.id, rule_id=rule.id, rule_version_id=version.id, rate=0.05, is_drawn=True))


class TestBiography:
    def test_a_row_names_response_rules_reviews_evidence_and_versions(self, desk, reviewed):
        first = desk.freeze(**ANYTHING)
        desk.corrects(desk.response("A third?", "No"), "Yes")
        second = desk.freeze()
        desk.freeze("strict", **ANYTHING)
        desk.freeze("shown", "demonstration", **ANYTHING)

        with desk.database.reading() as db:
            rows = rows_page(storage_of(db), first).rows
            row_id = next(row["id"] for row in rows if row["prompt"][0]["content"] == "A room?")
            found = biography(db, version_named(db, desk.project, "desk", second.number), row_id)

        assert found.row["chosen"]["content"].split() == ["There", "is", "no", "room."]
        assert [(one.conversation, one.model) for one in found.responses] == [("star-461", "desk-small")]
        assert [(rule.name, rule.rate, rule.is_drawn) for rule in found.rules] == [("Random sample", 0.05, True)]
        assert found.inclusion_probability == pytest.approx(0.05)
        assert len({review.reviewer for review in found.reviews}) == 2
        assert all(review.revision == 1 and review.rubric_version == 1 for review in found.reviews)
        assert [one.outcome for one in found.evidence] == ["a", "a"]
        named = [(one.dataset, one.version, one.row_ids) for one in found.versions]
        assert named == [("desk", 1, [row_id]), ("desk", 2, [row_id]), ("strict", 1, [row_id])]
        assert "secret-guest" not in repr(dataclasses.asdict(found))
        assert str(desk.people["kim"]) not in repr(dataclasses.asdict(found))

    def test_a_review_that_was_taken_back_since_is_still_named_and_marked(self, desk):
        revision = desk.corrects(desk.response("One?", "1"), "One.")
        version = desk.freeze(**ANYTHING)
        desk.forgets(revision)

        with desk.database.reading() as db:
            (row,) = rows_page(storage_of(db), version).rows
            (review,) = biography(db, version_named(db, desk.project, "desk"), row["id"]).reviews

        assert not review.counts_today

    def test_an_unknown_row_or_version_is_said_so(self, desk, reviewed):
        version = desk.freeze(**ANYTHING)
        failed = desk.freeze()

        with desk.database.reading() as db:
            with pytest.raises(NoSuchRow):
                biography(db, version_named(db, desk.project, "desk", version.number), "0" * 64)
            with pytest.raises(VersionNotFrozen, match="Nothing new"):
                biography(db, version_named(db, desk.project, "desk", failed.number), "0" * 64)
            with pytest.raises(NoSuchVersion):
                version_named(db, desk.project, "desk", 9)
            with pytest.raises(NoSuchVersion):
                version_named(db, Project(id=desk.people["kim"]), "desk", version.number)

    def test_forward_from_a_response_to_its_rows_and_versions(self, desk, reviewed):
        version = desk.freeze(**ANYTHING)
        desk.freeze("shown", "demonstration", **ANYTHING)

        with desk.database.reading() as db:
            appearances = versions_with(db, reviewed.id)
            rows = rows_page(storage_of(db), version).rows

        expected = next(row["id"] for row in rows if row["prompt"][0]["content"] == "A room?")
        assert [(one.dataset, one.version) for one in appearances] == [("desk", 1), ("shown", 1)]
        assert appearances[0].row_ids == [expected]


class TestRows:
    def test_pages_follow_each_other_across_row_groups(self, desk, monkeypatch):
        monkeypatch.setattr("hitl.datasets.second_pass.ROWS_PER_GROUP", 3)
        for n in range(10):
            desk.corrects(desk.response(f"{n}?", "wrong"), "right")
        version = desk.freeze(**ANYTHING)

        with desk.database.reading() as db:
            storage, seen, after = storage_of(db), [], 0
            while after is not None:
                page = rows_page(storage, version, after=after, limit=4)
                seen.extend(page.rows)
                after = page.next_position
            trained = rows_page(storage, version, split="train").rows

        assert [row["position"] for row in seen] == list(range(10))
        assert [row["input_hash"] for row in seen] == sorted(row["input_hash"] for row in seen)
        assert [row["id"] for row in trained] == [row["id"] for row in seen if row["split"] == "train"]


@pytest.mark.parametrize(("text", "parsed"), [("desk@4", ("desk", 4)), ("desk", ("desk", None))])
def test_a_version_is_named_by_dataset_and_number(text, parsed):
    assert parse_version_name(text) == parsed


@pytest.mark.parametrize("text", ["desk@", "@4", "desk@0", "desk@x", "", "desk@1@2"])
def test_what_names_no_version_is_refused(text):
    with pytest.raises(NoSuchVersion):
        parse_version_name(text)
