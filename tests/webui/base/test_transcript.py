import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webui.base.parts_app import hotel_transcript, star_dialogue
from webui.base.content import Part
from webui.base.tool_use import ToolUse
from webui.base.transcript import KEEP_OPEN, Earlier, Instructions, Message, Retrieved, feedback_note, transcript


def said(text, role="user"):
    return {"role": role, "content": text}


def call(call_id, arguments, name="hotel_book"):
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def answer(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


ANSWER = {"role": "assistant", "content": "Booked."}


def entries(*messages, **more):
    return transcript(messages, ANSWER, **more).entries


class TestTranscript:
    def test_it_shows_a_real_dialogue(self):
        shown = hotel_transcript().entries

        assert [entry.kind for entry in shown] == [
            *("instructions", "earlier", "message", "message", "tool", "message", "message", "tool"),
            *("retrieved", "message", "message"),
        ]
        review = next(entry for entry in shown if isinstance(entry, Message) and entry.is_under_review)
        assert review.parts == (Part("text", "OK, I've successfully completed this Hotel booking for you!"),)
        assert review.notes == ("The user answered “Did the assistant reserve your hotel?” with yes.",)
        assert review.at == "14:29"

    def test_it_counts_the_words_of_the_system_prompt(self):
        first = entries(said("Be kind and brief.", "system"))[0]

        assert first == Instructions("System prompt", (Part("text", "Be kind and brief."),), 4)

    def test_it_folds_the_beginning_of_a_long_conversation(self):
        turns = [said(f"message {n} of many", "user" if n % 2 == 0 else "assistant") for n in range(40)]

        first, *rest = entries(said("hello"), *turns)

        assert isinstance(first, Earlier)
        assert len(first.entries) == 41 - KEEP_OPEN
        assert first.summary == "message 0 of many"
        assert len(rest) == KEEP_OPEN + 1

    def test_it_says_what_was_looked_up(self):
        passages = entries(context=[{"title": "Rules", "text": "30 minutes", "source": "p. 12"}, "bare text"])[0]

        assert isinstance(passages, Retrieved)
        assert [(p.title, p.text, p.source) for p in passages.passages] == [
            ("Rules", "30 minutes", "p. 12"),
            ("Passage 2", "bare text", ""),
        ]

    def test_it_keeps_reasoning_and_refusal_apart_from_the_text(self):
        output = {"role": "assistant", "content": None, "refusal": "I cannot.", "reasoning_content": "Is it safe?"}

        review = transcript([], output).entries[0]

        assert (review.parts, review.refusal, review.reasoning) == ((), "I cannot.", "Is it safe?")

    def test_it_names_parts_that_are_not_text(self):
        content = [
            {"type": "text", "text": "See:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"filename": "bill.pdf"}},
            {"type": "hologram"},
        ]

        assert entries(said(content))[0].parts == (
            Part("text", "See:"),
            Part("placeholder", "Image: image/png, not shown"),
            Part("placeholder", "Audio: wav, not shown"),
            Part("placeholder", "File: bill.pdf, not shown"),
            Part("placeholder", "Part of kind “hologram”, not shown"),
        )

    def test_it_shows_the_time_that_a_response_was_given(self):
        at = datetime(2026, 5, 26, 14, 29, tzinfo=UTC)

        assert transcript([], ANSWER, output_at=at).entries[0].at == "14:29"

    @given(
        st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["system", "user", "assistant", "tool", "judge"])},
                optional={
                    "content": st.one_of(
                        st.none(), st.text(), st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2)
                    ),
                    "tool_calls": st.one_of(
                        st.none(),
                        st.lists(
                            st.dictionaries(st.sampled_from(["id", "function"]), st.one_of(st.none(), st.text())),
                            max_size=3,
                        ),
                    ),
                    "tool_call_id": st.text(max_size=2),
                    "at": st.text(max_size=3),
                    "name": st.text(max_size=3),
                },
            ),
            max_size=30,
        )
    )
    def test_it_shows_one_response_under_review_whatever_the_messages(self, messages):
        shown = transcript(messages, ANSWER).entries

        assert [entry.is_under_review for entry in shown if isinstance(entry, Message)].count(True) == 1


class TestToolUses:
    def test_it_pairs_a_call_with_its_answer(self):
        use = entries(call("c1", '{"Name": "Hilton", "Nights": 3}'), answer("c1", '{"Message": "Reservation Failed"}'))[
            0
        ]

        assert isinstance(use, ToolUse)
        assert use.arguments == (("Name", "Hilton"), ("Nights", "3"))
        assert use.summary == "Hilton · 3"
        assert (use.outcome, use.outcome_tone) == ("Reservation Failed", "bad")
        assert use.is_open

    def test_it_pairs_an_id_that_comes_again_with_the_newest_call(self):
        first, second = entries(call("c", '{"a": 1}'), answer("c", "one"), call("c", '{"a": 2}'), answer("c", "two"))[
            :2
        ]

        assert (first.answer, second.answer) == ((Part("text", "one"),), (Part("text", "two"),))

    def test_it_shows_an_answer_without_a_call(self):
        use = entries({**answer("c9", "late"), "name": "search"})[0]

        assert (use.name, use.answer) == ("search", (Part("text", "late"),))

    def test_it_says_when_no_answer_was_recorded(self):
        assert entries(call("c1", "{}"))[0].answer is None

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ('{"a": ', "not valid JSON"),
            ("[1]", "not a JSON object"),
            ("[" * 100_000, "not valid JSON"),
            ("", ""),
            (None, ""),
        ],
    )
    def test_it_takes_arguments_as_the_model_wrote_them(self, arguments, problem):
        use = entries(call("c1", arguments))[0]

        assert use.arguments_problem == problem
        assert use.raw_arguments == (arguments if problem else "")

    def test_it_keeps_the_calls_of_the_response_under_review_inside_it(self):
        review = transcript([said("book it")], call("c1", '{"a": 1}')).entries[-1]

        assert [use.name for use in review.tool_uses] == ["hotel_book"]

    def test_it_reads_every_call_of_the_excerpt(self):
        for dialogue in ("star-461", "star-4863"):
            shown = entries(*star_dialogue(dialogue)["messages"])
            folded = [inner for entry in shown if isinstance(entry, Earlier) for inner in entry.entries]
            uses = [entry for entry in (*folded, *shown) if isinstance(entry, ToolUse)]
            assert len(uses) == 2
            assert all(json.loads(use.answer[0].text) for use in uses)


class TestFeedbackNote:
    @pytest.mark.parametrize(
        ("feedback", "note"),
        [
            ({"kind": "thumbs", "value": True}, "The user gave a thumbs up."),
            ({"kind": "thumbs", "value": "down", "comment": "No."}, "The user gave a thumbs down: “No.”"),
            ({"kind": "stars", "value": 4}, "The user gave 4 stars."),
            ({"kind": "solved", "value": False}, "The user answered “solved” with no."),
            ({"kind": "mood", "value": "cross"}, "The user answered “mood” with cross."),
            ({"kind": "note", "value": None, "comment": "Hm"}, "The user left “note”: “Hm”"),
            ({"kind": "stars", "value": 1, "source": "desk"}, "“desk” gave 1 star."),
        ],
    )
    def test_it_says_it_in_a_sentence(self, feedback, note):
        assert feedback_note(feedback) == note
