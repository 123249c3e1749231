"""The ways a live conversation says no."""

from hitl.core.errors import Conflict, Invalid


class HoldEnded(Conflict):
    """This draft is not held any more. Nothing was sent a second time; what you wrote is kept as an unsent draft."""

    code = "hold_ended"


class UserSaidMore(Conflict):
    """The user has written again since you looked. Read it, then decide once more; nothing was sent."""

    code = "user_said_more"


class NotYours(Conflict):
    """Somebody else speaks in this conversation. Nothing was sent; what you wrote is kept as an unsent draft."""

    code = "not_your_conversation"


class AlreadyTaken(Conflict):
    """Somebody else has taken over this conversation."""

    code = "already_taken_over"


class NothingHeld(Conflict):
    """No draft is held in this conversation."""

    code = "nothing_held"


class DraftStale(Conflict):
    """The conversation has moved on: this draft was not sent. It is kept."""

    code = "draft_stale"


class NothingToSay(Invalid):
    """Write something to send."""

    code = "nothing_to_say"


class ColleagueCannotSpeak(Invalid):
    """This person may not speak in this project's conversations."""

    code = "colleague_cannot_speak"
