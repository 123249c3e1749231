"""Axolotl's own prompt strategies read the export. Run by scripts/test-consumers."""

import pytest
from axolotl.prompt_strategies.chat_template import load as chat_template
from axolotl.prompt_strategies.dpo.chat_template import default
from axolotl.utils.dict import DictDefault

from exporters.registry import exporter
from tests.exporters.examples import DEMONSTRATIONS, PAIRS, assistant, pair
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
        words = tokenizer()
        strategy = chat_template(
            words,
            DictDefault({"chat_template": "tokenizer_default", "train_on_inputs": False, "sequence_len": 4096}),
            DictDefault({"roles_to_train": [], "train_on_eos": "turn", "message_field_training": "training"}),
        )

        read = strategy.tokenize_prompt(data["train"][0])

        learned = words.decode([label for label in read["labels"] if label != -100])
        assert learned.removesuffix("<|im_end|>") == "Right, please let us know your request now."


def transformed(row, words=None):
    transform, _ = default(DictDefault({"chat_template": "tokenizer_default", "datasets": [{}]}))
    return transform(row, tokenizer=words or tokenizer())
