"""Select values about what was captured."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select

from hitl.capture.models import Feedback, Response
from hitl.core.ids import first_id_at


def responses_of(project_id: UUID) -> Select[Response]:
    """All responses of a project."""
    return select(Response).where(Response.project_id == project_id)


def feedback_about(response: Response) -> Select[Feedback]:
    """What end users said about a response itself; what they said about its conversation is aside."""
    return select(Feedback).where(Feedback.response_id == response.id)


def captured_count_since(project_id: UUID, since: datetime) -> Select[int]:
    """How many responses came in since a moment."""
    return select(func.count()).where(Response.project_id == project_id, Response.id >= first_id_at(since))


def last_captured_at(project_id: UUID) -> Select[datetime]:
    """When the newest response came in, if any did."""
    newest = select(Response.captured_at).where(Response.project_id == project_id)
    return newest.order_by(Response.id.desc()).limit(1)
