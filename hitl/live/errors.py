"""The ways a live conversation says no."""

from hitl.core.errors import Conflict, Invalid


class UserSaidMore(Conflict):
    """The user has written again since you looked. Read it, then decide once more; nothing was sent."""

    code = "user_said_more"


class NotYours(Conflict):
    """Somebody else speaks in this conversation."""

    code = "not_your_conversation"


class AlreadyTaken(Conflict):
    """Somebody else has taken over this conversation."""

    code = "already_taken_over"


class ColleagueCannotSpeak(Invalid):
    """This person may not speak in this project's conversations."""

    code = "colleague_cannot_speak"


class HoldEnded(Conflict):
    """This draft does not wait any more: somebody was quicker, or its time was over. What you wrote is kept, unsent."""

    code = "hold_ended"


class NotTaken(Conflict):
    """No colleague speaks in this conversation any more. Take it over, if you want to speak."""

    code = "not_taken_over"


class ReplyUnacceptable(Invalid):
    """A ready reply has a name of 1 to 80 characters, unlike the others, and a text of up to 4,000."""

    code = "ready_reply_unacceptable"
