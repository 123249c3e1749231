"""What the pages of datasets call things: the short names of the program in plain English."""

from dataclasses import dataclass
from datetime import datetime

KINDS = {"preference": "preference pairs", "demonstration": "demonstrations", "verdict": "verdicts"}
ROWS = {"preference": "Pairs", "demonstration": "Demonstrations", "verdict": "Verdicts"}
SIDES = {"chosen": "Chosen", "rejected": "Rejected", "completion": "Answer"}

ORIGINS = {
    "correction": "Correction",
    "ranking": "Ranking",
    "scale": "Rating on one scale",
    "approval": "Approved as it was",
    "intervention": "Intervention in a live chat",
    "reviewer": "Reviewer",
    "end_user": "End user's thumb",
}
ORIGINS_IN_PLURAL = {
    "correction": "Corrections",
    "ranking": "Rankings",
    "scale": "Ratings on one scale",
    "approval": "Answers approved as they were",
    "intervention": "Interventions in live chats",
    "reviewer": "Reviewers' verdicts",
    "end_user": "End users' thumbs",
}

POLICIES = {
    "majority": "More than half of the reviewers agree",
    "unanimous": "All reviewers agree",
    "each": "Each reviewer's choice makes a row",
}

LEFT_OUT = {
    "may_not_train": "may not be trained on",
    "may_train_unknown": "nobody said whether they may train",
    "personal_data": "marked as holding personal data",
    "equal_sides": "both answers are the same",
    "empty_side": "an answer is empty",
    "roles_out_of_order": "the roles of the messages are out of order",
    "both_bad": "both answers were found bad",
    "tie": "a tie",
    "no_majority": "no majority of reviewers",
    "not_unanimous": "reviewers did not all agree",
    "low_agreement": "too little agreement",
}

JUDGED = {
    "correction": "corrected it",
    "approval": "approved it as it was",
    "ranking": "ranked the two answers",
    "scale": "rated the two answers",
    "reviewer": "judged it",
}

INTERVENED = {
    "approval": "let the draft be sent as it was",
    "edit": "edited the draft before it was sent",
    "refusal": "refused the draft; what was sent instead is better",
    "takeover": "took over from the draft and answered instead",
}

VERDICTS = {True: "Good", False: "Bad"}


@dataclass(frozen=True)
class Format:
    """A format as a person chooses it."""

    label: str
    use: str


FORMATS = {
    "trl-preference": Format("TRL, preference (DPO)", "TRL's trainers for DPO, rewards, ORPO and CPO."),
    "trl-prompt-completion": Format("TRL, prompt and completion (SFT)", "TRL's trainer for supervised fine-tuning."),
    "trl-language-modeling": Format(
        "TRL, language modelling (SFT)", "TRL's trainer for SFT: the whole conversation is learned."
    ),
    "trl-unpaired-preference": Format(
        "TRL, verdicts (KTO)", "TRL's trainer for KTO: answers found good or bad, shuffled."
    ),
    "openai-preference": Format("OpenAI, preference (DPO)", "DPO at OpenAI, Azure and Together."),
    "openai-chat": Format("OpenAI, chat (SFT)", "Supervised fine-tuning at OpenAI and services that take its files."),
    "llama-factory": Format("LLaMA-Factory", "ShareGPT rows with dataset_info.json."),
    "axolotl": Format("Axolotl", "chat_template.default for DPO, chat_template for SFT."),
    "openrlhf": Format("OpenRLHF", "Its DPO, reward and SFT commands; text only."),
    "nemo-rl": Format("NeMo RL", "NVIDIA's DPO, reward and SFT scripts; text only."),
    "verl": Format("verl", "Its SFT and reward readers; text only."),
    "huggingface": Format("Hugging Face folder", "Parquet with a dataset card, to be put on the Hub."),
    "jsonl": Format("JSONL", "All that is known of each row, one JSON object a line."),
    "parquet": Format("Parquet", "The same in columns; messages are JSON text."),
}


def format_named(name: str) -> Format:
    """Return what a format is called; of one that nobody has described yet, its own name."""
    return FORMATS.get(name, Format(name, ""))


def in_words(names: dict[str, str], key: str) -> str:
    """Return the plain name of a key; of one that nobody has named yet, the key without its underscores."""
    return names.get(key, key.replace("_", " "))


def day(at: datetime | str | None) -> str:
    """Return a date, as in "25 May 2026"."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{at.day} {at:%B %Y}" if at else "unknown"


def day_and_time(at: datetime | str | None) -> str:
    """Return a date with its time of day, as in "25 May 2026, 09:14 UTC"."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{day(at)}, {at:%H:%M} UTC" if at else "unknown"


def span(start: datetime | str | None, end: datetime | str | None) -> str:
    """Return the days from one time to another, as in "1 April 2026 to 24 May 2026"."""
    return day(start) if day(start) == day(end) else f"{day(start)} to {day(end)}"


def in_a_hundred(chance: float) -> str:
    """Return a chance as people say it, as in "1.2 in 100"."""
    if chance >= 1:
        return "certainty"
    return f"a chance of {chance * 100:.3g} in 100"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, as in "1 row" or "1,200 rows"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
