"""Promise 4: while a comparison is open, nothing that names a model reaches the reviewer.

Whatever a client sends beside the words of a response holds a canary, and so do the rule and our own ids.
"""

import pytest
from sqlalchemy import select

from hitl.capture.models import Conversation, Feedback
from hitl.core import clock
from hitl.queue.drawing import apply_rules
from hitl.queue.items import change_reviews_wanted
from hitl.queue.models import Item
from hitl.queue.rules import Comparing, ModelCondition, Terms, create_rule
from tests.hitl import factories

MODELS = ("canary-alpha", "canary-beta", "canary-gamma")
NUMBER = 73_519_460


@pytest.fixture
def project(committed):
    return factories.Project(
        rubric=[
            {"kind": "ranking", "name": "best", "label": "Best", "required": True, "cannot_judge": True},
            {
                "kind": "thumbs",
                "name": "good",
                "label": "Good",
                "asked_of": ["comparison"],
                "per": "response",
            },
        ]
    )


@pytest.fixture
def responses(committed, project):
    """Responses of three models to one input, with canaries in every field that a client fills."""
    conversation = Conversation(
        project_id=project.id, client_id="canary-conversation", end_user="canary-user", details={"by": "canary"}
    )
    committed.add(conversation)
    committed.flush()
    made = [
        factories.Response(
            project=project,
            client_id=f"{model}-1",
            conversation_id=conversation.id,
            end_user="canary-user",
            input={
                "messages": [
                    {"role": "user", "content": "Why?"},
                    {"role": "assistant", "content": "Because.", "name": "canary"},
                    {"role": "user", "content": [{"type": "text", "text": "Why not?", "model": "canary"}]},
                ],
                "tools": [],
            },
            output={
                "role": "assistant",
                "name": model,
                "content": [
                    {"type": "text", "text": f"Words {letter}.", "model": model},
                    {"type": "file", "file": {"filename": "plan.pdf"}, "by": model},
                ],
                "reasoning_content": f"I am {model}.",
                "tool_calls": [
                    {"id": f"{model}-call", "type": "function", "function": {"name": "look", "arguments": "{}"}}
                ],
            },
            model=model,
            model_version=f"{model}-7",
            prompt_name="canary-prompt",
            prompt_version="canary-9",
            parameters={"engine": model, "n": NUMBER},
            input_tokens=NUMBER,
            output_tokens=NUMBER,
            latency_seconds=float(NUMBER),
            cost_usd=float(NUMBER),
            trace_id="canary-trace",
            context=[{"title": "A passage", "text": "About why.", "retriever": model}],
            signals={"canary_score": float(NUMBER)},
            details={"model": model},
        )
        for letter, model in zip("abc", MODELS, strict=True)
    ]
    for response in made:
        committed.add(
            Feedback(
                project_id=project.id,
                response_id=response.id,
                kind="canary_score",
                value=1,
                comment=f"by {response.model}",
                source="canary-judge",
                given_at=clock.now(),
            )
        )
    committed.flush()
    return made


@pytest.fixture
def item(committed, project, responses):
    """A comparison that a rule about one of the models made, and two people shall review."""
    terms = Terms(condition=ModelCondition(name=MODELS[0]), compare=Comparing(at_least=3), rate=1, reviews_wanted=2)
    create_rule(committed, project, "canary-rule", terms)
    apply_rules(committed, project, [response.id for response in responses])
    committed.commit()
    return committed.scalars(select(Item)).one()


@pytest.fixture
def reviewers(project):
    return [factories.Membership(project=project).user for _ in range(2)]


def ensure_blind(answer, responses):
    """Look through all that was answered for what a client sent, and for our ids."""
    said = (answer.text + str(answer.headers)).lower()
    assert "canary" not in said, answer.request.path
    assert str(NUMBER) not in said
    for response in responses:
        assert str(response.id) not in said, answer.request.path
        assert response.id.hex not in said


def place_all(targets):
    return [[target["response_id"]] for target in targets]


class TestThroughTheApi:
    def test_no_answer_names_a_model_while_the_comparison_is_open(self, api, project, item, reviewers, responses):
        program = api(project, "review", maker=reviewers[0])
        url = f"/api/v1/projects/{project.slug}"
        claimed = program.post(f"{url}/leases")
        lease = f"/api/v1/leases/{claimed.json['id']}"
        best = place_all(claimed.json["targets"])
        answers = {"best": best, "good": {best[0][0]: "up"}}

        asked = [
            claimed,
            program.get(f"{url}/leases"),
            program.get(lease),
            program.get(f"{lease}/rubric"),
            program.get(f"{lease}/draft"),
            program.put(f"{lease}/draft", json={"answers": answers, "seen_number": 0}),
            program.put(f"{lease}/draft", json={"answers": {"best": "all_bad"}, "seen_number": 0}),
            program.post(f"{lease}/extension"),
            program.post(f"{lease}/review", json={"answers": {"best": best[:1]}}),
            program.post(f"{lease}/review", json={"answers": {"best": [[str(one.id)] for one in responses]}}),
            program.post(f"{lease}/review", json={"answers": answers}),
            program.get(f"{url}/my-reviews"),
        ]
        review = f"/api/v1/reviews/{asked[-2].json['id']}"
        again = program.post(f"{review}/reopening")
        lease = f"/api/v1/leases/{again.json['lease_id']}"
        asked += [
            again,
            program.get(f"{lease}/draft"),
            program.get(lease),
            program.post(f"{lease}/review", json={"answers": {"best": "all_bad"}}),
            program.post(f"{review}/revisions", json={"answers": answers}),
            program.get(f"{url}/my-reviews"),
        ]
        forbidden = [
            program.get(f"{url}/items"),
            program.get(f"/api/v1/items/{item.id}"),
            program.get(f"{url}/responses"),
            program.get(f"{url}/evidence"),
            program.get(f"{url}/verdicts"),
            program.get(f"{url}/demonstrations"),
            program.get(f"{url}/feedback"),
            program.get(f"{url}/items/changes"),
            program.get(f"{url}/reviews"),
            program.get(f"{url}/rules"),
        ]

        for answer in asked + forbidden:
            # What the reviewer sent may come back only where it was theirs: the refused ids were.
            ensure_blind(answer, responses)
        codes = [answer.status_code for answer in asked]
        assert codes == [201, 200, 200, 200, 200, 200, 409, 201, 422, 422, 201, 200, 201, 200, 200, 201, 201, 200]
        assert {answer.status_code for answer in forbidden} <= {403, 404}
        assert asked[-1].json["reviews"][0]["models"] is None
        assert asked[13].json["answers"] == answers
        shown = {target["output"]["content"][0]["text"] for target in claimed.json["targets"]}
        assert shown == {"Words a.", "Words b.", "Words c."}

    def test_two_reviewers_see_an_order_of_their_own_and_the_same_names(self, api, project, item, reviewers):
        seen = []
        for reviewer in reviewers:
            targets = api(project, "review", maker=reviewer).post(f"/api/v1/projects/{project.slug}/leases").json
            seen.append([target["response_id"] for target in targets["targets"]])

        assert set(seen[0]) == set(seen[1])
        assert all(name[14] == "4" for name in seen[0])  # random: no time is in a version 4 id

    def test_once_it_is_closed_who_asks_is_told_the_models_and_what_follows_does_not_count(
        self, api, project, item, reviewers, responses, committed
    ):
        url = f"/api/v1/projects/{project.slug}"
        programs = [api(project, "review", maker=reviewer) for reviewer in reviewers]
        made = []
        for program in programs:
            lease = program.post(f"{url}/leases").json
            best = place_all(lease["targets"])
            made.append(program.post(f"/api/v1/leases/{lease['id']}/review", json={"answers": {"best": best}}).json)

        for program, closed in zip(programs, made, strict=True):
            assert closed["models"] is None
            ensure_blind(program.get(f"{url}/my-reviews"), responses)
        undone = programs[1].post(f"/api/v1/reviews/{made[1]['id']}/reopening").json
        slip = {"answers": {"best": "unsure"}}
        again = programs[1].post(f"/api/v1/leases/{undone['lease_id']}/review", json=slip).json
        assert again["revisions"][-1]["is_unblinded"] is False

        asked = programs[0].post(f"/api/v1/reviews/{made[0]['id']}/disclosure")
        named = programs[0].get(f"{url}/my-reviews").json["reviews"][0]["models"]
        assert asked.json["models"] == named
        assert programs[1].post(f"/api/v1/reviews/{made[0]['id']}/disclosure").status_code == 404
        ensure_blind(programs[1].get(f"{url}/my-reviews"), responses)
        assert {one["model"] for one in named} == set(MODELS)
        assert {one["response_id"] for one in named}.isdisjoint(str(response.id) for response in responses)

        revised = programs[0].post(f"/api/v1/reviews/{made[0]['id']}/revisions", json={"answers": {"best": "all_bad"}})
        assert revised.json["revisions"][-1]["is_unblinded"] is True

        committed.expire_all()
        change_reviews_wanted(committed, committed.get_one(Item, item.id), 3)
        committed.commit()
        assert programs[0].get(f"{url}/my-reviews").json["reviews"][0]["models"] is None


class TestOnPages:
    def test_no_page_names_a_model_while_the_comparison_is_open(self, sign_in, project, item, reviewers, responses):
        browser = sign_in(reviewers[0])
        url = f"/projects/{project.slug}"
        pages = [
            browser.get(f"{url}/review"),
            browser.post(f"{url}/leases", follow_redirects=True),
            browser.get(f"{url}/review", follow_redirects=True),
            browser.get(f"{url}/my-reviews"),
            browser.get("/"),
        ]

        for page in pages:
            ensure_blind(page, responses)
        assert "Words a." in pages[1].text
