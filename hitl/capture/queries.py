"""Select values about what was captured."""

from uuid import UUID

from sqlalchemy import Select, select

from hitl.capture.models import Feedback, Response


def responses_of(project_id: UUID) -> Select[Response]:
    """All responses of a project."""
    return select(Response).where(Response.project_id == project_id)


def feedback_about(response: Response) -> Select[Feedback]:
    """What end users said about a response itself; what they said about its conversation is aside."""
    return select(Feedback).where(Feedback.response_id == response.id)
