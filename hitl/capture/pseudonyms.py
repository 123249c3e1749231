"""End users without their names."""

import hmac
from uuid import UUID

from hitl.core.secrets import Keys


def pseudonym(keys: Keys, project_id: UUID, end_user: str) -> str:
    """Return what is stored in place of the client's name for a person: the same within a project, unlinkable across.

    A keyed hash, because names and e-mail addresses are few enough to try them all against a plain one.
    """
    return hmac.digest(keys.pseudonyms, project_id.bytes + end_user.encode(), "sha256").hex()[:32]
