"""What a version takes, fixed when its freeze started."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from hitl.capture.personal_data import personal_data_in
from hitl.datasets.models import DatasetVersion
from hitl.datasets.pairs import LeftOutReason
from hitl.datasets.selection import Kind, Selection

HOLDS_PERSONAL_DATA = "!"  # after a `may_train`, of a response that is marked so


@dataclass(frozen=True, slots=True)
class Plan:
    """What a version takes, fixed when its freeze started."""

    version_id: UUID
    project_id: UUID
    kind: Kind
    selection: Selection
    may_train_default: str
    looks_for_personal_data: bool = False  # in what people wrote: a response was marked when it was captured

    @classmethod
    def of(cls, version: DatasetVersion) -> "Plan":
        """Return the plan of a version."""
        dataset = version.dataset
        selection = Selection.model_validate(version.selection)
        looks = version.looks_for_personal_data and not selection.include_personal_data
        return cls(version.id, dataset.project_id, dataset.kind, selection, version.may_train_default, looks)

    def why_blocked(self, may_train: Iterable[str]) -> LeftOutReason | None:
        """Return why rows made of responses with these `may_train` may not be trained on, if so.

        may_train: of each response, with HOLDS_PERSONAL_DATA behind it where it is marked.
        """
        said = list(may_train)
        words = {value.rstrip(HOLDS_PERSONAL_DATA) for value in said}
        allowed = {self.may_train_default if word == "unknown" else word for word in words}
        if "no" in allowed:
            return "may_not_train"
        if "unknown" in allowed and not self.selection.include_unknown:
            return "may_train_unknown"
        is_marked = any(value.endswith(HOLDS_PERSONAL_DATA) for value in said)
        return "personal_data" if is_marked and not self.selection.include_personal_data else None

    def why_text_blocked(self, *texts: bytes | None) -> LeftOutReason | None:
        """Return why what people wrote themselves may not be trained on, if so.

        texts: messages as JSON; None of those that are a response's.
        """
        if not self.looks_for_personal_data:
            return None
        holds_some = any(personal_data_in(text.decode()) for text in texts if text is not None)
        return "personal_data" if holds_some else None
