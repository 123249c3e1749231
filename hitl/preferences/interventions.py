"""What a person's intervention in a live conversation teaches, by written rules.

    an edit                   the edited message beats the draft (evidence), and is a good answer (demonstration)
    a refusal, a takeover     what a person wrote or approved instead, in answer to the same words, likewise
    an approval               the draft is a good answer (demonstration)

Both sides answer what the model saw when it made the draft. Derived in the transaction that sent the message.
"""

from typing import Any

from sqlalchemy.orm import Session

from hitl.capture.models import Response
from hitl.live.models import Intervention
from hitl.preferences.lessons import demonstration
from hitl.preferences.models import Demonstration, Evidence
from hitl.review.corrections import is_empty, is_same


def learn(db: Session, intervention: Intervention) -> None:
    """Store what a settled intervention teaches, or say in it why it teaches nothing."""
    response = intervention.draft.response if intervention.draft is not None else None
    intervention.why_nothing = _why_nothing(intervention, response)
    if response is None or intervention.why_nothing is not None:
        return
    for lesson in _lessons(intervention, response):
        lesson.project_id = intervention.project_id
        lesson.intervention_id = intervention.id
        db.add(lesson)
    db.flush()


def _why_nothing(intervention: Intervention, response: Response | None) -> str | None:
    """Return why, a word of hitl.live.interventions.WHY_NOTHING; None when it teaches something."""
    if response is None:
        return "not_captured"
    if response.may_train == "no":
        return "may_not_train"
    if is_empty(response.output):
        return "empty_draft"
    replacement = intervention.replacement
    return "same_text" if replacement is not None and is_same(replacement, response.output) else None


def _lessons(intervention: Intervention, response: Response) -> list[Evidence | Demonstration]:
    replacement = intervention.replacement
    if replacement is None:
        return [demonstration(response, "intervention")]
    return [_better(replacement, response), demonstration(response, "intervention", replacement)]


def _better(replacement: dict[str, Any], response: Response) -> Evidence:
    return Evidence(
        input_hash=response.input_hash,
        input_response_id=response.id,
        a_output=replacement,
        b_response_id=response.id,
        outcome="a",
        origin="intervention",
    )
