"""The ways the product says no.

    AppError
    ├── Unauthenticated      401  no credentials, or bad ones
    ├── Forbidden            403  a member without the permission
    ├── NotFound             404  not there, or not yours to see
    ├── Conflict             409  true a moment ago, not any more
    ├── TooLarge             413
    ├── UnsupportedMedia     415
    ├── Invalid              422  names the field in `param`
    ├── TooManyRequests      429  carries `retry_after_seconds`
    └── Unavailable          503  the database is away or locked; try again

An error is named after the fact. Its docstring is the sentence the person reads, unless the raiser gives a better one.
"""

import inspect
from typing import Any, ClassVar


class AppError(Exception):
    """Something went wrong."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "error"
    code: ClassVar[str] = "error"
    is_fault: ClassVar[bool] = True  # whether an answer of status 500 or above means that something is wrong here

    def __init__(self, message: str | None = None, *, param: str | None = None, **details: Any) -> None:
        """Say no.

        message: what happened and what to do, for the person; by default the class's docstring.
        param: JSON pointer to the field at fault, where there is one.
        details: further facts that a page may show beside the message.
        """
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        self.param = param
        self.details = details
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        """Return the envelope that the API answers with."""
        return {
            "error": {
                "type": type(self).type,
                "code": type(self).code,
                "message": self.message,
                "param": self.param,
            }
        }


class Unauthenticated(AppError):
    """Sign in first, or send a valid API key as a bearer token."""

    status = 401
    type = code = "unauthenticated"


class Forbidden(AppError):
    """You are a member of this project, but your role does not allow this."""

    status = 403
    type = code = "forbidden"


class NotFound(AppError):
    """There is nothing here, or it is not yours to see."""

    status = 404
    type = code = "not_found"


class Conflict(AppError):
    """This changed in the meantime. Reload and try again."""

    status = 409
    type = code = "conflict"


class TooLarge(AppError):
    """The request is larger than this service accepts."""

    status = 413
    type = code = "too_large"


class UnsupportedMedia(AppError):
    """Send the body as application/json."""

    status = 415
    type = code = "unsupported_media_type"


class Invalid(AppError):
    """This value cannot be accepted."""

    status = 422
    type = code = "invalid"


class TooManyRequests(AppError):
    """Too many attempts. Wait a little and try again."""

    status = 429
    type = code = "too_many_requests"

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(AppError):
    """The database is not answering just now. Nothing was lost; try again in a moment."""

    status = 503
    type = code = "unavailable"
