"""The policy of a project: which drafts wait for a person, and what supervisors are told of.

    decision = decide(db, project, DraftFacts(...))    # in the transaction that proposes the draft
    if decision.action == "hold": hold_draft(…, decision.reasons, **decision.terms)

rules.py      what people write down, in versions
deciding.py   what the rules say of a draft, and the hold-out that stays unheld by chance
preview.py    what a rule would have done to past answers
"""

from hitl.live.policy.deciding import Decision, DraftFacts, decide

__all__ = ["Decision", "DraftFacts", "decide"]
