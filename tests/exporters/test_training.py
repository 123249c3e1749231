import pytest

from exporters.arguments import survives_loading
from exporters.errors import RowRefused
from exporters.training import training_message, training_prompt
from exporters.trl.preference import TrlPreference
from exporters.trl.prompt_completion import TrlPromptCompletion
from tests.exporters.examples import BOOK, FLIGHT, PLANE_BOOK, assistant, call, demonstration, pair, result, user


class TestTrlPreference:
    @pytest.mark.parametrize(
        ("code", "changes"),
        [
            ("empty_prompt", {"prompt": []}),
            ("empty_prompt", {"prompt": [user(" \n")]}),
            ("prompt_not_open", {"prompt": [user("Hello"), assistant("Hello, how can I help?")]}),
            ("prompt_not_open", {"prompt": [{"role": "system", "content": "Be kind."}]}),
            ("system_message_not_first", {"prompt": [user("Hello"), {"role": "system", "content": "x"}, user("?")]}),
            ("system_message_not_first", {"prompt": [user("Hello"), {"role": "developer", "content": "x"}, user("?")]}),
            ("unknown_role", {"prompt": [{"role": "function", "content": "1"}]}),
            ("message_without_content", {"prompt": [user(None)]}),
            ("message_without_content", {"chosen": assistant(None)}),
            ("content_not_text", {"chosen": assistant(7)}),
            ("answer_not_assistant", {"chosen": user("Thank you.")}),
            ("empty_answer", {"chosen": assistant("  ")}),
            ("empty_answer", {"rejected": assistant("")}),
            ("equal_sides", {"rejected": assistant(" Do you have a hotel name in mind?\n")}),
            ("equal_sides", {"chosen": call("plane_book", BOOK, "a"), "rejected": call("plane_book", BOOK, "b")}),
            ("content_and_refusal", {"chosen": {**assistant("Yes."), "refusal": "I cannot."}}),
            ("tool_arguments_not_json", {"chosen": call("plane_book", '{"id": ')}),
            ("tool_arguments_not_json", {"chosen": call("plane_book", '{"id": 1, "id": 2}')}),
            ("tool_arguments_not_json", {"chosen": call("plane_book", None)}),
            ("tool_arguments_not_an_object", {"chosen": call("plane_book", "[146]")}),
            ("number_would_change", {"chosen": call("plane_book", '{"price": 0.6}')}),
            ("number_would_change", {"chosen": call("plane_book", '{"prices": [{"price": 0.7}]}')}),
            ("tool_arguments_not_json", {"chosen": call("plane_book", '{"price": NaN}')}),
            ("unsupported_tool_call", {"chosen": {**assistant(None), "tool_calls": [{"type": "custom"}]}}),
            ("unsupported_tool", {"tools": [{"type": "web_search"}]}),
        ],
    )
    def test_it_refuses_by_name_what_would_train_wrongly(self, code, changes):
        with pytest.raises(RowRefused) as refusal:
            TrlPreference().row(pair(**changes))

        assert refusal.value.code == code

    def test_it_names_the_part_that_is_no_text(self):
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

        with pytest.raises(RowRefused, match="unsupported_content_part: image_url in message 1 of the prompt"):
            TrlPreference().row(pair(prompt=[user([{"type": "text", "text": "What is this?"}, picture])]))

    def test_it_ends_the_prompt_with_a_tools_answer_too(self):
        row = TrlPreference().row(pair(prompt=[*FLIGHT[:4], result("Available")]))

        assert row["prompt"][-1]["content"] == "Available"

    def test_it_has_a_tools_column_only_where_the_model_had_tools(self):
        assert "tools" not in TrlPreference().row(pair(tools=[]))
        assert isinstance(TrlPreference().row(pair(tools=[PLANE_BOOK]))["tools"], str)

    def test_it_leaves_what_it_was_given_as_it_was(self):
        given = pair(prompt=FLIGHT, chosen=call("plane_book", BOOK))
        before = repr(given)

        TrlPreference().row(given)

        assert repr(given) == before


class TestTrlPromptCompletion:
    def test_it_refuses_an_empty_completion(self):
        with pytest.raises(RowRefused, match="empty_answer"):
            TrlPromptCompletion().row(demonstration(completion=assistant("")))

    def test_it_teaches_a_refusal_as_what_the_model_said(self):
        row = TrlPromptCompletion().row(demonstration(completion={**assistant(None), "refusal": "I cannot help."}))

        assert row["completion"] == [assistant("I cannot help.")]


class TestTrainingMessage:
    def test_it_keeps_only_the_keys_that_templates_read(self):
        message = {**assistant("Hello"), "id": "m1", "at": "2020-05-12", "reasoning_content": "Greet.", "refusal": None}

        assert training_message(message, "it") == assistant("Hello")

    def test_it_joins_text_parts_by_line_breaks(self):
        parts = [{"type": "text", "text": "Where is"}, {"type": "text", "text": "my train?"}]

        assert training_message(user(parts), "it") == user("Where is\nmy train?")

    def test_it_calls_the_developer_system_as_templates_know_it(self):
        assert training_prompt([{"role": "developer", "content": "Be kind."}, user("Hi")])[0]["role"] == "system"

    def test_it_makes_tool_arguments_an_object(self):
        message = training_message(call("plane_book", '{"id": "146", "seats": 2, "window": null}'), "it")

        assert message["content"] is None
        assert message["tool_calls"][0]["function"]["arguments"] == {"id": "146", "seats": 2, "window": None}

    def test_it_takes_empty_arguments_as_none(self):
        assert training_message(call("now", ""), "it")["tool_calls"][0]["function"]["arguments"] == {}

    def test_it_makes_empty_content_beside_tool_calls_null(self):
        assert training_message({**call("now", "{}"), "content": ""}, "it")["content"] is None


class TestSurvivesLoading:
    @pytest.mark.parametrize("number", [0.0, 0.5, 3.0, -2.25, 1234.5])
    def test_it_lets_numbers_pass_that_come_back_as_they_were(self, number):
        assert survives_loading(number)

    @pytest.mark.parametrize("number", [0.6, -1.7, 1e-12, 1e22, 0.12345678901, -0.0, float("inf")])
    def test_it_stops_numbers_that_would_change(self, number):
        assert not survives_loading(number)
