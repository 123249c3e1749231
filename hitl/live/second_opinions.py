"""A share of interventions goes to review: somebody else judges the draft, without knowing what was done to it."""

from uuid import UUID

from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.accounts.projects import settings_of
from hitl.core.secrets import keys_of
from hitl.live.models import Intervention
from hitl.queue.errors import NoRubric
from hitl.queue.items import Wish, add_items
from hitl.queue.rules import draw


def request_second_opinion(db: Session, intervention_id: UUID) -> None:
    """Put the draft of an intervention that taught something into the queue, if it is drawn.

    The draw is the same however often it is made. A project without a rubric has no queue.
    """
    intervention = db.get(Intervention, intervention_id)
    if intervention is None or intervention.why_nothing is not None:
        return
    response_id = None if intervention.draft is None else intervention.draft.response_id
    project = db.get_one(Project, intervention.project_id)
    percent = settings_of(project).second_opinion_percent
    if response_id is None or draw(keys_of(db).sampling, project.id, str(intervention.id)) * 100 >= percent:
        return
    try:
        add_items(db, project, {response_id: Wish()})
    except NoRubric:
        return
