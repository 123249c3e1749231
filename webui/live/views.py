"""Pages of the supervisor: the board, a conversation as it goes on, and what can be done in it.

Each action answers twice: to htmx with the desk as it is then, to a browser without scripts with a redirect. What came
too late is said on the desk, and what the person typed stays there.
"""

from collections.abc import Iterator
from time import monotonic
from typing import Any
from uuid import UUID

from flask import (
    Response,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    stream_with_context,
    url_for,
)
from sqlalchemy.orm import Session

from hitl.accounts.access import SESSION_ID, allow, person_of_session, topic_of_rights
from hitl.accounts.models import User
from hitl.accounts.permissions import Permission
from hitl.core.database import Database
from hitl.core.errors import AppError, Conflict, Invalid, NotFound
from hitl.core.http import SIGN_OF_LIFE, caller_has_left, event_stream, no_content, server_sent
from hitl.live import board, holding, presence, replies, taking_over
from hitl.live.errors import HoldEnded, NotYours
from hitl.live.log import locked
from hitl.live.models import Hold, LiveConversation
from hitl.live.streams import BEAT_SECONDS, StillAllowed, follow
from hitl.live.topics import topic_of_project
from webui.base.layout import BOARD_KEYS, LIVE_KEYS
from webui.live import looking_back, ready_replies, shown
from webui.live.blueprint import bp

__all__ = ["bp", "looking_back", "ready_replies"]  # whose routes belong to the blueprint too

BOARD_SECONDS = 1.0  # between two looks at the board, however much happens
MAX_NUMBER = 2**31 - 1
MAX_TEXT_CHARACTERS = 10_000

Answered = str | Response | tuple[str, int]


class NothingWritten(Invalid):
    """Write something first."""

    code = "nothing_written"


class TooLong(Invalid):
    """This is longer than can be sent at once. Use at most 10,000 characters."""

    code = "too_long"


# --- The board --------------------------------------------------------------------------------------------------------


@bp.get("/projects/<slug>/live")
@allow(Permission.SUPERVISE)
def index(slug: str) -> str:
    """Show which conversations go on, and which need a person."""
    return render_template("live/board.html", board=_board(g.db), keys=BOARD_KEYS, **_wanted())


@bp.get("/projects/<slug>/live/stream")
@allow(Permission.SUPERVISE)
def stream_board(slug: str) -> Response:
    """Send the board whenever it has changed."""
    wanted, project_id, user, database = _wanted(), g.project.id, g.user, _database()
    still_allowed, has_left = _session_still_counts(slug), caller_has_left()

    def chunks() -> Iterator[bytes]:
        sent, last_sign = "", 0.0
        topics = (topic_of_project(project_id), topic_of_rights(user.id))
        with database.bell.listen(*topics) as heard:
            while not database.bell.is_closed and not has_left():
                with database.reading() as db:
                    if not still_allowed(db):
                        return
                    found = board.board_of(db, project_id, user, **wanted)
                    drawn = shown.board_shown(db, found, user)
                    html = render_template("live/_board.html", board=drawn, slug=slug, current=None, **wanted)
                if html != sent or monotonic() - last_sign >= BEAT_SECONDS:
                    yield server_sent({"html": html, "needing": drawn.needing_count}, kind="board")
                    sent, last_sign = html, monotonic()
                heard.wait(BEAT_SECONDS, has_left)
                _pause(database, BOARD_SECONDS)

    return event_stream(stream_with_context(chunks()))


# --- A conversation ---------------------------------------------------------------------------------------------------


@bp.get("/projects/<slug>/live/<uuid:conversation_id>")
@allow(Permission.SUPERVISE)
def show(slug: str, conversation_id: UUID) -> str:
    """Show a conversation. Looking is silent for the customer, and noted in the log."""
    talk = _talk(conversation_id)
    with _database().writing() as db:  # a page only reads; that somebody looked is noted all the same
        presence.look(db, db.get_one(LiveConversation, talk.id), g.user)
    g.db.rollback()
    talk = _talk(conversation_id)
    return _page(talk)


@bp.get("/projects/<slug>/live/<uuid:conversation_id>/stream")
@allow(Permission.SUPERVISE)
def stream(slug: str, conversation_id: UUID) -> Response:
    """Send what happens in a conversation: new lines, the desk when it changes, who is here, what the bot is saying."""
    talk = _talk(conversation_id)
    after = _after(talk)
    user, database, project_id = g.user, _database(), g.project.id
    news = follow(
        database,
        talk.id,
        after,
        audience=None,
        still_allowed=_session_still_counts(slug),
        has_left=caller_has_left(),
        topics=(topic_of_rights(user.id),),
    )

    def chunks() -> Iterator[bytes]:
        sent: dict[str, Any] = {}
        for one in news:
            with database.reading() as db:
                now = _found(db, talk.id, project_id)
                lines = shown.lines_of(db, now, one.events)
                if one.events:
                    html = render_template("live/_lines.html", lines=lines)
                    said = any(line.kind in ("message", "person") for line in lines)
                    yield server_sent({"html": html, "said": said}, number=one.events[-1].number, kind="lines")
                desk = shown.desk_of(db, now, user)
                people = shown.people_in(db, now, user)
                parts = {
                    "desk": {
                        "version": desk.version,
                        "number": desk.read_to,
                        "html": render_template("live/_desk.html", desk=desk, slug=slug),
                    },
                    "people": {"html": render_template("live/_people.html", people=people)},
                    "saying": {"text": one.streaming or ""},
                }
            for kind, part in parts.items():
                mark = part.get("version") or part
                if sent.get(kind) != mark:
                    sent[kind] = mark
                    yield server_sent(part, kind=kind)
            yield SIGN_OF_LIFE

    return event_stream(stream_with_context(chunks()))


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/presence")
@allow(Permission.SUPERVISE)
def stay(slug: str, conversation_id: UUID) -> Response:
    """Note that the page is still open, how far it was read, and whether the person writes."""
    talk = _talk(conversation_id)
    if request.form.get("leaves"):
        presence.leave(g.db, talk, g.user)
    else:
        presence.stay(g.db, talk, g.user, read_to=_number("read_to"), is_typing=bool(request.form.get("typing")))
    return no_content()


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/takeover")
@allow(Permission.SUPERVISE)
def take_over(slug: str, conversation_id: UUID) -> Answered:
    """Speak instead of the bot."""
    talk = locked(g.db, conversation_id, g.project)
    try:
        taking_over.take_over(g.db, talk, g.user)
    except Conflict as refusal:
        return _desk(talk, warning=refusal.message)
    return _desk(talk, focuses=True)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/taking")
@allow(Permission.SUPERVISE)
def take_from_colleague(slug: str, conversation_id: UUID) -> Answered:
    """Speak instead of a colleague who has gone away."""
    talk = locked(g.db, conversation_id, g.project)
    try:
        taking_over.take_from_colleague(g.db, talk, g.user)
    except Conflict as refusal:
        return _desk(talk, warning=refusal.message)
    return _desk(talk, focuses=True)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/handback")
@allow(Permission.SUPERVISE)
def hand_back(slug: str, conversation_id: UUID) -> Answered:
    """Let the bot speak again."""
    talk = locked(g.db, conversation_id, g.project)
    try:
        taking_over.hand_back(g.db, talk, g.user)
    except Conflict as refusal:
        return _desk(talk, warning=refusal.message)
    return _desk(talk)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/handover")
@allow(Permission.SUPERVISE)
def hand_over(slug: str, conversation_id: UUID) -> Answered:
    """Let a colleague speak."""
    talk = locked(g.db, conversation_id, g.project)
    try:
        taking_over.hand_over(g.db, talk, g.user, _user(request.form.get("to", "")))
    except (Conflict, Invalid) as refusal:
        return _desk(talk, warning=refusal.message)
    return _desk(talk)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/messages")
@allow(Permission.SUPERVISE)
def say(slug: str, conversation_id: UUID) -> Answered:
    """Say something to the user."""
    talk = locked(g.db, conversation_id, g.project)
    typed = request.form.get("text", "")
    try:
        text = _text(typed)
    except Invalid as refusal:
        return _desk(talk, warning=refusal.message, typed=typed)
    if taking_over.say(g.db, talk, g.user, _assistant(text)) is None:
        return _desk(talk, warning=_not_sent(NotYours()), kept=text)
    _count_reply(request.form.get("reply", ""))
    return _desk(talk, focuses=True)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/dismissal")
@allow(Permission.SUPERVISE)
def dismiss(slug: str, conversation_id: UUID) -> Answered:
    """Say that what the board says of it is dealt with."""
    talk = locked(g.db, conversation_id, g.project)
    taking_over.dismiss(g.db, talk, g.user)
    return _desk(talk)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/notes")
@allow(Permission.SUPERVISE)
def write_note(slug: str, conversation_id: UUID) -> Answered:
    """Leave words for colleagues."""
    return _write(conversation_id, taking_over.note)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/whispers")
@allow(Permission.SUPERVISE)
def whisper(slug: str, conversation_id: UUID) -> Answered:
    """Tell the bot what to do with its next answer."""
    return _write(conversation_id, taking_over.whisper)


@bp.post("/projects/<slug>/live/<uuid:conversation_id>/holds/<uuid:hold_id>/decision")
@allow(Permission.SUPERVISE)
def decide(slug: str, conversation_id: UUID, hold_id: UUID) -> Answered:
    """Send the held draft as it is, send it edited, or refuse it."""
    talk = locked(g.db, conversation_id, g.project)
    hold = holding.hold_in(g.db, talk, hold_id)
    decision = "approve" if request.form.get("as_is") else request.form.get("decision", "")
    typed = request.form.get("text", "")
    try:
        done = _decided(talk, hold, decision, typed)
    except (Conflict, Invalid) as refusal:
        return _desk(talk, warning=refusal.message, typed=typed)
    if not done:
        return _desk(talk, warning=_not_sent(HoldEnded()), kept=typed if decision == "edit" else "")
    return _desk(talk)


# --- What the routes share --------------------------------------------------------------------------------------------


def _wanted() -> dict[str, Any]:
    whose = request.args.get("whose", "all")
    return {
        "whose": whose if whose in ("all", "needs", "mine") else "all",
        "search": request.args.get("search", "").strip()[:200],
    }


def _board(db: Session) -> shown.BoardShown:
    return shown.board_shown(db, board.board_of(db, g.project.id, g.user, **_wanted()), g.user)


def _page(talk: LiveConversation) -> str:
    lines, skipped = shown.newest_lines(g.db, talk)
    return render_template(
        "live/show.html",
        talk=talk,
        name=shown.name_of(talk),
        lines=lines,
        skipped=skipped,
        desk=shown.desk_of(g.db, talk, g.user),
        about=shown.about_of(g.db, talk, lines),
        people=shown.people_in(g.db, talk, g.user),
        board=_board(g.db),
        current=talk.id,
        keys=LIVE_KEYS,
        **_wanted(),
    )


def _desk(
    talk: LiveConversation, *, warning: str = "", typed: str = "", kept: str = "", focuses: bool = False
) -> Answered:
    """Return the desk as it is now; typed: what the person wrote and can send once more; kept: what was kept unsent."""
    slug = g.project.slug
    if request.headers.get("HX-Request"):
        g.db.flush()
        desk = shown.desk_of(g.db, talk, g.user)
        return render_template(
            "live/_desk.html", desk=desk, slug=slug, warning=warning, typed=typed, kept=kept, focuses=focuses
        )
    if warning:
        flash(f"{warning} {'You wrote: ' + typed if typed else ''}".strip(), "warn")
    return redirect(url_for("live.show", slug=slug, conversation_id=talk.id), 303)  # type: ignore[return-value]


def _decided(talk: LiveConversation, hold: Hold, decision: str, typed: str) -> bool:
    if decision == "refuse":
        return holding.refuse(g.db, talk, hold, g.user, reason=request.form.get("reason", "").strip()[:1000] or None)
    read_to = _number("read_to")
    if decision == "approve":
        return holding.approve(g.db, talk, hold, g.user, read_to=read_to) is not None
    if decision == "edit":
        return holding.edit(g.db, talk, hold, g.user, _assistant(_text(typed)), read_to=read_to) is not None
    raise Invalid("Send it, edit it, or refuse it.")


def _write(conversation_id: UUID, how: Any) -> Answered:
    talk = locked(g.db, conversation_id, g.project)
    typed = request.form.get("text", "")
    try:
        how(g.db, talk, g.user, _text(typed))
    except Invalid as refusal:
        return _desk(talk, warning=refusal.message, kept=typed)
    return _desk(talk)


def _not_sent(refusal: AppError) -> str:
    return f"Not sent. {refusal.message}"


def _count_reply(reply_id: str) -> None:
    try:
        replies.note_use(g.db, g.project.id, UUID(reply_id))
    except ValueError:  # none was used
        return


def _text(typed: str) -> str:
    text = typed.replace("\r\n", "\n").strip()
    if not text:
        raise NothingWritten
    if len(text) > MAX_TEXT_CHARACTERS:
        raise TooLong
    return text


def _assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _number(name: str) -> int:
    given = request.form.get(name, "")
    return min(int(given), MAX_NUMBER) if given.isascii() and given.isdigit() else 0


def _user(user_id: str) -> User:
    try:
        user = g.db.get(User, UUID(user_id))
    except ValueError:
        user = None
    if user is None:
        raise taking_over.ColleagueCannotSpeak
    found: User = user
    return found


def _talk(conversation_id: UUID) -> LiveConversation:
    return _found(g.db, conversation_id, g.project.id)


def _found(db: Session, conversation_id: UUID, project_id: UUID) -> LiveConversation:
    """Return a conversation to look at. Raises NotFound."""
    talk = db.get(LiveConversation, conversation_id)
    if talk is None or talk.project_id != project_id:
        raise NotFound
    return talk


def _after(talk: LiveConversation) -> int:
    """Return after which event a stream goes on; what is no number of this conversation starts with the newest."""
    named = request.headers.get("Last-Event-ID") or request.args.get("after", "")
    number = int(named) if named.isascii() and named.isdigit() and len(named) < 10 else talk.last_number
    return min(number, talk.last_number)


def _session_still_counts(slug: str) -> StillAllowed:
    session_id = session.get(SESSION_ID)

    def still_counts(db: Session) -> bool:
        visitor = person_of_session(db, session_id, slug)
        return visitor is not None and Permission.SUPERVISE in visitor.permissions

    return still_counts


def _database() -> Database:
    database: Database = current_app.extensions["hitl"].database
    return database


def _pause(database: Database, seconds: float) -> None:
    """Wait without hearing anything."""
    with database.bell.listen() as heard:
        heard.wait(seconds)
