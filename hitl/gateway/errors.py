"""The ways the gateway says no, in the shape of OpenAI's errors."""

from hitl.core.errors import AppError, Conflict, Invalid, NotFound, TooManyRequests, Unavailable


class NoUpstream(NotFound):
    """This project has no upstream for this model. An admin adds one under Settings, Gateway."""

    type = "invalid_request_error"
    code = "model_not_found"


class UpstreamUnreachable(AppError):
    """The upstream model cannot be reached."""

    status = 502
    type = "upstream_error"
    code = "upstream_unreachable"


class UpstreamTimedOut(AppError):
    """The upstream model did not answer in time."""

    status = 504
    type = "upstream_error"
    code = "upstream_timed_out"


class UpstreamBrokeOff(AppError):
    """The upstream model broke off in the middle of its answer."""

    status = 502
    type = "upstream_error"
    code = "upstream_broke_off"


class UpstreamUnusable(AppError):
    """The upstream answered with something that is no answer of a model."""

    status = 502
    type = "upstream_error"
    code = "upstream_unusable"


class BudgetSpent(TooManyRequests):
    """The budget for this key or model is spent."""

    type = "insufficient_quota"
    code = "budget_spent"


class ConversationIdInvalid(Invalid):
    """The id of a conversation is a text of 1 to 255 characters."""

    code = "conversation_id_invalid"


class NotAnswered(Unavailable):
    """Nobody has answered yet. Ask again: the answer is still being waited for."""

    code = "still_waiting"
    is_fault = False


class NobodyCame(Unavailable):
    """This answer had to be looked at by a person, and nobody came in time. That is nobody's judgement of it."""

    code = "expired"
    is_fault = False


class DraftRefused(AppError):
    """A person refused this answer."""

    status = 403
    type = "refused"
    code = "denied"


class TakenOver(Conflict):
    """A person has taken over this conversation; what they say comes on the conversation's own stream."""

    code = "taken_over"


class ConversationMovedOn(Conflict):
    """The conversation has moved on; this answer is not wanted any more."""

    code = "moved_on"


class ConversationNotNamed(Invalid):
    """A person answers here. Say which conversation this is: X-HITL-Conversation, or metadata.conversation_id."""

    code = "conversation_not_named"


class RepeatDiffers(Invalid):
    """This Idempotency-Key was used for another request before."""

    code = "idempotency_key_reused"


class UpstreamUnacceptable(Invalid):
    """This upstream cannot be saved."""

    code = "upstream_unacceptable"


class UnknownUpstream(NotFound):
    """This project has no such upstream."""

    code = "unknown_upstream"


class UnknownBudget(NotFound):
    """This project has no such budget."""

    code = "unknown_budget"


class GatewaySettingsUnacceptable(Invalid):
    """This setting of the gateway cannot be saved."""

    code = "gateway_settings_unacceptable"
