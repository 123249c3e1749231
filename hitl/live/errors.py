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
