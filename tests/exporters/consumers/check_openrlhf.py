"""OpenRLHF's own datasets read the export. Run by scripts/test-consumers."""

from types import SimpleNamespace

import pytest
from openrlhf.datasets.reward_dataset import RewardDataset
from openrlhf.datasets.sft_dataset import SFTDataset
from openrlhf.datasets.utils import blending_datasets

from exporters.registry import exporter
from tests.exporters.examples import DEMONSTRATIONS, PAIRS
from tests.exporters.readers import tokenizer


class TestOpenRlhf:
    @pytest.mark.parametrize("is_dpo", [True, False], ids=["dpo", "reward"])
    def test_it_reads_pairs(self, is_dpo, tmp_path):
        exporter("openrlhf").write(PAIRS, tmp_path / "out")
        strategy = strategy_with(prompt_key="prompt", chosen_key="chosen", rejected_key="rejected")
        rows = blending_datasets(str(tmp_path / "out"), strategy=strategy)

        read = RewardDataset(rows, tokenizer(), 2048, strategy, is_dpo=is_dpo, num_processors=None)

        assert len(read) == 1
        assert read.prompts[0].startswith(
            "<|im_start|>system\nYou work at the reception of the Hilton Hotel.<|im_end|>"
        )
        assert read.prompts[0].endswith("<|im_start|>user\nJohn<|im_end|>\n<|im_start|>assistant\n")
        assert read.chosens[0] == "Do you have a hotel name in mind?<|im_end|>\n"
        assert read.rejects[0] == "Do you have a hotel preference?<|im_end|>\n"

    def test_it_reads_demonstrations(self, tmp_path):
        exporter("openrlhf").write(DEMONSTRATIONS, tmp_path / "out")
        strategy = strategy_with(input_key="prompt", output_key="completion")
        rows = blending_datasets(str(tmp_path / "out"), strategy=strategy)

        read = SFTDataset(rows, tokenizer(), 2048, strategy, num_processors=None)

        assert list(read.responses) == [
            "Right, please let us know your request now.<|im_end|>\n",
            "Yes, both pronunciations are technically correct.<|im_end|>\n",
        ]


def strategy_with(**keys):
    """What the commands make of their flags: --data.prompt_key and so on."""
    args = SimpleNamespace(data=SimpleNamespace(**keys, apply_chat_template=True), use_ms=False)
    return SimpleNamespace(args=args, print=print, is_rank_0=lambda: True)
