"""The API of live conversations: for applications, for supervisors' programs, and for customers' browsers.

What a person wrote and could not send is kept, so such an answer is returned with 409, not raised: it is committed.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from flask import Response as HttpResponse
from flask import current_app, g, request
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.access import CUSTOMER, allow, program_of_token, topic_of_rights
from hitl.accounts.models import User
from hitl.accounts.permissions import Permission
from hitl.capture.conversations import open_conversation
from hitl.capture.intake import capture_responses
from hitl.capture.models import Conversation
from hitl.core import clock, cursors
from hitl.core.database import Database
from hitl.core.errors import Conflict, Invalid, NotFound
from hitl.core.http import (
    SIGN_OF_LIFE,
    ErrorEnvelope,
    ProjectPath,
    answer,
    caller_has_left,
    event_stream,
    is_stream_wanted,
    server_sent,
    stay_open,
)
from hitl.core.secrets import keys_of
from hitl.live import gate, holding, speaking, taking_over
from hitl.live.customers import STREAMS_AT_ONCE, CustomerPass, ensure_not_flooding, issue_token
from hitl.live.decisions import decision_about, wait_for_decision
from hitl.live.errors import ColleagueCannotSpeak, HoldEnded, NotYours
from hitl.live.log import go_live, locked
from hitl.live.models import Draft, Event, Hold, LiveConversation
from hitl.live.queries import (
    drafts_of_project,
    events_after,
    live_conversations,
    needing_conversations,
    open_holds,
    waiting_whispers,
)
from hitl.live.schemas import (
    MAX_NUMBER,
    ConversationBody,
    ConversationOut,
    ConversationPage,
    ConversationPath,
    ConversationQuery,
    CustomerEventsQuery,
    CustomerMessageBody,
    DecisionBody,
    DeliveryBody,
    DraftPath,
    EventOut,
    EventPage,
    EventsQuery,
    GoOnOut,
    HandoverBody,
    HoldList,
    HoldOut,
    HoldPath,
    LiveDraftBody,
    LiveDraftOut,
    MessageBody,
    PieceBody,
    TextBody,
    TokenOut,
    TurnOut,
    WaitQuery,
    conversation_as_json,
    draft_as_json,
    for_customer,
    for_staff,
    hold_as_json,
    turn_as_json,
)
from hitl.live.streams import StillAllowed, follow

bp = APIBlueprint(
    "live_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Live", description="Conversations as they happen: drafts, holds, people who speak")],
    abp_security=[{"key": []}],
)

Show = Callable[[Event], dict[str, Any]]


# --- Applications and supervisors' programs ---------------------------------------------------------------------------


@bp.post("/projects/<slug>/conversations", responses={200: TurnOut, 201: TurnOut})
@allow(Permission.CAPTURE)
def begin(path: ProjectPath, body: ConversationBody) -> HttpResponse:
    """Begin a conversation that people may step into; 200 and nothing changed when it is known."""
    conversation, is_new = open_conversation(
        g.db, g.project, body.conversation_id, end_user=body.end_user, metadata=body.metadata
    )
    talk = go_live(g.db, conversation)
    return answer(turn_as_json(talk, conversation, _whispers(talk)), 201 if is_new else 200)


@bp.get("/projects/<slug>/conversations", responses={200: ConversationPage})
@allow(Permission.SUPERVISE)
def list_conversations(path: ProjectPath, query: ConversationQuery) -> HttpResponse:
    """Page through live conversations, the newest first; with `needs=true` those that need a person, up to 1,000."""
    options = joinedload(LiveConversation.conversation)
    if query.needs:
        needing = g.db.scalars(needing_conversations(g.project.id).options(options).limit(query.limit)).all()
        page: cursors.Page[LiveConversation] = cursors.Page(needing, None)
    else:
        found = live_conversations(g.project.id).options(options)
        page = cursors.page(g.db, found, LiveConversation.id, cursor=query.cursor, limit=query.limit, newest_first=True)
    shown = [conversation_as_json(talk, _whispers(talk)) for talk in page.rows]
    return answer({"conversations": shown, "next_cursor": page.next_cursor})


@bp.get("/conversations/<uuid:conversation_id>", responses={200: ConversationOut})
@allow(Permission.SUPERVISE)
def show_conversation(path: ConversationPath) -> HttpResponse:
    """Show a conversation as it stands."""
    talk = _talk(path)
    return answer(conversation_as_json(talk, _whispers(talk)))


@bp.get("/conversations/<uuid:conversation_id>/turn", responses={200: TurnOut})
@allow(Permission.CAPTURE, Permission.SUPERVISE)
def show_turn(path: ConversationPath) -> HttpResponse:
    """Say who may speak, and what people whispered to the bot since its last draft."""
    talk = _talk(path)
    return answer(turn_as_json(talk, talk.conversation, _whispers(talk)))


@bp.get("/conversations/<uuid:conversation_id>/events", responses={200: EventPage})
@allow(Permission.SUPERVISE, Permission.CAPTURE, Permission.FEEDBACK)
def list_events(path: ConversationPath, query: EventsQuery) -> HttpResponse:
    """Give the events after a number: a page, or with `Accept: text/event-stream` as they happen.

    A stream goes on after `Last-Event-ID`, or after `after`. Without the scope `supervise` only what the customer said
    and saw: numbers jump then, and nothing is missing.
    """
    talk = _talk(path)
    is_staff = Permission.SUPERVISE in g.permissions
    audience, show = (None, for_staff) if is_staff else ("customer", for_customer)
    if not is_stream_wanted():
        return _events_page(talk, query, audience, show)
    needed = Permission.SUPERVISE if is_staff else None
    return _events_stream(
        talk, query, audience, show, _key_still_counts(needed), topics=(topic_of_rights(g.api_key.maker_id),)
    )


@bp.post("/conversations/<uuid:conversation_id>/messages", responses={201: EventOut, 409: ErrorEnvelope})
@allow(Permission.CAPTURE, Permission.SUPERVISE)
def post_message(path: ConversationPath, body: MessageBody) -> HttpResponse:
    """Note what the user said (`role` user, scope `capture`), or say something as the person who has taken over.

    The latter has `role` assistant and needs the scope `supervise`. 409 `not_your_conversation` when somebody else
    speaks: the text is kept as an unsent draft.
    """
    message: Any = body.message
    _ensure_may_speak_as(message["role"])
    talk = locked(g.db, path.conversation_id, g.project)
    if message["role"] == "user":
        return answer(for_customer(speaking.receive(g.db, talk, message)), 201)
    said = taking_over.say(g.db, talk, g.user, message)
    return _kept_unsent(NotYours()) if said is None else answer(for_staff(said), 201)


@bp.post("/conversations/<uuid:conversation_id>/drafts", responses={201: LiveDraftOut})
@allow(Permission.CAPTURE)
def propose_draft(path: ConversationPath, body: LiveDraftBody) -> HttpResponse:
    """Say what the bot would answer, and learn whether to send it. The response is captured whatever happens.

    `send`: show it now. `wait`: a person looks at it; ask `GET /drafts/{id}?wait_seconds=30`. `drop`: it came too late.
    The same response again (by its `client_id`) gets the same draft.
    """
    response_id, is_new = _captured(_talk(path).conversation)
    talk = locked(g.db, path.conversation_id, g.project)
    draft = None if is_new else _draft_of_response(talk, response_id)
    if draft is None:
        output: Any = body.response.output  # as it came: in what was captured placeholders may stand
        draft = speaking.propose(
            g.db, talk, output, answers=body.answers, holder_number=body.holder_number, response_id=response_id
        )
        gate.pass_or_hold(g.db, talk, draft, is_streamed=body.stream)
    return answer(draft_as_json(decision_about(g.db, draft)), 201)


@bp.get("/drafts/<uuid:draft_id>", responses={200: LiveDraftOut})
@allow(Permission.CAPTURE, Permission.SUPERVISE)
def show_draft(path: DraftPath, query: WaitQuery) -> HttpResponse:
    """Say what is to become of a draft; with `wait_seconds` as soon as it waits no more, or when that time is over."""
    draft = _draft(path)
    if query.wait_seconds and draft.state == "held":
        conversation_id = draft.conversation_id
        release = stay_open()
        try:
            g.db.rollback()  # no transaction is kept open while nobody decides; what was read is stale from here on
            wait_for_decision(_database(), conversation_id, path.draft_id, query.wait_seconds)
        finally:
            release()
    return answer(draft_as_json(decision_about(g.db, _draft(path))))


@bp.post("/drafts/<uuid:draft_id>/pieces", responses={200: GoOnOut})
@allow(Permission.CAPTURE)
def send_piece(path: DraftPath, body: PieceBody) -> HttpResponse:
    """Ask, before a piece of a streamed draft is shown to the user, whether it may be; `false`: somebody took over."""
    _, draft = _locked_draft(path)
    return answer({"go_on": speaking.go_on_streaming(g.db, draft, body.text)})


@bp.post("/drafts/<uuid:draft_id>/end", responses={200: LiveDraftOut})
@allow(Permission.CAPTURE)
def end_draft(path: DraftPath) -> HttpResponse:
    """Say that a streamed draft went out whole. What was cut off stays cut off."""
    talk, draft = _locked_draft(path)
    speaking.end_streaming(g.db, talk, draft)
    return answer(draft_as_json(decision_about(g.db, draft)))


@bp.post("/conversations/<uuid:conversation_id>/deliveries", responses={200: DeliveryBody})
@allow(Permission.CAPTURE)
def report_delivery(path: ConversationPath, body: DeliveryBody) -> HttpResponse:
    """Say up to which event the customer has been shown what was said. An older number changes nothing."""
    talk = locked(g.db, path.conversation_id, g.project)
    if body.number > talk.last_number:
        raise Invalid("There is no event with this number yet.", param="/number")
    talk.delivered_number = max(talk.delivered_number, body.number)
    return answer({"number": talk.delivered_number})


@bp.get("/projects/<slug>/holds", responses={200: HoldList})
@allow(Permission.SUPERVISE)
def list_holds(path: ProjectPath) -> HttpResponse:
    """List what waits for a person, the nearest deadline first."""
    holds = g.db.scalars(open_holds(g.project.id).options(joinedload(Hold.draft)).limit(1000))
    return answer({"holds": [hold_as_json(hold) for hold in holds]})


@bp.post("/holds/<uuid:hold_id>/decision", responses={200: HoldOut, 409: ErrorEnvelope})
@allow(Permission.SUPERVISE)
def decide(path: HoldPath, body: DecisionBody) -> HttpResponse:
    """Send a held draft, send an edited version of it, or refuse it.

    409 `user_said_more` when the user has written since `read_to`; 409 `hold_ended` when it waits no more: then an
    edited text is kept as an unsent draft.
    """
    hold = g.db.get(Hold, path.hold_id)
    if hold is None or hold.project_id != g.project.id:
        raise NotFound
    talk = locked(g.db, hold.conversation_id, g.project)
    hold = holding.hold_in(g.db, talk, path.hold_id)
    done: Event | bool | None
    if body.decision == "approve":
        done = holding.approve(g.db, talk, hold, g.user, read_to=body.read_to)
    elif body.decision == "refuse":
        done = holding.refuse(g.db, talk, hold, g.user, reason=body.reason)
    else:
        if body.message is None:
            raise Invalid("Send the edited version.", param="/message")
        done = holding.edit(g.db, talk, hold, g.user, dict(body.message), read_to=body.read_to)
    return answer(hold_as_json(hold)) if done else _kept_unsent(HoldEnded())


@bp.post("/conversations/<uuid:conversation_id>/takeover", responses={200: ConversationOut})
@allow(Permission.SUPERVISE)
def take_over(path: ConversationPath) -> HttpResponse:
    """Speak instead of the bot from now on. 409 `already_taken_over` when a colleague does."""
    talk = locked(g.db, path.conversation_id, g.project)
    taking_over.take_over(g.db, talk, g.user)
    return _shown(talk)


@bp.post("/conversations/<uuid:conversation_id>/handback", responses={200: ConversationOut})
@allow(Permission.SUPERVISE)
def hand_back(path: ConversationPath) -> HttpResponse:
    """Let the bot speak again. 409 `not_your_conversation`."""
    talk = locked(g.db, path.conversation_id, g.project)
    taking_over.hand_back(g.db, talk, g.user)
    return _shown(talk)


@bp.post("/conversations/<uuid:conversation_id>/handover", responses={200: ConversationOut})
@allow(Permission.SUPERVISE)
def hand_over(path: ConversationPath, body: HandoverBody) -> HttpResponse:
    """Let a colleague speak instead of you. 409 `not_your_conversation`, 422 `colleague_cannot_speak`."""
    talk = locked(g.db, path.conversation_id, g.project)
    colleague = g.db.get(User, body.to)
    if colleague is None:
        raise ColleagueCannotSpeak(param="/to")
    taking_over.hand_over(g.db, talk, g.user, colleague)
    return _shown(talk)


@bp.post("/conversations/<uuid:conversation_id>/dismissal", responses={200: ConversationOut})
@allow(Permission.SUPERVISE)
def dismiss(path: ConversationPath) -> HttpResponse:
    """Say that what needs somebody is dealt with: a wish for a person, an alert. A hold is decided about instead."""
    talk = locked(g.db, path.conversation_id, g.project)
    taking_over.dismiss(g.db, talk, g.user)
    return _shown(talk)


@bp.post("/conversations/<uuid:conversation_id>/notes", responses={201: EventOut})
@allow(Permission.SUPERVISE)
def write_note(path: ConversationPath, body: TextBody) -> HttpResponse:
    """Leave words for colleagues. The customer never learns of it."""
    talk = locked(g.db, path.conversation_id, g.project)
    return answer(for_staff(taking_over.note(g.db, talk, g.user, body.text)), 201)


@bp.post("/conversations/<uuid:conversation_id>/whispers", responses={201: EventOut})
@allow(Permission.SUPERVISE)
def whisper(path: ConversationPath, body: TextBody) -> HttpResponse:
    """Tell the bot what to do with its next answer, once."""
    talk = locked(g.db, path.conversation_id, g.project)
    return answer(for_staff(taking_over.whisper(g.db, talk, g.user, body.text)), 201)


@bp.post("/conversations/<uuid:conversation_id>/customer-token", responses={201: TokenOut})
@allow(Permission.CAPTURE)
def make_customer_token(path: ConversationPath) -> HttpResponse:
    """Make a token with which the customer's browser may follow and write in this one conversation, for an hour."""
    token, expires_at = issue_token(keys_of(g.db), _talk(path).id)
    return answer({"token": token, "expires_at": expires_at.isoformat()}, 201)


# --- Customers' browsers ----------------------------------------------------------------------------------------------


@bp.get("/customer/events", responses={200: EventPage})
@allow(CUSTOMER)
def list_customer_events(query: CustomerEventsQuery) -> HttpResponse:
    """Give what the customer said and saw: a page, or with `Accept: text/event-stream` as it happens.

    The token is a bearer token, or the parameter `token`.
    """
    customer: CustomerPass = g.customer
    talk = g.db.get(LiveConversation, customer.conversation_id)
    if talk is None:
        raise NotFound
    if not is_stream_wanted():
        return _events_page(talk, query, "customer", for_customer)
    return _events_stream(
        talk,
        query,
        "customer",
        for_customer,
        lambda _db: clock.now() < customer.expires_at,
        whose=f"customer:{talk.id}",
        at_most=STREAMS_AT_ONCE,
    )


@bp.post("/customer/messages", responses={201: EventOut, 429: ErrorEnvelope})
@allow(CUSTOMER)
def post_customer_message(body: CustomerMessageBody) -> HttpResponse:
    """Say something as the customer; at most 20 times a minute."""
    talk = locked(g.db, g.customer.conversation_id)
    ensure_not_flooding(g.db, talk)
    return answer(for_customer(speaking.receive(g.db, talk, {"role": "user", "content": body.text})), 201)


@bp.after_request
def let_any_site_ask_with_a_token(response: HttpResponse) -> HttpResponse:
    """Let browsers of the application's own site ask: what counts is the token, and no cookie is looked at."""
    if "/customer/" in request.path:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Last-Event-ID"
        response.headers["Access-Control-Max-Age"] = "600"
    return response


# --- What the routes share --------------------------------------------------------------------------------------------


def _talk(path: ConversationPath) -> LiveConversation:
    talk = g.db.get(LiveConversation, path.conversation_id)
    if talk is None or talk.project_id != g.project.id:
        raise NotFound
    found: LiveConversation = talk
    return found


def _draft(path: DraftPath) -> Draft:
    draft = g.db.scalar(drafts_of_project(g.project.id).where(Draft.id == path.draft_id))
    if draft is None:
        raise NotFound
    found: Draft = draft
    return found


def _locked_draft(path: DraftPath) -> tuple[LiveConversation, Draft]:
    talk = locked(g.db, _draft(path).conversation_id, g.project)
    return talk, g.db.get_one(Draft, path.draft_id, populate_existing=True)


def _captured(conversation: Conversation) -> tuple[UUID, bool]:
    """Store the response of a draft; return its id, and whether it is new."""
    row = {**request.get_json()["response"], "conversation_id": conversation.client_id}
    (result,) = capture_responses(g.db, g.project, [row], keys_of(g.db), at="/response")
    if result.id is None:
        raise result.error or NotFound
    return result.id, result.status == "created"


def _draft_of_response(talk: LiveConversation, response_id: UUID) -> Draft | None:
    drafts = drafts_of_project(talk.project_id).where(Draft.conversation_id == talk.id)
    found: Draft | None = g.db.scalars(drafts.where(Draft.response_id == response_id).limit(1)).first()
    return found


def _whispers(talk: LiveConversation) -> list[Event]:
    return list(g.db.scalars(waiting_whispers(talk.id)))


def _shown(talk: LiveConversation) -> HttpResponse:
    return answer(conversation_as_json(talk, _whispers(talk)))


def _ensure_may_speak_as(role: str) -> None:
    needed = {"user": Permission.CAPTURE, "assistant": Permission.SUPERVISE}.get(role)
    if needed is None or needed not in g.permissions:
        raise Invalid(
            "With `capture` a key says what the user said, with `supervise` what a person answers as the assistant.",
            param="/message/role",
        )


def _kept_unsent(refusal: Conflict) -> HttpResponse:
    """Say no, and keep what was noted all the same."""
    return answer(refusal.as_json(), refusal.status)


def _database() -> Database:
    database: Database = current_app.extensions["hitl"].database
    return database


def _key_still_counts(needed: Permission | None) -> StillAllowed:
    token = request.headers["Authorization"].partition(" ")[2]
    project_id = g.project.id

    def still_counts(db: Session) -> bool:
        program = program_of_token(db, token)
        if program is None or program.project is None or program.project.id != project_id:
            return False
        return bool(program.permissions) if needed is None else needed in program.permissions

    return still_counts


def _events_page(talk: LiveConversation, query: EventsQuery, audience: str | None, show: Show) -> HttpResponse:
    asked = events_after(talk.id, query.after, audience).options(joinedload(Event.user)).limit(query.limit)
    events = g.db.scalars(asked).all()
    last = events[-1].number if events else query.after
    return answer({"events": [show(event) for event in events], "last_number": last})


def _events_stream(
    talk: LiveConversation,
    query: EventsQuery,
    audience: str | None,
    show: Show,
    still_allowed: StillAllowed,
    topics: tuple[str, ...] = (),
    *,
    whose: str | None = None,
    at_most: int = 0,
) -> HttpResponse:
    after = _last_event_id(query.after, talk.last_number)
    news = follow(
        _database(),
        talk.id,
        after,
        audience=audience,
        still_allowed=still_allowed,
        has_left=caller_has_left(),
        topics=topics,
    )

    def chunks() -> Iterator[bytes]:
        for one in news:
            for event in one.events:
                yield server_sent(show(event), number=event.number)
            if not one.events:
                yield SIGN_OF_LIFE

    return event_stream(chunks(), whose=whose, at_most=at_most)


def _last_event_id(after: int, last_number: int) -> int:
    """Return where a stream goes on. Raises Invalid for what is no number of this conversation."""
    named = request.headers.get("Last-Event-ID")
    if named is not None:
        if not (named.isascii() and named.isdigit() and int(named) <= MAX_NUMBER):
            raise Invalid("Last-Event-ID is the number of an event.", param="/Last-Event-ID")
        after = int(named)
    if after > last_number:
        raise Invalid(f"The newest event of this conversation has the number {last_number}.", param="/after")
    return after
