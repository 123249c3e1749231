"""A small application that shows every shared part, with real sentences: what the tests of `webui.base` look at."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, jsonify, render_template, request
from flask_wtf import CSRFProtect
from werkzeug.datastructures import MultiDict

from webui.base import register_pages
from webui.base.appearance import chosen_appearance
from webui.base.layout import REVIEW_KEYS, Layout, NavEntry, ProjectLink
from webui.base.transcript import Transcript, transcript
from webui.base.trouble import WayOn, trouble_for

HERE = Path(__file__).parent

CRITERIA: list[dict[str, Any]] = [
    {
        "name": "helpful",
        "kind": "scale",
        "label": "Helpful",
        "hint": "1 no help, 5 exactly what was needed",
        "required": True,
        "overall": True,
        "points": [
            {"value": 1, "label": "No help: the user is where they were."},
            {"value": 2, "label": "A little help: the user still has to ask someone else."},
            {"value": 3, "label": "Half of what was needed."},
            {"value": 4, "label": "What was needed, with a detour."},
            {"value": 5, "label": "Exactly what was needed."},
        ],
    },
    {
        "name": "correct",
        "kind": "scale",
        "label": "Correct",
        "hint": "against the tools and the guidelines",
        "required": True,
        "cannot_judge": True,
        "points": [
            {"value": 1, "label": "Says something that is not so."},
            {"value": 2, "label": "Mostly wrong."},
            {"value": 3, "label": "Right and wrong mixed."},
            {"value": 4, "label": "Right but for a detail nobody acts on."},
            {"value": 5, "label": "All right."},
        ],
    },
    {"name": "tone", "kind": "thumbs", "label": "Tone", "required": False, "cannot_judge": True},
    {
        "name": "language",
        "kind": "choice",
        "label": "Language of the answer",
        "options": [{"value": "same", "label": "The user’s"}, {"value": "other", "label": "Another one"}],
    },
    {
        "name": "wrong",
        "kind": "tags",
        "label": "What is wrong",
        "options": [
            {"value": "contradicts-tool", "label": "Contradicts a tool"},
            {"value": "made-up", "label": "Made up"},
            {"value": "omits", "label": "Leaves something out"},
            {"value": "repeats", "label": "Repeats itself"},
            {"value": "rude", "label": "Cold or rude"},
            {"value": "personal-data", "label": "Personal data"},
            {"value": "wrong-language", "label": "Wrong language"},
        ],
    },
    {"name": "why", "kind": "text", "label": "Why", "hint": "one sentence"},
    {"name": "correction", "kind": "correction", "label": "Correct it"},
]

CORRECTION = (
    "I'm sorry, but the Hilton Hotel could not complete this booking for you. "
    "Would you like me to try again, or look at another hotel?"
)


@dataclass
class DraftStore:
    """What the test's server keeps: drafts by page, submitted reviews, and how it is told to behave."""

    number: int = 0
    fields: dict[str, list[str]] = field(default_factory=dict)
    saves: int = 0
    reviews: list[dict[str, list[str]]] = field(default_factory=list)
    failing: bool = False
    slow_seconds: float = 0.0


def star_dialogue(dialogue_id: str = "star-461") -> dict[str, Any]:
    """Return a dialogue of the excerpt with its tool calls in OpenAI's shape."""
    rows = json.loads((HERE / "data" / "star_excerpt.json").read_text())["dialogues"]
    dialogue = next(row for row in rows if row["id"] == dialogue_id)
    messages: list[dict[str, Any]] = []
    for number, said in enumerate(dialogue["messages"]):
        message = {"role": said["role"], "content": said.get("content"), "at": said["at"]}
        if "tool_call" in said:
            facts = {name: value.strip('"') for part in said["tool_call"]["arguments"] for name, value in part.items()}
            function = {"name": said["tool_call"]["name"], "arguments": json.dumps(facts)}
            message["tool_calls"] = [{"id": f"call-{number}", "type": "function", "function": function}]
        elif said["role"] == "tool":
            message |= {"tool_call_id": f"call-{number - 1}", "content": json.dumps(said["content"])}
        messages.append(message)
    return {**dialogue, "messages": messages}


def hotel_transcript() -> Transcript:
    messages = star_dialogue()["messages"]
    place = next(
        n for n, said in enumerate(messages) if said["content"] and "successfully completed" in said["content"]
    )
    prompt = (
        "You are the booking assistant of a hotel group. Check availability before you offer a room. "
        "Tell the guest what the booking system answered."
    )
    return transcript(
        [{"role": "system", "content": prompt}, *messages[:place]],
        messages[place],
        feedback=[{"kind": "Did the assistant reserve your hotel?", "value": True}],
        context=[{"title": "Booking rules", "text": "A room is held for **30 minutes**.", "source": "handbook, p. 12"}],
        later=messages[place + 1 : place + 2],
    )


def make_app(payloads: list[str] | None = None) -> Flask:
    """Return the application; each has a draft store of its own as `app.extensions["drafts"]`."""
    app = Flask(__name__, template_folder=str(HERE / "templates"), static_folder=None)
    app.config.update(SECRET_KEY="only for tests", TESTING=True)
    CSRFProtect(app)
    register_pages(app, layout=example_layout)
    app.register_blueprint(
        Blueprint(
            "review",
            "webui.review",
            root_path=str(HERE.parents[2] / "webui" / "review"),
            static_folder="static",
            static_url_path="/static/review",
            template_folder="templates",
        )
    )
    store = app.extensions["drafts"] = DraftStore()

    @app.get("/")
    def styleguide() -> str:
        now = datetime.now(UTC)
        return render_template(
            "styleguide.html",
            criteria_list=CRITERIA,
            transcript=hotel_transcript(),
            now=now,
            soon=now + timedelta(seconds=42),
            keys=REVIEW_KEYS,
        )

    @app.get("/review")
    def review() -> str:
        return review_page()

    def review_page(fragment: bool = False, problems: dict[str, str] | None = None) -> str:
        now = datetime.now(UTC)
        answers = {name.removeprefix("answer."): value for name, value in store.fields.items()}
        shown = {name: value if name == "wrong" else value[0] for name, value in answers.items() if value}
        return render_template(
            "_review_form.html" if fragment else "review_example.html",
            criteria_list=CRITERIA,
            answers=shown,
            comment=store.fields.get("comment", [""])[0],
            original="OK, I've successfully completed this Hotel booking for you!",
            transcript=hotel_transcript(),
            draft=store,
            problems=problems or {},
            now=now,
            ends_at=now + timedelta(minutes=14, seconds=32),
            keys=REVIEW_KEYS,
        )

    @app.put("/draft")
    def draft() -> Any:
        time.sleep(store.slow_seconds)
        if store.failing:
            return "away", 503
        if int(request.form["number"]) != store.number:
            newer = {"number": store.number, "saved_at": datetime.now(UTC).isoformat(), "fields": store.fields}
            error = {"type": "conflict", "code": "stale_draft", "message": "Changed.", "param": None}
            return jsonify(error=error, draft=newer), 409
        store.fields = fields_of(request.form)
        store.number += 1
        store.saves += 1
        return jsonify(number=store.number, saved_at=datetime.now(UTC).isoformat())

    @app.post("/submit")
    def submit() -> Any:
        if "answer.helpful" not in request.form:
            return review_page(fragment=True, problems={"helpful": "Choose a point from 1 to 5."}), 422
        store.reviews.append(fields_of(request.form))
        store.fields, store.number = {}, 0
        return review_page(fragment=True)

    @app.get("/captured")
    def captured() -> str:
        return render_template("captured.html", texts=payloads or [])

    @app.get("/door")
    def door() -> str:
        return render_template("door_example.html")

    @app.get("/trouble/<int:status>")
    def trouble(status: int) -> tuple[str, int]:
        shown = trouble_for(
            status,
            "stale_draft" if status == 409 else "error",
            "This draft was changed in another tab." if status == 409 else "",
            kept=CORRECTION if status == 409 else "",
            ways_on=(WayOn("Next item", "/review", "n"), WayOn("Home", "/")),
            request_id="01J9-7QK2",
        )
        return render_template("error.html", trouble=shown), status

    return app


def fields_of(form: MultiDict[str, str]) -> dict[str, list[str]]:
    return {name: form.getlist(name) for name in form if name not in ("number", "csrf_token")}


def example_layout() -> Layout:
    desk = ProjectLink("Hotel desk", "/")
    return Layout(
        user_name="Alex",
        initials="AL",
        projects=(desk, ProjectLink("Bank line", "/bank")),
        project=desk,
        nav=(
            NavEntry("Home", "/", "home", is_current=request.path == "/"),
            NavEntry("Review", "/review", "review", count=320, is_current=request.path == "/review"),
            NavEntry("Queue", "/queue", "queue", count=1281),
            NavEntry("Datasets", "/datasets", "dataset"),
            NavEntry("Settings", "/settings", "settings"),
        ),
        account_links=(NavEntry("My reviews", "/reviews", "history"),),
        appearance=chosen_appearance(request),
        sign_out_url="/sign-out",
    )
