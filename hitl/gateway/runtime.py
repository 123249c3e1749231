"""What a process keeps for its gateway: connections, what it knows, what it has still to record."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.accounts.access import Visitor, program_of_token
from hitl.accounts.models import Project
from hitl.core.instance import Instance
from hitl.core.outgoing import Outgoing
from hitl.core.secrets import keys_of
from hitl.gateway.answer_cache import AnswerCache
from hitl.gateway.budgets import Limit, limits_of
from hitl.gateway.forwarding import Breakers, Forwarder
from hitl.gateway.known import LastKnown
from hitl.gateway.recording import Recorder
from hitl.gateway.settings import Handling, handling_of
from hitl.gateway.spool import Spool, spool_folder
from hitl.gateway.upstreams import Target, targets, upstreams_of

EXTENSION = "hitl_gateway"  # under which the application keeps it


@dataclass(frozen=True)
class ProjectState:
    """What a call needs to know of its project."""

    project: Project  # of no session any more
    handling: Handling
    targets: tuple[Target, ...]
    limits: tuple[Limit, ...]


class Gateway:
    """One for a process. Its threads begin with the first call."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.database = instance.database
        self._calls = Outgoing(instance.settings.private_host_list)
        self.forwarder = Forwarder(self._calls, Breakers())
        self.spool = Spool(spool_folder(instance.settings.storage_url))
        self.recorder = Recorder(instance.database, self.spool)
        self.cache = AnswerCache()
        self._callers: LastKnown[str, Visitor] = LastKnown(self._read_caller)
        self._projects: LastKnown[UUID, ProjectState] = LastKnown(self._read_project)

    def caller(self, token: str) -> Visitor | None:
        """Return the program of a token, as last known. Raises Unavailable."""
        return self._callers.get(token)

    def project(self, project_id: UUID) -> ProjectState | None:
        """Return what a call needs to know of its project, as last known. Raises Unavailable."""
        return self._projects.get(project_id)

    def forget(self) -> None:
        """Read everything anew: for whoever changed something in this process and wants to see it at once."""
        self._callers.forget()
        self._projects.forget()

    def recording_counts(self) -> dict[str, int]:
        """Return how far recording has come in this process."""
        return {
            "waiting": self.recorder.waiting_count,
            "on_disk": self.spool.waiting_count(),
            "recorded": self.recorder.recorded_count,
            "refused": self.recorder.refused_count,
            "spooled": self.spool.spooled_count,
            "lost": self.spool.lost_count,
        }

    def close(self) -> None:
        """Record what waits, or keep it on disk."""
        self.recorder.close()
        self._callers.close()
        self._projects.close()
        self._calls.close()

    def _read_caller(self, token: str) -> Visitor | None:
        with self.database.reading() as db:
            return program_of_token(db, token)

    def _read_project(self, project_id: UUID) -> ProjectState | None:
        with self.database.reading() as db:
            return read_state(db, project_id)


def read_state(db: Session, project_id: UUID) -> ProjectState | None:
    """Return what a call needs to know of a project; None if there is none."""
    project = db.get(Project, project_id)
    if project is None:
        return None
    upstreams = db.scalars(upstreams_of(project)).all()
    return ProjectState(
        project,
        handling_of(db, project),
        tuple(targets(upstreams, keys_of(db))),
        tuple(limits_of(db, project)),
    )
