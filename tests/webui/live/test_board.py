from hitl.live import taking_over
from tests.hitl import factories
from tests.webui.words import words_of_answer as words_of


class TestBoard:
    def test_it_says_what_will_fill_it(self, sign_in, supervisor):
        page = sign_in(supervisor).get("/projects/hotel-desk/live")
        assert "No conversation goes on" in words_of(page)

    def test_what_needs_somebody_comes_first_and_says_why(self, sign_in, supervisor, held, chat):
        quiet, asks = chat("quiet"), chat("asks")
        quiet.user("Thank you and goodbye.")
        asks.user("I want to talk to a human!")

        words = words_of(sign_in(supervisor).get("/projects/hotel-desk/live"))

        places = [words.index(found) for found in ("Held", "Wants a person", "The bot alone", "Thank you and goodbye")]
        assert places == sorted(places)
        assert "Needs you 2" in words

    def test_a_conversation_with_a_person_says_with_whom(self, sign_in, supervisor, member, chat, committed):
        taken = chat()
        taken.user("Hello.")
        taking_over.take_over(committed, taken.talk, member("lead", name="Ana Lima"))

        assert "Ana has it" in words_of(sign_in(supervisor).get("/projects/hotel-desk/live"))

    def test_it_finds_by_words_and_by_whose(self, sign_in, supervisor, chat):
        chat("one").user("A room by the sea")
        chat("two").user("A table for two")
        browser = sign_in(supervisor)

        found = words_of(browser.get("/projects/hotel-desk/live?search=SEA"))
        assert ("by the sea" in found, "table for two" in found) == (True, False)
        assert "You speak in no conversation" in words_of(browser.get("/projects/hotel-desk/live?whose=mine"))

    def test_other_projects_conversations_are_not_on_it(self, sign_in, supervisor, committed):
        factories.LiveConversation(last_text="elsewhere")
        committed.commit()
        assert "elsewhere" not in words_of(sign_in(supervisor).get("/projects/hotel-desk/live?search=elsewhere"))

    def test_the_bar_says_how_many_need_somebody(self, sign_in, supervisor, held):
        assert "Live 1" in words_of(sign_in(supervisor).get("/projects/hotel-desk/live/numbers"))
