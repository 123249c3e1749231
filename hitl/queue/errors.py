"""Ways in which the queue says no."""

from hitl.core.errors import Conflict, Forbidden, Invalid, NotFound


class TooManyLeases(Conflict):
    """You hold three items of this project already. Finish one of them or give it back first."""

    code = "too_many_leases"


class LeaseEnded(Conflict):
    """You no longer hold this item. What you filled in is kept as your draft."""

    code = "lease_ended"


class NoOpenSlot(Conflict):
    """All reviews that this item wants are taken already. Ask for more reviews first."""

    code = "no_open_slot"


class AlreadyTheirs(Conflict):
    """This person holds this item, or it is reserved for them."""

    code = "already_theirs"


class NotTheirsAgain(Conflict):
    """This person has reviewed this item, or skipped it."""

    code = "not_theirs_again"


class FewerThanCounted(Conflict):
    """This item has more counted reviews than that already."""

    code = "fewer_than_counted"


class ItemClosed(Conflict):
    """This item is closed. Ask for more reviews to open it again."""

    code = "item_closed"


class NobodyHasIt(Conflict):
    """Nobody holds this item or has it reserved."""

    code = "nobody_has_it"


class NoRubric(Conflict):
    """This project has no published rubric yet, so nothing can be reviewed."""

    code = "no_rubric"


class NotAReviewer(Invalid):
    """This person is no active member of the project with the right to review."""

    code = "not_a_reviewer"


class NoMember(Forbidden):
    """Only active members of this project take its items."""

    code = "no_member"


class UnknownResponses(NotFound):
    """There is no such response in this project."""

    code = "unknown_response"


class RuleNameTaken(Conflict):
    """There is already a rule with this name in this project."""

    code = "rule_name_taken"


class RuleEnded(Conflict):
    """This rule was switched off. Make a new one."""

    code = "rule_ended"


class UnknownRule(NotFound):
    """There is no rule with this name in this project."""

    code = "unknown_rule"


class WrongNumberToCompare(Invalid):
    """A comparison is of two responses to nine."""

    code = "wrong_number_to_compare"


class SameResponseTwice(Invalid):
    """The same response stands twice in one comparison."""

    code = "same_response_twice"


class DifferentInputs(Invalid):
    """These responses answer different inputs. Only answers to the same input can be compared."""

    code = "different_inputs"


class SameAnswers(Invalid):
    """These responses all say the same, so there is nothing to compare."""

    code = "same_answers"


class UnknownConversation(NotFound):
    """There is no such conversation in this project."""

    code = "unknown_conversation"


class EmptyConversation(Invalid):
    """Nothing was captured of this conversation yet."""

    code = "empty_conversation"
