"""From a production response to a model that learned from it."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from hitl.demo import real_data
from tests.conftest import MakeDatabase
from tests.exporters.readers import load, tiny_model, tokenizer
from tests.journeys.reviewers import PASSWORD, Person, review_by_api, review_in_browser
from tests.machine.service import Service, serving

SLUG = "hotel-desk"
RESPONSES = 14
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


@pytest.mark.timeout(900)
def test_real_responses_become_a_trained_model(desk: "Desk", tmp_path: Path) -> None:
    desk.capture()
    desk.wait_for_items()
    desk.review_together()

    reviews = desk.all_of("reviews")
    by_item = Counter(review["item_id"] for review in reviews)
    people = {(review["item_id"], review["reviewer"]["id"]) for review in reviews}
    assert len(by_item) == RESPONSES
    assert set(by_item.values()) == {2}, "each response has exactly the two reviews it wanted"
    assert len(people) == len(reviews), "by two different people"
    assert all(review["counted"] for review in reviews)
    assert len({reviewer for _, reviewer in people}) == 3, "all three took part"

    pairs, demonstrations = desk.freeze_and_export(tmp_path)
    corrections = desk.corrections()
    assert corrections
    assert exported_texts(pairs, "chosen", "rejected") == corrections

    model = tiny_model(tmp_path / "model", words=tokenizer(desk.texts(), vocabulary=1200))
    longest = longest_row(model, [*pairs_as_messages(pairs), *demonstrations_as_messages(demonstrations)])
    learn_preferences(model, pairs, tmp_path, max_length=longest + 1)
    learn_to_imitate(model, demonstrations, tmp_path, max_length=longest + 1)
    find_lost_rows(model, pairs, tmp_path)


def learn_preferences(model: str, pairs: Path, tmp_path: Path, *, max_length: int) -> None:
    """DPO on the exported folder: no row is lost, and the model comes to prefer what reviewers wrote."""
    trainer = dpo_trainer(model, pairs, tmp_path, max_length=max_length)
    assert len(trainer.train_dataset) == rows_in(pairs, "train")

    trainer.train()

    margins = [entry["rewards/margins"] for entry in trainer.state.log_history if "rewards/margins" in entry]
    assert margins[-1] > 0.1 > margins[0]


def learn_to_imitate(model: str, demonstrations: Path, tmp_path: Path, *, max_length: int) -> None:
    """Supervised fine-tuning on the exported folder: no row is lost, and the loss falls."""
    from trl import SFTConfig, SFTTrainer

    data = load(demonstrations, tmp_path / "cache")
    trainer = SFTTrainer(
        model=model,
        train_dataset=data["train"],
        args=SFTConfig(str(tmp_path / "sft"), max_length=max_length, **TRAINING),
    )
    assert len(trainer.train_dataset) == rows_in(demonstrations, "train")

    trainer.train()

    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.5


def find_lost_rows(model: str, pairs: Path, tmp_path: Path) -> None:
    """With too short a limit the trainer drops rows without a word; the ids in the export tell which."""
    exported = load(pairs, tmp_path / "cache")["train"]
    lengths = sorted(longest_row(model, [row["prompt"]]) for row in exported)
    trainer = dpo_trainer(model, pairs, tmp_path, max_length=lengths[len(lengths) // 2])

    lost = set(exported["id"]) - set(trainer.train_dataset["id"])

    assert 0 < len(lost) < len(exported)
    assert len(trainer.train_dataset) == len(exported) - len(lost)


def dpo_trainer(model: str, pairs: Path, tmp_path: Path, *, max_length: int) -> Any:
    from trl import DPOConfig, DPOTrainer

    return DPOTrainer(
        model=model,
        train_dataset=load(pairs, tmp_path / "cache")["train"],
        args=DPOConfig(str(tmp_path / "dpo"), max_length=max_length, **TRAINING),
    )


def longest_row(model: str, conversations: list[list[dict[str, Any]]]) -> int:
    """The length of the longest of these conversations, in the model's tokens."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(model)
    return max(
        len(words.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"])
        for messages in conversations
    )


def rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


def rows_in(folder: Path, split: str) -> int:
    return len((folder / f"{split}.jsonl").read_text().splitlines())


def pairs_as_messages(folder: Path) -> list[list[dict[str, Any]]]:
    return [row["prompt"] + row[side] for row in rows_of(folder) for side in ("chosen", "rejected")]


def demonstrations_as_messages(folder: Path) -> list[list[dict[str, Any]]]:
    return [row["prompt"] + row["completion"] for row in rows_of(folder)]


def exported_texts(folder: Path, *sides: str) -> set[tuple[str, ...]]:
    return {tuple(row[side][0]["content"] for side in sides) for row in rows_of(folder)}


class Desk:
    """A project on a running service, set up by the commands of the documentation."""

    def __init__(self, service: Service) -> None:
        self.service = service
        service.run("project", "create", SLUG, "--name", "Hotel desk")
        for name, role in (("bo", "annotator"), ("cy", "annotator"), ("di", "annotator"), ("el", "admin")):
            person = (f"{name}@example.org", "--name", name.capitalize(), "--project", SLUG, "--role", role)
            service.run("user", "add", *person, "--password-stdin", typed=f"{PASSWORD}\n")
        service.run("rule", "add", "Everything", "--project", SLUG, "--rate", "1", "--reviews", "2")
        self.admin_key = self._key("el@example.org", "capture", "feedback", "queue", "datasets")
        self.reviewer_key = self._key("di@example.org", "review")
        service.start()

    def capture(self) -> None:
        """Put in real answers of customer-service agents with their tool calls, and what users said about them."""
        short = (row for row in real_data.tool_responses() if len(json.dumps(row["input"])) < 4_000)
        self.responses = list(islice(short, RESPONSES))
        known = {row["conversation_id"] for row in self.responses}
        feedback = [row for row in real_data.tool_feedback() if row["conversation_id"] in known]
        path = f"/api/v1/projects/{SLUG}"
        for _ in range(2):  # a client that did not hear the answer sends again: nothing is stored twice
            status, stored = self.service.ask(
                "POST", f"{path}/responses", self.admin_key, {"responses": self.responses}
            )
            assert status == 200, stored
        assert {result["status"] for result in stored["results"]} == {"duplicate"}
        status, said = self.service.ask("POST", f"{path}/feedback", self.admin_key, {"feedback": feedback})
        assert status == 200, said

    def wait_for_items(self) -> None:
        """Wait until the rule has drawn what was captured."""
        deadline = time.monotonic() + 30
        while len(self.all_of("items")) < RESPONSES:
            assert time.monotonic() < deadline, self.service.log()
            time.sleep(0.2)

    def review_together(self) -> None:
        """Three people at once: two in browsers, one by the API."""
        service = self.service
        people = [
            Person("bo", lambda: review_in_browser(service, "bo@example.org", SLUG, corrects=True)),
            Person("cy", lambda: review_in_browser(service, "cy@example.org", SLUG, corrects=False)),
            Person("di", lambda: self._review_slowly_by_api()),
        ]
        for person in [person.start() for person in people]:
            person.done()

    def freeze_and_export(self, folder: Path) -> tuple[Path, Path]:
        """Freeze and export by the commands of the README; return the folders of both datasets."""
        shares = ("--shares", "0.8,0.1,0.1")
        self.service.run("dataset", "freeze", "pairs", "--project", SLUG, *shares)
        # Each, not the majority: one approves what another corrects, and both are worth imitating here.
        each = ("--kind", "demonstration", "--policy", "each")
        self.service.run("dataset", "freeze", "answers", "--project", SLUG, *each, *shares)
        pairs, answers = folder / "pairs", folder / "answers"
        for version, form, out in (
            ("pairs@1", "trl-preference", pairs),
            ("answers@1", "trl-prompt-completion", answers),
        ):
            self.service.run("export", version, "--project", SLUG, "--format", form, "--out", str(out))
        refusal = self.service.run(
            "export", "pairs@1", "--project", SLUG, "--format", "trl-preference", "--out", str(pairs), fails=True
        )
        assert "is not an empty folder" in refusal
        return pairs, answers

    def corrections(self) -> set[tuple[str, str]]:
        """Each distinct correction that counts, with the text it corrects."""
        evidence = [row for row in self.all_of("evidence") if row["origin"] == "correction"]
        return {(row["a"]["output"]["content"], row["b"]["output"]["content"]) for row in evidence}

    def texts(self) -> list[str]:
        """All that was said, to make a tokenizer from."""
        messages = [message for row in self.responses for message in [*row["input"]["messages"], row["output"]]]
        return [message["content"] for message in messages if message["content"]]

    def all_of(self, kind: str) -> list[dict[str, Any]]:
        status, page = self.service.ask("GET", f"/api/v1/projects/{SLUG}/{kind}?limit=1000", self.admin_key)
        assert status == 200, page
        assert page["next_cursor"] is None
        rows: list[dict[str, Any]] = page[kind]
        return rows

    def _review_slowly_by_api(self) -> None:
        """A program is quicker than people: it lets them have their first items before it begins."""
        deadline = time.monotonic() + 60
        while not self.all_of("reviews") and time.monotonic() < deadline:
            time.sleep(0.2)
        review_by_api(self.service, self.reviewer_key, SLUG)

    def _key(self, maker: str, *scopes: str) -> str:
        chosen = [word for scope in scopes for word in ("--scope", scope)]
        made = self.service.run(
            "key", "create", "--project", SLUG, "--maker", maker, *chosen, "--name", "journey", "--json"
        )
        token: str = json.loads(made)["key"]
        return token


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Desk]:
    processes = 2 if request.param == "postgresql" else 1
    with serving(tmp_path, make_database(request.param), web_processes=processes) as service:
        yield Desk(service)
