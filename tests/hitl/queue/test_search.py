import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from hitl.capture.models import Conversation
from hitl.core.jobs import Worker
from hitl.queue.conversations import add_conversations
from hitl.queue.finding import Wanted, items_page
from hitl.queue.items import Wish, add_item
from hitl.queue.models import Item, ItemTarget, SearchedResponse
from hitl.queue.search import index_everything
from hitl.queue.words import indexed, terms_in, words_in
from tests.hitl import factories

HOSTILE = [
    '"',
    '"""',
    "'; DROP TABLE items; --",
    "NEAR(a b, 5)",
    "a NEAR b",
    "* OR *",
    "AND OR NOT",
    "words:a",
    "^refund",
    "{a b}: c",
    "a & b | !c <-> d:*",
    "\\",
    "%_%",
    "\0",
    "ref\0und",
    "(" * 300,
    "x" * 5000,
    "a " * 5000,
    "\u0301",
    "\u202e",
    "🙂",
    "-5 1e999 NaN",
    "水",
]


class TestSearch:
    @pytest.mark.parametrize(
        ("typed", "is_there"),
        [
            ("refund", True),
            ("REFUND", True),
            ("reund", False),
            ("refund breakfast", True),
            ("breakfast refund", True),
            ("refund dinner", False),
            ('"wants a refund"', True),
            ('"a wants refund"', False),
            ('"wants a ref"', False),
            ("brea", True),
            ("cafe", True),
            ("café", True),
            ("don't", True),
            ("don’t", True),
            ('"café today breakfast"', False),
            ("desk-7", False),
        ],
    )
    def test_it_finds_words_and_phrases(self, found, add, typed, is_there):
        item = add("No breakfast in the Café today, but don't worry.", asked="The guest wants a refund")

        assert found(typed) == ([item.id] if is_there else [])

    @pytest.mark.parametrize(
        ("said", "typed", "is_there"),
        [
            ("我想退款，因为房间很吵。", "退款", True),
            ("我想退款，因为房间很吵。", "退", True),
            ("我想退款，因为房间很吵。", "吵", True),
            ("我想退款，因为房间很吵。", "房间很吵", True),
            ("我想退款，因为房间很吵。", "房很", False),
            ("我想退款，因为房间很吵。", "款因", False),
            ("ผมต้องการเงินคืน", "เงินคืน", True),
            ("Где мой завтрак?", "ЗАВТРАК", True),
            ("मुझे कमरा चाहिए", "कमरा", True),
            ("방이 너무 작아요", "작아", True),
        ],
    )
    def test_it_knows_scripts_without_blanks_and_other_letters(self, found, add, said, typed, is_there):
        item = add(said)

        assert found(typed) == ([item.id] if is_there else [])

    def test_it_finds_what_was_said_earlier_but_not_by_the_system(self, committed, project, found, run_jobs):
        response = factories.Response(
            project=project,
            input={
                "messages": [
                    {"role": "system", "content": "You are a butler."},
                    {"role": "user", "content": [{"type": "text", "text": "Is there a sauna?"}]},
                    {"role": "assistant", "content": None},
                    {"role": "user", "content": "And a pool?"},
                ],
                "tools": [],
            },
        )
        item = add_item(committed, project, [response])
        committed.commit()
        run_jobs()

        assert found("sauna pool") == [item.id]
        assert found("butler") == []

    def test_it_finds_conversations_by_their_words_and_ids(self, committed, project, found, run_jobs):
        conversation = Conversation(project_id=project.id, client_id="stay 7/б", end_user=None, details={})
        committed.add(conversation)
        committed.flush()
        factories.Response(project=project, conversation_id=conversation.id, text="Farewell then.")
        (item,) = add_conversations(committed, project, [conversation.id], Wish())
        committed.commit()
        run_jobs()

        assert found("farewell") == found("stay 7/б") == found(str(conversation.id)) == [item.id]

    def test_it_finds_by_the_ids_of_item_and_response(self, committed, found, add):
        item = add("An answer.", client_id="turn-0815")
        response_id = committed.scalar(select(ItemTarget.response_id).where(ItemTarget.item_id == item.id))

        assert found("turn-0815") == found(str(item.id)) == found(str(response_id)) == [item.id]

    def test_it_keeps_to_its_project(self, committed, found, run_jobs):
        other = factories.Response(text="A secret of somebody else.")
        item = factories.Item(response=other)
        committed.commit()
        index_everything(committed.info["database"])

        assert found("secret") == found(str(item.id)) == found(other.client_id) == []

    @pytest.mark.parametrize("typed", HOSTILE)
    def test_it_takes_whatever_is_typed(self, found, add, typed):
        add("An answer.")

        assert found(typed) in ([], found(""))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(max_size=60))
    def test_it_takes_any_text(self, found, typed):
        assert found(typed.encode("utf-8", "replace").decode()) == []

    def test_it_forgets_a_response_that_is_deleted(self, committed, found, add):
        from hitl.capture.models import Response

        item = add("Forget me.")
        response_id = committed.scalar(select(ItemTarget.response_id).where(ItemTarget.item_id == item.id))
        committed.execute(delete(ItemTarget).where(ItemTarget.item_id == item.id))
        committed.execute(delete(Item).where(Item.id == item.id))
        committed.execute(delete(Response).where(Response.id == response_id))
        committed.commit()

        assert committed.scalar(select(func.count()).select_from(SearchedResponse)) == 0
        assert found("forget") == []

    def test_it_indexes_what_was_in_the_queue_before(self, committed, project, found):
        factories.Item(project=project, response=factories.Response(project=project, text="From long ago."))
        committed.commit()
        assert found("ago") == []

        index_everything(committed.info["database"])
        index_everything(committed.info["database"])

        assert len(found("ago")) == 1


class TestWords:
    @given(st.text())
    def test_it_makes_plain_words_of_any_text(self, text):
        assert all(word.token.isascii() and word.token.isalnum() for word in words_in(text))
        assert all(text[word.start : word.end] for word in words_in(text))

    @given(st.text(alphabet="aé 退款еท-", min_size=1, max_size=20))
    def test_it_finds_each_text_by_itself(self, text):
        words = list(words_in(text))

        for term in terms_in(text):
            assert any(term.fits(words, place) for place in range(len(words)))

    @given(st.text() | st.text(alphabet="aB9_- .é\n", max_size=200))
    def test_it_stores_the_words_that_it_finds(self, text):
        assert indexed([text, "of"]).split() == [*(word.token for word in words_in(text)), "z", "wof", "z"]

    def test_it_bounds_what_it_keeps(self):
        assert len(indexed(["word " * 100_000])) <= 200_000
        assert len(terms_in("a b c " * 1000)) <= 20


@pytest.fixture
def project(committed, shared_database):
    committed.info["database"] = shared_database
    return factories.Project()


@pytest.fixture
def run_jobs(shared_database):
    return lambda: Worker(shared_database).run_until_idle()


@pytest.fixture
def add(committed, project, run_jobs):
    """Puts a response into the queue: add("What it says", asked="What was asked")."""

    def make(text, **response):
        item = add_item(committed, project, [factories.Response(project=project, text=text, **response)])
        committed.commit()
        run_jobs()
        return item

    return make


@pytest.fixture
def found(committed, project):
    """The ids of the items that a search finds, in the order of the queue."""

    def search(typed):
        page = items_page(committed, project, Wanted(search=typed), cursor=None, limit=50)
        ids = [item.id for item in page.rows]
        committed.commit()
        return ids

    return search
