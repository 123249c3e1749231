"""The ways a policy says no."""

from hitl.core.errors import Conflict, Invalid


class PolicyNameTaken(Invalid):
    """A rule of this project's policy has this name already."""

    code = "policy_name_taken"


class SafeReplyMissing(Invalid):
    """Write what is said when nobody comes, or choose something else for that case."""

    code = "safe_reply_missing"


class ChangedMeanwhile(Conflict):
    """Somebody else has changed this rule since you opened it. Look at theirs, then change it once more."""

    code = "policy_rule_changed"
