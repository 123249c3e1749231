from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.core import clock
from hitl.review.answer_fields import answers_in_form
from hitl.review.answers import Answers
from hitl.review.errors import AnswersIncomplete, AnswersRefused
from hitl.review.judged import Judged
from hitl.review.reading import MAX_COMMENT_CHARACTERS
from hitl.review.rubrics import Rubric

OUTPUT = {"role": "assistant", "content": "OK, I've booked it for you!"}
CALLING = {
    "role": "assistant",
    "content": "I look it up.",
    "reasoning_content": "They want a room.",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "hotel_book", "arguments": '{"name": '}}],
}
RUBRIC = Rubric.model_validate(
    {
        "criteria": [
            {
                "kind": "scale",
                "name": "helpful",
                "label": "Helpful",
                "required": True,
                "overall": True,
                "points": [{"value": value, "label": f"Point {value}"} for value in (1, 2, 3, 5)],
            },
            {"kind": "thumbs", "name": "polite", "label": "Polite", "cannot_judge": True, "required": True},
            {
                "kind": "choice",
                "name": "topic",
                "label": "Topic",
                "options": [{"value": "billing", "label": "Billing"}, {"value": "room", "label": "Room"}],
            },
            {
                "kind": "tags",
                "name": "wrong",
                "label": "What is wrong",
                "cannot_judge": True,
                "options": [{"value": "made_up", "label": "Made up"}, {"value": "rude", "label": "Cold or rude"}],
            },
            {"kind": "text", "name": "why", "label": "Why"},
            {"kind": "correction", "name": "correction", "label": "Correct it"},
        ]
    }
)


ASKED = {"role": "user", "content": "Is there a room?"}


def judged(output=OUTPUT):
    return Judged.single(UUID(int=1), output, [ASKED])


def read(output=OUTPUT, comment=None, **values):
    return Answers.read(RUBRIC, values, judged(output), comment=comment)


class TestRead:
    def test_it_keeps_one_answer_of_each_kind(self):
        answers = read(
            helpful=5,
            polite="up",
            topic="room",
            wrong=["rude", "made_up"],
            why=" so ",
            correction="Sorry.",
            comment="c",
        )

        assert answers.values == {
            "helpful": 5,
            "polite": "up",
            "topic": "room",
            "wrong": ["made_up", "rude"],
            "why": "so",
            "correction": {"role": "assistant", "content": "Sorry."},
        }
        assert answers.comment == "c"

    @pytest.mark.parametrize(
        ("values", "param"),
        [
            ({"helpful": 4}, "/answers/helpful"),  # not on this scale
            ({"helpful": 6}, "/answers/helpful"),
            ({"helpful": "5"}, "/answers/helpful"),
            ({"helpful": 5.0}, "/answers/helpful"),
            ({"helpful": True}, "/answers/helpful"),
            ({"helpful": "unsure"}, "/answers/helpful"),
            ({"polite": 1}, "/answers/polite"),
            ({"polite": True}, "/answers/polite"),
            ({"topic": "weather"}, "/answers/topic"),
            ({"topic": ["room"]}, "/answers/topic"),
            ({"wrong": "rude"}, "/answers/wrong"),
            ({"wrong": ["rude", "rude"]}, "/answers/wrong"),
            ({"wrong": ["rude", "unsure"]}, "/answers/wrong"),
            ({"wrong": [[]]}, "/answers/wrong"),
            ({"why": 3}, "/answers/why"),
            ({"why": "a\0b"}, "/answers/why"),
            ({"why": "half \ud83d"}, "/answers/why"),
            ({"why": "x" * 20_001}, "/answers/why"),
            ({"correction": {"role": "user", "content": "I am not the assistant"}}, "/answers/correction"),
            ({"correction": {"role": "assistant", "content": " "}}, "/answers/correction"),
            ({"correction": {"role": "assistant"}}, "/answers/correction"),
            ({"correction": {"role": "assistant", "content": "x", "mood": "good"}}, "/answers/correction"),
            ({"correction": {"role": "assistant", "content": "a\0b"}}, "/answers/correction"),
            ({"correction": 5}, "/answers/correction"),
            ({"spelling": 1}, "/answers/spelling"),
            ({"a/b~c": 1}, "/answers/a~1b~0c"),
            ({"comment": "x"}, "/comment"),  # an answer that the rubric does not ask for
        ],
    )
    def test_it_names_the_answer_that_does_not_fit(self, values, param):
        with pytest.raises(AnswersRefused) as refused:
            Answers.read(RUBRIC, values, judged())

        assert refused.value.param == param
        assert refused.value.status == 422

    def test_it_names_all_that_do_not_fit(self):
        with pytest.raises(AnswersRefused) as refused:
            read(helpful=9, topic="weather", comment="x" * (MAX_COMMENT_CHARACTERS + 1))

        assert list(refused.value.problems) == ["helpful", "topic", "comment"]

    @pytest.mark.parametrize("nothing", [None, "", "  \n", []])
    def test_an_empty_answer_is_no_answer(self, nothing):
        answers = read(helpful=nothing, wrong=nothing, why=nothing, correction=nothing, comment=None)

        assert answers == Answers({}, None)

    def test_cannot_judge_is_an_answer_where_the_criterion_allows_it(self):
        assert read(polite="unsure", wrong="unsure").values == {"polite": "unsure", "wrong": "unsure"}

    @settings(max_examples=400)
    @given(
        st.dictionaries(
            st.sampled_from([criterion.name for criterion in RUBRIC.criteria]) | st.text(max_size=5),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-2, 7)
                | st.floats()
                | st.text(st.characters(codec=None), max_size=8)
                | st.sampled_from(["unsure", "up", "down", "room", "rude", "made_up", "assistant", OUTPUT["content"]]),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "x"]), inner, max_size=4)
                ),
                max_leaves=6,
            ),
            max_size=4,
        )
        | st.text()
        | st.none(),
        st.none() | st.text(st.characters(codec=None)) | st.integers(),
    )
    def test_any_json_is_either_valid_or_refused_by_name(self, values, comment):
        answers, refused = read_or_refuse(values, comment)

        if refused is not None:
            assert refused.problems
            assert refused.param.startswith(("/answers", "/comment"))
            assert orjson.dumps(refused.as_json())
        else:
            assert Answers.read(RUBRIC, answers.values, judged(), comment=answers.comment) == answers
            assert Answers.of(answers.as_revision(RUBRIC, judged(), 1, clock.now()), RUBRIC) == answers


def read_or_refuse(values, comment):
    try:
        return Answers.read(RUBRIC, values, judged(), comment=comment), None
    except AnswersRefused as refused:
        return None, refused


class TestCorrection:
    @pytest.mark.parametrize(
        "same", ["OK, I've booked it for you!", "  OK, I've\n booked it  for you! ", "OK, I've booked it for you!\n"]
    )
    def test_one_that_says_the_same_is_none(self, same):
        assert read(correction=same).values == {}

    def test_another_spelling_of_the_same_characters_is_none(self):
        composed, decomposed = "Caf\u00e9", "Cafe\u0301"

        assert read({"role": "assistant", "content": composed}, correction=decomposed).values == {}

    def test_a_text_replaces_the_words_and_keeps_the_tool_calls(self):
        corrected = read(CALLING, correction="One moment.").values["correction"]

        assert corrected["content"] == "One moment."
        assert corrected["tool_calls"] == CALLING["tool_calls"]

    def test_the_reasoning_behind_the_old_words_does_not_stand_beside_the_new_ones(self):
        assert "reasoning_content" not in read(CALLING, correction="One moment.").values["correction"]

    def test_a_refusal_can_be_corrected_to_an_answer(self):
        refusal = {"role": "assistant", "content": None, "refusal": "I cannot help."}

        assert read(refusal, correction="It opens at nine.").values["correction"] == {
            "role": "assistant",
            "content": "It opens at nine.",
        }

    def test_a_whole_message_may_change_the_calls_too(self):
        message = {"role": "assistant", "content": "I look it up."}

        assert read(CALLING, correction=message).values["correction"] == message

    def test_a_text_leaves_other_parts_where_they_are(self):
        picture = {"type": "image", "id": "p1"}
        output = {"role": "assistant", "content": [{"type": "text", "text": "Look:"}, picture]}

        assert read(output, correction="See:").values["correction"]["content"] == [
            {"type": "text", "text": "See:"},
            picture,
        ]

    def test_a_text_equal_to_the_only_text_part_is_none(self):
        output = {"role": "assistant", "content": [{"type": "text", "text": "Look"}]}

        assert read(output, correction="Look").values == {}

    def test_an_item_without_a_single_response_has_nothing_to_correct(self):
        with pytest.raises(AnswersRefused, match="no single response"):
            Answers.read(RUBRIC, {"correction": "x"}, Judged("conversation", ()))


class TestComplete:
    def test_it_names_the_criteria_that_are_missing(self):
        with pytest.raises(AnswersIncomplete) as refused:
            read(topic="room").ensure_complete(RUBRIC, judged())

        assert list(refused.value.problems) == ["helpful", "polite"]
        assert refused.value.param == "/answers/helpful"

    def test_cannot_judge_is_enough(self):
        read(helpful=3, polite="unsure").ensure_complete(RUBRIC, judged())


class TestForm:
    def test_it_reads_the_fields_of_a_page(self):
        form = {
            "csrf_token": ["x"],
            "answer.helpful": ["3"],
            "answer.polite": ["unsure"],
            "answer.wrong": ["rude", "made_up"],
            "answer.topic": [""],
            "answer.correction": ["Two\r\nlines"],
            "comment": ["a\r\nb"],
        }

        assert answers_in_form(RUBRIC, form) == {
            "helpful": 3,
            "polite": "unsure",
            "wrong": ["rude", "made_up"],
            "correction": "Two\nlines",
            "comment": "a\nb",
        }

    def test_what_is_no_number_and_what_nobody_asked_for_is_passed_on_to_be_refused(self):
        given = answers_in_form(RUBRIC, {"answer.helpful": ["five"], "answer.else": ["x"], "answer.wrong": ["unsure"]})

        assert given == {"helpful": "five", "else": "x", "wrong": "unsure"}


class TestDraft:
    def test_a_correction_of_the_words_alone_goes_back_into_the_editor_as_words(self):
        assert read(CALLING, correction="One moment.", comment="c").as_draft(RUBRIC, judged(CALLING)) == {
            "correction": "One moment.",
            "comment": "c",
        }

    def test_a_correction_of_the_calls_stays_a_message(self):
        message = {"role": "assistant", "content": "I look it up."}

        assert read(CALLING, correction=message).as_draft(RUBRIC, judged(CALLING)) == {"correction": message}
