"""What rings for whoever follows live conversations (hitl/core/bell.py)."""

from uuid import UUID


def topic_of(conversation_id: UUID) -> str:
    """Return what rings when something happens in a conversation."""
    return f"conversation:{conversation_id}"


def topic_of_project(project_id: UUID) -> str:
    """Return what rings when something happens in any conversation of a project."""
    return f"project:{project_id}"
