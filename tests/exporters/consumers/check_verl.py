"""verl's own reader of pairs reads the export, and its conversion of messages. Run by scripts/test-consumers."""

import pandas as pd
from verl.utils.dataset.rm_dataset import RMDataset
from verl.utils.py_functional import convert_nested_value_to_list_recursive

from exporters.registry import exporter
from tests.exporters.examples import DEMONSTRATIONS, PAIRS
from tests.exporters.readers import tokenizer


class TestVerl:
    def test_it_reads_pairs(self, tmp_path):
        exporter("verl").write(PAIRS, tmp_path / "out")
        words = tokenizer()

        read = RMDataset(str(tmp_path / "out" / "test.parquet"), words, max_length=2048, cache_dir=str(tmp_path))

        chosen, rejected = (words.decode(ids[mask.bool()]) for ids, mask in zip(*read[0].values(), strict=True))
        asked = PAIRS[2].prompt[0]["content"][0]["text"]
        assert chosen == asked + PAIRS[2].chosen["content"] + "<|im_end|>"
        assert rejected == asked + PAIRS[2].rejected["content"] + "<|im_end|>"

    def test_its_sft_dataset_finds_lists_of_messages(self, tmp_path):
        """The steps of MultiTurnSFTDataset up to the tokenizer; the rest needs another release of transformers."""
        exporter("verl").write(DEMONSTRATIONS, tmp_path / "out")

        frame = pd.read_parquet(tmp_path / "out" / "train.parquet", dtype_backend="pyarrow")
        (first, _) = frame["messages"].apply(convert_nested_value_to_list_recursive).tolist()

        assert first == [*DEMONSTRATIONS[0].prompt, DEMONSTRATIONS[0].completion]
