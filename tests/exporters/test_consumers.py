"""Each format, read by what it is for."""

import json
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from exporters.parquet import SCHEMAS
from exporters.registry import EXPORTERS, exporter
from exporters.trl.preference import TrlPreference
from exporters.trl.prompt_completion import TrlPromptCompletion
from exporters.trl.unpaired_preference import TrlUnpairedPreference
from tests.exporters.examples import (
    BOOK,
    CHECK,
    DEMONSTRATIONS,
    FLIGHT,
    OF_KIND,
    PAIRS,
    PLANE_BOOK,
    VERDICTS,
    assistant,
    call,
    demonstration,
    pair,
    user,
    verdict,
)
from tests.exporters.readers import load, tiny_model, tokenizer

TRL_ROW = {"preference": TrlPreference, "demonstration": TrlPromptCompletion, "verdict": TrlUnpairedPreference}

CPU = {
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "logging_steps": 1,
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "max_length": 2048,
}


class TestTrlPreferenceInTrl:
    def test_it_reads_back_several_turns_and_tool_calls_as_they_went_in(self, out, tmp_path):
        exporter("trl-preference").write(PAIRS, out)

        data = load(out, tmp_path / "cache")

        assert {split: len(rows) for split, rows in data.items()} == {"train": 2, "test": 1}
        row = data["train"][1]
        assert [as_captured(message) for message in row["prompt"]] == FLIGHT
        assert [as_captured(message) for message in row["chosen"]] == [PAIRS[1].chosen]
        assert row["rejected"] == [PAIRS[1].rejected]
        assert json.loads(row["tools"]) == [PLANE_BOOK]
        assert data["train"][0]["chosen"] == [PAIRS[0].chosen]  # no key of another row has leaked in

    def test_it_reads_tool_calls_that_only_the_test_split_has(self, out, tmp_path):
        exporter("trl-preference").write([PAIRS[0], pair(split="test", chosen=call("plane_book", BOOK))], out)

        chosen = load(out, tmp_path / "cache")["test"][0]["chosen"][0]

        assert chosen["tool_calls"][0]["function"]["arguments"] == json.loads(BOOK)

    def test_it_reads_a_tool_call_that_comes_after_ten_megabytes(self, out, tmp_path):
        long = [pair(id=f"{n:064x}", rejected=assistant("x" * 100_000)) for n in range(120)]
        exporter("trl-preference").write([*long, PAIRS[1]], out)

        row = load(out, tmp_path / "cache")["train"][120]

        assert as_captured(row["chosen"][0]) == PAIRS[1].chosen

    def test_it_reads_the_next_version_from_a_folder_of_the_same_name(self, tmp_path):
        for version in (1, 2):
            out = tmp_path / str(version) / "answers"
            out.parent.mkdir()
            exporter("trl-preference").write([pair(chosen=assistant(f"Version {version}"))], out)

            chosen = load(out, tmp_path / "cache")["train"][0]["chosen"][0]

            assert chosen["content"] == f"Version {version}"

    def test_it_does_not_merge_the_arguments_of_different_calls(self, out, tmp_path):
        rows = [pair(chosen=call("f", '{"room": "hall"}')), pair(chosen=call("f", '{"deg": 21, "on": null}'))]
        exporter("trl-preference").write(rows, out)

        data = load(out, tmp_path / "cache")["train"]

        arguments = [row["chosen"][0]["tool_calls"][0]["function"]["arguments"] for row in data]
        assert arguments == [{"room": "hall"}, {"deg": 21, "on": None}]

    def test_it_is_found_in_a_folder_named_like_a_split(self, tmp_path):
        out = tmp_path / "train" / "test"
        exporter("trl-preference").write([pair(split="validation")], out)

        assert list(load(out, tmp_path / "cache")) == ["validation"]

    def test_it_renders_in_a_chat_template_with_arguments_quoted_once(self, out, tmp_path):
        from trl import apply_chat_template

        exporter("trl-preference").write(PAIRS, out)
        row = load(out, tmp_path / "cache")["train"][1]

        text = apply_chat_template(dict(row), tokenizer(), tools=json.loads(row["tools"]))

        called = {"name": "plane_book", "arguments": json.loads(BOOK)}
        assert text["chosen"] == f"<tool_call>{json.dumps(called)}</tool_call><|im_end|>\n"
        assert text["rejected"] == "The flight id is 766<|im_end|>\n"
        assert '"description": "Check or book a flight."' in text["prompt"]
        assert f'"arguments": {CHECK}' in text["prompt"]

    @pytest.mark.parametrize(
        "template", ["qwen2_5", "qwen3", "qwen3_5_think", "llama3_1", "gptoss", "gemma4_v5", "glm4moe"]
    )
    def test_it_renders_in_the_templates_of_real_models(self, template, out, tmp_path):
        import trl

        exporter("trl-preference").write(PAIRS, out)
        row = load(out, tmp_path / "cache")["train"][1]
        words = tokenizer()
        words.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja").read_text()

        tools = json.loads(row["tools"])
        text = words.apply_chat_template(row["prompt"] + row["chosen"], tools=tools, tokenize=False)

        assert text.count("Mark") >= 3
        assert "146" in text
        assert "Available" in text
        assert '\\"CustomerName\\"' not in text

    def test_it_trains_in_dpo_trainer_and_no_row_is_lost(self, out, tmp_path, model):
        from trl import DPOConfig, DPOTrainer

        exporter("trl-preference").write(PAIRS, out)
        data = load(out, tmp_path / "cache")

        trainer = DPOTrainer(
            model=model,
            args=DPOConfig(str(tmp_path / "run"), **CPU),
            train_dataset=data["train"],
            eval_dataset=data["test"],
        )
        trained = trainer.train()

        assert list(trainer.train_dataset["id"]) == [row.id for row in PAIRS[:2]]
        assert trained.global_step == 2
        assert trained.training_loss > 0
        decoded = trainer.processing_class.decode(trainer.train_dataset[1]["chosen_ids"])
        assert decoded.startswith('<tool_call>{"name": "plane_book", "arguments": {"id": "146"')

    @pytest.mark.parametrize("name", ["trl-preference", "huggingface"])
    def test_it_trains_in_reward_trainer_without_a_margin(self, name, out, tmp_path, model):
        from trl import RewardConfig, RewardTrainer

        exporter(name).write(PAIRS, out)
        data = load(out, tmp_path / "cache")

        args = RewardConfig(str(tmp_path / "run"), **CPU)
        trainer = RewardTrainer(model=model, args=args, train_dataset=data["train"], eval_dataset=data["test"])
        trained = trainer.train()

        assert len(trainer.train_dataset) == 2
        assert trained.global_step == 2
        assert trained.training_loss > 0
        assert "margin" not in next(iter(trainer.get_train_dataloader()))

    def test_it_lets_lost_rows_be_named_when_the_limit_is_too_short(self, out, tmp_path, model):
        from trl import DPOConfig, DPOTrainer

        exporter("trl-preference").write(PAIRS, out)
        data = load(out, tmp_path / "cache")

        short = DPOConfig(str(tmp_path / "run"), **{**CPU, "max_length": 400})
        trainer = DPOTrainer(model=model, args=short, train_dataset=data["train"])

        lost = set(data["train"]["id"]) - set(trainer.train_dataset["id"])
        assert lost == {PAIRS[1].id}


class TestTrlPromptCompletionInTrl:
    def test_it_trains_in_sft_trainer_on_the_completion_only(self, out, tmp_path, model):
        from trl import SFTConfig, SFTTrainer

        exporter("trl-prompt-completion").write(DEMONSTRATIONS, out)
        data = load(out, tmp_path / "cache")

        trainer = SFTTrainer(model=model, args=SFTConfig(str(tmp_path / "run"), **CPU), train_dataset=data["train"])
        trained = trainer.train()

        assert len(trainer.train_dataset) == 2
        assert trained.global_step == 2
        labels = next(iter(trainer.get_train_dataloader()))["labels"]
        learned = [trainer.processing_class.decode(row[row != -100]) for row in labels]
        assert {text.removesuffix("\n").removesuffix("<|im_end|>") for text in learned} == {
            "Right, please let us know your request now.",
            "Yes, both pronunciations are technically correct.",
        }

    def test_it_reads_back_tool_calls_as_they_went_in(self, out, tmp_path):
        exporter("trl-prompt-completion").write(DEMONSTRATIONS, out)

        row = load(out, tmp_path / "cache")["validation"][0]

        assert [as_captured(message) for message in row["prompt"]] == FLIGHT
        assert [as_captured(message) for message in row["completion"]] == [DEMONSTRATIONS[1].completion]


class TestTrlLanguageModelingInTrl:
    def test_it_trains_in_sft_trainer_on_all_that_the_model_said(self, out, tmp_path, model):
        from trl import SFTConfig, SFTTrainer

        exporter("trl-language-modeling").write(DEMONSTRATIONS, out)
        data = load(out, tmp_path / "cache")

        args = SFTConfig(str(tmp_path / "run"), **CPU, assistant_only_loss=True)
        trainer = SFTTrainer(model=model, args=args, train_dataset=data["train"])
        trained = trainer.train()

        assert len(trainer.train_dataset) == 2
        assert trained.global_step == 2
        labels = next(iter(trainer.get_train_dataloader()))["labels"]
        learned = "".join(trainer.processing_class.decode(row[row != -100]) for row in labels)
        assert "Could I get your name, please?" in learned  # nobody judged it
        assert "Right, please let us know your request now." in learned
        assert "I need to make a service request" not in learned


class TestTrlUnpairedPreferenceInTrl:
    def test_it_trains_in_kto_trainer_and_no_row_is_lost(self, out, tmp_path, model):
        from trl import KTOConfig, KTOTrainer

        exporter("trl-unpaired-preference").write(VERDICTS, out)
        data = load(out, tmp_path / "cache")

        trainer = KTOTrainer(
            model=model, args=KTOConfig(str(tmp_path / "run"), **CPU), train_dataset=data["train"], eval_dataset=None
        )
        trained = trainer.train()

        assert sorted(data["train"]["id"]) == sorted(row.id for row in VERDICTS if row.split == "train")
        assert list(trainer.train_dataset["label"]) == list(data["train"]["label"])
        assert trained.global_step == 2
        assert trained.training_loss > 0

    def test_it_lets_kto_trainer_set_the_answers_of_other_inputs_against_each_prompt(self, out, tmp_path, model):
        """The version has a reviewer's verdicts on all answers to one input side by side."""
        from trl import KTOConfig, KTOTrainer

        rows = [
            verdict(prompt=[user(f"Input {n // 2}")], completion=assistant(f"Answer {n}"), id=f"{n:064x}")
            for n in range(400)
        ]
        exporter("trl-unpaired-preference").write(rows, out)
        data = load(out, tmp_path / "cache")["train"]

        args = KTOConfig(str(tmp_path / "run"), **{**CPU, "per_device_train_batch_size": 8})
        trainer = KTOTrainer(model=model, args=args, train_dataset=data)

        read = trainer.processing_class.decode
        inputs = [int(read(row["prompt_ids"]).split("Input ")[1].split("<")[0]) for row in trainer.train_dataset]
        against = [
            int(read(row["KL_completion_ids"]).split("Answer ")[1].split("<")[0]) // 2 for row in trainer.train_dataset
        ]
        assert len(inputs) == 400
        assert sum(map(int.__eq__, inputs, against)) < 10  # by chance 1 in 400; unshuffled, 1 in 2

    def test_it_orders_the_rows_alike_whatever_order_they_came_in(self, tmp_path):
        for name, rows in (("one", VERDICTS), ("two", VERDICTS[::-1])):
            exporter("trl-unpaired-preference").write(rows, tmp_path / name)

        assert (tmp_path / "one" / "train.jsonl").read_bytes() == (tmp_path / "two" / "train.jsonl").read_bytes()
        assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
            "README.md",
            "manifest.json",
            "test.jsonl",
            "train.jsonl",
        ]


class TestHuggingfaceFolder:
    @pytest.mark.parametrize("kind", OF_KIND)
    def test_it_reads_back_the_rows_of_trl_and_their_origin(self, kind, out, tmp_path):
        exported = exporter("huggingface").write(OF_KIND[kind], out)

        data = load(out, tmp_path / "cache")

        assert {split: len(rows) for split, rows in data.items()} == exported.counts
        examples = {example.id: example for example in OF_KIND[kind]}
        for row in (row for rows in data.values() for row in rows):
            expected = TRL_ROW[kind]().row(examples[row["id"]])
            assert {column: row[column] for column in expected} == expected
            assert row["origin"] == examples[row["id"]].origin

    def test_older_readers_find_the_text_of_each_message(self, out):
        exporter("huggingface").write(PAIRS, out)

        (first, *_) = pq.read_table(out / "data" / "train-00000-of-00001.parquet").to_pylist()

        assert [json.loads(message) for message in first["prompt"]] == PAIRS[0].prompt


class TestEveryFormat:
    @pytest.mark.parametrize(
        ("name", "kind"), [(name, kind) for name in EXPORTERS for kind in sorted(EXPORTERS[name].kind)]
    )
    def test_datasets_reads_as_many_rows_as_were_written(self, name, kind, out, tmp_path):
        exported = exporter(name).write(OF_KIND[kind], out)

        data = load(out, tmp_path / "cache")

        assert {split: len(rows) for split, rows in data.items()} == exported.counts


class TestJsonl:
    @pytest.mark.parametrize("rows", OF_KIND.values(), ids=OF_KIND)
    def test_it_is_read_by_datasets_with_every_column(self, rows, out, tmp_path):
        exporter("jsonl").write(rows, out)

        data = load(out, tmp_path / "cache")

        for split, loaded in data.items():
            lines = (out / f"{split}.jsonl").read_bytes().splitlines()
            assert [to_ten_decimals(row) for row in loaded] == [to_ten_decimals(orjson.loads(line)) for line in lines]

    def test_it_holds_no_reasoning(self, out):
        thinking = demonstration(completion={**assistant("Yes."), "reasoning_content": "Hm."}, prompt=[user("So?")])
        exporter("jsonl").write([thinking], out)

        assert b"reasoning" not in (out / "train.jsonl").read_bytes()


class TestParquet:
    @pytest.mark.parametrize("kind", SCHEMAS)
    def test_it_is_read_by_pyarrow_and_datasets_alike(self, kind, out, tmp_path):
        rows = OF_KIND[kind]
        exporter("parquet").write(rows, out)

        data = load(out, tmp_path / "cache")

        for split, loaded in data.items():
            table = pq.read_table(out / f"{split}.parquet")
            assert table.schema == SCHEMAS[kind]
            assert list(loaded) == table.to_pylist()
        assert json.loads(data["train"][0]["prompt"]) == rows[0].prompt


def to_ten_decimals(row):
    """`datasets` keeps no more of a fraction when it reads JSON."""
    return {name: round(value, 10) if isinstance(value, float) else value for name, value in row.items()}


def as_captured(message):
    """The message with its tool arguments as JSON text again, as OpenAI has them."""
    if not message.get("tool_calls"):
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))
