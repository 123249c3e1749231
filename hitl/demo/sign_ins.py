"""The demo's accounts: their passwords are made once, and kept in files that only their owner reads."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SignIn:
    """How to sign in as somebody with this role."""

    role: str
    email: str
    password: str


def kept_sign_ins(path: Path, roles: Sequence[str]) -> list[SignIn]:
    """Return an account for each role; one that an earlier demo did not have is added to the file."""
    kept = [SignIn(*line.split()) for line in path.read_text().splitlines()] if path.exists() else []
    known = {person.role for person in kept}
    new = [SignIn(role, f"{role}@demo.example", secrets.token_urlsafe(12)) for role in roles if role not in known]
    with private_file(path, "a") as file:
        file.writelines(f"{person.role} {person.email} {person.password}\n" for person in new)
    return [*kept, *new]


def private_file(path: Path, mode: str):  # type: ignore[no-untyped-def]  # open() has too many kinds of result to name
    """Open a file that only its owner reads."""
    how = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "a" else os.O_TRUNC)
    return os.fdopen(os.open(path, how, 0o600), mode)
