"""Items whose criteria mark passages and ask about turns, for page tests."""

from hitl.capture.models import Conversation
from hitl.core import clock
from hitl.queue.models import ItemTarget
from tests.hitl import factories

ERRORS = {
    "name": "errors",
    "kind": "spans",
    "label": "What is wrong in it",
    "options": [{"value": "made_up", "label": "Made up"}, {"value": "rude", "label": "Cold or rude"}],
    "severities": [{"value": "minor", "label": "Minor"}, {"value": "major", "label": "Major"}],
}
STYLE = {
    "name": "style",
    "kind": "spans",
    "label": "Style",
    "options": [{"value": "wordy", "label": "Wordy"}],
}
GOOD = {
    "name": "good",
    "kind": "thumbs",
    "label": "Good turn",
    "required": True,
    "cannot_judge": True,
    "asked_of": ["response", "conversation"],
    "per": "turn",
}
TURN_ERRORS = {**ERRORS, "name": "slips", "label": "Slips", "asked_of": ["response", "conversation"], "per": "turn"}
HELPFUL = {
    "name": "helpful",
    "kind": "scale",
    "label": "Helpful",
    "required": True,
    "points": [{"value": n, "label": f"Point {n}"} for n in range(1, 6)],
}
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Is the pool open?"},
    {"role": "assistant", "content": "It is open from seven."},
    {"role": "user", "content": "Until when?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "hours", "arguments": '{"of": "pool"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "22:00"},
]


def rubric(desk, *criteria):
    """Put a rubric of these criteria in use for items made afterwards."""
    db = factories.session()
    number = db.query(factories.review.RubricVersion).count() + 1
    return factories.RubricVersion(project_id=desk.project.id, number=number, criteria=list(criteria))


def asked(desk, *criteria, text="The pool is open. It never closes.", messages=None, **item):
    """Add an item about one response, asked about by these criteria."""
    version = rubric(desk, *criteria)
    more = {"input": {"messages": messages, "tools": []}} if messages else {}
    response = factories.Response(project=desk.project, text=text, **more)
    return factories.Item(project=desk.project, response=response, rubric_version_id=version.id, **item)


def conversation(desk, *criteria, text="Until ten in the evening.", **item):
    """Add an item about a conversation of five messages and a last one."""
    version = rubric(desk, *criteria)
    db = factories.session()
    thread = Conversation(project_id=desk.project.id, client_id=f"talk-{clock.now().timestamp()}")
    db.add(thread)
    db.flush()
    last = factories.Response(
        project=desk.project, text=text, input={"messages": TALK, "tools": []}, conversation_id=thread.id
    )
    targets = [ItemTarget(position=0, conversation_id=thread.id), ItemTarget(position=1, response_id=last.id)]
    return factories.Item(
        project=desk.project, kind="conversation", targets=targets, rubric_version_id=version.id, **item
    )
