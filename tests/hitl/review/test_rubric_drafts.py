import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from hitl.accounts.models import Project, User
from hitl.core.errors import TooLarge
from hitl.queue.leases import claim, give_back
from hitl.queue.models import Item
from hitl.queue.slots import lock_item
from hitl.review.errors import RubricDraftChanged, RubricRefused
from hitl.review.models import Draft, RubricVersion
from hitl.review.rubric_drafts import (
    completed,
    derived_name,
    discard_rubric_draft,
    open_items,
    problems_in,
    publish_rubric_draft,
    rubric_draft_of,
    save_rubric_draft,
    untouched_items,
)
from hitl.review.rubrics import Rubric, publish_rubric, read_rubric, rubric_in_use
from tests.hitl import factories

A_WHILE = 0.5  # seconds in which the other transaction comes to its first wait
THUMBS = {"kind": "thumbs", "name": "good", "label": "Good"}
PAIRWISE = {"kind": "pairwise", "name": "better", "label": "Better"}
RANKING = {"kind": "ranking", "name": "rank", "label": "Rank"}
SCALE = {
    "kind": "scale",
    "name": "clear",
    "label": "Clear",
    "points": [{"value": 1, "label": "Muddled"}, {"value": 2, "label": "Clear"}],
}


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def lead(db, project):
    return factories.Membership(project=project, role="lead").user


class TestSaving:
    def test_it_keeps_what_is_not_complete(self, db, project, lead):
        save_rubric_draft(db, project, [{"kind": "scale", "label": ""}], seen_number=0, by=lead)

        draft = rubric_draft_of(db, project)
        assert (draft.number, draft.criteria, draft.editor) == (1, [{"kind": "scale", "label": ""}], lead)
        assert draft.base_id == project.rubric_version_id

    def test_of_two_leads_the_second_is_told(self, db, project, lead):
        another = factories.Membership(project=project, role="lead").user
        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        with pytest.raises(RubricDraftChanged):
            save_rubric_draft(db, project, [SCALE], seen_number=0, by=another)
        save_rubric_draft(db, project, [SCALE], seen_number=1, by=another)
        with pytest.raises(RubricDraftChanged):
            save_rubric_draft(db, project, [THUMBS], seen_number=1, by=lead)
        assert rubric_draft_of(db, project).criteria == [SCALE]

    def test_a_save_that_changes_nothing_is_none(self, db, project, lead):
        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        assert save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead).number == 1

    def test_a_page_from_before_a_discarded_draft_does_not_pass_for_up_to_date(self, db, project, lead):
        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        with pytest.raises(RubricDraftChanged):
            discard_rubric_draft(db, project, seen_number=0)
        discard_rubric_draft(db, project, seen_number=1)
        assert rubric_draft_of(db, project) is None
        save_rubric_draft(db, project, [SCALE], seen_number=0, by=lead)
        with pytest.raises(RubricDraftChanged):
            save_rubric_draft(db, project, [THUMBS], seen_number=1, by=lead)

    def test_a_save_that_comes_late_does_not_bring_an_ended_draft_back(self, db, project, lead):
        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        publish_rubric_draft(db, project, seen_number=1, by=lead)
        with pytest.raises(RubricDraftChanged):
            save_rubric_draft(db, project, [THUMBS], seen_number=1, by=lead)
        assert rubric_draft_of(db, project) is None

    @pytest.mark.parametrize("label", ["NUL\0", "\ud800"])
    def test_it_refuses_what_cannot_be_stored(self, db, project, lead, label):
        with pytest.raises(RubricRefused):
            save_rubric_draft(db, project, [{"kind": "text", "label": label}], seen_number=0, by=lead)

    def test_it_refuses_what_nobody_could_answer(self, db, project, lead):
        with pytest.raises(TooLarge):
            save_rubric_draft(db, project, [{"kind": "text", "label": "x" * 300_000}], seen_number=0, by=lead)


class TestPublishing:
    def test_it_becomes_the_next_version_and_ends_the_draft(self, db, project, lead):
        save_rubric_draft(db, project, [THUMBS | {"name": ""}], seen_number=0, by=lead)
        version, moved = publish_rubric_draft(db, project, seen_number=1, by=lead)

        assert (version.number, moved) == (2, 0)
        assert rubric_in_use(db, project).criteria[0].name == "good"
        assert rubric_draft_of(db, project) is None
        with pytest.raises(RubricDraftChanged):
            publish_rubric_draft(db, project, seen_number=1, by=lead)

    def test_it_publishes_nothing_that_was_not_seen_or_is_not_complete(self, db, project, lead):
        save_rubric_draft(db, project, [{"kind": "thumbs", "label": ""}], seen_number=0, by=lead)
        with pytest.raises(RubricDraftChanged):
            publish_rubric_draft(db, project, seen_number=0, by=lead)
        with pytest.raises(RubricRefused) as refused:
            publish_rubric_draft(db, project, seen_number=1, by=lead)
        assert refused.value.param.startswith("/criteria/0/")

    def test_open_items_keep_theirs_unless_nobody_has_begun_them(self, db, project, lead):
        reviewer = factories.Membership(project=project, role="annotator").user
        held, drafted, partly = (factories.Item(project=project, reviews_wanted=n) for n in (1, 1, 2))
        lease = claim(db, project, reviewer)
        assert lease.item_id == held.id
        db.add(Draft(item_id=drafted.id, reviewer_id=reviewer.id, answers={"good": "up"}))
        partly.open_slots = 1
        fresh = factories.Item(project=project)
        db.flush()
        assert (open_items(db, project), untouched_items(db, project, Rubric(criteria=[THUMBS]))) == (4, 1)

        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        version, moved = publish_rubric_draft(db, project, seen_number=1, by=lead, also_untouched=True)

        db.expire_all()
        assert moved == 1
        assert fresh.rubric_version_id == version.id
        assert {item.rubric_version_id for item in (held, drafted, partly)}.isdisjoint({version.id})

    def test_an_item_given_back_untouched_counts_as_not_begun(self, db, project, lead):
        reviewer = factories.Membership(project=project, role="annotator").user
        factories.Item(project=project)
        give_back(db, claim(db, project, reviewer))
        assert untouched_items(db, project, Rubric(criteria=[THUMBS])) == 1

    @pytest.mark.parametrize(
        ("criteria", "given"),
        [
            ([THUMBS], {"response", "conversation"}),
            ([PAIRWISE], {"two"}),
            ([RANKING], {"two", "three"}),
            ([THUMBS | {"asked_of": ["comparison"]}, PAIRWISE], {"two"}),
        ],
    )
    def test_items_of_which_it_asks_nothing_keep_theirs(self, db, lead, project, criteria, given):
        made = {
            "response": factories.Item(project=project),
            "conversation": factories.Item(project=project, kind="conversation"),
            "two": factories.Comparison(project=project, texts="ab"),
            "three": factories.Comparison(project=project, texts="abc"),
        }
        save_rubric_draft(db, project, criteria, seen_number=0, by=lead)
        assert untouched_items(db, project, Rubric(criteria=criteria)) == len(given)
        version, moved = publish_rubric_draft(db, project, seen_number=1, by=lead, also_untouched=True)

        db.expire_all()
        assert moved == len(given)
        assert {name for name, item in made.items() if item.rubric_version_id == version.id} == given

    def test_items_of_other_projects_are_left_alone(self, db, project, lead):
        elsewhere = factories.Item()
        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        assert publish_rubric_draft(db, project, seen_number=1, by=lead, also_untouched=True)[1] == 0
        assert db.get_one(RubricVersion, elsewhere.rubric_version_id).project_id == elsewhere.project_id

    def test_a_version_published_by_a_program_meanwhile_is_seen(self, db, project, lead):
        save_rubric_draft(db, project, [THUMBS], seen_number=0, by=lead)
        published = publish_rubric(db, project, read_rubric([SCALE]))
        draft = rubric_draft_of(db, project)
        assert draft.base_id != published.id
        assert publish_rubric_draft(db, project, seen_number=1, by=lead)[0].number == 3


class TestProblems:
    @pytest.mark.parametrize(
        ("criteria", "at", "words"),
        [
            ([], "/criteria", "at least one criterion"),
            ([{"kind": "thumbs", "label": ""}], "/criteria/0/label", "Give it a label"),
            ([{"kind": "thumbs", "label": "Gut?", "name": "Gut!"}], "/criteria/0/name", "Lower-case letters"),
            ([{"kind": "thumbs", "label": "良い"}], "/criteria/0/name", "Lower-case letters"),
            ([SCALE | {"points": SCALE["points"][:1]}], "/criteria/0/points", "at least two points"),
            (
                [SCALE | {"points": [*SCALE["points"], {"value": 3, "label": ""}]}],
                "/criteria/0/points/2/label",
                "Say what this means",
            ),
            (
                [SCALE | {"points": [*SCALE["points"], {"value": "three", "label": "Three"}]}],
                "/criteria/0/points/2/value",
                "A whole number",
            ),
            ([SCALE | {"points": SCALE["points"][::-1]}], "/criteria/0", "must rise"),
            ([{"kind": "tags", "label": "Tags", "options": []}], "/criteria/0/options", "at least one"),
            ([THUMBS, SCALE | {"name": "good"}], "/criteria/1/name", "Criterion 1 is named “good”, too"),
            ([THUMBS, {"kind": "text", "label": "Comment"}], "/criteria/1/name", "part of every review"),
            (
                [THUMBS | {"overall": True}, SCALE | {"overall": True}],
                "/criteria/1/overall",
                "Criterion 1 is the overall one already",
            ),
            (
                [{"kind": "correction", "label": "A"}, {"kind": "correction", "label": "B"}],
                "/criteria",
                "one criterion",
            ),
        ],
    )
    def test_they_are_named_at_their_field(self, criteria, at, words):
        problems = problems_in(criteria)
        assert words in problems[at], problems

    def test_all_are_named_at_once(self):
        assert len(problems_in([{"kind": "thumbs", "label": ""}, SCALE | {"points": []}])) >= 2

    def test_names_come_from_labels(self):
        assert derived_name("What is wrong?") == "what_is_wrong"
        assert derived_name("Café & Küche") == "cafe_kuche"
        assert derived_name("1 to 5") == "to"
        assert len(derived_name("x" * 300)) == 40
        whole = completed([{"kind": "tags", "label": "Wrong", "options": [{"value": "", "label": "Made up"}]}])
        assert whole[0]["name"] == "wrong"
        assert whole[0]["options"][0]["value"] == "made_up"


class TestAtOnce:
    def test_of_two_first_saves_at_the_same_moment_one_is_told(self, shared_database, committed):
        project = factories.Project()
        leads = [factories.Membership(project=project, role="lead").user.id for _ in range(4)]
        committed.commit()

        def save(lead_id):
            try:
                with shared_database.writing() as db:
                    criteria = [{"kind": "text", "label": str(lead_id)}]
                    here = db.get_one(Project, project.id)
                    save_rubric_draft(db, here, criteria, seen_number=0, by=db.get_one(User, lead_id))
            except RubricDraftChanged:
                return "told"
            return "saved"

        with ThreadPoolExecutor(4) as crowd:
            assert sorted(crowd.map(save, leads)) == ["saved", "told", "told", "told"]

    def test_it_waits_for_nobody_who_holds_an_item(self, shared_database, committed):
        project = factories.Project()
        lead = factories.Membership(project=project, role="lead").user
        first, second = (factories.Item(project=project) for _ in range(2))
        save_rubric_draft(committed, project, [THUMBS], seen_number=0, by=lead)
        committed.commit()

        def publish():
            with shared_database.writing() as db:
                here, by = db.get_one(Project, project.id), db.get_one(User, lead.id)
                return publish_rubric_draft(db, here, seen_number=1, by=by, also_untouched=True)[1]

        with ThreadPoolExecutor(1) as crowd:
            with shared_database.writing() as db:
                lock_item(db, second.id)
                published = crowd.submit(publish)
                time.sleep(A_WHILE)
                lock_item(db, first.id)  # it would wait for the second, and we for the first
            assert published.result() in (1, 2)  # SQLite lets one write after the other

    def test_an_item_claimed_while_publishing_is_judged_by_one_rubric(self, shared_database, committed):
        """Whoever claims first keeps the old one; whoever claims after gets the new one."""
        project = factories.Project()
        lead = factories.Membership(project=project, role="lead").user
        reviewers = [factories.Membership(project=project, role="annotator").user for _ in range(4)]
        for _ in range(20):
            factories.Item(project=project)
        save_rubric_draft(committed, project, [THUMBS], seen_number=0, by=lead)
        committed.commit()

        def take(reviewer):
            seen = []
            for _ in range(3):
                with shared_database.writing() as db:
                    lease = claim(db, db.get_one(Project, project.id), db.get_one(User, reviewer.id))
                    seen.append((lease.item_id, db.get_one(Item, lease.item_id).rubric_version_id))
            return seen

        def publish(_):
            with shared_database.writing() as db:
                here, by = db.get_one(Project, project.id), db.get_one(User, lead.id)
                publish_rubric_draft(db, here, seen_number=1, by=by, also_untouched=True)
            return []

        with ThreadPoolExecutor(5) as crowd:
            published = crowd.submit(publish, None)
            seen = [pair for found in crowd.map(take, reviewers) for pair in found]
            published.result()
        with shared_database.reading() as db:
            now = dict(db.execute(select(Item.id, Item.rubric_version_id)).all())
        assert len(seen) == 12
        assert [item_id for item_id, version in seen if now[item_id] != version] == []
