"""The queue as a program sees it."""

import pytest
from sqlalchemy import select

from hitl.core.ids import new_id
from hitl.queue.models import Lease
from hitl.queue.search import index_everything
from tests.hitl import factories

CANARY = "canary"


class TestLeases:
    def test_they_are_claimed_shown_extended_and_given_back(self, here, reviewer, item):
        claimed = reviewer.post(f"{here}/leases")
        assert claimed.status_code == 201
        lease = f"/api/v1/leases/{claimed.json['id']}"

        assert reviewer.get(lease).json == claimed.json
        assert reviewer.post(f"{lease}/extension").json["expires_at"] > claimed.json["expires_at"]
        assert reviewer.delete(lease).status_code == 204
        refused = reviewer.post(f"{lease}/extension")
        assert (refused.status_code, refused.json["error"]["code"]) == (409, "lease_ended")

    def test_they_show_what_was_said_and_nothing_about_the_model(self, here, reviewer, item, committed):
        response = item.targets[0].response
        for name in ("model", "model_version", "prompt_name", "prompt_version", "trace_id", "client_id"):
            setattr(response, name, CANARY)
        response.parameters = response.details = {CANARY: CANARY}
        response.signals = {CANARY: 1}
        response.context = [{"title": "Opening hours", "text": "9 to 5", "source": "faq", CANARY: CANARY}]
        said = [{"role": "user", "name": "kim", "content": "When?"}, {"role": "assistant", "content": "At nine."}]
        piece = {"type": "text", "text": "No, ten."}
        response.input = {"messages": [said[0], said[1] | {"name": CANARY}], "tools": []}
        response.output = {"role": "assistant", "name": CANARY, "content": [piece | {CANARY: CANARY}]}
        committed.commit()

        lease = reviewer.post(f"{here}/leases")

        assert lease.json["targets"] == [
            {
                "response_id": str(response.id),
                "input": {"messages": said, "tools": []},
                "output": {"role": "assistant", "content": [piece]},
                "context": [{"title": "Opening hours", "text": "9 to 5", "source": "faq"}],
            }
        ]
        assert CANARY not in lease.text

    def test_nothing_waiting_is_no_content(self, here, reviewer, item):
        reviewer.post(f"{here}/leases")

        assert (reviewer.post(f"{here}/leases").status_code, reviewer.post(f"{here}/leases").text) == (204, "")

    def test_a_repeated_claim_with_one_key_gives_the_same_lease(self, here, reviewer, item, committed):
        headers = {"Idempotency-Key": "once"}
        first = reviewer.post(f"{here}/leases", headers=headers)
        again = reviewer.post(f"{here}/leases", headers=headers)

        assert (again.status_code, again.json) == (201, first.json)
        assert len(committed.scalars(select(Lease)).all()) == 1

    def test_they_are_listed_while_they_run(self, here, reviewer, item):
        lease = reviewer.post(f"{here}/leases").json

        assert reviewer.get(f"{here}/leases").json == {"leases": [lease]}
        reviewer.delete(f"/api/v1/leases/{lease['id']}")
        assert reviewer.get(f"{here}/leases").json == {"leases": []}

    def test_a_skip_keeps_its_reason(self, here, reviewer, item, committed):
        lease = reviewer.post(f"{here}/leases").json["id"]

        skipped = reviewer.post(f"/api/v1/leases/{lease}/skip", json={"reason": "not my language"})

        assert (skipped.status_code, skipped.json["ended_as"]) == (200, "skipped")
        assert committed.scalars(select(Lease.skip_reason)).one() == "not my language"

    @pytest.mark.parametrize("reason", ["a\0b", "x" * 1001, 7])
    def test_a_bad_reason_is_named_and_nothing_is_skipped(self, here, reviewer, item, reason):
        lease = reviewer.post(f"{here}/leases").json["id"]

        refused = reviewer.post(f"/api/v1/leases/{lease}/skip", json={"reason": reason})

        assert (refused.status_code, refused.json["error"]["param"]) == (422, "/reason")
        assert reviewer.get(f"/api/v1/leases/{lease}").json["ended_as"] is None

    def test_those_of_others_are_not_found(self, here, reviewer, item, api, project):
        lease = f"/api/v1/leases/{reviewer.post(f'{here}/leases').json['id']}"
        other = api(project, "review")

        assert other.get(lease).status_code == 404
        assert other.delete(lease).status_code == 404
        assert other.post(f"{lease}/extension").status_code == 404
        assert other.post(f"{lease}/skip", json={}).status_code == 404
        assert reviewer.get(f"/api/v1/leases/{new_id()}").status_code == 404


class TestItems:
    def test_they_are_picked_by_our_ids_and_the_clients(self, here, lead, project, committed):
        one, other = factories.Response(project=project), factories.Response(project=project)
        committed.commit()

        picked = lead.post(
            f"{here}/items",
            json={"response_ids": [str(one.id)], "client_ids": [other.client_id], "reviews_wanted": 2, "priority": 3},
        )

        assert picked.status_code == 201
        shown = [(i["response_ids"], i["reviews_wanted"], i["open_slots"], i["priority"]) for i in picked.json["items"]]
        assert shown == [([str(one.id)], 2, 2, 3), ([str(other.id)], 2, 2, 3)]
        assert lead.get(f"{here}/items").json["items"] == picked.json["items"]

    def test_they_come_back_in_the_order_in_which_they_were_picked(self, here, lead, project, committed):
        oldest, middle, newest = (factories.Response(project=project) for _ in range(3))
        committed.commit()
        lead.post(f"{here}/items", json={"response_ids": [str(newest.id)]})

        asked = {"response_ids": [str(middle.id), str(oldest.id)], "client_ids": [newest.client_id, middle.client_id]}
        picked = lead.post(f"{here}/items", json=asked)

        order = [item["response_ids"] for item in picked.json["items"]]
        assert order == [[str(middle.id)], [str(oldest.id)], [str(newest.id)]]

    @pytest.mark.parametrize(
        ("body", "status", "param"),
        [
            ({}, 422, ""),
            ({"client_ids": ["nobody"]}, 404, "/client_ids/0"),
            ({"client_ids": ["a\0"]}, 422, "/client_ids/0"),
            ({"response_ids": [str(new_id())]}, 404, "/response_ids/0"),
            ({"response_ids": ["7"]}, 422, "/response_ids/0"),
            ({"client_ids": ["x"], "reviews_wanted": 0}, 422, "/reviews_wanted"),
        ],
    )
    def test_what_cannot_be_picked_is_named(self, here, lead, project, body, status, param):
        refused = lead.post(f"{here}/items", json=body)

        assert (refused.status_code, refused.json["error"]["param"]) == (status, param)

    def test_responses_of_another_project_are_not_there(self, here, lead, project, committed):
        foreign = factories.Response()
        committed.commit()

        refused = lead.post(f"{here}/items", json={"response_ids": [str(foreign.id)]})

        assert (refused.status_code, refused.json["error"]["code"]) == (404, "unknown_response")

    def test_they_are_changed_assigned_and_closed(self, lead, item, project, committed):
        address = f"/api/v1/items/{item.id}"
        ann = factories.Membership(project=project).user
        committed.commit()

        changed = lead.patch(address, json={"reviews_wanted": 3, "priority": 1})
        assert (changed.json["reviews_wanted"], changed.json["open_slots"], changed.json["priority"]) == (3, 3, 1)
        assignment = lead.post(f"{address}/assignments", json={"email": ann.email})
        assert assignment.status_code == 201
        again = lead.post(f"{address}/assignments", json={"reviewer_id": str(ann.id)})
        assert (again.status_code, again.json["error"]["code"]) == (409, "already_theirs")
        shown = lead.get(address).json
        assert (shown["reserved"], shown["open_slots"], shown["assignments"]) == (1, 2, [assignment.json])
        assert lead.delete(f"{address}/assignments/{assignment.json['id']}").status_code == 204
        closed = lead.post(f"{address}/closing")
        assert (closed.status_code, closed.json["closed_as"], closed.json["reviews_wanted"]) == (201, "by_hand", 0)
        assert lead.post(f"{address}/closing").json["error"]["code"] == "item_closed"

    def test_they_are_listed_by_state(self, here, lead, item, project):
        address = f"{here}/items"

        def listed(state):
            return [found["id"] for found in lead.get(f"{address}?state={state}").json["items"]]

        assert (listed("open"), listed("closed")) == ([str(item.id)], [])
        lead.post(f"/api/v1/items/{item.id}/closing")
        assert (listed("open"), listed("closed"), listed("stuck")) == ([], [str(item.id)], [])
        assert lead.get(f"{address}?state=lost").status_code == 422

    def test_they_are_found_by_words_and_other_marks(self, here, lead, project, item, committed, shared_database):
        response = factories.Response(project=project, text="Where is my umbrella?")
        wanted = factories.Item(project=project, response=response, priority=3)
        committed.commit()
        index_everything(shared_database)

        def listed(**query):
            return [found["id"] for found in lead.get(f"{here}/items", query_string=query).json["items"]]

        assert listed(search='"my umbrella"') == listed(priority="raised") == [str(wanted.id)]
        assert listed(search=response.client_id) == listed(search=str(wanted.id)) == [str(wanted.id)]
        assert listed(kind="comparison") == listed(waiting_days=2) == listed(rule_id=str(wanted.id)) == []
        assert len(listed(assigned_to="nobody", sort="newest")) == 2
        for bad in ({"kind": "x"}, {"sort": "x"}, {"waiting_days": 0}, {"assigned_to": "x"}, {"search": "a" * 501}):
            assert lead.get(f"{here}/items", query_string=bad).status_code == 422

    def test_they_come_in_pages(self, here, lead, project, committed):
        items = [factories.Item(project=project) for _ in range(3)]
        committed.commit()
        address = f"{here}/items?limit=2"

        first = lead.get(address).json
        second = lead.get(f"{address}&cursor={first['next_cursor']}").json

        assert [found["id"] for found in first["items"] + second["items"]] == [str(item.id) for item in items]
        assert second["next_cursor"] is None

    def test_those_of_other_projects_are_not_found(self, lead, committed):
        foreign = factories.Item()
        committed.commit()
        address = f"/api/v1/items/{foreign.id}"

        assert lead.get(address).status_code == 404
        assert lead.patch(address, json={"priority": 1}).status_code == 404
        assert lead.post(f"{address}/closing").status_code == 404
        assert lead.post(f"{address}/assignments", json={"email": "a@example.org"}).status_code == 404

    def test_an_annotators_key_opens_none_of_it(self, here, reviewer, item):
        assert reviewer.get(f"{here}/items").status_code == 403
        assert reviewer.get(f"/api/v1/items/{item.id}").status_code == 403


class TestRules:
    def test_they_are_made_listed_changed_and_ended(self, here, lead, project):
        address = f"{here}/rules"
        terms = {"condition": {"kind": "model", "name": "desk", "version": None}, "rate": 0.2, "reviews_wanted": 2}

        made = lead.post(address, json={"name": "Desk", **terms})
        assert (made.status_code, made.json["version"], made.json["condition"]) == (201, 1, terms["condition"])
        assert lead.get(address).json["rules"] == [made.json]
        rule = f"/api/v1/rules/{made.json['id']}"
        changed = lead.put(rule, json={**terms, "rate": 0.1})
        assert (changed.status_code, changed.json["version"], changed.json["rate"]) == (200, 2, 0.1)
        assert lead.delete(rule).status_code == 204
        assert lead.get(address).json["rules"] == []
        refused = lead.put(rule, json=terms)
        assert (refused.status_code, refused.json["error"]["code"]) == (409, "rule_ended")

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"name": "A"}, "/rate"),
            ({"name": "A", "rate": 0}, "/rate"),
            ({"name": "A", "rate": 1, "condition": {"kind": "mood"}}, "/condition"),
            ({"name": "A", "rate": 1, "condition": {"kind": "model"}}, "/condition/model/name"),
            ({"name": "", "rate": 1}, "/name"),
        ],
    )
    def test_what_is_wrong_is_named(self, here, lead, project, body, param):
        refused = lead.post(f"{here}/rules", json=body)

        assert (refused.status_code, refused.json["error"]["param"]) == (422, param)

    def test_those_of_other_projects_are_not_found(self, lead, api, committed):
        other = factories.Project()
        committed.commit()
        made = api(other, "queue").post(f"/api/v1/projects/{other.slug}/rules", json={"name": "A", "rate": 1})

        assert lead.put(f"/api/v1/rules/{made.json['id']}", json={"rate": 0.5}).status_code == 404
        assert lead.delete(f"/api/v1/rules/{made.json['id']}").status_code == 404


class TestItemChanges:
    def test_an_item_comes_again_when_it_changed_but_not_with_each_claim(self, here, lead, reviewer, item, committed):
        news = self.follow(lead, f"{here}/items/changes")
        assert news() == [(str(item.id), 0, 1, False)]

        lease = reviewer.post(f"{here}/leases").json["id"]
        reviewer.delete(f"/api/v1/leases/{lease}")
        assert news() == []

        lead.patch(f"/api/v1/items/{item.id}", json={"priority": 2, "reviews_wanted": 2})
        assert news() == [(str(item.id), 2, 2, False)]

        lead.post(f"/api/v1/items/{item.id}/closing")
        assert news() == [(str(item.id), 2, 0, True)]

        lead.patch(f"/api/v1/items/{item.id}", json={"reviews_wanted": 1})
        lease = reviewer.post(f"{here}/leases").json["id"]
        reviewer.post(f"/api/v1/leases/{lease}/review", json={"answers": {"helpful": 4}})
        assert news() == [(str(item.id), 2, 1, True)]

    def test_new_ones_of_a_kind_come_in_pages(self, here, lead, project, committed):
        items = [factories.Item(project=project) for _ in range(3)]
        compared = factories.Comparison(project=project)
        committed.commit()
        news = self.follow(lead, f"{here}/items/changes", limit=2, kind="response")

        assert [[one[0] for one in news()] for _ in range(3)] == [
            [str(item.id) for item in items[:2]],
            [str(items[2].id)],
            [],
        ]
        assert str(compared.id) in [one[0] for one in self.follow(lead, f"{here}/items/changes")()]

    def test_annotators_do_not_see_them(self, here, reviewer):
        assert reviewer.get(f"{here}/items/changes").status_code == 403

    def follow(self, program, address, **query):
        """Return a function that says what is new: id, priority, reviews wanted, whether closed."""
        cursor: list[str] = []

        def news():
            page = program.get(address, query_string=query | ({"cursor": cursor[-1]} if cursor else {})).json
            cursor.append(page["resume_cursor"])
            return [
                (one["id"], one["priority"], one["reviews_wanted"], one["closed_at"] is not None)
                for one in page["items"]
            ]

        return news


@pytest.fixture
def project(committed):
    project = factories.Project()
    committed.commit()
    return project


@pytest.fixture
def item(committed, project):
    item = factories.Item(project=project)
    committed.commit()
    return item


@pytest.fixture
def here(project):
    return f"/api/v1/projects/{project.slug}"


@pytest.fixture
def lead(api, project):
    return api(project, "queue", maker=factories.Membership(project=project, role="lead").user)


@pytest.fixture
def reviewer(api, project):
    return api(project, "review", maker=factories.Membership(project=project).user)
