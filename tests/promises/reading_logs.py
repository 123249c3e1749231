"""What the log of a live conversation tells, and what must hold of it whatever happened."""

from uuid import UUID

from sqlalchemy import select

from hitl.live.models import Draft, Event, Intervention


class Told:
    """What the log tells: who speaks, which words of the user are the newest, and whether they have their answer."""

    def __init__(self) -> None:
        self.speaker, self.changes = "bot", 0
        self.user_number, self.is_answered = 0, False
        self.log: list[Event] = []

    def read(self, event: Event) -> None:
        self.log.append(event)
        match event.kind:
            case "user_message":
                self.user_number, self.is_answered = event.number, False
            case "message":
                self.is_answered = True
            case "hold":
                self._change("gate")
            case "takeover":
                self._change(event.user_id)
            case "handover":
                self._change(UUID(event.content["to"]))
            case "approval" | "edit" | "refusal" | "expiry" | "handback":
                self._change("bot")

    def _change(self, speaker) -> None:
        self.speaker, self.changes = speaker, self.changes + 1


def ensure_in_order(db, talk, log):
    """The whole log of a conversation, in its order, breaks no promise; its drafts and interventions agree with it."""
    drafts = {draft.id: draft for draft in db.scalars(select(Draft).where(Draft.conversation_id == talk.id))}
    assert [event.number for event in log] == list(range(1, talk.last_number + 1))
    assert {event.kind for event in log if event.audience == "customer"} <= {"user_message", "message"}
    ensure_each_spoke_in_turn(log, drafts)
    ensure_drafts_say_what_became_of_them(log, drafts.values())
    ensure_each_decision_is_an_intervention(db, talk, log)


def ensure_each_spoke_in_turn(log, drafts):
    told = Told()
    for event in log:
        if event.kind == "message" and event.user_id is None:
            assert told.speaker == "bot"
            assert not told.is_answered or told.user_number == 0
            if told.log[-1].kind != "approval":  # a person who has read on may answer newer words with the draft
                assert drafts[event.draft_id].answers_number == told.user_number
        elif event.kind == "message":
            assert told.speaker == event.user_id or told.log[-1].kind == "edit"
        told.read(event)


def ensure_drafts_say_what_became_of_them(log, drafts):
    sent = [event.draft_id for event in log if event.kind == "message" and event.draft_id is not None]
    assert len(sent) == len(set(sent))
    for draft in drafts:
        assert draft.state != "sent" or draft.id in sent
        assert (draft.why_unsent is None) == (draft.state != "unsent")


def ensure_each_decision_is_an_intervention(db, talk, log):
    decided = [event for event in log if event.kind in ("approval", "edit", "refusal", "takeover")]
    query = select(Intervention).where(Intervention.conversation_id == talk.id).order_by(Intervention.event_number)
    made = list(db.scalars(query))
    assert [(one.kind, one.user_id) for one in made] == [(event.kind, event.user_id) for event in decided]
    for event, one in zip(decided, made, strict=True):
        later = {e.kind for e in log[event.number :]}
        assert one.settled_at is not None or not later & {"user_message", "message", "handback"}
        if one.settled_at is not None and one.why_nothing is None:
            replaced = next(e.number for e in log[event.number :] if e.kind == "message")
            said = [e.number for e in log[:replaced] if e.kind == "user_message"]
            assert one.answers_number == (said[-1] if said else 0)
            assert one.draft_id is not None
            assert one.kind == "approval" or one.replacement is not None
