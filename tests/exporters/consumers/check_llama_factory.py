"""LLaMA-Factory's own loader reads the export. Run by scripts/test-consumers."""

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import peft
import pytest
import transformers
import trl

# It imports torchaudio for sound, which text has none of and which is bound to one build of torch. The libraries above
# must not see the empty one.
LOADED_BEFORE = (peft, transformers, trl)
os.environ["DISABLE_VERSION_CHECK"] = "1"  # it wants an older transformers, for training
sys.modules["torchaudio"] = ModuleType("torchaudio")
sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)

from llamafactory.data.loader import get_dataset  # noqa: E402
from llamafactory.data.template import get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.hparams import DataArguments, ModelArguments  # noqa: E402

from exporters.registry import exporter  # noqa: E402
from tests.exporters.examples import OF_KIND  # noqa: E402
from tests.exporters.readers import tokenizer  # noqa: E402

STAGES = {"preference": "rm", "demonstration": "sft", "verdict": "kto"}


class TestLlamaFactory:
    @pytest.mark.parametrize("kind", STAGES)
    def test_it_keeps_every_row(self, kind, tmp_path):
        read, _ = read_by_llama_factory(kind, tmp_path)

        assert len(read) == sum(example.split == "train" for example in OF_KIND[kind])

    def test_it_renders_pairs_with_tools(self, tmp_path):
        read, words = read_by_llama_factory("preference", tmp_path)

        chosen = [answer(row, words, "chosen_labels") for row in read]
        assert chosen[0].startswith("Do you have a hotel name in mind?")
        assert (
            '{"name": "plane_book", "arguments": {"id": "146", "CustomerName": "Mark", "RequestType": "Book"}}'
            in chosen[1]
        )
        asked = words.decode(read[1]["chosen_input_ids"])
        assert "Check or book a flight." in asked
        assert '"Message": "Available"' in asked

    def test_it_reads_labels_and_sets_other_inputs_answers_against_each_prompt(self, tmp_path):
        read, words = read_by_llama_factory("verdict", tmp_path)

        labels = {answer(row, words, "labels").split("<|im_end|>")[0]: row["kto_tags"] for row in read}
        assert labels["Do you have a hotel name in mind?"] is True
        assert labels["Do you have a hotel preference?"] is False


def read_by_llama_factory(kind, tmp_path):
    exporter("llama-factory").write(OF_KIND[kind], tmp_path / "out")
    words = tokenizer()
    data_args = DataArguments(template="qwen", dataset="train", dataset_dir=str(tmp_path / "out"), cutoff_len=8192)
    model_args = ModelArguments(model_name_or_path="none", cache_dir=str(tmp_path / "cache"))
    template = get_template_and_fix_tokenizer(words, data_args)
    training = transformers.Seq2SeqTrainingArguments(str(tmp_path / "run"), use_cpu=True)
    found = get_dataset(template, model_args, data_args, training, STAGES[kind], words)
    return list(found["train_dataset"]), words


def answer(row, words, labels):
    return words.decode([label for label in row[labels] if label != -100])
