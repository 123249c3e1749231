import pytest

from hitl.accounts.models import Membership
from hitl.core import clock
from hitl.queue.models import Item, Lease
from hitl.review.schemas import DraftConflictEnvelope
from hitl.review.starter_rubric import starter_rubric
from tests.hitl import factories


class TestReview:
    def test_it_counts_and_comes_back_under_my_reviews_and_all_reviews(self, api, committed, lease, project):
        reviewer = api(project, "review", maker=lease.reviewer)
        lead = api(project, "queue", maker=member(project, "lead"))

        created = reviewer.post(
            f"/api/v1/leases/{lease.id}/review",
            json={"answers": {"helpful": 2, "correction": "Sorry."}, "comment": "hm", "seconds_on_display": 4.5},
        )

        assert created.status_code == 201
        assert created.json["counted"] is True
        revision = created.json["revisions"][0]
        assert revision["answers"] == {"helpful": 2, "correction": {"role": "assistant", "content": "Sorry."}}
        assert (revision["number"], revision["comment"], revision["seconds_on_display"]) == (1, "hm", 4.5)
        assert reviewer.get(f"/api/v1/projects/{project.slug}/my-reviews").json["reviews"] == [created.json]
        told = created.json
        assert told.pop("models") is None  # for its author alone, and only of a closed comparison
        seen_by_lead = lead.get(f"/api/v1/projects/{project.slug}/reviews").json["reviews"]
        assert seen_by_lead == [told | {"reviewer": {"id": str(lease.reviewer.id), "name": lease.reviewer.name}}]

    def test_a_late_one_is_an_extra_until_a_lead_admits_it(self, api, committed, late, project):
        reviewer = api(project, "review", maker=late.reviewer)
        lead = api(project, "queue", maker=member(project, "lead"))

        extra = reviewer.post(f"/api/v1/leases/{late.id}/review", json={"answers": {"helpful": 2}})
        assert (extra.status_code, extra.json["counted"]) == (200, False)
        full = lead.post(f"/api/v1/reviews/{extra.json['id']}/admission")
        assert (full.status_code, full.json["error"]["code"]) == (409, "no_open_slot")

        committed.get_one(Item, late.item_id).open_slots = 1
        committed.commit()
        admitted = lead.post(f"/api/v1/reviews/{extra.json['id']}/admission")

        assert (admitted.status_code, admitted.json["standing"]) == (201, "counted")

    def test_one_that_changed_comes_again_to_whoever_follows_all_reviews(self, api, committed, lease, project):
        reviewer = api(project, "review", maker=lease.reviewer)
        lead = Follower(api(project, "queue", maker=member(project, "lead")), project)
        review = reviewer.post(f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 2}}).json

        assert lead.news() == [(review["id"], "counted", 1)]
        assert lead.news() == []

        reviewer.post(f"/api/v1/reviews/{review['id']}/revisions", json={"answers": {"helpful": 2}})
        assert lead.news() == []  # the same answers again are no change
        reviewer.post(f"/api/v1/reviews/{review['id']}/revisions", json={"answers": {"helpful": 5}})
        assert lead.news() == [(review["id"], "counted", 2)]
        reopened = reviewer.post(f"/api/v1/reviews/{review['id']}/reopening").json
        assert lead.news() == [(review["id"], "reopened", 2)]
        reviewer.post(f"/api/v1/leases/{reopened['lease_id']}/review", json={"answers": {"helpful": 4}})
        assert lead.news() == [(review["id"], "counted", 3)]
        assert lead.news() == []

    def test_an_extra_comes_again_when_it_is_revised_and_when_it_is_admitted(self, api, committed, late, project):
        reviewer = api(project, "review", maker=late.reviewer)
        lead = Follower(api(project, "queue", maker=member(project, "lead")), project)
        extra = reviewer.post(f"/api/v1/leases/{late.id}/review", json={"answers": {"helpful": 2}}).json
        assert lead.news() == [(extra["id"], "extra", 1)]

        reviewer.post(f"/api/v1/reviews/{extra['id']}/revisions", json={"answers": {"helpful": 5}})
        assert lead.news() == [(extra["id"], "extra", 2)]
        committed.get_one(Item, late.item_id).open_slots = 1
        committed.commit()
        lead.program.post(f"/api/v1/reviews/{extra['id']}/admission")
        assert lead.news() == [(extra["id"], "counted", 2)]

    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            ({"answers": {"helpful": 9}}, "answers_refused", "/answers/helpful"),
            ({"answers": {"mood": 1}}, "answers_refused", "/answers/mood"),
            ({"answers": {"helpful": 3}, "comment": "a\0"}, "answers_refused", "/comment"),
            ({"answers": {}}, "answers_incomplete", "/answers/helpful"),
            ({"answers": []}, "invalid", "/answers"),
            ({"answers": {"helpful": 3}, "seconds_on_display": -1}, "invalid", "/seconds_on_display"),
            ({"answers": {"helpful": 3}, "rating": 1}, "invalid", "/rating"),
            ({}, "invalid", "/answers"),
        ],
    )
    def test_it_names_what_it_cannot_take_and_stores_nothing(self, api, committed, lease, project, body, code, param):
        refused = api(project, "review", maker=lease.reviewer).post(f"/api/v1/leases/{lease.id}/review", json=body)

        assert refused.status_code == 422
        assert (refused.json["error"]["code"], refused.json["error"]["param"]) == (code, param)
        committed.expire_all()
        assert committed.get_one(Lease, lease.id).ended_as is None

    def test_sent_again_it_is_the_same_and_another_is_refused(self, api, committed, lease, project):
        reviewer = api(project, "review", maker=lease.reviewer)
        first = reviewer.post(f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 2}})

        again = reviewer.post(f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 2}})
        other = reviewer.post(f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 3}})

        assert again.json == first.json
        assert (other.status_code, other.json["error"]["code"]) == (409, "already_submitted")

    def test_taken_back_and_revised(self, api, committed, lease, project):
        reviewer = api(project, "review", maker=lease.reviewer)
        review = reviewer.post(
            f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 2}, "comment": "hm"}
        ).json

        reopened = reviewer.post(f"/api/v1/reviews/{review['id']}/reopening")
        assert reopened.status_code == 201
        draft = reviewer.get(f"/api/v1/leases/{reopened.json['lease_id']}/draft").json
        assert (draft["answers"], draft["comment"]) == ({"helpful": 2}, "hm")
        assert reviewer.get(f"/api/v1/projects/{project.slug}/my-reviews").json["reviews"] == []

        reviewer.post(f"/api/v1/leases/{reopened.json['lease_id']}/review", json={"answers": {"helpful": 4}})
        revised = reviewer.post(f"/api/v1/reviews/{review['id']}/revisions", json={"answers": {"helpful": 5}})

        assert revised.status_code == 201
        assert [one["answers"]["helpful"] for one in revised.json["revisions"]] == [2, 4, 5]

    def test_nobody_reaches_the_reviews_and_leases_of_others(self, api, committed, lease, project):
        owner = api(project, "review", maker=lease.reviewer)
        review = owner.post(f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 2}}).json
        colleague = api(project, "review", maker=member(project, "annotator"))
        elsewhere = api(factories.Project(), "review", "queue")
        body = {"answers": {"helpful": 3}}

        for asker in (colleague, elsewhere):
            assert asker.post(f"/api/v1/reviews/{review['id']}/reopening").status_code == 404
            assert asker.post(f"/api/v1/reviews/{review['id']}/revisions", json=body).status_code == 404
            assert asker.post(f"/api/v1/leases/{lease.id}/review", json=body).status_code == 404
            assert asker.put(f"/api/v1/leases/{lease.id}/draft", json=body | {"seen_number": 0}).status_code == 404
            assert asker.get(f"/api/v1/leases/{lease.id}/draft").status_code == 404
            assert asker.get(f"/api/v1/leases/{lease.id}/rubric").status_code == 404
        assert elsewhere.post(f"/api/v1/reviews/{review['id']}/admission").status_code == 404
        assert colleague.post(f"/api/v1/reviews/{review['id']}/admission").status_code == 403
        assert colleague.get(f"/api/v1/projects/{project.slug}/reviews").status_code == 403

    def test_pages_follow_one_another(self, api, committed, project):
        someone = member(project, "annotator")
        reviewer = api(project, "review", "queue", maker=member(project, "admin", someone))
        for _ in range(3):
            lease = factories.Lease(item=factories.Item(project=project, open_slots=0), reviewer=someone)
            committed.commit()
            reviewer.post(f"/api/v1/leases/{lease.id}/review", json={"answers": {"helpful": 2}})

        for path, newest_first in (("my-reviews", True), ("reviews", False)):
            first = reviewer.get(f"/api/v1/projects/{project.slug}/{path}?limit=2").json
            second = reviewer.get(f"/api/v1/projects/{project.slug}/{path}?limit=2&cursor={first['next_cursor']}").json
            ids = [review["id"] for review in first["reviews"] + second["reviews"]]
            assert len(ids) == 3
            assert ids == sorted(ids, reverse=newest_first)
            assert second["next_cursor"] is None


class TestDraft:
    def test_it_is_kept_by_number_and_a_stale_save_gets_the_newer_one(self, api, committed, lease, project):
        reviewer = api(project, "review", maker=lease.reviewer)
        path = f"/api/v1/leases/{lease.id}/draft"
        assert reviewer.get(path).json == {"number": 0, "answers": {}, "comment": None, "saved_at": None}

        saved = reviewer.put(path, json={"answers": {"helpful": 2}, "comment": "so far", "seen_number": 0})
        stale = reviewer.put(path, json={"answers": {"helpful": 5}, "seen_number": 0})

        assert saved.status_code == 200
        assert reviewer.get(path).json == saved.json
        assert stale.status_code == 409
        assert stale.json["error"]["code"] == "stale_draft"
        assert stale.json["error"]["draft"] == {"number": 1, "answers": {"helpful": 2, "comment": "so far"}}
        assert stale.json == DraftConflictEnvelope.model_validate(stale.json).model_dump(mode="json")
        described = reviewer.get("/api/openapi.json").json["paths"]["/api/v1/leases/{lease_id}/draft"]["put"]
        conflict = described["responses"]["409"]["content"]["application/json"]["schema"]
        assert conflict == {"$ref": "#/components/schemas/DraftConflictEnvelope"}

    @pytest.mark.parametrize(
        ("answers", "param"),
        [
            ({"comment": 5}, "/comment"),
            ({"comment": {"a": 1}}, "/comment"),
            ({"correction": {"content": [1]}}, "/answers/correction"),
            ({"correction": {"role": "assistant", "content": [{"type": "text"}]}}, "/answers/correction"),
            ({"helpful": 2, "wrong": [[["rude"]]]}, "/answers/wrong"),
        ],
    )
    def test_it_refuses_what_the_page_could_not_show_again(self, api, committed, lease, project, answers, param):
        reviewer = api(project, "review", maker=lease.reviewer)

        refused = reviewer.put(f"/api/v1/leases/{lease.id}/draft", json={"answers": answers, "seen_number": 0})

        assert (refused.status_code, refused.json["error"]["param"]) == (422, param)
        assert reviewer.get(f"/api/v1/leases/{lease.id}/draft").json["number"] == 0

    def test_what_reviewers_get_tells_nothing_about_the_model(self, api, committed, project):
        response = factories.Response(
            project=project,
            client_id="canary-client",
            output={"role": "assistant", "name": "canary-speaker", "content": "Nothing is free."},
            model="canary-model",
            model_version="canary-version",
            prompt_name="canary-prompt",
            parameters={"canary": 1},
            trace_id="canary-trace",
            details={"canary": 1},
            signals={"canary": 1},
        )
        lease = factories.Lease(item=factories.Item(project=project, response=response, open_slots=0))
        reviewer = api(project, "review", maker=member(project, "annotator", lease.reviewer))
        answers = {"answers": {"helpful": 2, "correction": "Sorry."}}

        said = [
            reviewer.get(f"/api/v1/leases/{lease.id}/rubric"),
            reviewer.put(f"/api/v1/leases/{lease.id}/draft", json=answers | {"seen_number": 0}),
            reviewer.get(f"/api/v1/leases/{lease.id}/draft"),
            reviewer.post(f"/api/v1/leases/{lease.id}/review", json=answers),
            reviewer.get(f"/api/v1/projects/{project.slug}/my-reviews"),
        ]

        assert [one.status_code for one in said] == [200, 200, 200, 201, 200]
        assert "canary" not in "".join(one.text for one in said)


class TestRubrics:
    def test_a_lead_publishes_the_next_version(self, api, committed, project):
        lead = api(project, "queue", maker=member(project, "lead"))

        created = lead.post(f"/api/v1/projects/{project.slug}/rubrics", json={"criteria": starter_rubric().as_json()})

        assert created.status_code == 201
        assert (created.json["number"], created.json["is_in_use"]) == (2, True)
        listed = lead.get(f"/api/v1/projects/{project.slug}/rubrics").json["rubrics"]
        assert [(one["number"], one["is_in_use"]) for one in listed] == [(2, True), (1, False)]

    @pytest.mark.parametrize(
        ("criteria", "param"),
        [
            ([], "/criteria"),
            ("x", "/criteria"),
            ([{"name": "a"}], "/criteria/0"),
            (
                [{"kind": "scale", "name": "a", "label": "A", "points": [{"value": "1", "label": "x"}] * 2}],
                "/criteria/0/points/0/value",
            ),
            ([{"kind": "text", "name": "a", "label": "A"}] * 2, ""),
        ],
    )
    def test_it_names_the_criterion_that_cannot_be(self, api, committed, project, criteria, param):
        lead = api(project, "queue", maker=member(project, "lead"))

        refused = lead.post(f"/api/v1/projects/{project.slug}/rubrics", json={"criteria": criteria})

        assert refused.status_code == 422
        assert (refused.json["error"]["code"], refused.json["error"]["param"]) == ("rubric_refused", param)

    def test_annotators_see_only_the_rubric_of_what_they_hold(self, api, committed, lease, project):
        reviewer = api(project, "review", maker=lease.reviewer)

        shown = reviewer.get(f"/api/v1/leases/{lease.id}/rubric").json

        assert shown["number"] == 1
        assert [criterion["name"] for criterion in shown["criteria"]] == ["helpful", "wrong", "correction"]
        assert reviewer.get(f"/api/v1/projects/{project.slug}/rubrics").status_code == 403


def member(project, role, user=None):
    """A member of the project; an existing one gets the role."""
    user = user or factories.User()
    known = factories.session().query(Membership).filter_by(user_id=user.id, project_id=project.id).one_or_none()
    if known is None:
        factories.Membership(project=project, user=user, role=role)
    else:
        known.role = role
    return user


@pytest.fixture
def project(committed):
    return factories.Project()


@pytest.fixture
def lease(project):
    lease = factories.Lease(item=factories.Item(project=project, open_slots=0))
    member(project, "annotator", lease.reviewer)
    return lease


@pytest.fixture
def late(project):
    """A lease whose time was over, and whose slot somebody else took and used."""
    item = factories.Item(project=project, open_slots=0)
    lease = factories.Lease(item=item, holds_slot=False, ended_as="expired", ended_at=clock.now())
    member(project, "annotator", lease.reviewer)
    return lease


class Follower:
    """A program that asks now and then which reviews are new or have changed."""

    def __init__(self, program, project):
        self.program, self.address = program, f"/api/v1/projects/{project.slug}/reviews"
        self.cursor = None

    def news(self):
        page = self.program.get(self.address, query_string={"cursor": self.cursor} if self.cursor else {}).json
        self.cursor = page["resume_cursor"]
        return [(review["id"], review["standing"], len(review["revisions"])) for review in page["reviews"]]
