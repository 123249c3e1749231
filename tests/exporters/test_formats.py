"""What each format can express, and what it refuses by name. Golden files show the rows themselves."""

import json

import orjson
import pytest

from exporters.axolotl import Axolotl
from exporters.errors import RowRefused
from exporters.hub_card import hub_card, size_category
from exporters.huggingface import SCHEMAS, Huggingface
from exporters.llama_factory import LlamaFactory
from exporters.nemo_rl import NemoRl
from exporters.openai.chat import OpenaiChat
from exporters.openai.preference import OpenaiPreference
from exporters.openrlhf import OpenRlhf
from exporters.registry import EXPORTERS, exporter
from exporters.shards import ParquetShards
from exporters.trl.language_modeling import TrlLanguageModeling
from exporters.trl.unpaired_preference import TrlUnpairedPreference
from exporters.verl import Verl
from tests.exporters.examples import (
    BOOK,
    FLIGHT,
    OF_KIND,
    PLANE_BOOK,
    assistant,
    call,
    demonstration,
    pair,
    result,
    user,
    verdict,
)

MAKE = {"preference": pair, "demonstration": demonstration, "verdict": verdict}
ANSWER = {"preference": "chosen", "demonstration": "completion", "verdict": "completion"}
EVERY = [(name, kind) for name in EXPORTERS for kind in sorted(EXPORTERS[name].kind)]
TRAINING = [(name, kind) for name, kind in EVERY if name not in ("jsonl", "parquet")]
TEXT_ONLY = [
    (name, kind)
    for name, kind in TRAINING
    if name in ("openrlhf", "nemo-rl", "verl") or (name, kind) == ("axolotl", "preference")
]


def refusal(name, example):
    with pytest.raises(RowRefused) as refused:
        exporter(name).row(example)
    return refused.value.code


class TestEveryTrainingFormat:
    @pytest.mark.parametrize(("name", "kind"), TRAINING)
    @pytest.mark.parametrize(
        ("code", "prompt"),
        [
            ("empty_prompt", []),
            ("empty_prompt", [user(" \n")]),
            ("prompt_not_open", [user("Hello"), assistant("Hello, how can I help?")]),
            ("unknown_role", [{"role": "function", "content": "1"}]),
            ("message_without_content", [user(None)]),
            ("unsupported_content_part", [user([{"type": "image_url", "image_url": {"url": "https://x"}}])]),
            ("system_message_not_first", [user("Hello"), {"role": "system", "content": "Be kind."}, user("Hello?")]),
        ],
    )
    def test_it_refuses_a_prompt_that_cannot_be_answered_in_text(self, name, kind, code, prompt):
        assert refusal(name, MAKE[kind](prompt=prompt)) == code

    @pytest.mark.parametrize(("name", "kind"), TRAINING)
    @pytest.mark.parametrize(
        ("code", "answer"),
        [
            ("answer_not_assistant", user("Thank you.")),
            ("empty_answer", assistant(" ")),
            ("message_without_content", assistant(None)),
            ("content_and_refusal", {**assistant("Yes."), "refusal": "I cannot."}),
            ("tool_arguments_not_json", call("plane_book", '{"id": ')),
            ("tool_arguments_not_json", call("plane_book", '{"id": NaN}')),
            ("tool_arguments_not_an_object", call("plane_book", "[146]")),
        ],
    )
    def test_it_refuses_an_answer_that_cannot_be_learned(self, name, kind, code, answer):
        assert refusal(name, MAKE[kind](**{ANSWER[kind]: answer})) == code

    @pytest.mark.parametrize("name", [name for name, kind in TRAINING if kind == "preference"])
    def test_it_refuses_two_answers_that_say_the_same(self, name):
        same = pair(prompt=[user("Who?")], chosen=assistant("John."), rejected=assistant("John.\n"))

        assert refusal(name, same) in ("equal_sides", "answer_not_found")

    @pytest.mark.parametrize(("name", "kind"), TRAINING)
    def test_it_refuses_tools_that_are_no_functions(self, name, kind):
        assert refusal(name, MAKE[kind](tools=[{"type": "web_search"}])) in ("unsupported_tool", "tools_not_supported")

    @pytest.mark.parametrize(("name", "kind"), EVERY)
    def test_it_holds_no_reasoning(self, name, kind):
        thinking = {**assistant("A hotel near the station."), "reasoning_content": "They want to sleep."}
        row = exporter(name).row(MAKE[kind](prompt=[user("What did I ask for?")], **{ANSWER[kind]: thinking}))

        assert b"They want to sleep" not in orjson.dumps(row)

    @pytest.mark.parametrize(("name", "kind"), EVERY)
    def test_it_leaves_what_it_was_given_as_it_was(self, name, kind):
        given = MAKE[kind](
            prompt=[{"role": "developer", "content": "Be kind."}, user([{"type": "text", "text": "So?"}])]
        )
        before = repr(given)

        try:
            exporter(name).row(given)
        except RowRefused:
            assert (name, kind) == ("verl", "preference")  # it holds no system message

        assert repr(given) == before


class TestTextOnlyFormats:
    @pytest.mark.parametrize(("name", "kind"), TEXT_ONLY)
    @pytest.mark.parametrize(
        "changes",
        [
            {"tools": [PLANE_BOOK]},
            {"prompt": FLIGHT},
            {"prompt": [*FLIGHT[:4], result("Available")]},
        ],
    )
    def test_it_refuses_tools(self, name, kind, changes):
        assert refusal(name, MAKE[kind](**changes)) == "tools_not_supported"

    @pytest.mark.parametrize(("name", "kind"), TEXT_ONLY)
    def test_it_refuses_an_answer_that_calls_a_tool(self, name, kind):
        calling = MAKE[kind](prompt=[user("Book it.")], **{ANSWER[kind]: call("plane_book", BOOK)})

        assert refusal(name, calling) == "tools_not_supported"

    @pytest.mark.parametrize(("name", "kind"), [*TEXT_ONLY, *(("llama-factory", kind) for kind in MAKE)])
    def test_it_refuses_names(self, name, kind):
        assert refusal(name, MAKE[kind](prompt=[{**user("Hello"), "name": "john"}])) == "name_not_supported"


class TestTrlLanguageModeling:
    def test_it_is_one_conversation_with_the_answer_last(self):
        row = TrlLanguageModeling().row(demonstration(prompt=[user("Who?")], completion=assistant("John.")))

        assert row["messages"] == [user("Who?"), assistant("John.")]


class TestTrlUnpairedPreference:
    def test_it_takes_no_pairs_for_the_better_of_two_may_be_bad(self):
        assert TrlUnpairedPreference.kind == {"verdict"}

    @pytest.mark.parametrize("is_good", [True, False])
    def test_the_label_is_what_people_said(self, is_good):
        assert TrlUnpairedPreference().row(verdict(is_good=is_good))["label"] is is_good


class TestOpenai:
    def test_it_keeps_tool_arguments_as_they_were_captured(self):
        arguments = '{"price": 0.6,  "n": 1e2}'
        row = OpenaiPreference().row(pair(chosen=call("buy", arguments)))

        assert row["preferred_output"][0]["tool_calls"][0]["function"]["arguments"] == arguments

    def test_it_writes_empty_arguments_as_an_empty_object(self):
        row = OpenaiChat().row(demonstration(completion=call("now", "")))

        assert row["messages"][-1]["tool_calls"][0]["function"]["arguments"] == "{}"

    def test_it_refuses_calls_that_differ_in_spaces_only(self):
        same = pair(chosen=call("f", '{"a": 1}'), rejected=call("f", '{"a":1}'))

        assert refusal("openai-preference", same) == "equal_sides"

    @pytest.mark.parametrize("name", ["openai-preference", "openai-chat"])
    def test_it_refuses_calls_and_results_that_do_not_find_each_other(self, name):
        make = pair if name == "openai-preference" else demonstration
        without_id = {**call("f", "{}"), "tool_calls": [{"type": "function", "function": {"name": "f"}}]}

        assert refusal(name, make(prompt=[user("?"), without_id, result("1"), user("?")])) == "tool_call_without_id"
        lost = {"role": "tool", "content": "1"}
        assert refusal(name, make(prompt=[user("?"), call("f", "{}"), lost])) == "tool_message_without_call"

    def test_it_has_no_key_the_service_does_not_know(self):
        row = OpenaiPreference().row(pair(tools=[PLANE_BOOK]))

        assert row.keys() == {"input", "preferred_output", "non_preferred_output"}
        assert row["input"].keys() == {"messages", "tools"}

    def test_it_does_not_teach_the_answers_that_nobody_judged(self):
        messages = OpenaiChat().row(demonstration(prompt=[user("a"), assistant("b"), user("c")]))["messages"]

        assert [message.get("weight") for message in messages] == [None, 0, None, None]

    @pytest.mark.parametrize("kind", ["preference", "demonstration"])
    def test_its_messages_and_tools_are_those_of_the_openai_library(self, kind):
        """The library's own types, with every key that they do not know forbidden."""
        from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
        from pydantic import TypeAdapter

        message = TypeAdapter(ChatCompletionMessageParam)
        tool = TypeAdapter(ChatCompletionFunctionToolParam)
        for example in OF_KIND[kind]:
            for one in messages_of(
                exporter("openai-preference" if kind == "preference" else "openai-chat").row(example)
            ):
                message.validate_python({key: value for key, value in one.items() if key != "weight"}, extra="forbid")
            for one in example.tools or []:
                tool.validate_python(one, extra="forbid")


class TestLlamaFactory:
    def test_it_lifts_the_system_message_out_and_names_the_speakers(self):
        row = LlamaFactory().row(pair(prompt=[{"role": "developer", "content": "Be kind."}, user("Who?")]))

        assert (row["system"], row["conversations"]) == ("Be kind.", [{"from": "human", "value": "Who?"}])
        assert row["chosen"]["from"] == row["rejected"]["from"] == "gpt"

    def test_it_writes_a_call_as_text_of_name_and_arguments(self):
        turns = LlamaFactory().row(demonstration(prompt=[user("?")], completion=call("buy", '{"price": 0.6}')))

        assert turns["conversations"][-1] == {
            "from": "function_call",
            "value": '{"name":"buy","arguments":{"price":0.6}}',
        }

    def test_it_writes_several_calls_as_a_list(self):
        both = {**call("f", "{}"), "tool_calls": [*call("f", "{}")["tool_calls"], *call("g", "{}")["tool_calls"]]}

        turns = LlamaFactory().row(demonstration(prompt=[user("?")], completion=both))["conversations"]

        assert [one["name"] for one in json.loads(turns[-1]["value"])] == ["f", "g"]

    @pytest.mark.parametrize(
        ("code", "prompt"),
        [
            ("turns_not_alternating", [user("Hello"), user("Anybody there?")]),
            ("turns_not_alternating", [assistant("Hello!"), user("Hello")]),
            ("turns_not_alternating", [user("?"), call("f", "{}"), result("1"), result("2")]),
            ("content_beside_tool_calls", [user("?"), {**call("f", "{}"), "content": "Let me see."}, result("1")]),
            ("integer_too_large", [user("?"), call("f", f'{{"n": {2**64}}}'), result("1")]),
        ],
    )
    def test_it_refuses_what_it_would_skip_or_cannot_say(self, code, prompt):
        assert refusal("llama-factory", pair(prompt=prompt)) == code

    @pytest.mark.parametrize("kind", MAKE)
    def test_every_row_has_every_column_that_the_info_names(self, kind, tmp_path):
        exporter("llama-factory").write(OF_KIND[kind], tmp_path / "out")

        info = orjson.loads((tmp_path / "out" / "dataset_info.json").read_bytes())
        for split in info.values():
            rows = [json.loads(line) for line in (tmp_path / "out" / split["file_name"]).read_text().splitlines()]
            assert all(set(split["columns"].values()) <= row.keys() for row in rows)
        assert info.keys() == {example.split for example in OF_KIND[kind]}


class TestAxolotl:
    @pytest.mark.parametrize("said", ["user", "a", "2023", "You are a helpful assistant.", " Hello", "Hello\n"])
    def test_it_refuses_answers_that_axolotl_would_cut_in_the_wrong_place(self, said):
        assert refusal("axolotl", pair(rejected=assistant(said))) == "answer_not_found"

    def test_it_marks_the_one_message_that_people_judged(self):
        row = Axolotl().row(demonstration(prompt=[user("a"), assistant("b"), user("c")]))

        assert [message["training"] for message in row["messages"]] == [False, False, False, True]

    def test_it_keeps_tool_arguments_as_text(self):
        row = Axolotl().row(demonstration(completion=call("buy", '{"price": 0.6}')))

        assert row["messages"][-1]["tool_calls"][0]["function"]["arguments"] == '{"price": 0.6}'


class TestNemoRl:
    def test_the_better_answer_has_the_lower_rank(self):
        completions = NemoRl().row(pair(chosen=assistant("Good."), rejected=assistant("Bad.")))["completions"]

        assert [(one["rank"], one["completion"][0]["content"]) for one in completions] == [(0, "Good."), (1, "Bad.")]


class TestOpenRlhf:
    def test_it_has_no_margin_which_would_enter_the_loss(self):
        assert OpenRlhf().row(pair(margin=2.0)).keys() == {"id", "prompt", "chosen", "rejected"}


class TestVerl:
    def test_a_pair_is_three_texts(self):
        row = Verl().row(pair(prompt=[user("Who?")], chosen=assistant("John."), rejected=assistant("Nobody."), id="1"))

        assert row == {"id": "1", "prompt": "Who?", "chosen": "John.", "rejected": "Nobody."}

    @pytest.mark.parametrize(
        "prompt", [[{"role": "system", "content": "x"}, user("?")], [user("a"), assistant("b"), user("c")]]
    )
    def test_it_refuses_a_pair_whose_prompt_is_no_plain_text(self, prompt):
        assert refusal("verl", pair(prompt=prompt)) == "several_turns"


class TestHuggingface:
    def test_it_writes_shards_that_know_how_many_they_are(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ParquetShards, "SHARD_BYTES", 100)
        monkeypatch.setattr("exporters.files.ParquetRows.BATCH_ROWS", 2)

        exported = exporter("huggingface").write([pair(id=str(n)) for n in range(7)], tmp_path / "out")

        assert [(file.name, file.rows) for file in exported.files] == [
            ("data/train-00000-of-00004.parquet", 2),
            ("data/train-00001-of-00004.parquet", 2),
            ("data/train-00002-of-00004.parquet", 2),
            ("data/train-00003-of-00004.parquet", 1),
        ]
        assert sorted(path.name for path in (tmp_path / "out" / "data").iterdir()) == [
            f"train-0000{n}-of-00004.parquet" for n in range(4)
        ]
        assert exported.counts == {"train": 7}

    @pytest.mark.parametrize("kind", MAKE)
    def test_the_card_explains_every_column(self, kind, tmp_path):
        exporter("huggingface").write(OF_KIND[kind], tmp_path / "out", {"dataset": "support", "version": 3})

        card = (tmp_path / "out" / "README.md").read_text()
        assert all(f"| `{column}` |" in card for column in SCHEMAS[kind].names)

    def test_the_card_stays_one_whatever_the_source_is_called(self, tmp_path):
        import yaml

        hostile = 'a"\n---\n# <script>alert(1)</script> | x [y](javascript:z) `'
        exported = exporter("huggingface").write([pair()], tmp_path / "out", {"dataset": hostile, "license": "mit"})

        _, header, body = (tmp_path / "out" / "README.md").read_text().split("---\n", maxsplit=2)
        read = yaml.safe_load(header)
        assert (read["pretty_name"], read["license"]) == (f"{hostile}, version ?", "mit")
        assert "<script>" not in body
        assert "](" not in body
        assert hub_card(exported, {}, SCHEMAS["preference"]).startswith("---\n")

    def test_the_card_says_nothing_of_a_licence_that_nobody_named(self, tmp_path):
        exporter("huggingface").write([pair()], tmp_path / "out", {"dataset": "support", "version": 3})

        assert "licen" not in (tmp_path / "out" / "README.md").read_text().lower()

    @pytest.mark.parametrize(("rows", "size"), [(1, "n<1K"), (1_000, "1K<n<10K"), (10**8, "10M<n<100M")])
    def test_the_card_names_the_hubs_size(self, rows, size):
        assert size_category(rows) == size

    def test_its_margin_has_another_name_than_the_one_reward_trainer_uses(self):
        row = Huggingface().row(pair(margin=2.0))

        assert row["score_margin"] == 2.0
        assert "margin" not in row


def messages_of(row):
    if "messages" in row:
        return row["messages"]
    return [*row["input"]["messages"], *row["preferred_output"], *row["non_preferred_output"]]
