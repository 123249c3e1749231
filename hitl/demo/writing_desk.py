"""The demo's second project: texts that a model drafts, and of which none goes out before an editor has read it."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.accounts.projects import change_settings, create_project
from hitl.demo.live_desk import Desk, ensure_members
from hitl.demo.sign_ins import SignIn
from hitl.live.policy.rules import PolicyTerms
from hitl.queue.rules import AllCondition, Terms, create_rule
from hitl.review.rubrics import Rubric, publish_rubric

SLUG = "writing-desk"
NAME = "Writing desk"
HOURS_TO_EDIT = 12
GUIDELINES = """\
# How to judge texts

Read the request first, then the whole text.

- **Fit to print**: would you put it before readers as it is?
- **What is wrong**: a claim that nothing supports counts even if the text reads well. A text that ends in the middle \
of a sentence is unfinished, however good it is so far.
- **Correct it** when you can: the whole text, as it should have been. Cut before you add.
"""
DESK = Desk(
    rules=(
        (
            "Nothing goes out unread",
            PolicyTerms(expression="true", deadline_seconds=HOURS_TO_EDIT * 3600, when_nobody="refuse"),
        ),
        ("Long", PolicyTerms(expression="size(answer) > 2000", action="alert")),
    ),
    replies=(),
)


RUBRIC = {
    "criteria": [
        {
            "kind": "scale",
            "name": "fit_to_print",
            "label": "Fit to print",
            "required": True,
            "overall": True,
            "points": [
                {"value": 1, "label": "Not at all: it is to be written anew."},
                {"value": 2, "label": "After rewriting large parts."},
                {"value": 3, "label": "After some edits."},
                {"value": 4, "label": "As it is."},
            ],
        },
        {
            "kind": "tags",
            "name": "wrong",
            "label": "What is wrong",
            "hint": "any number",
            "options": [
                {"value": "unsupported", "label": "Unsupported claim"},
                {"value": "off_topic", "label": "Off topic"},
                {"value": "tone", "label": "Wrong tone"},
                {"value": "too_long", "label": "Too long"},
                {"value": "unfinished", "label": "Unfinished"},
            ],
        },
        {
            "kind": "correction",
            "name": "correction",
            "label": "Correct it",
            "hint": "the whole text, as it should have been",
        },
    ]
}


def open_writing_desk(db: Session, people: Sequence[SignIn]) -> Project:
    """Make the project. Its texts come later, through the gateway."""
    project = create_project(db, SLUG, NAME)
    project.guidelines = GUIDELINES
    change_settings(db, project, {"may_train_default": "yes"})  # as the licence of the shipped texts allows
    publish_rubric(db, project, Rubric.model_validate(RUBRIC))
    create_rule(db, project, "Every text", Terms(condition=AllCondition(), rate=1))
    ensure_members(db, project, people)
    return project
