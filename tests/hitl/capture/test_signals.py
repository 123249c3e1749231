"""Signals: what each says of an answer, and how often it is right on data that others published."""

import gzip
import json
from pathlib import Path

import pytest

from hitl.capture.signals import BUILT_IN, Said, reasons, signals_of, words_asking_for_person

DATA = Path("hitl/demo/data")


class TestSignals:
    @pytest.mark.parametrize(
        ("name", "answer", "asked", "why"),
        [
            (
                "asked_for_person",
                "Sure.",
                "Let me talk to a human, please",
                "The user asked for a person: “talk to a human”.",
            ),
            ("refusal", "I'm sorry, but I can't.", "Help", "The answer refuses: “I'm sorry, but I can't”."),
            ("empty", " … ", "Help", "The answer is empty."),
            ("very_long", "word " * 1_000, "Help", "The answer is very long: 5,000 characters."),
            (
                "personal_data",
                "Write to kim@example.org or call +44 20 7946 0018.",
                "Whom do I ask?",
                "The answer holds personal data that the user did not give: e-mail, phone number.",
            ),
            ("profanity", "That is a damn shame.", "Oh", "The answer swears: 1 word, the first is “d…”."),
            (
                "negative_turns",
                "Sorry.",
                "This is so frustrating",
                "The user sounds unhappy in their newest message: “frustrating”.",
            ),
        ],
    )
    def test_each_says_why(self, name, answer, asked, why):
        told = said(answer, asked)
        values = signals_of(told)

        assert values[name] >= 1
        assert reasons(told, values)[name] == why

    def test_a_plain_answer_raises_nothing(self):
        told = said("Your booking is for Friday at eight.", "When do I leave?")

        assert reasons(told, signals_of(told)) == {}

    def test_what_cannot_be_told_is_left_out(self):
        assert BUILT_IN.keys() - signals_of(said("Yes.", "Well?")).keys() == {"mean_logprob", "unsupported"}

    def test_it_counts_what_is_said_again(self):
        again = "We cannot find it. Please try again later and tell us. " * 8
        assert signals_of(said(again, "Where is it?"))["repeats"] > 0.7

    def test_it_knows_what_the_bot_said_before(self):
        turns = [("user", "Where?"), ("assistant", "Please tell me your account number first."), ("user", "No!")]
        told = Said("Please tell me your account number first!", turns)

        assert signals_of(told)["repeats"] == 1
        assert reasons(told, {"repeats": 1.0}) == {"repeats": "The answer says word for word what the bot said before."}

    def test_what_the_user_said_themselves_is_no_leak(self):
        assert signals_of(said("I wrote to kim@example.org.", "I am kim@example.org"))["personal_data"] == 0

    def test_an_answer_that_calls_a_tool_is_not_empty(self):
        call = {"id": "1", "type": "function", "function": {"name": "book", "arguments": "{}"}}
        told = Said.of({"messages": []}, {"role": "assistant", "content": None, "tool_calls": [call]})

        assert signals_of(told)["empty"] == 0

    def test_it_counts_unhappy_messages_from_the_newest_back(self):
        turns = [("user", text) for text in ("This is awful", "Fine.", "You don't listen", "You are wrong!")]

        assert signals_of(Said("Sorry.", turns))["negative_turns"] == 2

    def test_it_compares_sentences_with_the_context(self):
        passages = ["The Old Town Inn stands in the north of the city. Breakfast is served from seven to ten."]
        told = Said(
            "The Old Town Inn stands in the north. Dogs are welcome in every room without charge.", [], passages
        )

        assert signals_of(told)["unsupported"] == 0.5
        assert reasons(told, {"unsupported": 0.5})["unsupported"].startswith("50% of the answer's sentences")


class TestAskingForAPerson:
    @pytest.mark.parametrize(
        "text",
        [
            "I want to speak to a human",
            "can i talk to someone real?",
            "Connect me with an agent please",
            "Transfer me to your manager",
            "get me a real person",
            "I need a representative",
            "Is there somebody I can talk to",
            "I'd rather talk to customer service",
            "I don't want to talk to a bot",
        ],
    )
    def test_it_hears_it(self, text):
        assert words_asking_for_person(text)

    @pytest.mark.parametrize(
        "text",
        [
            "Are you human?",
            "I spoke to my doctor",
            "My agent booked it",
            "There were many people at the party",
            "You don't need to connect me to an agent",
            "The manager was kind",
            "I'm not a robot",
        ],
    )
    def test_it_does_not_hear_what_is_not_said(self, text):
        assert words_asking_for_person(text) is None


class TestOnRealDialogues:
    """The floors are what was measured, rounded down: docs/supervisors.md names the figures."""

    def test_nobody_in_the_star_dialogues_asked_for_a_person(self):
        # All 3,314 messages of users were looked through for it; the scripts of these dialogues do not provide for it.
        assert [text for text in user_messages() if words_asking_for_person(text)] == []

    def test_it_repeats_what_the_agents_repeat(self):
        """Agents of STAR choose from ready-made sentences, so that some say one twice."""
        rows = read("production_stream.jsonl.gz")
        raised = sum(signals_of(answered(row))["repeats"] >= 0.3 for row in rows)

        assert 60 <= raised <= 90  # of 1,281

    def test_long_and_empty_answers_are_rare_where_there_are_none(self):
        rows = read("model_outputs.jsonl.gz")
        raised = [reasons(answered(row), signals_of(answered(row))).keys() for row in rows]

        assert not any({"very_long", "empty", "profanity", "personal_data"} & names for names in raised)
        assert 15 <= sum("refusal" in names for names in raised) <= 30  # of 765


def said(answer, asked):
    return Said(answer, [("user", asked)])


def answered(row):
    turns = [message for message in row["messages"] if message["role"] != "tool" and message.get("content")]
    return Said.of({"messages": turns}, {"role": "assistant", "content": row["response"]})


def user_messages():
    dialogues = read("star_dialogues.jsonl.gz")
    return [turn["content"] for row in dialogues for turn in row["messages"] if turn["role"] == "user"]


def read(name):
    with gzip.open(DATA / name, "rt") as lines:
        return [json.loads(line) for line in lines]
