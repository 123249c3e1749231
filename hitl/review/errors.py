"""The ways reviewing says no."""

from typing import Any

from hitl.capture.json_values import pointer
from hitl.core.errors import Conflict, Invalid, TooLarge

MAX_PROBLEMS_SAID = 10


class RubricRefused(Invalid):
    """Nobody could answer such a rubric."""

    code = "rubric_refused"


class NothingToAsk(Conflict):
    """The rubric in use asks nothing about a conversation. Publish one that does first."""

    code = "nothing_to_ask"


class NothingToCompareBy(Conflict):
    """The rubric in use does not compare so many responses. Publish one with a ranking first."""

    code = "nothing_to_compare_by"


class RubricDraftChanged(Conflict):
    """Another lead changed this draft while you were at it. Nothing of yours was stored over it."""

    code = "rubric_draft_changed"


class RubricDraftTooLarge(TooLarge):
    """This rubric is larger than any that people could answer. Remove something; what was saved before is kept."""

    code = "rubric_draft_too_large"


class AnswersRefused(Invalid):
    """An answer does not fit the rubric."""

    code = "answers_refused"

    def __init__(self, problems: dict[str, str], *, param: str | None = None) -> None:
        """Name every answer at fault.

        problems: criterion (or "comment") → what is wrong with its answer, as a sentence.
        """
        named = list(problems.items())
        said = [f"{name}: {problem}" for name, problem in named[:MAX_PROBLEMS_SAID]]
        if len(named) > MAX_PROBLEMS_SAID:
            said.append(f"And {len(named) - MAX_PROBLEMS_SAID} more.")
        super().__init__(" ".join(said), param=param or _pointer_to(named[0][0]), problems=problems)
        self.problems = problems


class AnswersIncomplete(AnswersRefused):
    """The rubric asks for more."""

    code = "answers_incomplete"


class StaleDraft(Conflict):
    """This draft was changed in another tab. Reload to see the newer one; yours is kept beside it."""

    code = "stale_draft"

    def __init__(self, number: int, answers: dict[str, Any]) -> None:
        """Carry the newer draft.

        number: of the newer draft; 0 when there is none any more.
        """
        super().__init__(param="/seen_number", number=number, answers=answers)

    def as_json(self) -> dict[str, Any]:
        envelope = super().as_json()
        envelope["error"]["draft"] = {"number": self.details["number"], "answers": self.details["answers"]}
        return envelope


class DraftTooLarge(TooLarge):
    """This draft is larger than a review may be. Shorten what you typed; the draft saved before is kept."""

    code = "draft_too_large"


class AlreadySubmitted(Conflict):
    """You have already submitted a review of this item. Change it under My reviews."""

    code = "already_submitted"


class NothingToUndo(Conflict):
    """There is no submitted review to take back."""

    code = "nothing_to_undo"


class ReviewIsOpen(Conflict):
    """You took this review back. Go on with it on the review page, and submit it there."""

    code = "review_is_open"


class ModelsStayHidden(Conflict):
    """Which model wrote what is told once you submitted your review and all comparisons of these responses closed."""

    code = "models_stay_hidden"


class NotAnExtra(Conflict):
    """Only a review that was kept as an extra can be admitted."""

    code = "not_an_extra"


def writable(name: Any) -> str:
    """Return a name that somebody else chose, short and such that an answer can hold it."""
    return str(name)[:80].encode(errors="replace").decode()


def _pointer_to(field: str) -> str:
    """Return the JSON pointer of a criterion's answer, or of the comment."""
    return "/comment" if field == "comment" else pointer(("answers", field))
