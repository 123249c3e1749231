"""JSON shapes of a policy."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from hitl.core.http import ApiModel
from hitl.live.policy.models import PolicyRule, PolicyRuleVersion
from hitl.live.policy.preview import PolicyPreview
from hitl.live.policy.rules import PolicyTerms, terms_of


class PolicyRulePath(ApiModel):
    """A rule of a policy, by its id."""

    policy_rule_id: UUID


class NewPolicyRule(PolicyTerms, ApiModel):
    """A rule to write down."""

    name: str

    def terms(self) -> PolicyTerms:
        """Return what the rule says, without its name."""
        return PolicyTerms.model_validate(self.model_dump(include=set(PolicyTerms.model_fields)))


class PolicyRuleChange(PolicyTerms, ApiModel):
    """What a rule is to say."""

    seen_version: int | None = Field(None, description="The version that you changed; 409 if it is not the newest")

    def terms(self) -> PolicyTerms:
        """Return what the rule is to say."""
        return PolicyTerms.model_validate(self.model_dump(include=set(PolicyTerms.model_fields)))


class PolicyRuleOut(PolicyTerms, ApiModel):
    """A rule as it is now."""

    id: UUID
    name: str
    version: int = Field(description="Rises with each change")
    is_on: bool
    why_off: str | None = Field(description="`by_hand`, or `too_slow` after three overruns")
    fault: str | None = Field(description="Why it could not be worked out the last time that it could not")
    created_at: datetime

    @classmethod
    def of(cls, rule: PolicyRule, version: PolicyRuleVersion) -> "PolicyRuleOut":
        """Show a rule."""
        return cls(
            **dict(terms_of(version)),
            id=rule.id,
            name=rule.name,
            version=version.number,
            is_on=rule.is_on,
            why_off=rule.why_off,
            fault=rule.fault,
            created_at=rule.created_at,
        )


class PolicyRuleList(ApiModel):
    """The rules of a project's policy, switched off ones too."""

    rules: list[PolicyRuleOut]


class SwitchBody(ApiModel):
    """Whether a rule counts."""

    is_on: bool


class NameOut(ApiModel):
    """Something that an expression may speak of."""

    name: str
    kind: str
    means: str
    example: str


class NameList(ApiModel):
    """All that expressions may speak of."""

    names: list[NameOut]


class ExampleOut(ApiModel):
    """An answer that a rule fits."""

    response_id: UUID
    reasons: list[str]


class PolicyPreviewOut(ApiModel):
    """What a rule would have done to the newest answers."""

    looked_at: int
    fitting: int
    expected: float = Field(description="How many of those would have been held, or told of, on average")
    faults: dict[str, int] = Field(description="Why it could not be worked out, and how often")
    examples: list[ExampleOut]

    @classmethod
    def of(cls, preview: PolicyPreview) -> "PolicyPreviewOut":
        """Show a preview; the texts of its examples are read by their ids, by who may read responses."""
        return cls(
            looked_at=preview.looked_at,
            fitting=preview.fitting,
            expected=preview.expected,
            faults=dict(preview.faults.most_common(5)),
            examples=[ExampleOut(response_id=one.response_id, reasons=one.reasons) for one in preview.examples],
        )
