"""Later work of webhooks: telling."""

from functools import cache
from uuid import UUID

from hitl.core import jobs
from hitl.core.outgoing import Outgoing
from hitl.core.settings import Settings
from hitl.webhooks.telling import TELL, attempt


@jobs.long(TELL)
def tell(run: jobs.Run, delivery_id: str) -> None:
    """Try once to tell an address what happened."""
    attempt(run.database, _calls(), UUID(delivery_id))


@cache
def _calls() -> Outgoing:
    return Outgoing(Settings().private_host_list)
