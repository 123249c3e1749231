"""The form that freezes a version: what was typed, what it asks for, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from hitl.core.errors import AppError
from hitl.datasets.models import Dataset
from hitl.datasets.selection import ORIGINS_OF_KIND, SPLITS, Selection

# Which field of the form a refusal is about, by the first name in its JSON pointer.
_FIELD_OF = {"origins": "origins", "shares": "shares", "policy": "policy", "include_unknown": "include_unknown"}


@dataclass
class FreezeForm:
    """What a person asks of the next version. `problems` names by field what has to change first."""

    name: str = ""
    kind: str = "preference"
    policy: str = "majority"
    origins: dict[str, list[str]] = field(
        default_factory=lambda: {kind: list(o) for kind, o in ORIGINS_OF_KIND.items()}
    )
    shares: dict[str, str] = field(default_factory=lambda: {"train": "80", "validation": "10", "test": "10"})  # percent
    include_unknown: bool = False
    include_personal_data: bool = False
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def like(cls, dataset: Dataset) -> "FreezeForm":
        """Return the form as the dataset's newest version was frozen."""
        chosen = Selection.model_validate(dataset.selection)
        form = cls(dataset.name, dataset.kind, chosen.policy, include_unknown=chosen.include_unknown)
        form.include_personal_data = chosen.include_personal_data
        form.shares = {split: f"{getattr(chosen.shares, split) * 100:g}" for split in SPLITS}
        if chosen.origins is not None:
            form.origins[dataset.kind] = list(chosen.origins)
        return form

    @classmethod
    def typed(cls, typed: MultiDict[str, str]) -> "FreezeForm":
        """Return the form as a person sent it."""
        return cls(
            name=typed.get("name", "").strip(),
            kind=typed.get("kind", ""),
            policy=typed.get("policy", ""),
            origins={kind: typed.getlist(f"origins-{kind}") for kind in ORIGINS_OF_KIND},
            shares={split: typed.get(f"share-{split}", "").strip() for split in SPLITS},
            include_unknown="include_unknown" in typed,
            include_personal_data="include_personal_data" in typed,
        )

    def selection(self, before: Mapping[str, Any]) -> Selection | None:
        """Return what it asks for; None, with `problems`, when it cannot be.

        before: the selection of the dataset, whose rest (criteria, models, times) stays as it is.
        """
        self._check()
        if self.problems:
            return None
        chosen = self.origins[self.kind]
        changes = {
            "policy": self.policy,
            "origins": None if set(chosen) == set(ORIGINS_OF_KIND[self.kind]) else chosen,
            "shares": {split: float(self.shares[split]) / 100 for split in SPLITS},
            "include_unknown": self.include_unknown,
            "include_personal_data": self.include_personal_data,
        }
        try:
            return Selection.model_validate({**before, **changes})
        except ValidationError as error:
            for problem in error.errors():
                self._blame(str(problem["loc"][0]) if problem["loc"] else "name", f"{problem['msg']}.")
            return None

    def refuse(self, error: AppError) -> None:
        """Put a refusal beside the field that it is about."""
        named = [part for part in (error.param or "").split("/") if part and part != "selection"]
        self._blame(named[0] if named else "name", error.message)

    def _check(self) -> None:
        if not self.name:
            self.problems["name"] = "Give it a name, such as “hotel-desk”."
        if self.kind not in ORIGINS_OF_KIND:
            self.problems["kind"] = "Choose what a row is."
        elif not self.origins[self.kind]:
            self.problems["origins"] = "Choose at least one origin."
        try:
            total = sum(float(share) for share in self.shares.values())
        except ValueError:
            self.problems["shares"] = "Write three numbers, such as 80, 10 and 10."
        else:
            if not abs(total - 100) < 1e-6:  # "nan" is a number too
                self.problems["shares"] = f"They make {total:g} percent together. Let them make 100."

    def _blame(self, name: str, problem: str) -> None:
        self.problems.setdefault(_FIELD_OF.get(name, name if name == "kind" else "name"), problem)
