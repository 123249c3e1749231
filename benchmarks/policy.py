"""What a policy costs an answer, and looking for personal data a captured row: `python -m benchmarks.policy`.

Both stand in the request path. The texts are real: STAR dialogues, short turns of a help desk, and outputs of five
models, 1,400 characters in the middle. Every figure is of one thread.
"""

import gzip
import json
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, main
from benchmarks.databases import own_instance
from benchmarks.timing import Timings, time_calls, timed
from hitl.accounts.models import Project
from hitl.accounts.projects import change_settings, create_project
from hitl.capture.facts import VOCABULARY, Facts
from hitl.capture.intake import capture_responses
from hitl.capture.signals import BUILT_IN, Said
from hitl.core.expressions import read_expression
from hitl.live.policy import DraftFacts, decide
from hitl.live.policy.rules import PolicyTerms, create_rule

DATA = Path(__file__).parents[1] / "hitl" / "demo" / "data"
SOURCES = {"STAR dialogues": "production_stream.jsonl.gz", "model outputs": "model_outputs.jsonl.gz"}
RULES = (
    "signals.refusal > 0",
    "signals.profanity > 0 || signals.personal_data > 0",
    "signals.negative_turns > 1 && turn_count > 3",
    'answer.matches("(?i)refund|money back|chargeback")',
    'messages.exists(m, m.role == "user" && m.text.contains("lawyer"))',
    'model == "small" && metadata.plan == "free"',
    "signals.repeats > 0.5",
    "signals.empty > 0 || signals.very_long > 0",
    'question.contains("cancel") && size(answer) < 40',
    '"issue_refund" in tool_calls',
)
BATCH = 500


def measure(bench: Bench) -> None:
    """Expressions, signals, whole decisions, and personal data at capture."""
    _expressions(bench)
    _signals(bench)
    for kind in bench.kinds:
        _decisions(bench, kind)
    for kind in bench.kinds:
        _captured(bench, kind)


def _expressions(bench: Bench) -> None:
    bench.table("One expression, compiled before, over what is known of an answer already")
    times = bench.sized(full=20_000, quick=2_000, smoke=10)
    facts = Facts(_draft(_rows("STAR dialogues")[200], 0))
    for source in RULES[:5]:
        expression = read_expression(source, VOCABULARY)
        expression.about(facts.values)
        took = time_calls(lambda expression=expression: expression.about(facts.values), times)
        bench.row(expression=f"`{source.replace('|', '¦')}`", **_microseconds(took))


def _signals(bench: Bench) -> None:
    bench.table("Signals, one answer")
    for source in SOURCES:
        rows = _rows(source)[: bench.sized(full=2_000, quick=300, smoke=5)]
        said = [Said.of({"messages": row["messages"]}, _answer(row)) for row in rows]
        all_of_them = Timings()
        for one in said:
            with timed(all_of_them):
                for signal in BUILT_IN.values():
                    signal.value(one)
        bench.row(texts=source, signal="all", **_microseconds(all_of_them))
        for name, signal in BUILT_IN.items():
            took = Timings()
            for one in said:
                with timed(took):
                    signal.value(one)
            bench.row(texts=source, signal=name, **_microseconds(took))


def _decisions(bench: Bench, kind: str) -> None:
    if kind == bench.kinds[0]:
        bench.table("A decision about one draft with ten rules, in a transaction of its own")
    with own_instance(kind) as instance:
        with instance.database.writing() as db:
            project = create_project(db, "bench", "Bench")
            for number, source in enumerate(RULES):
                create_rule(db, project, f"Rule {number}", PolicyTerms(expression=source, when_nobody="refuse"))
            project_id = project.id
        for source in SOURCES:
            rows = cycle(_rows(source))
            numbers = count()

            def once(rows: Any = rows, numbers: Any = numbers) -> None:
                with instance.database.writing() as db:
                    decide(db, db.get_one(Project, project_id), _draft(next(rows), next(numbers)))

            once()
            took = time_calls(once, bench.sized(full=2_000, quick=200, smoke=5))
            bench.row(database=kind, texts=source, **took.columns())
            if source == "STAR dialogues":
                bench.goal(f"{kind}: a decision about a STAR answer, p99", took.p(99), unit="ms", at_most=10)


def _captured(bench: Bench, kind: str) -> None:
    if kind == bench.kinds[0]:
        bench.table(f"Capture below HTTP, batches of {BATCH}, by what the project does with personal data")
    batches = bench.sized(full=40, quick=6, smoke=1)
    for source in SOURCES:
        rates = {}
        for choice in ("keep", "mark", "pseudonymise"):
            with own_instance(kind) as instance:
                with instance.database.writing() as db:
                    project_id = create_project(db, "bench", "Bench").id
                    change_settings(db, db.get_one(Project, project_id), {"personal_data": choice})
                rows = _to_capture(source, batches)
                took = Timings()
                for batch in rows:
                    with timed(took), instance.database.writing() as db:
                        capture_responses(db, db.get_one(Project, project_id), batch, instance.keys)
            rates[choice] = batches * BATCH / sum(took.seconds)
        bench.row(database=kind, texts=source, **{f"{choice}, rows/s": rate for choice, rate in rates.items()})


def _microseconds(took: Timings) -> dict[str, float]:
    return {
        "p50 µs": 1000 * took.p(50),
        "p99 µs": 1000 * took.p(99),
        "per second": len(took.seconds) / sum(took.seconds),
    }


def _to_capture(source: str, batches: int) -> list[list[dict[str, Any]]]:
    rows = cycle(_rows(source))
    numbers = count()
    return [
        [
            {
                "client_id": f"r-{next(numbers)}",
                "conversation_id": str(row.get("conversation_id") or row["id"]),
                "input": {"messages": row["messages"]},
                "output": _answer(row),
                "model": "desk",
            }
            for row in islice(rows, BATCH)
        ]
        for _ in range(batches)
    ]


def _draft(row: dict[str, Any], number: int) -> DraftFacts:
    return DraftFacts(key=f"draft-{number}", input={"messages": row["messages"]}, output=_answer(row), model="small")


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": row["response"]}


def _rows(source: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / SOURCES[source], "rt") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        row["messages"] = [
            {"role": turn["role"], "content": turn["content"]}
            for turn in row["messages"]
            if turn["role"] != "tool" and turn.get("content")
        ]
    return [row for row in rows if row["messages"]]


if __name__ == "__main__":
    main("policy", "What a policy costs", measure)
