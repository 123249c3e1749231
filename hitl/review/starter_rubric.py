"""The rubric that every project starts with."""

from typing import Any

from hitl.review.rubrics import Rubric


def starter_rubric() -> Rubric:
    """Return the rubric for chat answers that every project starts with."""
    return Rubric.model_validate(
        {
            "criteria": [
                {
                    "kind": "scale",
                    "name": "helpful",
                    "label": "Helpful",
                    "hint": "1 no help, 5 exactly what was needed",
                    "required": True,
                    "overall": True,
                    "points": _points(
                        "No help: it misses what was asked.",
                        "A little help: the user still has to ask someone else.",
                        "Some help: the user gets on, but has to ask again.",
                        "Helpful: what was asked, with a small gap or too much around it.",
                        "Exactly what was needed.",
                    ),
                },
                {
                    "kind": "scale",
                    "name": "correct",
                    "label": "Correct",
                    "hint": "against the tools and the guidelines",
                    "required": True,
                    "cannot_judge": True,
                    "points": _points(
                        "Says something that is not so.",
                        "Misleads: true in part, wrong in what matters.",
                        "Right in what matters, wrong in a detail.",
                        "Right, but says it less exactly than it could.",
                        "Everything it says is so.",
                    ),
                },
                {
                    "kind": "tags",
                    "name": "wrong",
                    "label": "What is wrong",
                    "hint": "any number",
                    "options": [
                        {"value": "contradicts_tool", "label": "Contradicts a tool"},
                        {"value": "made_up", "label": "Made up"},
                        {"value": "leaves_out", "label": "Leaves something out"},
                        {"value": "repeats", "label": "Repeats itself"},
                        {"value": "rude", "label": "Cold or rude"},
                        {"value": "personal_data", "label": "Personal data"},
                        {"value": "language", "label": "Wrong language"},
                    ],
                },
                {
                    "kind": "correction",
                    "name": "correction",
                    "label": "Correct it",
                    "hint": "as it should have been, ready to send",
                },
                {
                    "kind": "ranking",
                    "name": "ranking",
                    "label": "Best first",
                    "hint": "equal ones share a place",
                    "required": True,
                    "cannot_judge": True,
                },
                {
                    "kind": "tags",
                    "name": "reasons",
                    "label": "Why the first one",
                    "hint": "any number",
                    "asked_of": ["comparison"],
                    "negative": False,
                    "options": [
                        {"value": "more_correct", "label": "More correct"},
                        {"value": "more_complete", "label": "More complete"},
                        {"value": "easier_to_follow", "label": "Easier to follow"},
                        {"value": "nothing_made_up", "label": "Nothing made up"},
                        {"value": "right_length", "label": "Right length"},
                        {"value": "kinder", "label": "Kinder"},
                    ],
                },
            ]
        }
    )


def _points(*labels: str) -> list[dict[str, Any]]:
    return [{"value": value, "label": label} for value, label in enumerate(labels, start=1)]
