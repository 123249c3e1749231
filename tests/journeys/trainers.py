"""TRL's trainers on exported folders: each takes real steps on every row, and learns what the rows say."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from tests.exporters.readers import load

TRAINING = {
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "per_device_train_batch_size": 4,
    "learning_rate": 5e-3,
    "logging_steps": 1,
    "max_steps": 12,
    "seed": 0,
}


def learn_preferences(model: str, pairs: Path, folder: Path, *, max_length: int) -> None:
    """DPO: no row is lost, and the model comes to prefer what reviewers preferred."""
    trainer = _dpo_trainer(model, pairs, folder, max_length=max_length)

    margins = _logged(_trained(trainer, pairs), "rewards/margins")

    assert mean(margins[-3:]) > margins[0] + 0.1


def learn_to_judge(model: str, pairs: Path, folder: Path, *, max_length: int) -> None:
    """A reward model: no row is lost, and it comes to score what reviewers preferred above the other."""
    from trl import RewardConfig, RewardTrainer

    args = RewardConfig(str(folder / "reward"), max_length=max_length, **TRAINING)
    trainer = RewardTrainer(model=model, args=args, train_dataset=_train_rows(pairs, folder))

    margins = _logged(_trained(trainer, pairs), "margin")

    assert mean(margins[-3:]) > margins[0] + 0.1


def learn_to_imitate(model: str, demonstrations: Path, folder: Path, *, max_length: int) -> None:
    """Supervised fine-tuning: no row is lost, and the loss falls."""
    from trl import SFTConfig, SFTTrainer

    args = SFTConfig(str(folder / "sft"), max_length=max_length, **TRAINING)
    trainer = SFTTrainer(model=model, args=args, train_dataset=_train_rows(demonstrations, folder))

    losses = _logged(_trained(trainer, demonstrations), "loss")

    assert losses[-1] < losses[0] - 0.5


def learn_from_verdicts(model: str, verdicts: Path, folder: Path, *, max_length: int) -> None:
    """KTO: no row is lost, and the model comes to like what was found good more than what was found bad."""
    from trl import KTOConfig, KTOTrainer

    args = KTOConfig(str(folder / "kto"), max_length=max_length, **TRAINING)
    trainer = KTOTrainer(model=model, args=args, train_dataset=_train_rows(verdicts, folder))

    margins = _logged(_trained(trainer, verdicts), "rewards/margins")

    assert mean(margins[-3:]) > margins[0] + 0.1


def find_lost_rows(model: str, pairs: Path, folder: Path) -> None:
    """With too short a limit DPO drops rows without a word; the ids in the export tell which."""
    exported = _train_rows(pairs, folder)
    lengths = [longest_row(model, [row["prompt"]]) for row in exported]
    trainer = _dpo_trainer(model, pairs, folder, max_length=(min(lengths) + max(lengths)) // 2)

    lost = set(exported["id"]) - set(trainer.train_dataset["id"])

    assert 0 < len(lost) < len(exported)
    assert len(trainer.train_dataset) == len(exported) - len(lost)


def longest_row(model: str, conversations: list[list[dict[str, Any]]]) -> int:
    """The length of the longest of these conversations, in the model's tokens."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(model)
    return max(
        len(words.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"])
        for messages in conversations
    )


def whole_conversations(*folders: Path) -> list[list[dict[str, Any]]]:
    """Each prompt of these folders with each of its answers."""
    sides = ("chosen", "rejected", "completion")
    rows = [row for folder in folders for row in rows_of(folder)]
    return [row["prompt"] + row[side] for row in rows for side in sides if side in row]


def rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of all splits."""
    for file in sorted(folder.glob("*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


def _dpo_trainer(model: str, pairs: Path, folder: Path, *, max_length: int) -> Any:
    from trl import DPOConfig, DPOTrainer

    args = DPOConfig(str(folder / "dpo"), max_length=max_length, **TRAINING)
    return DPOTrainer(model=model, args=args, train_dataset=_train_rows(pairs, folder))


def _train_rows(exported: Path, folder: Path) -> Any:
    return load(exported, folder / "cache")["train"]


def _trained(trainer: Any, exported: Path) -> Any:
    assert len(trainer.train_dataset) == len((exported / "train.jsonl").read_text().splitlines())
    trainer.train()
    return trainer


def _logged(trainer: Any, figure: str) -> list[float]:
    return [entry[figure] for entry in trainer.state.log_history if figure in entry]
