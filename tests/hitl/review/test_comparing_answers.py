"""Answers about several responses, about turns, and about passages."""

from uuid import UUID

import pytest

from hitl.core import clock
from hitl.review.answer_fields import answers_in_form, ensure_shown_in_form, fields_of_answer
from hitl.review.answers import Answers
from hitl.review.errors import AnswersIncomplete, AnswersRefused
from hitl.review.judged import Judged, JudgedResponse
from hitl.review.rubrics import Rubric
from hitl.review.spans import MAX_SPANS, text_hash

POINTS = [{"value": value, "label": f"Point {value}"} for value in (1, 2, 3)]
RUBRIC = Rubric.model_validate(
    {
        "criteria": [
            {"kind": "ranking", "name": "best", "label": "Best", "required": True, "cannot_judge": True},
            {"kind": "pairwise", "name": "better", "label": "Better"},
            {
                "kind": "scale",
                "name": "helpful",
                "label": "Helpful",
                "points": POINTS,
                "asked_of": ["response", "comparison"],
                "per": "response",
                "overall": True,
                "required": True,
                "cannot_judge": True,
            },
            {"kind": "thumbs", "name": "polite", "label": "Polite", "per": "turn", "required": True},
            {
                "kind": "spans",
                "name": "where",
                "label": "Where",
                "asked_of": ["response", "comparison"],
                "per": "response",
                "options": [{"value": "made_up", "label": "Made up"}, {"value": "rude", "label": "Rude"}],
                "severities": [{"value": "minor", "label": "Minor"}, {"value": "major", "label": "Major"}],
            },
        ]
    }
)
TEXTS = ("Naïve 👩‍🚀 words.", "Other words.", "More words.")
IDS = [UUID(int=number) for number in (1, 2, 3)]
NAMES = ["r1", "r2", "r3"]
THREE = Judged(
    "comparison",
    tuple(
        JudgedResponse(name, id, {"role": "assistant", "content": text})
        for name, id, text in zip(NAMES, IDS, TEXTS, strict=True)
    ),
)
TWO = Judged("comparison", THREE.responses[:2])
TALK = Judged.single(
    IDS[0],
    {"role": "assistant", "content": "Bye."},
    [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Bye"},
    ],
)


def asked(judged):
    return RUBRIC.asked_about(judged.kind, len(judged.responses))


def read(judged, **values):
    return Answers.read(asked(judged), values, judged)


def span(words, start, end, label="made_up", severity="minor", **more):
    return {"start": start, "end": end, "label": label, "severity": severity, "text_hash": text_hash(words)} | more


def kept(answers, judged):
    return Answers.of(answers.as_revision(asked(judged), judged, 1, clock.now()), asked(judged))


class TestRanking:
    @pytest.mark.parametrize(
        "ranking", [[["r2"], ["r1", "r3"]], [["r3"], ["r1"], ["r2"]], [["r1", "r2", "r3"]], "all_bad", "unsure"]
    )
    def test_it_is_kept_and_given_back_as_it_was_given(self, ranking):
        answers = read(THREE, best=ranking)

        assert kept(answers, THREE) == answers
        assert kept(answers, THREE).as_seen(asked(THREE), THREE) == {"best": ranking}

    def test_places_rise_by_one_and_equal_responses_share_one(self):
        marks = read(THREE, best=[["r2"], ["r1", "r3"]]).as_revision(asked(THREE), THREE, 1, clock.now()).rankings

        assert {mark.response_id: mark.position for mark in marks} == {IDS[1]: 1, IDS[0]: 2, IDS[2]: 2}

    @pytest.mark.parametrize(
        ("ranking", "reason"),
        [
            ([["r1"], ["r2"]], "2 of 3"),
            ([["r1"], ["r2"], ["r3"], ["r1"]], "one place"),
            ([["r1", "r1"], ["r2"], ["r3"]], "one place"),
            ([["r1"], ["r2"], ["r4"]], "not compared here"),
            ([[str(IDS[0])], ["r2"], ["r3"]], "not compared here"),  # ids are not told to reviewers
            ([["r1"], ["r2"], [3]], "not compared here"),
            ([["r1"], ["r2"], [["r3"]]], "not compared here"),
            ([["r1"], ["r2"], ["r3"], []], "place from 1"),
            (["r1", "r2", "r3"], "place from 1"),
            ({"r1": "first"}, "place from 1"),
            ("both_bad", "place from 1"),
            (float("nan"), "place from 1"),
            ([["r1"] * 100_000], "one place"),
        ],
    )
    def test_each_response_has_exactly_one_place(self, ranking, reason):
        with pytest.raises(AnswersRefused, match=reason) as refused:
            read(THREE, best=ranking)

        assert refused.value.param == "/answers/best"

    def test_a_form_gives_places(self):
        form = {"answer.best.r1": ["2"], "answer.best.r2": ["1"], "answer.best.r3": ["2"]}

        assert answers_in_form(asked(THREE), form) == {"best": [["r2"], ["r1", "r3"]]}
        assert answers_in_form(asked(THREE), {"answer.best.r1": ["1"], "answer.best": ["all_bad"]}) == {
            "best": "all_bad"
        }

    def test_places_that_are_no_numbers_stay_as_typed_and_are_refused(self):
        given = answers_in_form(asked(THREE), {"answer.best.r1": ["x"], "answer.best.r2": ["0"]})

        ensure_shown_in_form(given)
        with pytest.raises(AnswersRefused, match="place from 1"):
            read(THREE, **given)

    def test_it_fills_the_form_again(self):
        (best, *_) = asked(THREE).criteria

        assert fields_of_answer(best, [["r2"], ["r1"]]) == {"answer.best.r2": ["1"], "answer.best.r1": ["2"]}
        assert fields_of_answer(best, "all_bad") == {"answer.best": ["all_bad"]}


class TestPairwise:
    @pytest.mark.parametrize("said", [{"better": "r2", "strength": "much"}, "equal", "both_bad"])
    def test_it_is_kept_and_given_back_as_it_was_given(self, said):
        answers = read(TWO, better=said)

        assert kept(answers, TWO) == answers
        assert answers.as_seen(asked(TWO), TWO) == {"better": said}

    @pytest.mark.parametrize(
        "said",
        [
            {"better": "r3", "strength": "much"},
            {"better": "r1", "strength": "hugely"},
            {"better": "r1", "strength": ["much"]},
            {"better": "r1"},
            {"better": ["r1"], "strength": "much"},
            {"better": "r1", "strength": "much", "why": "x"},
            "all_bad",
            "unsure",
            2,
        ],
    )
    def test_anything_else_is_refused(self, said):
        with pytest.raises(AnswersRefused) as refused:
            read(TWO, better=said)

        assert refused.value.param == "/answers/better"

    def test_it_is_not_asked_of_three(self):
        with pytest.raises(AnswersRefused, match="asks no such thing"):
            read(THREE, better="equal")

    def test_a_form_gives_response_and_strength_in_one_field(self):
        (better, *_) = asked(TWO).criteria
        said = {"better": "r2", "strength": "slightly"}

        assert answers_in_form(asked(TWO), {"answer.better": ["r2.slightly"]}) == {"better": said}
        assert fields_of_answer(better, said) == {"answer.better": ["r2.slightly"]}


class TestEachResponse:
    def test_each_has_its_own_answer(self):
        answers = read(TWO, better="equal", helpful={"r1": 3, "r2": "unsure"})

        assert answers.values["helpful"] == {str(IDS[0]): 3, str(IDS[1]): "unsure"}
        assert kept(answers, TWO) == answers
        assert answers.as_draft(asked(TWO), TWO)["helpful"] == {"r1": 3, "r2": "unsure"}

    @pytest.mark.parametrize("given", [3, [3], {"r9": 3}, {"r1": 9}, {"r1": {"r2": 3}}, {str(IDS[0]): 3}])
    def test_it_refuses_answers_about_anything_else(self, given):
        with pytest.raises(AnswersRefused):
            read(TWO, helpful=given)

    def test_a_required_one_wants_an_answer_for_each(self):
        with pytest.raises(AnswersIncomplete) as refused:
            read(TWO, better="equal", helpful={"r1": 3}).ensure_complete(asked(TWO), TWO)

        assert list(refused.value.problems) == ["helpful"]
        read(TWO, better="equal", helpful={"r1": 3, "r2": 1}).ensure_complete(asked(TWO), TWO)

    def test_a_form_names_the_response_in_the_field(self):
        given = answers_in_form(asked(TWO), {"answer.helpful.r1": ["3"], "answer.helpful.r2": ["unsure"]})

        assert given == {"helpful": {"r1": 3, "r2": "unsure"}}
        assert fields_of_answer(asked(TWO).criteria[1], given["helpful"]) == {
            "answer.helpful.r1": ["3"],
            "answer.helpful.r2": ["unsure"],
        }


class TestEachTurn:
    def test_each_answer_of_the_assistant_has_its_own(self):
        answers = read(TALK, helpful=3, polite={"1": "up", "3": "down"})

        answers.ensure_complete(asked(TALK), TALK)
        assert kept(answers, TALK) == answers
        assert {mark.message_index for mark in answers.as_revision(asked(TALK), TALK, 1, clock.now()).ratings} == {
            None,
            1,
            3,
        }

    @pytest.mark.parametrize("index", ["0", "2", "4", "-1", "01", "1.0", "one", "", "9" * 5000])
    def test_only_those_can_be_judged(self, index):
        with pytest.raises(AnswersRefused) as refused:
            read(TALK, polite={index: "up"})

        assert refused.value.param == "/answers/polite"


class TestSpans:
    def test_they_count_code_points_and_may_overlap(self):
        words = TEXTS[0]
        given = [span(words, 6, 9, "rude", "major"), span(words, 0, 9)]

        answers = read(TWO, where={"r1": given})

        assert answers.values["where"][str(IDS[0])] == given[::-1]
        assert words[6:9] == "👩‍🚀"
        assert kept(answers, TWO) == answers

    def test_a_single_response_has_one_list(self):
        answers = read(TALK, where=[span("Bye.", 0, 4)])

        assert kept(answers, TALK) == answers

    @pytest.mark.parametrize(
        "given",
        [
            [span(TEXTS[1], 0, len(TEXTS[1]) + 1)],
            [span(TEXTS[1], 3, 3)],
            [span(TEXTS[1], 5, 3)],
            [span(TEXTS[1], -1, 3)],
            [span(TEXTS[1], 0, 2**70)],
            [span(TEXTS[1], 0.0, 3)],
            [span(TEXTS[1], False, True)],
            [span(TEXTS[1], float("nan"), 3)],
            [span("The words as they were before", 0, 3)],
            [span(TEXTS[1], 0, 3, text_hash=None)],
            [span(TEXTS[1], 0, 3, label="kind")],
            [span(TEXTS[1], 0, 3, label=None)],
            [span(TEXTS[1], 0, 3, severity="mild")],
            [span(TEXTS[1], 0, 3, severity=None)],
            [span(TEXTS[1], 0, 3, colour="red")],
            [span(TEXTS[1], 0, 3), span(TEXTS[1], 0, 3)],
            [span(TEXTS[1], 0, 3)] * (MAX_SPANS + 1),
            [[]],
            "[",
            span(TEXTS[1], 0, 3),
        ],
    )
    def test_it_refuses_those_that_lie_nowhere_or_say_nothing(self, given):
        with pytest.raises(AnswersRefused) as refused:
            read(TWO, where={"r2": given})

        assert refused.value.param == "/answers/where"

    def test_a_form_gives_them_as_json_text(self):
        given = [span(TEXTS[1], 0, 3)]
        where = asked(TWO).criteria[-1]
        (field, values), *_ = fields_of_answer(where, {"r2": given}).items()

        assert field == "answer.where.r2"
        assert answers_in_form(asked(TWO), {field: values}) == {"where": {"r2": given}}

    @pytest.mark.parametrize("text", ["[" * 100_000, "nonsense", '{"start": NaN}', "\ud800"])
    def test_a_text_that_is_no_json_is_refused_not_lost(self, text):
        given = answers_in_form(asked(TWO), {"answer.where.r2": [text]})

        assert given == {"where": {"r2": text}}
        with pytest.raises(AnswersRefused):
            read(TWO, **given)
