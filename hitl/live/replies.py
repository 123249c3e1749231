"""Ready replies: words that supervisors say again and again."""

from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.core.errors import NotFound
from hitl.live.errors import ReplyUnacceptable
from hitl.live.models import ReadyReply

MAX_NAME_CHARACTERS = 80
MAX_TEXT_CHARACTERS = 4_000


def ready_replies(project_id: UUID) -> Select[ReadyReply]:
    """The ready replies of a project, the most used first."""
    of_project = select(ReadyReply).where(ReadyReply.project_id == project_id)
    return of_project.order_by(ReadyReply.uses.desc(), ReadyReply.name, ReadyReply.id)


def add_reply(db: Session, project: Project, name: str, text: str) -> ReadyReply:
    """Make a ready reply. Raises ReplyUnacceptable."""
    reply = ReadyReply(project_id=project.id, name=name.strip(), text=text.strip())
    if not 0 < len(reply.name) <= MAX_NAME_CHARACTERS:
        raise ReplyUnacceptable(f"Give it a name of up to {MAX_NAME_CHARACTERS} characters.", param="/name")
    if not 0 < len(reply.text) <= MAX_TEXT_CHARACTERS:
        raise ReplyUnacceptable(f"Write a text of up to {MAX_TEXT_CHARACTERS:,} characters.", param="/text")
    try:
        with db.begin_nested():
            db.add(reply)
    except IntegrityError as error:
        raise ReplyUnacceptable("Another ready reply has this name.", param="/name") from error
    return reply


def remove_reply(db: Session, project: Project, reply_id: UUID) -> None:
    """Remove a ready reply. Raises NotFound."""
    reply = db.get(ReadyReply, reply_id)
    if reply is None or reply.project_id != project.id:
        raise NotFound
    db.delete(reply)


def note_use(db: Session, project_id: UUID, reply_id: UUID) -> None:
    """Count that a message was sent with it."""
    used = (ReadyReply.id == reply_id) & (ReadyReply.project_id == project_id)
    db.execute(update(ReadyReply).where(used).values(uses=ReadyReply.uses + 1))
