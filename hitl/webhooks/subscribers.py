"""What webhooks do when something happens live."""

from sqlalchemy.orm import Session

from hitl.core.events import within
from hitl.live.events import EventHappened
from hitl.live.models import Event
from hitl.webhooks.addresses import webhooks_of
from hitl.webhooks.models import Delivery, Webhook
from hitl.webhooks.telling import begin_telling, kind_of


@within(EventHappened)
def tell_addresses(db: Session, fact: EventHappened) -> None:
    """Note, in the transaction in which it happens, who is to be told."""
    webhooks = db.scalars(webhooks_of(fact.project_id).where(Webhook.why_off.is_(None))).all()
    if not webhooks:
        return
    kind = kind_of(db.get_one(Event, (fact.conversation_id, fact.number)))
    for webhook in webhooks:
        if kind in webhook.kinds:
            delivery = Delivery(
                webhook_id=webhook.id, kind=kind, conversation_id=fact.conversation_id, event_number=fact.number
            )
            db.add(delivery)
            db.flush()
            begin_telling(db, delivery)
