"""The gate: what becomes of a draft once the bot has written it."""

from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.live.holding import hold_draft
from hitl.live.models import Draft, Hold, LiveConversation
from hitl.live.policy import DraftFacts, decide
from hitl.live.speaking import begin_streaming, is_still_to_be_sent, send


def pass_or_hold(db: Session, talk: LiveConversation, draft: Draft, *, is_streamed: bool = False) -> Hold | None:
    """Send a proposed draft, or let it wait for a person, as the project's policy says.

    Returns the hold, if there is one. A draft that is stale is kept as unsent.

    is_streamed: a draft that may be sent is not sent at once; it goes out piece by piece from now on.
    """
    if not is_still_to_be_sent(talk, draft):
        return None
    decision = decide(db, db.get_one(Project, talk.project_id), facts_of(talk, draft))
    if decision.action == "hold":
        return hold_draft(db, talk, draft, decision.reasons, **decision.terms)
    if is_streamed:
        begin_streaming(db, talk, draft)
    else:
        send(db, talk, draft)
    return None


def facts_of(talk: LiveConversation, draft: Draft) -> DraftFacts:
    """Return what a draft is judged by: what was captured of it, or, of one that was not, what it says."""
    if draft.response is not None:
        return DraftFacts.of_response(draft.response, talk=talk, draft=draft)
    return DraftFacts(str(draft.id), {"messages": [], "tools": []}, draft.output, talk=talk, draft=draft)
