"""JSON Lines with everything we know of a row."""

from __future__ import annotations

from exporters.batches import ANY_ANSWER, ANY_PROMPT, Line, Plain
from exporters.exporter import Exporter
from exporters.messages import without_reasoning
from exporters.rows import Example, PreferencePair, Row, Verdict

TEXT, JSON, NUMBER, YES_OR_NO = "dtype: string", "dtype: json", "dtype: float64", "dtype: bool"

# What each kind has between the prompt and the tools, and after the origin, as `datasets` names the types.
ANSWERS = {
    "preference": [("chosen", JSON), ("rejected", JSON)],
    "demonstration": [("completion", JSON)],
    "verdict": [("completion", JSON), ("is_good", YES_OR_NO)],
}
FIGURES = {
    "preference": [("agreement", NUMBER), ("margin", NUMBER)],
    "demonstration": [],
    "verdict": [("agreement", NUMBER)],
}

# A plain row of each kind, as `row` makes it.
LINES = {
    "preference": (
        '{"id":"<id>","split":"<split>","prompt":<prompt>,"chosen":<chosen>,"rejected":<rejected>,"tools":null,'
        '"origin":"<origin>","agreement":<agreement>,"margin":<margin>}'
    ),
    "demonstration": (
        '{"id":"<id>","split":"<split>","prompt":<prompt>,"completion":<completion>,"tools":null,"origin":"<origin>"}'
    ),
    "verdict": (
        '{"id":"<id>","split":"<split>","prompt":<prompt>,"completion":<completion>,"is_good":<is_good>,"tools":null,'
        '"origin":"<origin>","agreement":<agreement>}'
    ),
}


class Jsonl(Exporter[Example]):
    """One JSON object a line: the row as it lies in the dataset version, messages in OpenAI's chat shape.

    {"id": "…", "split": "train", "prompt": [{"role": "user", …}], "chosen": {"role": "assistant", …},
     "rejected": {"role": "assistant", …}, "tools": null, "origin": "correction", "agreement": 1.0, "margin": 2.0}
    {"id": "…", "split": "train", "prompt": […], "completion": {…}, "tools": null, "origin": "correction"}
    {"id": "…", "split": "train", "prompt": […], "completion": {…}, "is_good": true, "tools": null,
     "origin": "reviewer", "agreement": 1.0}
    https://jsonlines.org

    The file is exact. `datasets` rounds fractions to ten decimals when it reads it (agreement, tool schemas); other
    JSON readers do not, nor does anyone with `parquet`.
    """

    name = "jsonl"
    kind = frozenset({"preference", "demonstration", "verdict"})

    def row(self, example: Example) -> Row:
        prompt = [without_reasoning(message) for message in example.prompt]
        row: Row = {"id": example.id, "split": example.split, "prompt": prompt}
        if isinstance(example, PreferencePair):
            row["chosen"] = without_reasoning(example.chosen)
            row["rejected"] = without_reasoning(example.rejected)
        else:
            row["completion"] = without_reasoning(example.completion)
        if isinstance(example, Verdict):
            row["is_good"] = example.is_good
        row |= {"tools": example.tools, "origin": example.origin}
        row |= {figure: getattr(example, figure) for figure, _ in FIGURES[example.kind]}
        return row

    def line(self, kind: str) -> Line:
        return Line(LINES[kind], Plain(ANY_PROMPT, ANY_ANSWER, may_be_equal=True))

    def features(self, kind: str) -> list[tuple[str, str]]:
        columns = [("id", TEXT), ("split", TEXT), ("prompt", "list: json"), *ANSWERS[kind]]
        return [*columns, ("tools", "list: json"), ("origin", TEXT), *FIGURES[kind]]
