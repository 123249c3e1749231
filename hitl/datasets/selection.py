"""What goes into a dataset version: which evidence, by which policy, in which splits."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hitl.capture.rows import Time
from hitl.datasets.errors import SelectionInvalid
from hitl.preferences.models import DEMONSTRATION_ORIGINS, EVIDENCE_ORIGINS, VERDICT_ORIGINS

Kind = Literal["preference", "demonstration", "verdict"]
Policy = Literal["majority", "unanimous", "each"]
Split = Literal["train", "validation", "test"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ORIGINS_OF_KIND: dict[str, tuple[str, ...]] = {
    "preference": EVIDENCE_ORIGINS,
    "demonstration": DEMONSTRATION_ORIGINS,
    "verdict": VERDICT_ORIGINS,
}

Share = Annotated[float, Field(ge=0, le=1)]
WITHOUT_NUL = r"^[^\x00]*$"  # PostgreSQL can neither store nor compare a text that holds it
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=WITHOUT_NUL)]
Words = Annotated[list[Word], Field(min_length=1, max_length=100)]


class Shares(BaseModel):
    """How much of the dataset goes where. They sum to 1; a share of 0 means that split does not exist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Share = 0.8
    validation: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def sum_to_one(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("the shares of train, validation and test must sum to 1")
        return self


class Selection(BaseModel):
    """Which judgements become rows.

    majority: a row needs more than half of the judgements about its two sides, ties and "both bad" included.
    unanimous: it needs all of them. each: every order (or verdict) that anyone chose makes a row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    origins: Words | None = Field(None, description="of the judgements, such as correction or reviewer; none: all")
    criteria: Words | None = Field(None, description="only evidence under these criteria of the rubric; none: all")
    models: Words | None = Field(None, description="only responses of these models; none: all")
    since: Time | None = Field(None, description="only responses made at this time or later")
    until: Time | None = Field(None, description="only responses made before this time")
    policy: Policy = "majority"
    min_agreement: Share = Field(0.0, description="share of the judgements that must agree with a row")
    shares: Shares = Field(default_factory=Shares)
    include_unknown: bool = Field(
        False, description="take responses of which neither client nor project says whether they may train"
    )
    include_personal_data: bool = Field(
        False, description="take responses that were marked as holding personal data when they were captured"
    )

    @model_validator(mode="after")
    def start_before_end(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`since` must be before `until`")
        return self

    def ensure_fits(self, kind: Kind) -> None:
        """Raise SelectionInvalid when it asks for what this kind of dataset does not have."""
        possible = ORIGINS_OF_KIND[kind]
        for index, origin in enumerate(self.origins or ()):
            if origin not in possible:
                raise SelectionInvalid(
                    f"A {kind} has no origin “{origin}”. Possible: {', '.join(possible)}.",
                    param=f"/selection/origins/{index}",
                )
        if kind == "demonstration" and self.criteria is not None:
            raise SelectionInvalid("Demonstrations do not belong to a criterion.", param="/selection/criteria")
