"""Who may do what: the one table that every door asks.

A role is a set of permissions. An API key's scope is a set of permissions too, and a key never does more than its
maker's role allows at the moment of use.
"""

from enum import StrEnum


class Permission(StrEnum):
    """One thing a member may do in a project."""

    REVIEW = "review"  # take items, review them, see and change one's own reviews
    QUEUE = "queue"  # all reviews, items, assignment, rules, rubrics
    SUPERVISE = "supervise"  # watch, hold and take over live conversations
    DATA = "data"  # responses without end users' identity, pairs, datasets, exports, runs
    ADMIN = "admin"  # members, keys, settings, audit, erasure
    CAPTURE = "capture"  # put responses in: API keys only
    FEEDBACK = "feedback"  # put end users' feedback in: API keys only


ROLES: dict[str, frozenset[Permission]] = {
    "annotator": frozenset({Permission.REVIEW}),
    "lead": frozenset({Permission.REVIEW, Permission.QUEUE, Permission.SUPERVISE, Permission.DATA}),
    "supervisor": frozenset({Permission.SUPERVISE}),
    "engineer": frozenset({Permission.DATA, Permission.CAPTURE, Permission.FEEDBACK}),
    "admin": frozenset(Permission),
}

SCOPES: dict[str, frozenset[Permission]] = {
    "capture": frozenset({Permission.CAPTURE}),
    "feedback": frozenset({Permission.FEEDBACK}),
    "review": frozenset({Permission.REVIEW}),
    "queue": frozenset({Permission.QUEUE}),
    "supervise": frozenset({Permission.SUPERVISE}),
    "datasets": frozenset({Permission.DATA}),
    "admin": frozenset({Permission.ADMIN}),
}


def permissions_of_scopes(scopes: list[str]) -> frozenset[Permission]:
    """Return what a key with these scopes was made for; its maker's role may allow less."""
    return frozenset().union(*(SCOPES[scope] for scope in scopes))
