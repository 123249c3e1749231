"""JSON shapes of the queue.

What a reviewer gets about an item is listed field by field: nothing that names a model, a prompt or a rule is in it.
"""

from collections.abc import Sized
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from hitl.capture.messages import AssistantMessage, Input
from hitl.core.http import ApiModel, FeedPage, FeedQuery, PageQuery
from hitl.queue.blindness import blind_message, blind_name, blind_output, blind_passage, in_blind_order
from hitl.queue.finding import Importance, Kind, Sort, State, Wanted
from hitl.queue.models import MAX_COMPARED, Assignment, Item, Lease, Rule, RuleVersion
from hitl.queue.queries import SlotCounts
from hitl.queue.rules import MAX_PRIORITY_DAYS, MAX_REVIEWS_WANTED, Terms, terms_of
from hitl.queue.words import MAX_TYPED

MAX_PICKED = 1_000
MAX_REASON_CHARACTERS = 1_000

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # PostgreSQL cannot keep a NUL
ClientId = Annotated[Text, Field(min_length=1, max_length=255)]
ReviewsWanted = Annotated[int, Field(ge=1, le=MAX_REVIEWS_WANTED)]
Priority = Annotated[
    int, Field(ge=-MAX_PRIORITY_DAYS, le=MAX_PRIORITY_DAYS, description="Each step counts like a day of waiting")
]


class LeasePath(ApiModel):
    """A lease, by its id."""

    lease_id: UUID


class ItemPath(ApiModel):
    """An item, by its id."""

    item_id: UUID


class AssignmentPath(ItemPath):
    """A reservation of an item."""

    assignment_id: UUID


class RulePath(ApiModel):
    """A rule, by its id."""

    rule_id: UUID


class TargetOut(ApiModel):
    """What to review: what was asked, what was answered, and what the model had found."""

    response_id: UUID = Field(
        description="What answers call it. In a comparison no id of ours, which would tell which response is older, "
        "but a name that holds in this item alone"
    )
    input: Input
    output: AssistantMessage
    context: list[dict[str, Any]] = Field(description="Retrieved passages: title, text or content, source")


class LeaseOut(ApiModel):
    """Your hold on an item."""

    id: UUID
    item_id: UUID
    kind: str = Field(description="response, comparison or conversation")
    rubric_version_id: UUID
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_as: str | None = Field(description="completed, given_back, expired or skipped; null while it runs")
    targets: list[TargetOut] = Field(
        description="The response to review; several to compare, in an order of your own; or a conversation as its "
        "last response: what came before is its input"
    )


class LeaseList(ApiModel):
    """What you hold; at most three."""

    leases: list[LeaseOut]


class SkipBody(ApiModel):
    """Why you leave an item to others."""

    reason: Text | None = Field(None, max_length=MAX_REASON_CHARACTERS)


class ItemQuery(PageQuery):
    """Which items, and in which order."""

    state: State | None = Field(
        None,
        description="held: somebody is at it; partly: some of its reviews are in; stuck: a slot is left, but nobody "
        "who may take it. All if left out.",
    )
    kind: Kind | None = None
    rule_id: UUID | None = Field(
        None,
        description="Drawn by this rule. Comparisons are found by it once closed: a rule may name a model",
    )
    priority: Importance | None = Field(None, description="Above 0, 0, or below")
    assigned_to: UUID | Literal["nobody"] | None = Field(None, description="Reserved for this person; or for nobody")
    waiting_days: int | None = Field(None, ge=1, le=3_650, description="Came in longer ago than that")
    search: Text = Field(
        "",
        max_length=MAX_TYPED,
        description='Words and "phrases" of what was asked and answered; a word may go on: refund finds refunds. Or an '
        "id of an item, a response or a conversation, ours or the client's",
    )
    sort: Sort = Field("oldest", description="next: as they are handed out; of closed ones, the last closed first")

    def wanted(self) -> Wanted:
        """Return the same as the queue understands it."""
        return Wanted(**self.model_dump(exclude={"cursor", "limit"}))


class ItemOut(ApiModel):
    """Something that waits for review, and where its slots are."""

    id: UUID
    kind: str = Field(description="response, comparison or conversation")
    response_ids: list[UUID] = Field(description="Of a conversation, the last one when it was picked")
    conversation_id: UUID | None = Field(description="Of a conversation")
    priority: int
    reviews_wanted: int
    counted: int = Field(description="Reviews that count")
    running: int = Field(description="Leases that run and will count")
    reserved: int = Field(description="Slots kept for somebody")
    open_slots: int
    created_at: datetime
    closed_at: datetime | None
    closed_as: str | None = Field(description="complete or by_hand")

    @classmethod
    def of(cls, item: Item, counts: SlotCounts) -> "ItemOut":
        """Show an item."""
        return cls(
            id=item.id,
            kind=item.kind,
            response_ids=[target.response_id for target in item.targets if target.response_id is not None],
            conversation_id=next((target.conversation_id for target in item.targets if target.conversation_id), None),
            priority=item.priority,
            reviews_wanted=item.reviews_wanted,
            counted=counts.counted,
            running=counts.running,
            reserved=counts.reserved,
            open_slots=item.open_slots,
            created_at=item.created_at,
            closed_at=item.closed_at,
            closed_as=item.closed_as,
        )


class AssignmentOut(ApiModel):
    """A slot kept for one person."""

    id: UUID
    item_id: UUID
    reviewer_id: UUID
    created_at: datetime
    is_taken: bool = Field(description="Whether they hold the item at the moment")

    @classmethod
    def of(cls, assignment: Assignment) -> "AssignmentOut":
        """Show an assignment."""
        return cls(
            id=assignment.id,
            item_id=assignment.item_id,
            reviewer_id=assignment.reviewer_id,
            created_at=assignment.created_at,
            is_taken=not assignment.is_reserving,
        )


class ItemWithAssignments(ItemOut):
    """An item, and for whom it is reserved."""

    assignments: list[AssignmentOut]


class ItemPage(ApiModel):
    """One page of items."""

    items: list[ItemOut]
    next_cursor: str | None = Field(description="Null on the last page")


class ItemFeedQuery(FeedQuery):
    """Which items."""

    kind: Kind | None = None


class ItemFeed(FeedPage):
    """Items in the order in which they last changed."""

    items: list[ItemOut]


class PickedComparison(ApiModel):
    """Two to nine responses to the same input, by our ids or the client's."""

    response_ids: list[UUID] = Field([], max_length=MAX_COMPARED)
    client_ids: list[ClientId] = Field([], max_length=MAX_COMPARED)


class PickBody(ApiModel):
    """What to review, picked by hand, by our ids or the client's."""

    response_ids: list[UUID] = Field([], max_length=MAX_PICKED)
    client_ids: list[ClientId] = Field([], max_length=MAX_PICKED)
    comparisons: list[PickedComparison] = Field([], max_length=MAX_PICKED)
    conversation_ids: list[UUID] = Field([], max_length=MAX_PICKED)
    client_conversation_ids: list[ClientId] = Field([], max_length=MAX_PICKED)
    reviews_wanted: ReviewsWanted = 1
    priority: Priority = 0

    @model_validator(mode="after")
    def _names_something(self) -> "PickBody":
        named: tuple[Sized, ...] = (
            self.response_ids,
            self.client_ids,
            self.comparisons,
            self.conversation_ids,
            self.client_conversation_ids,
        )
        if not 1 <= sum(map(len, named)) <= MAX_PICKED:
            raise ValueError(f"name 1 to {MAX_PICKED:,} responses, comparisons and conversations")
        return self


class PickedItems(ApiModel):
    """The items of what was picked, in its order: responses, comparisons, conversations."""

    items: list[ItemOut]


class ItemChange(ApiModel):
    """What to change about an item; what is left out stays."""

    reviews_wanted: ReviewsWanted | None = None
    priority: Priority | None = None


class AssignBody(ApiModel):
    """Whom to reserve a slot for: by id or by e-mail address."""

    reviewer_id: UUID | None = None
    email: Text | None = Field(None, max_length=320)

    @model_validator(mode="after")
    def _names_one(self) -> "AssignBody":
        if (self.reviewer_id is None) == (self.email is None):
            raise ValueError("give a reviewer_id or an email")
        return self


class NewRule(Terms, ApiModel):
    """A rule to switch on."""

    name: str
    include_earlier: bool = Field(False, description="Draw from what was captured before, too")

    def terms(self) -> Terms:
        """Return what the rule says, without its name."""
        return Terms.model_validate(self.model_dump(include=set(Terms.model_fields)))


class RuleOut(Terms, ApiModel):
    """A rule as it is now."""

    id: UUID
    name: str
    version: int = Field(description="Rises with each change")
    created_at: datetime
    ended_at: datetime | None = Field(description="When it was switched off")

    @classmethod
    def of(cls, rule: Rule, version: RuleVersion) -> "RuleOut":
        """Show a rule."""
        return cls(
            **dict(terms_of(version)),
            id=rule.id,
            name=rule.name,
            version=version.number,
            created_at=rule.created_at,
            ended_at=rule.ended_at,
        )


class RuleList(ApiModel):
    """The rules that are switched on, by name."""

    rules: list[RuleOut]


def lease_as_json(db: Session, lease: Lease, item: Item) -> dict[str, Any]:
    """Show a lease and what to review. The words are given as they are stored; see hitl/queue/blindness.py."""
    is_comparison = item.kind == "comparison"
    targets = in_blind_order(item.targets, lease.shuffle_seed) if is_comparison else item.targets
    return {
        "id": str(lease.id),
        "item_id": str(lease.item_id),
        "kind": item.kind,
        "rubric_version_id": str(item.rubric_version_id),
        "started_at": lease.started_at.isoformat(),
        "expires_at": lease.expires_at.isoformat(),
        "ended_at": None if lease.ended_at is None else lease.ended_at.isoformat(),
        "ended_as": lease.ended_as,
        "targets": [
            {
                "response_id": blind_name(db, item, target.response.id),
                "input": {
                    "messages": [blind_message(message) for message in target.response.input["messages"]],
                    "tools": target.response.input["tools"],
                },
                "output": blind_output(item, target.response.output),
                "context": [blind_passage(passage) for passage in target.response.context],
            }
            for target in targets
            if target.response is not None
        ],
    }
