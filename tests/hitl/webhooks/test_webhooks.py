"""Applications are told what happens live: signed, tried again, and never led to where calls must not go."""

import base64
import hashlib
import hmac

import pytest
from sqlalchemy import select

from hitl.core.jobs import Job
from hitl.core.outgoing import Outgoing
from hitl.live import holding, speaking, taking_over
from hitl.webhooks import addresses
from hitl.webhooks.errors import KindsUnacceptable, TooManyWebhooks, UrlUnacceptable
from hitl.webhooks.models import KINDS, Delivery
from hitl.webhooks.telling import PAUSES_SECONDS, TELL, attempt, tell_again
from tests.hitl import factories


class TestTelling:
    def test_the_application_hears_what_was_said_with_a_signature_that_it_can_check(
        self, committed, talk, tell, application, webhook
    ):
        speaking.receive(committed, talk, {"role": "user", "content": "Is it open?"})
        tell()

        ((headers, body),) = application.heard
        assert application.bodies()[0]["type"] == "message.created"
        assert application.bodies()[0]["data"]["message"]["content"] == "Is it open?"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert committed.scalars(select(Delivery)).one().delivered_at is not None

    def test_what_is_the_staffs_is_not_told(self, committed, talk, supervisor, tell, application, webhook):
        taking_over.note(committed, talk, supervisor, "canary-note")
        taking_over.whisper(committed, talk, supervisor, "canary-whisper")
        tell()
        assert application.heard == []

    def test_a_decision_is_told_with_what_is_sent(self, committed, talk, supervisor, tell, application, webhook):
        asked = speaking.receive(committed, talk, {"role": "user", "content": "Is it open?"})
        draft = speaking.propose(committed, talk, said("Yes."), answers=asked.number, holder_number=1)
        hold = holding.hold_draft(committed, talk, draft, ["Look."], deadline_seconds=60, when_nobody="refuse")
        holding.edit(committed, talk, hold, supervisor, said("Until six."), read_to=100)
        tell()

        (decided,) = [body for body in application.bodies() if body["type"] == "draft.decided"]
        assert decided["data"]["draft"]["decision"] == "send"
        assert decided["data"]["draft"]["message"]["content"] == "Until six."

    def test_only_what_was_chosen_is_told(self, committed, project, talk, supervisor, tell, application):
        addresses.add_webhook(committed, project, application.url, ["conversation.taken_over"])
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        taking_over.take_over(committed, talk, supervisor)
        tell()
        assert [body["type"] for body in application.bodies()] == ["conversation.taken_over"]

    def test_it_is_tried_again_later_with_the_same_id_and_body(self, committed, talk, tell, application, webhook):
        application.status = 500
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        tell()
        delivery = committed.scalars(select(Delivery)).one()
        assert (delivery.attempts, delivery.last_status) == (1, 500)
        waits = [job.due for job in committed.scalars(select(Job).where(Job.kind == TELL, Job.state == "queued"))]
        assert waits
        committed.rollback()

        application.status = 200
        tell()
        (first, body), (second, again) = application.heard
        assert (first["webhook-id"], body) == (second["webhook-id"], again)

    def test_it_gives_up_after_a_day_and_can_be_told_again(self, committed, talk, tell, application, webhook):
        application.status = 503
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        for _ in range(len(PAUSES_SECONDS) + 1):
            tell()
        delivery = committed.scalars(select(Delivery)).one()
        assert (delivery.attempts, delivery.next_at, delivery.delivered_at) == (len(PAUSES_SECONDS) + 1, None, None)

        application.status = 200
        tell_again(committed, delivery)
        tell()
        committed.refresh(delivery)
        assert delivery.delivered_at is not None

    def test_an_address_that_is_gone_is_told_nothing_more(self, committed, talk, tell, application, webhook):
        application.status = 410
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        tell()
        committed.refresh(webhook.row)
        assert webhook.row.why_off == "gone"
        speaking.receive(committed, talk, {"role": "user", "content": "Hello?"})
        tell()
        assert len(application.heard) == 1

    def test_nothing_is_told_of_what_was_rolled_back(self, committed, talk, tell, application, webhook):
        committed.commit()
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        committed.rollback()
        tell()
        assert application.heard == []

    def test_a_private_address_is_not_called_unless_the_operator_allows_it(
        self, committed, shared_database, talk, application, webhook
    ):
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        committed.commit()
        delivery_id = committed.scalars(select(Delivery.id)).one()
        committed.rollback()
        attempt(shared_database, Outgoing(), delivery_id)

        assert application.heard == []
        assert committed.scalars(select(Delivery)).one().last_problem


class TestAddresses:
    @pytest.mark.parametrize("url", ["", "ftp://host/x", "host/x", "https://", "https://u:p@host/x", "x" * 3000])
    def test_it_takes_only_addresses_of_the_web(self, committed, project, url):
        with pytest.raises(UrlUnacceptable):
            addresses.add_webhook(committed, project, url, KINDS)

    @pytest.mark.parametrize("kinds", [[], ["everything"]])
    def test_it_takes_only_kinds_that_there_are(self, committed, project, kinds):
        with pytest.raises(KindsUnacceptable):
            addresses.add_webhook(committed, project, "https://example.com/hook", kinds)

    def test_there_are_at_most_ten(self, committed, project):
        for _ in range(10):
            addresses.add_webhook(committed, project, "https://example.com/hook", KINDS)
        with pytest.raises(TooManyWebhooks):
            addresses.add_webhook(committed, project, "https://example.com/hook", KINDS)

    def test_the_secret_is_sealed(self, committed, webhook):
        assert webhook.secret not in webhook.row.sealed_secret
        assert addresses.secret_of(committed, webhook.row) == webhook.secret


class TestApi:
    def test_an_admin_adds_one_and_sees_its_secret_once(self, api, project):
        admin = api(project, "admin")
        made = admin.post(
            f"/api/v1/projects/{project.slug}/webhooks", json={"url": "https://example.com", "kinds": list(KINDS)}
        )
        assert made.status_code == 201
        assert made.json["secret"].startswith("whsec_")
        listed = admin.get(f"/api/v1/projects/{project.slug}/webhooks")
        assert "whsec_" not in listed.get_data(as_text=True)
        assert admin.delete(f"/api/v1/webhooks/{made.json['id']}").status_code == 204


class Made:
    def __init__(self, row, secret):
        self.row, self.secret = row, secret


@pytest.fixture
def project(committed):
    return factories.Project()


@pytest.fixture
def supervisor(project):
    return factories.Membership(project=project, role="supervisor").user


@pytest.fixture
def talk(project):
    return factories.LiveConversation(project=project)


@pytest.fixture
def webhook(committed, project, application):
    return Made(*addresses.add_webhook(committed, project, application.url, KINDS))


@pytest.fixture
def tell(committed, shared_database, calls):
    """Make the attempts that are still to be made, without waiting for their time."""

    def run():
        committed.commit()
        waiting = select(Delivery.id).where(Delivery.next_at.is_not(None)).order_by(Delivery.id)
        ids = committed.scalars(waiting).all()
        committed.rollback()
        for delivery_id in ids:
            attempt(shared_database, calls, delivery_id)
        committed.expire_all()

    return run


def said(text):
    return {"role": "assistant", "content": text}
