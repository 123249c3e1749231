"""Datasets: what there is, and freezing the next version."""

import pytest

from tests.webui.datasets.conftest import words

FORM = {
    "name": "desk",
    "kind": "preference",
    "policy": "majority",
    "origins-preference": ["correction", "ranking", "scale"],
    "share-train": "80",
    "share-validation": "10",
    "share-test": "10",
}


class TestTheList:
    def test_it_says_what_will_fill_an_empty_project(self, desk, ada):
        page = words(ada.get(desk.url))

        assert "No dataset yet" in page
        assert (
            "each correction that a reviewer submits, and each answer they approve or find bad, will become a row"
            in page
        )

    def test_it_says_how_much_is_there_to_freeze_and_offers_it(self, desk, ada):
        desk.corrected()
        desk.approves(desk.response("Two?", "Two.", may_train="yes"))

        page = words(ada.get(desk.url))

        assert (
            "1 judgement of which answer is better, 2 corrected or approved answers, and 0 verdicts on single answers"
            in page
        )
        assert "Freeze the first version" in page

    def test_it_lists_versions_with_rows_splits_and_who_froze_them(self, desk, ada):
        desk.corrected()
        desk.corrected("Two?", "2", "Two.")
        ada.post(desk.url, data=FORM)
        desk.work()

        page = words(ada.get(desk.url))

        assert "desk preference pairs" in page
        assert "Version 1 Frozen" in page
        assert "by Ada the engineer" in page
        assert "2 rows:" in page
        assert "Freeze version 2" in page

    def test_it_shows_no_dataset_of_another_project(self, desk, ada):
        other = type(desk).open(desk.database)
        other.corrected()
        other.freeze("secret-plans")

        assert "secret-plans" not in words(ada.get(desk.url))
        assert ada.get(f"{desk.url}/secret-plans/1").status_code == 404


class TestTheForm:
    def test_it_shows_what_would_go_in_and_what_may_not_train(self, desk, ada):
        desk.corrected()
        desk.corrected("Two?", "2", "Two.", may_train="unknown")
        desk.corrected("Three?", "3", "Three.", may_train="no")
        a, b = desk.response("Tie?", "a", may_train="yes"), desk.response("Tie?", "b", may_train="yes")
        desk.prefers(a, b, outcome="tie")

        page = words(ada.get(f"{desk.url}/new"))

        assert "Corrections 3 of them, nobody said whether they may train 1 of them, may not train 1" in page
        assert "Ties and “both bad”, which make no row 1" in page
        assert "At most 1 row, or 2 with those nobody spoke for" in page

    def test_it_asks_again_as_the_version_before_was_frozen(self, desk, ada):
        desk.corrected()
        desk.freeze("desk", policy="unanimous", origins=["correction"], shares={"train": 1, "validation": 0, "test": 0})

        page = ada.get(f"{desk.url}/new?name=desk").text

        assert "Freeze the next version of desk" in page
        assert '<option value="unanimous" selected>' in page
        assert 'name="share-train" inputmode="decimal" value="100"' in page
        assert 'value="correction" checked' in page
        assert 'value="ranking" checked' not in page

    def test_it_starts_a_freeze_and_leads_to_the_version(self, desk, ada):
        desk.corrected()

        answer = ada.post(desk.url, data=FORM)

        assert (answer.status_code, answer.location) == (303, f"{desk.url}/desk/1")
        assert "Being frozen" in words(ada.get(answer.location))
        assert "Waits for a free worker" in words(ada.get(f"{desk.url}/desk/1/progress"))
        desk.work()
        ended = ada.get(f"{desk.url}/desk/1/progress")
        assert (ended.status_code, ended.headers["HX-Refresh"]) == (204, "true")
        assert "Frozen" in words(ada.get(answer.location))

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"name": ""}, "Give it a name"),
            ({"name": "Hotel Desk"}, "lower-case letters"),
            ({"name": "../desk"}, "lower-case letters"),
            ({"kind": "poetry"}, "Choose what a row is"),
            ({"origins-preference": []}, "Choose at least one origin"),
            ({"origins-preference": ["rumour"]}, "no origin “rumour”"),
            ({"policy": "whim"}, "majority"),
            ({"share-test": "30"}, "They make 120 percent together"),
            ({"share-test": "ten"}, "Write three numbers"),
            ({"share-test": "nan"}, "Let them make 100"),
            ({"share-train": "-10", "share-validation": "100"}, "greater than or equal to 0"),
        ],
    )
    def test_it_names_what_is_wrong_and_keeps_what_was_typed(self, desk, ada, change, problem):
        answer = ada.post(desk.url, data=FORM | {"share-validation": "10"} | change)

        assert answer.status_code == 422
        assert "Nothing was frozen yet" in words(answer)
        assert problem in words(answer)
        assert 'aria-invalid="true"' in answer.text or "field__problem" in answer.text
        assert "No dataset yet" in words(ada.get(desk.url))

    def test_it_refuses_another_kind_under_a_known_name(self, desk, ada):
        desk.corrected()
        desk.freeze("desk")

        answer = ada.post(desk.url, data=FORM | {"kind": "demonstration", "origins-demonstration": ["correction"]})

        assert answer.status_code == 409
        assert "Choose another name" in words(answer)

    def test_it_waits_for_a_freeze_under_way(self, desk, ada):
        desk.corrected()
        ada.post(desk.url, data=FORM)

        answer = ada.post(desk.url, data=FORM)

        assert answer.status_code == 409
        assert "Version 1 of “desk” is being frozen right now" in words(answer)
        desk.work()

    def test_a_failed_freeze_says_why_and_gives_its_number_to_the_next(self, desk, ada):
        ada.post(desk.url, data=FORM)
        desk.work()

        failed = words(ada.get(f"{desk.url}/desk/1"))
        assert "This version was not frozen" in failed
        assert "no counted review decided anything" in failed
        assert "Failed" in words(ada.get(desk.url))
        desk.corrected()
        ada.post(desk.url, data=FORM)
        desk.work()
        assert "Frozen" in words(ada.get(f"{desk.url}/desk/1"))

    def test_annotators_have_no_business_here(self, desk, sign_in):
        annotator = sign_in(desk.member("annotator"))

        assert annotator.get(desk.url).status_code == 403
        assert annotator.post(desk.url, data=FORM).status_code == 403
