"""What the doctor says: one finding for each thing looked at."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["fine", "note", "trouble"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. A note is worth knowing; a trouble has to be mended."""

    about: str
    state: State
    says: str
    remedy: str | None = None  # what to do

    def as_json(self) -> dict[str, Any]:
        """Return it as a program reads it."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it as a person reads it."""
        word = self.state.upper() if self.state == "trouble" else self.state
        line = f"{word:<8} {self.about:<18} {self.says}"
        return line if self.remedy is None else f"{line}\n{'':<28}→ {self.remedy}"


def fine(about: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(about, "fine", says)


def note(about: str, says: str, remedy: str | None = None) -> Finding:
    """It works, but somebody should know."""
    return Finding(about, "note", says, remedy)


def trouble(about: str, says: str, remedy: str) -> Finding:
    """It has to be mended."""
    return Finding(about, "trouble", says, remedy)
