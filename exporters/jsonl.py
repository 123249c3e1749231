"""JSON Lines with everything we know of a row."""

from __future__ import annotations

from exporters.exporter import Exporter
from exporters.messages import without_reasoning
from exporters.rows import Example, PreferencePair, Row


class Jsonl(Exporter[Example]):
    """One JSON object a line: the row as it lies in the dataset version, messages in OpenAI's chat shape.

    {"id": "…", "split": "train", "prompt": [{"role": "user", …}], "chosen": {"role": "assistant", …},
     "rejected": {"role": "assistant", …}, "tools": null, "origin": "correction", "agreement": 1.0, "margin": 2.0}
    {"id": "…", "split": "train", "prompt": […], "completion": {…}, "tools": null, "origin": "correction"}
    https://jsonlines.org

    The file is exact. `datasets` rounds fractions to ten decimals when it reads it (agreement, tool schemas); other
    JSON readers do not, nor does anyone with `parquet`.
    """

    name = "jsonl"
    kind = frozenset({"preference", "demonstration"})

    def row(self, example: Example) -> Row:
        prompt = [without_reasoning(message) for message in example.prompt]
        row: Row = {"id": example.id, "split": example.split, "prompt": prompt}
        if isinstance(example, PreferencePair):
            row["chosen"] = without_reasoning(example.chosen)
            row["rejected"] = without_reasoning(example.rejected)
        else:
            row["completion"] = without_reasoning(example.completion)
        row |= {"tools": example.tools, "origin": example.origin}
        if isinstance(example, PreferencePair):
            row |= {"agreement": example.agreement, "margin": example.margin}
        return row

    def features(self, kind: str) -> list[tuple[str, str]]:
        text, json = "dtype: string", "dtype: json"
        answers = ["chosen", "rejected"] if kind == "preference" else ["completion"]
        columns = [("id", text), ("split", text), ("prompt", "list: json")]
        columns += [(answer, json) for answer in answers]
        columns += [("tools", "list: json"), ("origin", text)]
        if kind == "preference":
            columns += [("agreement", "dtype: float64"), ("margin", "dtype: float64")]
        return columns
