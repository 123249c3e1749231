"""Personal data: what is found, what is not taken for it, and how much of it on data that others published."""

import gzip
import json
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from hitl.capture.personal_data import personal_data_in

DATA = Path(__file__).parent / "data"
PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"
# What the answer keys of both sources call what we look for.
KIND_OF = {
    "EMAIL_ADDRESS": "email",
    "EMAIL": "email",
    "PHONE_NUMBER": "phone",
    "PHONE": "phone",
    "IP_ADDRESS": "ip",
    "API_KEY": "secret",
    "PASSWORD": "secret",
    "SOCIAL_SECURITY_NUMBER": "national_id",
    "SSN": "national_id",
    "AADHAR": "national_id",
    "PAN": "national_id",
    "CREDIT_CARD": "card",
    "IBAN": "iban",
}


class TestFinding:
    @pytest.mark.parametrize(
        ("text", "kind", "found"),
        [
            ("Write to Kim.Lee+x@mail.example.org.", "email", "Kim.Lee+x@mail.example.org"),
            ("Call +44 20 7946 0018 now", "phone", "+44 20 7946 0018"),
            ("Call (206) 242-9878 now", "phone", "(206) 242-9878"),
            ("My phone is 030 123456-78", "phone", "030 123456-78"),
            ("Card 4111 1111 1111 1111, please", "card", "4111 1111 1111 1111"),
            ("5500-0055-5555-5559", "card", "5500-0055-5555-5559"),
            ("to GB29 NWBK 6016 1331 9268 19 TODAY", "iban", "GB29 NWBK 6016 1331 9268 19"),
            ("DE89370400440532013000", "iban", "DE89370400440532013000"),
            ("SSN 536-90-4399", "national_id", "536-90-4399"),
            ("NINO: AB 12 34 56 C", "national_id", "AB 12 34 56 C"),
            ("DNI 12345678Z", "national_id", "12345678Z"),
            ("mon numéro 2 95 10 99 126 111 93", "national_id", "2 95 10 99 126 111 93"),
            ("codice RSSMRA85T10A562S", "national_id", "RSSMRA85T10A562S"),
            ("PESEL 44051401359", "national_id", "44051401359"),
            ("BSN 111222333", "national_id", "111222333"),
            ("pan AAPPV8261K", "national_id", "AAPPV8261K"),
            ("CPF 390.533.447-05", "national_id", "390.533.447-05"),
            ("from 203.0.113.7 today", "ip", "203.0.113.7"),
            ("from 2001:db8::8a2e:370:7334 today", "ip", "2001:db8::8a2e:370:7334"),
            ("use sk-M8O3FW0uyzaeYQIffLjeWBR3L4bZkil7", "secret", "sk-M8O3FW0uyzaeYQIffLjeWBR3L4bZkil7"),
            ("AKIAIOSFODNN7EXAMPLE", "secret", "AKIAIOSFODNN7EXAMPLE"),
            ('DB_PASS = "1HOVb%ckr"', "secret", "1HOVb%ckr"),
            ("my password is W!nter2024.", "secret", "W!nter2024"),
            ("İİİİ my Password: W!nter2024.", "secret", "W!nter2024"),  # each of these is two letters in small
            ("postgresql://kim:hunter22@db.example.org/x", "secret", "hunter22"),
            (f"here: {PRIVATE_KEY}", "secret", PRIVATE_KEY),
        ],
    )
    def test_it_finds(self, text, kind, found):
        (one,) = personal_data_in(text)

        assert (one.kind, one.text) == (kind, found)
        assert text[one.start : one.end] == found

    @pytest.mark.parametrize(
        "text",
        [
            "Your booking 1234567890 is for 2 people on 2026-05-01 at 12:30.",
            "Card 4111 1111 1111 1112 is wrong",  # no check digit
            "GB29 NWBK 6016 1331 9268 18",
            "DNI 12345678A",
            "000-12-3456 and 666-12-3456",  # never given out
            "version 1.2.3.4 of it, on 127.0.0.1",
            "A total of 3,141,592,653 steps",
            "I forgot my password again, and the token too",
            "password: please",
            "The keys are on the table @ home",
            "ratio 16:9:4, at 10:11:12",
            "Order 111222333 has shipped",  # a BSN only beside its name
            "0123456789",
        ],
    )
    def test_it_takes_nothing_else_for_it(self, text):
        assert personal_data_in(text) == []

    def test_what_it_finds_does_not_overlap(self):
        text = "password: kim@example.org, card 4111111111111111 or +1 206 242 9878, from 203.0.113.7"
        found = personal_data_in(text)

        assert [one.kind for one in found] == ["email", "card", "phone", "ip"]
        assert all(one.end <= other.start for one, other in pairwise(found))

    @pytest.mark.parametrize(
        "text",
        [
            "1 2 3 4 5 6 7 8 9 0 " * 5_000,
            "a@" * 50_000,
            "A1" * 50_000,
            "AB12 " * 20_000,
            ":" * 100_000,
            "+1" * 50_000,
            "password " * 10_000,
            "-----BEGIN PRIVATE KEY-----" * 3_700,
            "1.2." * 25_000,
            "a." * 50_000 + "@",
            "sk-" * 30_000,
            "eyJ" * 30_000,
            "://a:b" * 15_000,
        ],
    )
    def test_no_text_takes_it_long(self, text):
        began = time.thread_time()
        personal_data_in(text)

        assert time.thread_time() - began < 2


class TestOnPublishedData:
    """The floors are what was measured; docs/operations.md names the figures and what is missed."""

    @pytest.mark.parametrize(
        ("kind", "recall"), [("email", 1.0), ("phone", 1.0), ("ip", 0.99), ("national_id", 0.92), ("secret", 0.84)]
    )
    def test_it_finds_most_of_it_in_technical_texts(self, technology, kind, recall):
        assert technology.found[kind] / technology.there[kind] >= recall

    def test_what_it_finds_in_technical_texts_is_marked_there_too(self, technology):
        # The answer key leaves out telephone numbers after the word "Phone:" in half of the texts.
        wrong = {kind: n for kind, n in technology.unmarked.items() if kind != "phone"}

        assert wrong == {}

    @pytest.mark.parametrize(
        ("kind", "recall"), [("email", 0.96), ("phone", 1.0), ("secret", 0.88), ("national_id", 0.46)]
    )
    def test_it_finds_most_of_it_in_short_sentences(self, sentences, kind, recall):
        """Half of the ID numbers there are drawn at random and have no valid check digit."""
        assert sentences.found[kind] / sentences.there[kind] >= recall

    def test_it_finds_nothing_in_dialogues_that_have_none(self):
        texts = []
        for name in ("star_dialogues", "model_outputs"):
            with gzip.open(f"hitl/demo/data/{name}.jsonl.gz", "rt") as lines:
                rows = [json.loads(line) for line in lines]
            texts += [row["response"] for row in rows if "response" in row]
            texts += [str(turn.get("content") or "") for row in rows for turn in row["messages"]]

        assert [found for text in texts for found in personal_data_in(text)] == []


@pytest.fixture(scope="module")
def technology():
    return Measured("pii_technology.jsonl.gz")


@pytest.fixture(scope="module")
def sentences():
    return Measured("pii_short_sentences.jsonl.gz")


class Measured:
    """What of a file's personal data is found, by kind."""

    def __init__(self, name):
        self.there, self.found, self.unmarked = Counter(), Counter(), Counter()
        with gzip.open(DATA / name, "rt") as lines:
            for line in lines:
                row = json.loads(line)
                self._count(row["spans"], personal_data_in(row["text"]))

    def _count(self, spans, found):
        for span in spans:
            kind = KIND_OF.get(span["type"])
            self.there[kind] += 1
            self.found[kind] += any(one.kind == kind and meet(one, span) for one in found)
        self.unmarked.update(one.kind for one in found if not any(meet(one, span) for span in spans))


def meet(found, span):
    return found.start < span["end"] and span["start"] < found.end
