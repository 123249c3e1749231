"""Which addresses are told of what."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.core.errors import NotFound
from hitl.core.ids import new_id
from hitl.core.outgoing import AddressRefused, checked_url
from hitl.core.sealing import open_sealed, seal
from hitl.core.secrets import keys_of
from hitl.webhooks.errors import KindsUnacceptable, TooManyWebhooks, UrlUnacceptable
from hitl.webhooks.models import KINDS, Delivery, Webhook
from hitl.webhooks.signing import new_secret

MAX_WEBHOOKS = 10
MAX_URL_CHARACTERS = 2_000


def add_webhook(
    db: Session, project: Project, url: str, kinds: Sequence[str], by: User | None = None
) -> tuple[Webhook, str]:
    """Let an address be told from now on; return it with its secret, which is shown now and never again.

    Raises UrlUnacceptable, KindsUnacceptable, TooManyWebhooks.
    """
    url = url.strip()
    chosen = [kind for kind in KINDS if kind in kinds]
    if not chosen or set(kinds) - set(KINDS):
        raise KindsUnacceptable(param="/kinds")
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlUnacceptable(param="/url")
    try:
        checked_url(url)
    except AddressRefused as error:
        raise UrlUnacceptable(str(error), param="/url") from error
    if (db.scalar(select(func.count()).select_from(webhooks_of(project.id).subquery())) or 0) >= MAX_WEBHOOKS:
        raise TooManyWebhooks
    secret, webhook_id = new_secret(), new_id()
    webhook = Webhook(
        id=webhook_id,
        project_id=project.id,
        url=url,
        kinds=chosen,
        sealed_secret=seal(keys_of(db), secret, _place(webhook_id)),
    )
    db.add(webhook)
    db.flush()
    audit.record(db, by, "webhook_added", webhook, project, url=url, kinds=chosen)
    return webhook, secret


def remove_webhook(db: Session, project: Project, webhook: Webhook, by: User | None = None) -> None:
    """Tell an address nothing any more, and forget what it was told."""
    audit.record(db, by, "webhook_removed", webhook, project, url=webhook.url)
    db.delete(webhook)


def switch(db: Session, project: Project, webhook: Webhook, *, on: bool, by: User | None = None) -> None:
    """Tell an address, or not for now. What happens meanwhile is not told later."""
    webhook.why_off = None if on else "by_hand"
    audit.record(db, by, "webhook_switched", webhook, project, on=on)


def webhooks_of(project_id: UUID) -> Select[Webhook]:
    """The addresses of a project, the oldest first."""
    return select(Webhook).where(Webhook.project_id == project_id).order_by(Webhook.id)


def webhook_of_project(db: Session, project: Project, webhook_id: UUID) -> Webhook:
    """Return an address. Raises NotFound."""
    webhook = db.get(Webhook, webhook_id)
    if webhook is None or webhook.project_id != project.id:
        raise NotFound
    return webhook


def delivery_of_project(db: Session, project: Project, delivery_id: UUID) -> Delivery:
    """Return something that was told. Raises NotFound."""
    delivery = db.get(Delivery, delivery_id)
    if delivery is None or delivery.webhook.project_id != project.id:
        raise NotFound
    return delivery


def deliveries_of(webhook: Webhook) -> Select[Delivery]:
    """What an address was told, or is still to be."""
    return select(Delivery).where(Delivery.webhook_id == webhook.id)


def secret_of(db: Session, webhook: Webhook) -> str:
    """Return the secret. Raises CannotOpen."""
    return open_sealed(keys_of(db), webhook.sealed_secret, _place(webhook.id))


def _place(webhook_id: UUID) -> str:
    return f"webhook {webhook_id}"
