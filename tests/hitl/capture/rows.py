"""Rows as a client sends them."""

from typing import Any


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
