"""Ways that capture says no."""

from hitl.core.errors import AppError, Conflict, Invalid, NotFound


class RowInvalid(Invalid):
    """This row cannot be stored as it is. `param` names the field."""

    code = "row_invalid"


class NotStorable(RowInvalid):
    """This value cannot be stored as text that reads back the same."""

    code = "not_storable"


class TooBig(RowInvalid):
    """This row is larger than the service accepts."""

    code = "row_too_big"


class TooManyRows(Invalid):
    """One request takes 1 to 1,000 rows. Send the rest in another."""

    code = "too_many_rows"


class IdTaken(Conflict):
    """A response with other content was stored under this client_id before. A stored response is never changed."""

    code = "id_taken"


class UnknownResponse(NotFound):
    """This project has no response with this id."""

    code = "unknown_response"


class FileUnreadable(AppError):
    """This file cannot be read."""

    status = 422
    type = "invalid"
    code = "file_unreadable"


class CaptureStopped(AppError):
    """The database went away in the middle of the file."""

    status = 503
    type = "unavailable"
    code = "capture_stopped"
