import re

from hitl.live.models import Event, Hold, ReadyReply
from hitl.preferences.models import Evidence
from tests.webui.words import words_of_answer as words_of


class TestLooking:
    def test_it_shows_what_was_said_and_what_is_held(self, sign_in, supervisor, held):
        words = words_of(sign_in(supervisor).get(at(held)))
        for said in ("I feel sick.", "Held, not sent", "The rule “Health” fits.", "Take an aspirin.", "safe reply"):
            assert said in words

    def test_a_look_is_in_the_log_once_and_invisible_to_the_customer(self, sign_in, supervisor, held, committed):
        browser = sign_in(supervisor)
        browser.get(at(held))
        browser.get(at(held))

        (look,) = committed.query(Event).filter_by(kind="look").all()
        assert (look.user_id, look.audience) == (supervisor.id, "staff")

    def test_hostile_words_stay_words(self, sign_in, supervisor, chat):
        hostile = chat('"><img src=x onerror=alert(1)>')
        hostile.user("<script>alert(1)</script> [x](javascript:alert(1))")
        page = sign_in(supervisor).get(at(hostile)).get_data(as_text=True)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript' not in page


class TestDeciding:
    def test_an_edit_is_sent_and_teaches(self, sign_in, supervisor, held, committed):
        browser = sign_in(supervisor)
        page = browser.get(at(held))

        browser.post(decision_of(page), data={**hidden(page), "decision": "edit", "text": "Please see a doctor."})

        words = words_of(browser.get(at(held)))
        assert "Please see a doctor." in words
        assert "Kim edited the draft." in words
        assert committed.query(Evidence).one().origin == "intervention"

    def test_it_lets_a_draft_pass_and_refuses_one(self, sign_in, supervisor, held, committed):
        browser = sign_in(supervisor)
        page = browser.get(at(held))
        browser.post(decision_of(page), data={**hidden(page), "decision": "approve"})
        assert "Kim let it pass as it is." in words_of(browser.get(at(held)))

        held.user("Still sick.")
        held.bot("Two aspirins.")
        page = browser.get(at(held))
        browser.post(decision_of(page), data={**hidden(page), "decision": "refuse", "reason": "No doses."})
        words = words_of(browser.get(at(held)))
        assert "Kim refused the draft: No doses." in words
        assert "What was not sent Two aspirins." in words

    def test_an_approval_asks_once_more_and_keeps_what_was_typed(self, sign_in, supervisor, held, committed):
        browser = sign_in(supervisor)
        page = browser.get(at(held))
        held.user("And dizzy.")
        typed = {**hidden(page), "decision": "edit", "text": "See a doctor."}

        answer = browser.post(decision_of(page), data=typed, headers={"HX-Request": "true"})

        assert "The user has written again since you looked." in words_of(answer)
        assert "See a doctor." in answer.get_data(as_text=True)
        assert committed.query(Hold).one().ended_as is None
        committed.rollback()
        browser.post(decision_of(page), data={**typed, **hidden(answer)})
        assert committed.query(Hold).one().ended_as == "edited"

    def test_what_came_too_late_is_shown_and_kept(self, sign_in, supervisor, member, held, committed):
        mine, others = sign_in(supervisor), sign_in(member("lead", name="Ana Lima"))
        page = mine.get(at(held))
        others.post(decision_of(page), data={**hidden(page), "decision": "approve"})

        late = {**hidden(page), "decision": "edit", "text": "See a doctor."}
        answer = mine.post(decision_of(page), data=late, headers={"HX-Request": "true"})

        words = words_of(answer)
        assert "Not sent. This draft does not wait any more" in words
        assert "You wrote: See a doctor." in words
        assert "Kim wrote something that was not sent." in words_of(mine.get(at(held)))


class TestSpeaking:
    def test_a_person_takes_over_speaks_and_hands_back(self, sign_in, supervisor, held):
        browser = sign_in(supervisor)
        browser.post(at(held, "takeover"))
        browser.post(at(held, "messages"), data={"text": "This is Kim."})
        words = words_of(browser.get(at(held)))
        for said in ("Kim took over.", "This is Kim.", "You speak, the bot is silent"):
            assert said in words

        browser.post(at(held, "handback"))
        assert "Kim handed it back to the bot." in words_of(browser.get(at(held)))

    def test_only_who_holds_it_sends(self, sign_in, supervisor, member, held):
        sign_in(member("lead", name="Ana Lima")).post(at(held, "takeover"))

        sent = {"text": "Me too."}
        answer = sign_in(supervisor).post(at(held, "messages"), data=sent, headers={"HX-Request": "true"})

        assert "Not sent. Somebody else speaks in this conversation." in words_of(answer)
        assert "Me too." in words_of(answer)

    def test_a_colleague_who_went_away_can_be_relieved(self, sign_in, supervisor, member, held):
        sign_in(member("lead", name="Ana Lima")).post(at(held, "takeover"))
        browser = sign_in(supervisor)
        assert "Take it from Ana" in words_of(browser.get(at(held)))

        browser.post(at(held, "taking"))

        words = words_of(browser.get(at(held)))
        assert "Kim took it from Ana." in words
        assert "You speak" in words

    def test_it_is_handed_to_a_colleague(self, sign_in, supervisor, member, held):
        ana = member("lead", name="Ana Lima")
        browser = sign_in(supervisor)
        browser.post(at(held, "takeover"))

        browser.post(at(held, "handover"), data={"to": str(ana.id)})

        words = words_of(browser.get(at(held)))
        assert "Kim handed it to Ana." in words
        assert "Ana Lima speaks here" in words

    def test_notes_and_whispers_are_shown_as_what_they_are(self, sign_in, supervisor, held):
        browser = sign_in(supervisor)
        browser.post(at(held, "notes"), data={"text": "Third time this week."})
        browser.post(at(held, "whispers"), data={"text": "Offer a doctor."})

        words = words_of(browser.get(at(held)))
        assert "Kim: Third time this week." in words
        assert "Kim to the bot: Offer a doctor." in words
        assert "The bot is told with its next answer: “Offer a doctor.”" in words

    def test_nothing_is_not_sent(self, sign_in, supervisor, held):
        browser = sign_in(supervisor)
        browser.post(at(held, "takeover"))
        answer = browser.post(at(held, "messages"), data={"text": "  "}, headers={"HX-Request": "true"})
        assert "Write something first." in words_of(answer)


class TestReadyReplies:
    def test_they_are_written_used_counted_and_removed(self, sign_in, supervisor, held, committed):
        browser = sign_in(supervisor)
        page = "/projects/hotel-desk/live/replies"
        browser.post(page, data={"name": "Looking", "text": "I am looking into it."})
        assert "I am looking into it." in words_of(browser.get(page))
        reply = committed.query(ReadyReply).one()
        committed.commit()

        browser.post(at(held, "takeover"))
        assert "Looking" in words_of(browser.get(at(held)))
        browser.post(at(held, "messages"), data={"text": "I am looking into it.", "reply": str(reply.id)})
        assert "Sent once" in words_of(browser.get(page))

        browser.post(f"{page}/{reply.id}/removal")
        assert "No ready replies yet" in words_of(browser.get(page))

    def test_two_have_not_the_same_name(self, sign_in, supervisor):
        browser, page = sign_in(supervisor), "/projects/hotel-desk/live/replies"
        browser.post(page, data={"name": "Looking", "text": "One."})
        answer = browser.post(page, data={"name": "Looking", "text": "Two."})
        assert answer.status_code == 422
        assert "Another ready reply has this name." in words_of(answer)


class TestAfterwards:
    def test_interventions_say_what_they_taught_or_why_not(self, sign_in, supervisor, held):
        browser = sign_in(supervisor)
        page = browser.get(at(held))
        browser.post(decision_of(page), data={**hidden(page), "decision": "edit", "text": "See a doctor."})
        held.user("Thanks, and now?")
        browser.post(at(held, "takeover"))
        browser.post(at(held, "messages"), data={"text": "Come in at nine."})

        listed = browser.get("/projects/hotel-desk/live/interventions")
        words = words_of(listed)
        assert "A preference pair: what was said instead is better than the draft." in words
        assert "Nothing. The bot had no draft to compare with." in words
        only = words_of(browser.get("/projects/hotel-desk/live/interventions?kind=edit"))
        assert "Taken over by" not in only

        replay = re.findall(r"/live/interventions/[0-9a-f-]{36}", listed.get_data(as_text=True))[-1]
        words = words_of(browser.get(f"/projects/hotel-desk{replay}"))
        for said in ("I feel sick.", "Held because", "The rule “Health” fits.", "Waited"):
            assert said in words

    def test_numbers_count_what_became_of_holds(self, sign_in, supervisor, held):
        browser = sign_in(supervisor)
        page = browser.get(at(held))
        browser.post(decision_of(page), data={**hidden(page), "decision": "approve"})
        words = words_of(browser.get("/projects/hotel-desk/live/numbers"))
        for said in ("All holds", "By rule", "Health", "By person", "Kim Sato", "100 %"):
            assert said in words

    def test_transcripts_are_found_by_what_was_said(self, sign_in, supervisor, held):
        browser, page = sign_in(supervisor), "/projects/hotel-desk/live/transcripts"
        assert "I feel sick." in words_of(browser.get(f"{page}?words=SICK+feel"))
        assert "Nothing found" in words_of(browser.get(f"{page}?words=aspirin"))  # held, so never said


def at(chat, what=""):
    return f"/projects/hotel-desk/live/{chat.id}{'/' + what if what else ''}"


def decision_of(page):
    return re.search(r'action="([^"]*/decision)"', page.get_data(as_text=True))[1]


def hidden(page):
    return {"read_to": re.search(r'name="read_to" value="(\d+)"', page.get_data(as_text=True))[1]}
