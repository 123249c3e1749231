"""What leads choose to see of the queue: read from the address, and written into it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from hitl.queue.finding import State, Wanted
from hitl.queue.words import MAX_TYPED
from hitl.review.queries import waits_to_be_counted

STATES = ("open", "held", "partly", "stuck", "extras", "closed")
KINDS = (("", "Any kind"), ("response", "Responses"), ("comparison", "Comparisons"), ("conversation", "Conversations"))
PRIORITIES = (("", "Any priority"), ("raised", "Raised"), ("usual", "Usual"), ("lowered", "Lowered"))
AGES = (("", "Any age"), ("1", "Over a day"), ("3", "Over 3 days"), ("7", "Over a week"), ("30", "Over 30 days"))
SORTS = (("", "In their order"), ("newest", "Newest first"), ("oldest", "Oldest first"))


@dataclass(frozen=True)
class Filters:
    """What was chosen. A value that a list does not offer counts as not chosen, as an old bookmark may hold."""

    state: str
    search: str = ""
    kind: str = ""
    rule: str = ""
    person: str = ""
    priority: str = ""
    age: str = ""
    sort: str = ""

    @classmethod
    def read(cls, sent: Mapping[str, str], rules: Mapping[str, str], people: Mapping[str, str]) -> "Filters":
        """What the address says. rules, people: by id, those that may be chosen."""

        def one_of(name: str, values: Any) -> str:
            value = sent.get(name, "")
            return value if value in values else ""

        return cls(
            state=sent.get("state", "open"),
            search=sent.get("search", "").replace("\0", "")[:MAX_TYPED].strip(),
            kind=one_of("kind", dict(KINDS)),
            rule=one_of("rule", rules),
            person=one_of("person", {*people, "nobody"}),
            priority=one_of("priority", dict(PRIORITIES)),
            age=one_of("age", dict(AGES)),
            sort=one_of("sort", dict(SORTS)),
        )

    @property
    def narrowing(self) -> dict[str, str]:
        """What narrows the list, beside the state."""
        names = ("search", "kind", "rule", "person", "priority", "age")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def as_arguments(self) -> dict[str, str]:
        """What an address says to come back here."""
        return {"state": self.state} | self.narrowing | ({"sort": self.sort} if self.sort else {})

    def wanted(self) -> Wanted:
        """Return the same as the queue understands it."""
        person = UUID(self.person) if self.person not in ("", "nobody") else self.person or None
        return Wanted(
            state=None if self.state == "extras" else cast(State, self.state),
            kind=cast(Any, self.kind or None),
            rule_id=UUID(self.rule) if self.rule else None,
            priority=cast(Any, self.priority or None),
            assigned_to=cast(Any, person),
            waiting_days=int(self.age) if self.age else None,
            search=self.search,
            sort=cast(Any, self.sort or "next"),
            also=[waits_to_be_counted()] if self.state == "extras" else [],
        )
