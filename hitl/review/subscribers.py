"""What reviewing does when it hears of something."""

from sqlalchemy.orm import Session

from hitl.accounts.events import ProjectCreated
from hitl.accounts.models import Project
from hitl.core.events import within
from hitl.review.rubrics import publish_rubric, starter_rubric


@within(ProjectCreated)
def start_with_a_rubric(db: Session, fact: ProjectCreated) -> None:
    """Give a new project the starter rubric, so that it can be reviewed at once."""
    publish_rubric(db, db.get_one(Project, fact.project_id), starter_rubric())
