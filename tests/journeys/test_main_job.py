"""From a production response to a model that learned from it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeDatabase
from tests.exporters.readers import load, tiny_model, tokenizer
from tests.journeys import material
from tests.journeys.desk import Desk, Exported
from tests.journeys.notebook import Notebook, Row, pairs_by_majority, verdicts_by_majority
from tests.journeys.reviewers import Person
from tests.journeys.trainers import (
    find_lost_rows,
    learn_from_verdicts,
    learn_preferences,
    learn_to_imitate,
    learn_to_judge,
    longest_row,
    rows_of,
    whole_conversations,
)
from tests.machine.service import serving


@pytest.mark.timeout(900)
def test_real_responses_become_trained_models(desk: Desk, model: str, tmp_path: Path) -> None:
    desk.ask_more()
    desk.take_in_by_api()
    desk.take_in_by_client()
    people = desk.review_together()
    reviews_are_as_wanted(desk.all_of("reviews"), people)

    exported = desk.freeze_and_export(tmp_path)
    rows_are_what_people_said(exported, [person.notes for person in people], tmp_path)

    longest = longest_row(model, whole_conversations(exported.pairs, exported.answers, exported.verdicts)) + 1
    learn_preferences(model, exported.pairs, tmp_path, max_length=longest)
    learn_to_judge(model, exported.pairs, tmp_path, max_length=longest)
    learn_to_imitate(model, exported.answers, tmp_path, max_length=longest)
    learn_from_verdicts(model, exported.verdicts, tmp_path, max_length=longest)
    find_lost_rows(model, exported.pairs, tmp_path)


def reviews_are_as_wanted(reviews: list[dict[str, Any]], people: list[Person]) -> None:
    """Each item has exactly the two reviews it wanted, by two people, and all three took part."""
    by_item = Counter(review["item_id"] for review in reviews)
    by_person = {(review["item_id"], review["reviewer"]["id"]) for review in reviews}
    assert len(by_item) == material.AGENT_ANSWERS + material.RANKED_PROMPTS + material.PAIRED_PROMPTS
    assert set(by_item.values()) == {2}
    assert len(by_person) == len(reviews)
    assert all(review["counted"] for review in reviews)
    assert len({reviewer for _, reviewer in by_person}) == 3
    compared = sum((person.notes.compared for person in people), Counter[frozenset[str]]())
    assert len(compared) == material.RANKED_PROMPTS + material.PAIRED_PROMPTS
    assert set(compared.values()) == {2}
    wrong = [review["revisions"][-1]["answers"].get("wrong_here") for review in reviews]
    assert [list(said.values()) for said in wrong if said] == [[["made_up"]]] * sum(len(p.notes.wrong) for p in people)


def rows_are_what_people_said(exported: Exported, notes: list[Notebook], folder: Path) -> None:
    """Every row, and no other, in the words that people read and wrote."""
    pairs = pairs_by_majority(notes)
    assert {row.margin is None for row in pairs} == {True, False}, "corrections, and judgements of comparisons"
    assert texts_of(exported.pairs, "chosen", "rejected") == Counter((row.chosen, row.rejected) for row in pairs)
    assert hub_rows(exported.pairs_for_hub, folder) == Counter(pairs)

    worth_imitating = set().union(*(note.worth_imitating for note in notes))
    assert texts_of(exported.answers, "completion") == Counter((text,) for text in worth_imitating)

    thumbs = [(material.text_of(row), is_up) for row, is_up in material.thumbed_answers()]
    found = Counter((row["completion"][0]["content"], row["label"]) for row in rows_of(exported.verdicts))
    assert found == Counter(verdicts_by_majority(notes, thumbs))
    assert set(thumbs) <= set(found)


def texts_of(folder: Path, *sides: str) -> Counter[tuple[str, ...]]:
    return Counter(tuple(row[side][0]["content"] for side in sides) for row in rows_of(folder))


def hub_rows(folder: Path, cache: Path) -> Counter[Row]:
    return Counter(
        Row(row["chosen"][0]["content"], row["rejected"][0]["content"], row["agreement"], row["score_margin"])
        for split in load(folder, cache / "cache").values()
        for row in split
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Desk]:
    processes = 2 if request.param == "postgresql" else 1
    with serving(tmp_path, make_database(request.param), web_processes=processes) as service:
        yield Desk(service)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model that knows the words of all that was said."""
    return tiny_model(tmp_path_factory.mktemp("model"), words=tokenizer(material.all_words(), vocabulary=1200))
