"""Axolotl's own prompt strategies read the export. Run by scripts/test-consumers."""

import json
from pathlib import Path

import pytest
import trl
from axolotl.prompt_strategies.chat_template import load as chat_template
from axolotl.prompt_strategies.dpo.chat_template import default
from axolotl.utils.dict import DictDefault

from exporters.registry import exporter
from tests.exporters.examples import BOOK, CHECK, DEMONSTRATIONS, PAIRS, assistant, pair
from tests.exporters.readers import load, tokenizer


class TestAxolotl:
    def test_it_reads_pairs(self, tmp_path):
        exporter("axolotl").write(PAIRS, tmp_path / "out")
        (row,) = load(tmp_path / "out", tmp_path / "cache")["train"]

        read = transformed(row)

        assert read["prompt"].endswith("<|im_start|>user\nJohn<|im_end|>\n<|im_start|>assistant\n")
        assert read["chosen"] == "Do you have a hotel name in mind?<|im_end|>"
        assert read["rejected"] == "Do you have a hotel preference?<|im_end|>"

    @pytest.mark.parametrize("said", ["user", " Hello"])
    def test_it_would_cut_the_answers_that_are_refused(self, said):
        """Why `answer_not_found` is refused: here is what it makes of such an answer."""
        trimming = tokenizer()
        trimming.chat_template = trimming.chat_template.replace("m['content'] or ''", "(m['content'] or '') | trim")
        row = {"messages": PAIRS[0].prompt, "chosen": assistant(said), "rejected": assistant("No.")}

        assert transformed(row, trimming)["chosen"] != f"{said}<|im_end|>"
        assert exporter("axolotl").rehearse([pair(chosen=assistant(said))]).refused_by_code == {"answer_not_found": 1}

    def test_it_learns_the_judged_answer_of_a_demonstration_only(self, tmp_path):
        exporter("axolotl").write(DEMONSTRATIONS, tmp_path / "out")
        data = load(tmp_path / "out", tmp_path / "cache")
        _, learned = seen_and_learned(data["train"][0], tokenizer())

        assert learned.removesuffix("<|im_end|>") == "Right, please let us know your request now."

    @pytest.mark.parametrize("template", ["qwen2_5", "qwen3", "llama3_1", "gptoss"])
    def test_it_learns_the_judged_tool_call_in_the_templates_of_real_models(self, template, tmp_path):
        exporter("axolotl").write(DEMONSTRATIONS, tmp_path / "out")
        (row,) = load(tmp_path / "out", tmp_path / "cache")["validation"]
        words = tokenizer()
        words.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja").read_text()

        seen, learned = seen_and_learned(row, words)

        assert "Check or book a flight." in seen
        assert json.dumps(json.loads(CHECK)) in seen  # an object once more, not JSON text in JSON text
        assert json.dumps(json.loads(BOOK)) in learned
        assert "766" not in learned  # the call before
        print(seen)


def seen_and_learned(row, words):
    """What the model reads of a demonstration, and what it learns of it, with the settings in docs/formats.md."""
    strategy = chat_template(
        words,
        DictDefault({"chat_template": "tokenizer_default", "train_on_inputs": False, "sequence_len": 4096}),
        DictDefault({"roles_to_train": [], "train_on_eos": "turn", "message_field_training": "training"}),
    )
    read = strategy.tokenize_prompt(row)
    return words.decode(read["input_ids"]), words.decode([label for label in read["labels"] if label != -100])


def transformed(row, words=None):
    transform, _ = default(DictDefault({"chat_template": "tokenizer_default", "datasets": [{}]}))
    return transform(row, tokenizer=words or tokenizer())
