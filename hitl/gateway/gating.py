"""Answers that people may look at before they go out, and answers that people give instead of the model.

Only a conversation that a request names has turns. The model's whole answer is here before any of it goes out; it is
captured and proposed as a draft, and the policy sends it or lets it wait. Who waits waits in a generator, so that a
stream can show signs of life meanwhile, and a request that is not one can end before the project's limit.

Nothing of a wait is kept by the process: a hold is a row, and a repeat of the request finds it, in any process.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from hitl.core import clock, outgoing
from hitl.core.errors import AppError, Invalid, Unavailable
from hitl.gateway.errors import (
    ConversationMovedOn,
    ConversationNotNamed,
    DraftRefused,
    NobodyCame,
    TakenOver,
)
from hitl.gateway.exchanges import Exchange
from hitl.gateway.forwarding import Forwarded, broken_stream
from hitl.gateway.models import Repeatable
from hitl.gateway.runtime import Gateway, ProjectState
from hitl.gateway.saying import Said, said
from hitl.gateway.settings import Handling
from hitl.gateway.turns import (
    Repeats,
    Turn,
    answer_after,
    begin_turn,
    earlier_request,
    has_said_more,
    note_told,
    project_in,
    propose,
    remember_request,
    say_for_nobody,
    still_waited_for,
    turn_now,
    turn_of,
)
from hitl.live.decisions import DraftDecision, decision_about
from hitl.live.holding import end_at_deadline
from hitl.live.models import Draft
from hitl.live.topics import topic_of

log = structlog.get_logger()

MAX_DRAFTS = 4  # how often a model may try again when people refuse what it says
TICK_SECONDS = 2.0  # between looks at whether the caller is still there
BEAT_SECONDS = 10.0  # between notes that somebody still waits
WHISPER = "An instruction by a supervisor, for your next answer only; the user does not know of it: {}"
REFUSED = "A supervisor refused your last answer{}. Answer again, differently."
DATABASE_TROUBLE = (DBAPIError, NoFreeConnection)

Steps = Generator[None, None, Said]  # yields while it waits, returns what is answered


class GatedCall:
    """One request in the mode gate or person."""

    def __init__(
        self,
        gateway: Gateway,
        state: ProjectState,
        exchange: Exchange,
        headers: Mapping[str, str],
        repeats: Repeats,
        *,
        wants_stream: bool,
    ) -> None:
        """Raises Invalid, ConversationNotNamed."""
        self._gateway, self._state, self._database = gateway, state, gateway.database
        self._exchange, self._headers, self._repeats = exchange, headers, repeats
        self._wants_stream = wants_stream
        self._handling = state.handling
        self._began = time.monotonic()
        self._came: Said | None = None  # the model's newest answer as it came
        self._came_as: UUID | None = None  # of which draft
        self._waits_in: UUID | None = None  # the conversation in which a person's decision is, or was, waited for
        if exchange.conversation is None:
            raise ConversationNotNamed
        if exchange.request.get("n") not in (None, 1):
            raise Invalid("Where people look at answers, one is asked for at a time.", param="n")
        if not isinstance(exchange.request.get("messages"), list) or not exchange.request["messages"]:
            raise Invalid("Send the messages so far.", param="messages")

    def steps(self) -> Steps:
        """Work out the answer. Yields while a person is waited for.

        Raises what the gateway says no with.
        """
        try:
            return (yield from self._answer())
        except DATABASE_TROUBLE as error:
            log.warning("gateway_gates_without_database", error=str(error), then=self._handling.when_database_down)
            return self._without_database()

    def note_told(self) -> None:
        """Note that the caller gets the answer, so that only somebody who did not get it is owed it."""
        if self._waits_in is None:
            return
        try:
            with self._database.writing() as db:
                note_told(db, self._waits_in, self._repeats.asked)
        except DATABASE_TROUBLE as error:
            log.warning("gateway_cannot_note_an_answer", error=str(error))  # a repeat gets it once more

    # --- The way of a call --------------------------------------------------------------------------------------------

    def _answer(self) -> Steps:
        with self._database.reading() as db:
            earlier = earlier_request(db, self._exchange.api_key_id, self._repeats)
        if earlier is not None:
            return (yield from self._rejoin(earlier))
        is_for_person = self._handling.mode == "person"
        with self._database.writing() as db:
            project = project_in(db, self._exchange.project_id)
            turn = begin_turn(db, project, self._exchange, person_wanted=is_for_person)
        if is_for_person or turn.is_held_by_person:
            return (yield from self._by_person(turn, self._deadline(), is_new=True))
        return (yield from self._by_model(turn))

    def _by_model(self, turn: Turn, drafts_left: int = MAX_DRAFTS, refusal: str | None = None) -> Steps:
        instructions = [WHISPER.format(text) for text in turn.instructions]
        if refusal is not None:
            instructions.append(refusal)
        output = self._ask_model(instructions)
        assert self._came is not None  # noqa: S101 - it was just asked
        if output is None or output.get("tool_calls"):
            # A refusal of the upstream, or a call to the application's own tools, which no user sees.
            self._record()
            return self._came
        with self._database.writing() as db:
            project = project_in(db, self._exchange.project_id)
            draft = propose(db, project, self._exchange, turn, output, self._handling)
            hold = decision_about(db, draft).hold
            deadline_at = self._deadline() if hold is None else hold.deadline_at
            remember_request(db, self._exchange, turn, self._repeats, draft=draft, deadline_at=deadline_at)
        if hold is not None:
            self._waits_in = turn.conversation_id
        self._came_as = draft.id
        self._record()
        return (yield from self._by_decision(turn, draft.id, drafts_left))

    def _by_decision(self, turn: Turn, draft_id: UUID, drafts_left: int) -> Steps:
        """Answer with what becomes of a draft."""
        decision = yield from self._decided(turn.conversation_id, draft_id)
        draft = decision.draft
        if decision.message is not None:
            self._ensure_newest(turn, decision.message.number)
            return self._as_sent(draft, decision.message.content["message"])
        if decision.word == "regenerate":
            return (yield from self._again(turn, decision, drafts_left))
        if draft.why_unsent == "holder_changed":
            return (yield from self._by_person(turn, self._deadline(), is_new=False))
        if draft.why_unsent == "expired":
            raise NobodyCame
        if draft.why_unsent == "already_answered":
            with self._database.reading() as db:
                event = answer_after(db, turn.conversation_id, turn.answers_number)
            if event is not None:
                return self._synthesized(event.content["message"], _name(turn))
        raise ConversationMovedOn(decision.why)

    def _ensure_newest(self, turn: Turn, message_number: int) -> None:
        """What is said after the user wrote again goes to the request that brought those words, and once only."""
        with self._database.reading() as db:
            if has_said_more(db, turn, message_number):
                raise ConversationMovedOn

    def _again(self, turn: Turn, decision: DraftDecision, drafts_left: int) -> Steps:
        """Let the model try again."""
        if drafts_left <= 1:
            raise DraftRefused
        with self._database.reading() as db:
            turn = turn_now(db, turn)
        if turn.is_held_by_person:
            return (yield from self._by_person(turn, self._deadline(), is_new=False))
        reason = f": {decision.reason}" if decision.reason else ""
        return (yield from self._by_model(turn, drafts_left - 1, REFUSED.format(reason)))

    def _by_person(self, turn: Turn, deadline_at: datetime, *, is_new: bool) -> Steps:
        """Answer with what a person says, or with what is to happen when nobody does."""
        if is_new:
            with self._database.writing() as db:
                remember_request(db, self._exchange, turn, self._repeats, draft=None, deadline_at=deadline_at)
            self._waits_in = turn.conversation_id
        while clock.now() < deadline_at:
            with self._in_patience(deadline_at), self._database.reading() as db:
                event = answer_after(db, turn.conversation_id, turn.answers_number)
                if event is not None:
                    return self._synthesized(event.content["message"], _name(turn))
                turn = turn_now(db, turn)
                is_the_models = turn.holder == "bot" and self._handling.mode == "gate"
                if is_the_models:  # it was given back without a word, or a hold ended without one
                    break
            yield from self._tick(turn.conversation_id, deadline_at)
        else:
            if turn.is_held_by_person:
                raise TakenOver
            return (yield from self._when_nobody(turn))
        return (yield from self._by_model(turn))

    def _when_nobody(self, turn: Turn) -> Steps:
        if self._handling.when_nobody == "send":
            with self._database.reading() as db:
                turn = turn_now(db, turn)
            return (yield from self._by_model(turn))
        if self._handling.when_nobody == "safe_reply":
            with self._database.writing() as db:
                say_for_nobody(db, turn, self._handling.safe_reply)
                event = answer_after(db, turn.conversation_id, turn.answers_number)
            if event is not None:
                return self._synthesized(event.content["message"], _name(turn))
        raise NobodyCame

    def _rejoin(self, earlier: Repeatable) -> Steps:
        """Go on where an earlier request of the same kind is, or give it the answer again."""
        with self._database.writing() as db:
            turn = turn_of(db, earlier)
            still_waited_for(db, turn.conversation_id, earlier.asked)
        self._waits_in = turn.conversation_id
        if earlier.draft_id is not None:
            return (yield from self._by_decision(turn, earlier.draft_id, MAX_DRAFTS))
        return (yield from self._by_person(turn, earlier.deadline_at, is_new=False))

    # --- Waiting ------------------------------------------------------------------------------------------------------

    def _decided(self, conversation_id: UUID, draft_id: UUID) -> Generator[None, None, DraftDecision]:
        """Wait until a draft waits no more. A hold whose time is over is ended here if no worker did."""
        patience = clock.now() + timedelta(seconds=self._handling.hold_seconds)
        while True:
            with self._in_patience(patience):
                with self._database.reading() as db:
                    decision = decision_about(db, db.get_one(Draft, draft_id))
                hold = decision.hold
                if decision.word != "wait" or hold is None:
                    return decision
                patience = max(patience, hold.deadline_at)
                if clock.now() >= hold.deadline_at:
                    with self._database.writing() as db:
                        end_at_deadline(db, hold.id)
                    continue
            yield from self._tick(conversation_id, patience)

    def _tick(self, conversation_id: UUID, until: datetime) -> Iterator[None]:
        """Wait a little, or until something happens in the conversation; note now and then that somebody waits."""
        left = (until - clock.now()).total_seconds()
        with self._database.bell.listen(topic_of(conversation_id)) as heard:
            heard.wait(max(0.05, min(TICK_SECONDS, left)))
        if time.monotonic() - self._beat_at >= BEAT_SECONDS:
            self._beat_at = time.monotonic()
            with self._in_patience(until), self._database.writing() as db:
                still_waited_for(db, conversation_id, self._repeats.asked)
        yield

    _beat_at = 0.0

    @contextmanager
    def _in_patience(self, until: datetime) -> Iterator[None]:
        """A database that goes away while somebody waits may come back: what is held is still held then."""
        try:
            yield
        except DATABASE_TROUBLE:
            if clock.now() >= until:
                raise
            time.sleep(0.2)

    def _deadline(self) -> datetime:
        """Until when somebody may come: before a request that cannot show signs of life has to end."""
        return clock.now() + timedelta(seconds=self._handling.hold_seconds - 2 * margin_seconds(self._handling))

    # --- The model ----------------------------------------------------------------------------------------------------

    def _ask_model(self, instructions: list[str]) -> dict[str, Any] | None:
        """Get the model's whole answer; return the message, or None where the upstream refused.

        instructions: are added to what the model sees, and thereby to what is captured.
        Raises as `Forwarder.complete` does.
        """
        exchange = self._exchange
        if instructions or exchange.is_captured:
            added = [{"role": "system", "content": text} for text in instructions]
            exchange = self._exchange = exchange.followed_by(added)
        began = time.monotonic()
        forwarded = self._gateway.forwarder.complete(
            self._state.targets,
            exchange.model,
            orjson.dumps(exchange.request),
            self._headers,
            wants_stream=self._wants_stream,
        )
        exchange.upstream, exchange.is_stream = forwarded.upstream, forwarded.is_stream
        exchange.status, exchange.body = forwarded.status, _whole(forwarded)
        exchange.latency_seconds = round(time.monotonic() - began, 4)
        self._came = Said(exchange.body, forwarded.content_type, forwarded.status, tuple(forwarded.headers))
        if not exchange.is_answered:
            return None
        answers = list(exchange.assembly().answers())
        return answers[0][1]["output"] if answers else None

    def _record(self) -> None:
        self._gateway.recorder.put(self._exchange)

    # --- What is answered ---------------------------------------------------------------------------------------------

    def _as_sent(self, draft: Draft, message: Mapping[str, Any]) -> Said:
        """The model's own answer goes out as it came; what a person made of it, in the same shape."""
        if self._came is not None and self._came_as == draft.id and message == draft.output:
            return self._came
        return self._synthesized(message, f"hitl-{draft.id}")

    def _synthesized(self, message: Mapping[str, Any], name: str) -> Said:
        return said(message, name=name, model=self._exchange.model, is_stream=self._wants_stream)

    def _without_database(self) -> Said:
        """Nobody can be asked, and nothing can be held: what the project wants then."""
        if self._handling.when_database_down == "refuse":
            raise Unavailable
        if self._handling.when_database_down == "safe_reply":
            return self._synthesized(
                {"role": "assistant", "content": self._handling.safe_reply}, f"hitl-{self._exchange.id}"
            )
        if self._came is None:
            self._ask_model([])
        self._exchange.is_captured = False  # if it was, that was rolled back; if not, it is a duplicate
        self._record()
        assert self._came is not None  # noqa: S101 - it was asked
        return self._came


def margin_seconds(handling: Handling) -> float:
    """Return how long before the project's limit a request ends that waits in vain."""
    return min(5.0, handling.hold_seconds / 10)


def _name(turn: Turn) -> str:
    """The answer to the same words has the same name, however often it is asked for."""
    return f"hitl-{turn.conversation_id.hex}-{turn.answers_number}"


def _whole(forwarded: Forwarded) -> bytes:
    """Return the whole body. Raises UpstreamBrokeOff, UpstreamTimedOut: half an answer is shown to nobody."""
    try:
        return forwarded.body + b"".join(forwarded.rest or ())
    except outgoing.OutgoingError as error:
        failure: AppError = broken_stream(error)
        raise failure from error
