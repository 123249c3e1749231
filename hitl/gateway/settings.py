"""How a project's calls are handled: read, checked, changed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.gateway.errors import GatewaySettingsUnacceptable
from hitl.gateway.models import PLAIN_APOLOGY, GatewaySettings

Ending = Literal["send", "safe_reply", "refuse"]
Price = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Prices(BaseModel):
    """What a model costs, in US dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Price
    output: Price


class Handling(BaseModel):
    """What an admin may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["observe", "gate", "person"] = "observe"
    hold_seconds: Annotated[int, Field(ge=1, le=3600)] = 300
    when_nobody: Ending = "refuse"
    when_database_down: Ending = "safe_reply"
    safe_reply: Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]+$")] = PLAIN_APOLOGY
    cache_seconds: Annotated[int, Field(ge=0, le=7 * 24 * 3600)] = 0
    prices: Annotated[dict[Annotated[str, Field(min_length=1, max_length=255)], Prices], Field(max_length=500)] = {}


def handling_of(db: Session, project: Project) -> Handling:
    """Return a project's settings; what was never set has its default."""
    kept = db.get(GatewaySettings, project.id, populate_existing=True)
    return Handling() if kept is None else _as_handling(kept)


def change_handling(db: Session, project: Project, changes: Mapping[str, Any], by: User | None = None) -> Handling:
    """Set some of them; the others stay. Raises GatewaySettingsUnacceptable, naming the first at fault."""
    kept = db.get(GatewaySettings, project.id, with_for_update=True, populate_existing=True)
    before = Handling() if kept is None else _as_handling(kept)
    try:
        after = Handling.model_validate({**before.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        pointer = "/" + "/".join(map(str, first["loc"]))
        raise GatewaySettingsUnacceptable(f"{first['loc'][0]}: {first['msg']}.", param=pointer) from error
    kept = kept or GatewaySettings(project_id=project.id)
    for name, value in after.model_dump().items():
        setattr(kept, name, value)
    db.add(kept)
    db.flush()
    changed = {name: value for name, value in after.model_dump().items() if value != getattr(before, name)}
    if changed:
        audit.record(db, by, "gateway_changed", project, project, changes=after.model_dump(include=set(changed)))
    return after


def _as_handling(kept: GatewaySettings) -> Handling:
    return Handling.model_validate({name: getattr(kept, name) for name in Handling.model_fields})
