import logging
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest

from hitl.client import Client, Limits, Misconfigured
from hitl.client.client import _now
from tests.hitl.client.conftest import adds_up

ASKED = [{"role": "user", "content": "When do you open?"}]


class TestCapture:
    def test_one_line_is_a_stored_response(self, place, make_client):
        client = make_client()

        name = client.capture(messages=ASKED, output="At nine.", model="bot-4")

        assert client.flush(10)
        stored = place.responses()[name]
        assert stored.input["messages"] == ASKED
        assert stored.output == {"role": "assistant", "content": "At nine."}
        assert stored.model == "bot-4"
        assert abs((datetime.now(UTC) - stored.created_at).total_seconds()) < 60
        assert client.statistics().stored_count == 1

    def test_every_field_arrives(self, place, make_client):
        client = make_client()
        tools = [{"type": "function", "function": {"name": "opening_hours"}}]

        name = client.capture(
            client_id="chat-17-3",
            messages="When do you open?",
            output={"role": "assistant", "content": "At nine."},
            tools=tools,
            model="bot",
            model_version="bot-4",
            prompt_name="desk",
            prompt_version="7",
            parameters={"temperature": 0.5},
            input_tokens=7,
            output_tokens=3,
            latency_seconds=0.25,
            cost_usd=0.001,
            trace_id="t-1",
            context=[{"text": "Open from nine."}],
            signals={"guard": 0.1},
            metadata={"shop": "Rome"},
            may_train="yes",
            conversation_id="chat-17",
            turn=3,
            end_user="ann",
            created_at=datetime(2026, 5, 1, 9, tzinfo=UTC),
        )

        assert client.flush(10)
        stored = place.responses()["chat-17-3"]
        assert name == "chat-17-3"
        assert stored.input == {"messages": ASKED, "tools": tools}
        assert (stored.model_version, stored.prompt_version, stored.turn) == ("bot-4", "7", 3)
        assert (stored.parameters, stored.signals) == ({"temperature": 0.5}, {"guard": 0.1})
        assert stored.details == {"shop": "Rome"}
        assert (stored.may_train, stored.created_at.year, stored.created_at.month) == ("yes", 2026, 5)
        assert stored.conversation_id is not None
        assert stored.end_user is not None

    def test_what_the_caller_changes_afterwards_is_not_sent(self, place, make_client):
        client = make_client(batch_seconds=0.3)
        messages = [{"role": "user", "content": "One"}]

        name = client.capture(messages=messages, output="1")
        messages[0]["content"] = "Two"
        messages.append({"role": "user", "content": "Three"})

        assert client.flush(10)
        assert place.responses()[name].input["messages"] == [{"role": "user", "content": "One"}]

    def test_noted_fields_hold_inside_and_the_capture_itself_wins(self, place, make_client):
        client = make_client()

        with client.noting(model="noted", metadata={"shop": "Rome"}), client.noting(prompt_name="desk"):
            inner = client.capture(messages=ASKED, output="1", metadata={"floor": 2}, model="said")
        outer = client.capture(messages=ASKED, output="2")

        assert client.flush(10)
        stored = place.responses()
        assert (stored[inner].model, stored[inner].prompt_name) == ("said", "desk")
        assert stored[inner].details == {"shop": "Rome", "floor": 2}
        assert (stored[outer].model, stored[outer].details) == (None, {})

    def test_values_of_python_become_json(self, place, make_client):
        class Colour(Enum):
            RED = "red"

        client = make_client()
        metadata = {"id": UUID(int=7), "at": datetime(2026, 1, 1, tzinfo=UTC), "cost": Decimal("0.5"), "is": Colour.RED}

        name = client.capture(messages=ASKED, output="1", metadata={**metadata, "pair": (1, 2)})

        assert client.flush(10)
        assert place.responses()[name].details == {
            "id": str(UUID(int=7)),
            "at": "2026-01-01T00:00:00+00:00",
            "cost": 0.5,
            "is": "red",
            "pair": [1, 2],
        }

    def test_feedback_is_kept_before_and_after_its_response(self, place, make_client):
        client = make_client()
        client.feedback(client_id="r-1", kind="thumbs", value=False, comment="Not true.")
        assert client.flush(10)

        client.capture(client_id="r-1", messages=ASKED, output="At ten.")
        client.feedback(client_id="r-1", kind="stars", value=2, source="agent")

        assert client.flush(10)
        assert {(said.kind, said.value, said.source) for said in place.feedback()} == {
            ("thumbs", False, "end_user"),
            ("stars", 2, "agent"),
        }
        assert client.statistics().stored_count == 3


class TestBadInput:
    def test_nothing_raises_and_every_loss_is_told(self, place, make_client, problems):
        client = make_client()
        cyclic: dict[str, object] = {}
        cyclic["self"] = cyclic
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]

        bad = [
            client.capture(messages=ASKED, output="1", metadata={"x": float("nan")}),
            client.capture(messages=ASKED, output="1", metadata=cyclic),
            client.capture(messages=ASKED, output="1", metadata={"x": deep}),
            client.capture(messages=ASKED, output="1", metadata={"x": object()}),
            client.capture(messages=ASKED, output="1", metadata={"x": b"bytes"}),
            client.capture(messages=ASKED, output="1", metadata={(1, 2): 3}),
            client.capture(messages=ASKED, output=Hostile()),
            client.capture(messages=Hostile(), output="1"),
            client.capture(messages=None, output=None),
            client.capture(messages=[], output=7),
            client.capture(messages=ASKED, output="half \ud800 of a pair"),
            client.capture(messages=ASKED, output="a \0 character"),
            client.capture(messages=ASKED, output="1", metadata={"x": 10**400}),
            client.capture(messages=ASKED, output="1", metadata={"x": 10**5000}),
            client.capture(messages=ASKED, output="1", no_such_field=1),
            client.capture(messages=ASKED, output="1", client_id="x" * 300),
        ]
        client.feedback(kind="thumbs", value="up", client_id="r-1")
        client.feedback(kind="thumbs", value=True)
        client.feedback(kind="thumbs", value=True, client_id=Hostile())
        with client.noting(metadata="words"), client.noting(metadata={"shop": "Rome"}):
            pass
        good = client.capture(messages=ASKED, output="At nine.")

        assert client.flush(20)
        client.close()
        assert list(place.responses()) == [good]
        seen = client.statistics()
        assert (seen.stored_count, seen.rejected_count, seen.dropped_count) == (1, len(bad) + 3, 0)
        assert sum(problem.count for problem in problems) == len(bad) + 3
        assert {name for problem in problems for name in problem.names} >= set(bad)
        by_name = {problem.names[0]: problem for problem in problems}
        assert by_name[bad[10]].code == "not_storable"
        assert by_name[bad[10]].param == "/output/content"
        assert by_name[bad[14]].param == "/no_such_field"

    def test_a_huge_message_is_refused_without_being_written_down(self, make_client, problems):
        client = make_client(row_bytes=100_000)

        client.capture(messages=[{"role": "user", "content": "x" * 50_000_000}], output="1")
        client.capture(messages=ASKED, output="1", metadata={"x": list(range(10_000_000))})
        client.capture(messages=ASKED, output="é" * 60_000)  # few characters, many bytes

        client.close()
        assert [problem.code for problem in problems] == ["row_too_big"] * 3
        assert client.statistics().request_count == 0

    def test_a_broken_callback_harms_nobody(self, place):
        def fail(_problem: object) -> None:
            raise RuntimeError("mine")

        client = Client(place.address, place.key, place.slug, limits=Limits(batch_seconds=0.02), on_problem=fail)
        client.capture(messages=ASKED, output=7)
        name = client.capture(messages=ASKED, output="1")

        assert client.flush(10)
        client.close()
        assert list(place.responses()) == [name]

    def test_after_close_rows_are_counted_and_dropped(self, make_client):
        client = make_client()
        client.close()
        client.close()

        client.capture(messages=ASKED, output="1")

        assert client.statistics().dropped_count == 1
        assert adds_up(client)

    def test_a_clock_that_was_never_set_leaves_the_time_to_the_service(self, monkeypatch):
        class Unset(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime(1970, 1, 1, tzinfo=tz)

        monkeypatch.setattr("hitl.client.client.datetime", Unset)

        assert _now() is None


class TestMaking:
    def test_it_reads_the_environment(self, place, monkeypatch):
        for name, value in (("URL", place.address + "/"), ("KEY", place.key), ("PROJECT", place.slug)):
            monkeypatch.setenv(f"HITL_{name}", value)

        with Client() as client:
            client.capture(messages=ASKED, output="1")

        assert client.statistics().stored_count == 1

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"url": None}, "HITL_URL"),
            ({"key": None}, "HITL_KEY"),
            ({"project": ""}, "HITL_PROJECT"),
            ({"url": "hitl.example.org"}, "url"),
            ({"url": "ftp://hitl.example.org"}, "url"),
            ({"url": "https://hitl.example.org:99999"}, "url"),
            ({"url": "https://ann:secret@hitl.example.org"}, "url"),
            ({"key": "hitl_secret\n"}, "line break"),
        ],
    )
    def test_it_says_what_is_wrong_and_never_the_key(self, arguments, named, monkeypatch):
        for name in ("URL", "KEY", "PROJECT"):
            monkeypatch.delenv(f"HITL_{name}", raising=False)

        with pytest.raises(Misconfigured, match=named) as refused:
            Client(**{"url": "https://hitl.example.org", "key": "hitl_secret", "project": "desk", **arguments})

        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize("limits", [{"rows": 0}, {"batch_seconds": -1}, {"batch_rows": 1_001}])
    def test_it_refuses_limits_that_cannot_work(self, limits):
        with pytest.raises(Misconfigured):
            Limits(**limits)

    def test_a_client_that_is_not_enabled_does_nothing(self):
        client = Client(enabled=False)

        @client.captured()
        def answer(messages):
            return "1"

        assert answer("one") == "1"
        assert client.capture(messages=ASKED, output=Hostile())
        client.feedback(kind="thumbs", value=True, client_id="r")
        assert client.flush()
        client.close()
        assert client.statistics().given_count == 0

    def test_the_key_is_never_logged(self, make_client, place, caplog):
        caplog.set_level(logging.DEBUG)
        client = make_client(url="http://127.0.0.1:9", connect_seconds=0.2)
        client.capture(messages=ASKED, output="1")
        client.flush(0.3)
        client.close(0.2)

        assert "cannot be delivered" in caplog.text
        assert place.key not in caplog.text
        assert place.key not in repr(client)


class TestLightness:
    def test_it_imports_nothing_but_the_standard_library(self):
        told = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; before = set(sys.modules); import hitl.client, hitl.client.openai;"
                "print(*(set(sys.modules) - before))",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        foreign = {
            name
            for name in told.split()
            if name.split(".")[0] not in sys.stdlib_module_names and name != "hitl" and name[:11] != "hitl.client"
        }
        assert not foreign


@dataclass
class Hostile:
    """Raises whatever is done with it."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("touched")

    def __iter__(self):
        raise RuntimeError("read")

    def __str__(self) -> str:
        raise RuntimeError("shown")
