from hitl.live import speaking
from hitl.webhooks.models import Delivery, Webhook
from tests.hitl import factories
from tests.webui.words import words_of_answer as words_of

PAGE = "/projects/hotel-desk/webhooks"
FORM = {"url": "https://example.com/hook", "kinds": ["message.created"]}


class TestWebhooks:
    def test_one_is_added_with_its_secret_shown_once(self, sign_in, member, committed):
        browser = sign_in(member("admin"))
        assert "Nobody is told" in words_of(browser.get(PAGE))
        made = browser.post(PAGE, data=FORM).get_data(as_text=True)
        assert "whsec_" in made
        listed = browser.get(PAGE)
        assert "https://example.com/hook" in words_of(listed)
        assert "whsec_" not in listed.get_data(as_text=True)

    def test_what_is_wrong_is_said(self, sign_in, member):
        browser = sign_in(member("admin"))
        assert browser.post(PAGE, data={**FORM, "url": "example.com"}).status_code == 422
        answer = browser.post(PAGE, data={"url": FORM["url"]})
        assert "Choose at least one" in words_of(answer)

    def test_what_it_was_told_is_listed_and_told_again(self, sign_in, member, desk, committed):
        browser = sign_in(member("admin"))
        browser.post(PAGE, data=FORM)
        talk = factories.LiveConversation(project=desk)
        speaking.receive(committed, talk, {"role": "user", "content": "Hello."})
        committed.commit()
        webhook, delivery = committed.query(Webhook).one(), committed.query(Delivery).one()
        committed.commit()

        page = f"{PAGE}/{webhook.id}"
        assert "On its way" in words_of(browser.get(page))
        browser.post(f"/projects/hotel-desk/deliveries/{delivery.id}/replay")
        assert "It is told again" in words_of(browser.get(page))
        browser.post(f"{page}/switch", data={"is_on": "no"})
        assert "Switch on" in words_of(browser.get(page))
        browser.post(f"{page}/removal")
        assert "Nobody is told" in words_of(browser.get(PAGE))
