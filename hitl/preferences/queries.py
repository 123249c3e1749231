"""What counts of all that was ever learned: by the revision that counts for its review, and by interventions."""

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import aliased

from hitl.accounts.models import Project
from hitl.accounts.projects import settings_of
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.review.models import Review


def counting_evidence(project: Project) -> Select[Evidence]:
    """Judgements that one answer beats another."""
    return select(Evidence).where(Evidence.project_id == project.id, _counts_by_anyone(Evidence))


def counting_demonstrations(project: Project) -> Select[Demonstration]:
    """Corrected and approved answers."""
    return select(Demonstration).where(Demonstration.project_id == project.id, _counts_by_anyone(Demonstration))


def standing_verdicts(project: Project) -> Select[Verdict]:
    """Responses found good or bad: by reviewers, and in a project that wants them by end users, whoever beats whom."""
    by_reviewer = and_(Verdict.origin == "reviewer", _counts(Verdict))
    is_heard = or_(by_reviewer, Verdict.origin == "end_user") if settings_of(project).end_user_thumbs else by_reviewer
    return select(Verdict).where(Verdict.project_id == project.id, is_heard)


def counting_verdicts(project: Project) -> Select[Verdict]:
    """Responses found good or bad.

    Reviewers beat end users: where a reviewer's verdict counts, end users' about the same response do not; nor do they
    anywhere in a project that does not want them, though it may have wanted them once.
    """
    reviewers = aliased(Verdict)
    is_overruled = exists().where(
        reviewers.response_id == Verdict.response_id, reviewers.origin == "reviewer", _counts(reviewers)
    )
    return standing_verdicts(project).where(or_(Verdict.origin == "reviewer", ~is_overruled))


def _counts_by_anyone(table: type[Evidence] | type[Demonstration]) -> ColumnElement[bool]:
    return or_(table.intervention_id.is_not(None), _counts(table))


def _counts(table: type[Evidence] | type[Demonstration] | type[Verdict]) -> ColumnElement[bool]:
    return exists().where(Review.counting_revision_id == table.revision_id, Review.project_id == table.project_id)
