"""Rows as a client sends them."""

from typing import Any

from hypothesis import strategies as st


def response_row(client_id: str | None = "r-1", **changes: Any) -> dict[str, Any]:
    """One small response; `asked` and `said` are its words."""
    asked, said = changes.pop("asked", "Where is my order?"), changes.pop("said", "On its way.")
    row = {
        "client_id": client_id,
        "input": {"messages": [{"role": "user", "content": asked}]},
        "output": {"role": "assistant", "content": said},
    }
    return {**row, **changes}


def thumbs_down(**subject: Any) -> dict[str, Any]:
    """An end user's complaint."""
    return {"kind": "thumbs", "value": False, **subject}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(st.characters()), below, max_size=4),
    max_leaves=12,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
MESSAGES = st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": TEXT})
NEARLY_ROWS = st.fixed_dictionaries(
    {
        "input": st.fixed_dictionaries({"messages": st.lists(MESSAGES | JSON, min_size=1, max_size=3)}),
        "output": st.fixed_dictionaries({"role": st.just("assistant"), "content": TEXT | JSON}),
    },
    optional={
        "client_id": TEXT,
        "metadata": st.dictionaries(TEXT, JSON, max_size=3),
        "signals": st.dictionaries(TEXT, st.floats() | st.integers() | JSON, max_size=3),
        "created_at": st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()) | JSON,
        "model": TEXT | JSON,
        "turn": st.integers(),
        "end_user": TEXT,
        "conversation_id": TEXT,
    },
)
