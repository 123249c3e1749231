"""Walks all routes as everybody who might try them.

A world has two projects: `home`, where everything is, and `other`. For each request its ids are made afresh, since an
earlier one may have used them up. Whoever adds a route with a new kind of id adds how to make one to `MAKERS`, and
what a sensible request says to `BODIES` or `FORMS` if the walk asks for it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from hitl.accounts import sessions
from hitl.accounts.access import SESSION_ID, Access, Door, declared_access
from hitl.accounts.invitations import create_invitation
from hitl.accounts.keys import create_key
from hitl.accounts.models import Membership, User
from hitl.accounts.permissions import SCOPES
from hitl.accounts.reset_links import create_reset_link
from hitl.capture import models as capture
from hitl.core.database import Database
from hitl.gateway.budgets import add_budget
from hitl.gateway.upstreams import add_upstream
from hitl.live import holding, replies, speaking, taking_over
from hitl.live import models as live
from hitl.live.policy import models as policy
from hitl.live.policy.rules import PolicyTerms
from hitl.live.policy.rules import create_rule as create_policy_rule
from hitl.queue import models as queue
from hitl.review import models as review
from hitl.webhooks import addresses
from hitl.webhooks import models as webhooks
from tests.hitl import factories
from tests.hitl.datasets.conftest import Desk

# The table of the design, written down a second time: who changes one has to think about the other.
TABLE = {
    "annotator": {"review"},
    "lead": {"review", "queue", "supervise", "data"},
    "supervisor": {"supervise"},
    "engineer": {"data", "capture", "feedback"},
    "admin": {"review", "queue", "supervise", "data", "admin", "capture", "feedback"},
}
SCOPE_TABLE = {
    "capture": {"capture"},
    "feedback": {"feedback"},
    "review": {"review"},
    "queue": {"queue"},
    "supervise": {"supervise"},
    "datasets": {"data"},
    "admin": {"admin"},
}


@dataclass
class Actor:
    """Somebody, or a program, at the door."""

    name: str
    client: FlaskClient
    user: User | None = None  # who holds the leases that are made for this actor
    permissions: set[str] = field(default_factory=set)  # in `home`
    is_known: bool = True  # signed in, or with a key that works, at this kind of door
    is_of_home: bool = True
    slug: str | None = None  # where they go; None: `home`


class World:
    """Two projects, and people and keys of every kind."""

    def __init__(self, app: Flask, committed: Session, database: Database) -> None:
        self.app, self.db, self.database = app, committed, database
        self.home, self.other = factories.Project(slug="home"), factories.Project(slug="other")
        self.members = {
            role: factories.Membership(project=self.home, role=role, user=factories.User(name=role)).user
            for role in TABLE
        }
        # Without a second admin the first could not be changed by any route.
        factories.Membership(project=self.home, role="admin")
        self.neighbour = factories.Membership(project=self.other, role="admin").user
        self.stranger, self.owner = factories.User(), factories.User(is_owner=True)
        self.db.commit()

    def people(self) -> Iterator[Actor]:
        """Everybody who might open a page."""
        yield Actor("nobody", self.app.test_client(), is_known=False, is_of_home=False)
        for role, user in self.members.items():
            yield Actor(role, self.browser(user), user, TABLE[role])
        yield Actor("a stranger", self.browser(self.stranger), self.stranger, is_of_home=False)
        yield Actor("an owner without a role", self.browser(self.owner), self.owner, is_of_home=False)
        yield Actor("another project's admin", self.browser(self.neighbour), self.neighbour, is_of_home=False)
        yield Actor("a program with a key", self.program(*SCOPES), is_known=False, is_of_home=False)

    def programs(self) -> Iterator[Actor]:
        """Every kind of program that might call the API."""
        admin = self.members["admin"]
        yield Actor("nobody", self.app.test_client(), is_known=False, is_of_home=False)
        yield Actor("an admin's cookie", self.browser(admin), is_known=False, is_of_home=False)
        for scope, permissions in SCOPE_TABLE.items():
            yield Actor(f"the scope {scope}", self.program(scope), admin, permissions)
        yield Actor("another project's key", self.program(*SCOPES, of_other=True), is_of_home=False)

    def intruders(self) -> Iterator[Actor]:
        """All rights in `other`, and there with ids of `home`."""
        yield Actor("another project's admin", self.browser(self.neighbour), slug="other", is_of_home=False)
        yield Actor("another project's key", self.program(*SCOPES, of_other=True), slug="other", is_of_home=False)

    def browser(self, user: User) -> FlaskClient:
        session_id = str(sessions.start_session(self.db, user).id)
        self.db.commit()
        client = self.app.test_client()
        with client.session_transaction() as kept:
            kept[SESSION_ID] = session_id
        return client

    def program(self, *scopes: str, of_other: bool = False) -> FlaskClient:
        project, maker = (self.other, self.neighbour) if of_other else (self.home, self.members["admin"])
        _, token = create_key(self.db, project, maker, "For the walk", scopes)
        self.db.commit()
        client = self.app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    @cached_property
    def frozen(self) -> dict[str, Any]:
        """A dataset version with a row: the parts of its address."""
        desk = Desk(self.database, self.home)
        for number in range(3):
            desk.corrects(
                desk.response(f"Where is room {number}?", "No idea.", may_train="yes"),
                f"On floor {number}, to the left.",
            )
        version = desk.freeze("desk")
        assert version.state == "frozen", version.error
        desk.exports(version, "jsonl")
        factories.bind(self.db)
        rows = self.program(*SCOPES).get(f"/api/v1/projects/home/datasets/desk/versions/{version.number}/rows")
        return {"name": "desk", "number": version.number, "row_id": rows.json["rows"][0]["id"]}


# --- How to make an id of each kind, in `home` ------------------------------------------------------------------------

Made = dict[str, Any]
Maker = Callable[[World, User, Made], Any]


def _item(world: World, _user: User, _made: Made) -> UUID:
    conversation = capture.Conversation(project_id=world.home.id, client_id=str(uuid4()), details={})
    world.db.add(conversation)
    world.db.flush()
    response = factories.Response(project=world.home, conversation_id=conversation.id)
    return factories.Item(project=world.home, response=response, reviews_wanted=2).id


def _lease(world: World, user: User, made: Made) -> UUID:
    if "item_id" in made:
        item = world.db.get_one(queue.Item, made["item_id"])
        item.open_slots -= 1
    else:
        item = factories.Item(project=world.home, reviews_wanted=1, open_slots=0)
    return factories.Lease(item=item, reviewer=user).id


def _assignment(world: World, _user: User, made: Made) -> UUID:
    item = world.db.get_one(queue.Item, made["item_id"])
    item.open_slots -= 1
    reviewer = factories.Membership(project=world.home, role="annotator").user
    assignment = queue.Assignment(item_id=item.id, reviewer_id=reviewer.id)
    world.db.add(assignment)
    world.db.flush()
    return assignment.id


def _review(world: World, user: User, made: Made) -> UUID:
    """A submitted review of the actor's own."""
    item_id = made.get("item_id") or factories.Item(project=world.home, reviews_wanted=1, open_slots=0).id
    item = world.db.get_one(queue.Item, item_id)
    item.open_slots = max(0, item.open_slots - 1)
    lease = factories.Lease(item=item, reviewer=user, ended_as="completed", ended_at=item.created_at)
    submitted = review.Review(
        project_id=world.home.id, item_id=item.id, reviewer_id=user.id, lease_id=lease.id, standing="counted"
    )
    revision = review.Revision(number=1, review=submitted)
    world.db.add_all([submitted, revision])
    world.db.flush()
    submitted.counting_revision_id = revision.id
    return submitted.id


def _rule(world: World, _user: User, _made: Made) -> UUID:
    number = world.db.query(queue.Rule).count()
    rule = queue.Rule(project_id=world.home.id, name=f"Rule {number}")
    rule.versions.append(queue.RuleVersion(number=1, condition={"kind": "all"}, rate=0.5))
    world.db.add(rule)
    world.db.flush()
    return rule.id


def _policy_rule(world: World, _user: User, _made: Made) -> UUID:
    number = world.db.query(policy.PolicyRule).count()
    terms = PolicyTerms(**POLICY_RULE)
    return create_policy_rule(world.db, world.home, f"Policy {number}", terms).id


def _member(world: World, _user: User, _made: Made) -> UUID:
    membership: Membership = factories.Membership(project=world.home, role="annotator")
    return membership.id


def _key(world: World, _user: User, _made: Made) -> UUID:
    return create_key(world.db, world.home, world.members["admin"], "Spare", ["capture"])[0].id


def _conversation(world: World, user: User, _made: Made) -> UUID:
    """A live conversation in which the actor speaks."""
    talk = factories.LiveConversation(project=world.home)
    if "supervise" in TABLE.get(_role_in(world, user), ()):
        taking_over.take_over(world.db, talk, user)
    return talk.id


def _role_in(world: World, user: User | None) -> str:
    return next((role for role, member in world.members.items() if member is user), "")


def _draft(world: World, _user: User, _made: Made) -> UUID:
    talk = factories.LiveConversation(project=world.home)
    asked = speaking.receive(world.db, talk, {"role": "user", "content": "Is it open?"})
    said = {"role": "assistant", "content": "Yes."}
    return speaking.propose(world.db, talk, said, answers=asked.number, holder_number=talk.holder_number).id


def _hold(world: World, user: User, made: Made) -> UUID:
    """A hold, in the conversation that the address names before it."""
    if "conversation_id" in made:
        talk = world.db.get_one(live.LiveConversation, made["conversation_id"])
        if talk.holder_id is not None:
            taking_over.hand_back(world.db, talk, world.db.get_one(User, talk.holder_id))
        asked = speaking.receive(world.db, talk, {"role": "user", "content": "Is it open?"})
        said = {"role": "assistant", "content": "Yes."}
        draft = speaking.propose(world.db, talk, said, answers=asked.number, holder_number=talk.holder_number)
    else:
        draft = world.db.get_one(live.Draft, _draft(world, user, made))
    talk = world.db.get_one(live.LiveConversation, draft.conversation_id)
    hold = holding.hold_draft(world.db, talk, draft, ["Look."], deadline_seconds=600, when_nobody="refuse")
    assert hold is not None
    return hold.id


def _intervention(world: World, _user: User, _made: Made) -> UUID:
    talk = factories.LiveConversation(project=world.home)
    speaking.receive(world.db, talk, {"role": "user", "content": "Is it open?"})
    taking_over.take_over(world.db, talk, world.members["supervisor"])
    return world.db.query(live.Intervention).filter_by(conversation_id=talk.id).one().id


def _reply(world: World, _user: User, _made: Made) -> UUID:
    return replies.add_reply(world.db, world.home, f"Reply {uuid4()}", "One moment.").id


def _webhook(world: World, _user: User, _made: Made) -> UUID:
    world.db.query(webhooks.Webhook).delete()  # of which there may be ten
    return addresses.add_webhook(world.db, world.home, "https://example.com/hook", webhooks.KINDS)[0].id


def _delivery(world: World, user: User, made: Made) -> UUID:
    delivery = webhooks.Delivery(
        webhook_id=_webhook(world, user, made),
        kind="message.created",
        conversation_id=factories.LiveConversation(project=world.home).id,
        event_number=1,
    )
    world.db.add(delivery)
    world.db.flush()
    return delivery.id


def _upstream(world: World, _user: User, _made: Made) -> UUID:
    terms = {"name": str(uuid4()), "base_url": "https://models.example/v1", "is_on": False}  # nobody is there
    world.db.info["keys"] = world.database.session_info["keys"]
    return add_upstream(world.db, world.home, terms, "a key").id


MAKERS: dict[str, Maker] = {
    "upstream_id": _upstream,
    "budget_id": lambda world, _user, _made: add_budget(world.db, world.home, period="day", max_tokens=1).id,
    "webhook_id": _webhook,
    "delivery_id": _delivery,
    "intervention_id": _intervention,
    "reply_id": _reply,
    "conversation_id": _conversation,
    "draft_id": _draft,
    "hold_id": _hold,
    "item_id": _item,
    "lease_id": _lease,
    "assignment_id": _assignment,
    "review_id": _review,
    "rule_id": _rule,
    "policy_rule_id": _policy_rule,
    "response_id": lambda world, _user, _made: factories.Response(project=world.home).id,
    "member_id": _member,
    "key_id": _key,
    "rubric_version_id": lambda world, _user, _made: world.home.rubric_version_id,
    "invitation_id": lambda world, _user, _made: create_invitation(world.db, world.home, "lead")[0].id,
    "invitation_token": lambda world, _user, _made: create_invitation(world.db, world.home, "lead")[1],
    "token": lambda world, _user, _made: create_reset_link(world.db, factories.User()),
    "name": lambda world, _user, _made: world.frozen["name"],
    "number": lambda world, _user, _made: world.frozen["number"],
    "row_id": lambda world, _user, _made: world.frozen["row_id"],
    "format": lambda _world, _user, _made: "jsonl",
}

# --- What a sensible request says: the walk must come past the checks of the body to the look-up of the row ---

ANSWERS = {"answers": {"helpful": 4}, "comment": None}
POLICY_RULE = {"expression": "signals.refusal > 0", "when_nobody": "refuse"}
SAID = {
    "input": {"messages": [{"role": "user", "content": "Hello."}]},
    "output": {"role": "assistant", "content": "Hi."},
}
RULE = {"condition": {"kind": "all"}, "rate": 0.5}
BODIES: dict[str, dict[str, Any]] = {
    "PUT /api/v1/leases/<uuid:lease_id>/draft": {"answers": {"helpful": 4}, "seen_number": 0},
    "POST /api/v1/leases/<uuid:lease_id>/review": ANSWERS,
    "POST /api/v1/leases/<uuid:lease_id>/skip": {"reason": "Not my language."},
    "POST /api/v1/reviews/<uuid:review_id>/revisions": ANSWERS,
    "PATCH /api/v1/items/<uuid:item_id>": {"priority": 1},
    "POST /api/v1/items/<uuid:item_id>/assignments": {"email": "{annotator}"},
    "PUT /api/v1/rules/<uuid:rule_id>": RULE,
    "PUT /api/v1/policy/<uuid:policy_rule_id>": POLICY_RULE,
    "PUT /api/v1/policy/<uuid:policy_rule_id>/switch": {"is_on": False},
    "PUT /api/v1/webhooks/<uuid:webhook_id>/switch": {"is_on": False},
    "POST /api/v1/conversations/<uuid:conversation_id>/messages": {"message": {"role": "user", "content": "Hello."}},
    "POST /api/v1/conversations/<uuid:conversation_id>/drafts": {"answers": 0, "holder_number": 1, "response": SAID},
    "POST /api/v1/conversations/<uuid:conversation_id>/deliveries": {"number": 0},
    "POST /api/v1/conversations/<uuid:conversation_id>/handover": {"to": str(uuid4())},
    "POST /api/v1/conversations/<uuid:conversation_id>/notes": {"text": "Look."},
    "POST /api/v1/conversations/<uuid:conversation_id>/whispers": {"text": "Look."},
    "POST /api/v1/drafts/<uuid:draft_id>/pieces": {"text": "Yes"},
    "POST /api/v1/holds/<uuid:hold_id>/decision": {"decision": "approve", "read_to": 100},
}
FORMS: dict[str, dict[str, Any]] = {
    "POST /projects/<slug>/items/<uuid:item_id>/reviews-wanted": {"reviews_wanted": "3"},
    "POST /projects/<slug>/items/<uuid:item_id>/priority": {"priority": "1"},
    "POST /projects/<slug>/members/<uuid:member_id>/role": {"role": "lead"},
}
QUERIES: dict[str, dict[str, str]] = {
    "GET /api/v1/projects/<slug>/datasets/<name>/versions/<int:number>/export": {"format": "jsonl"},
    "POST /api/v1/projects/<slug>/datasets/<name>/versions/<int:number>/export": {"format": "jsonl"},
}
# A name is a project's own, so another project's name is free here rather than out of reach.
NAMES_THAT_ARE_FREE = {"POST /api/v1/projects/<slug>/datasets/<name>/versions"}


@dataclass(frozen=True)
class Way:
    """One route and method."""

    method: str
    rule: Rule
    access: Access

    @property
    def address(self) -> str:
        return f"{self.method} {self.rule.rule}"

    @property
    def is_api(self) -> bool:
        return self.rule.rule.startswith(("/api/", "/gateway/"))

    @property
    def is_public(self) -> bool:
        return self.access.door is Door.PUBLIC

    @property
    def parameters(self) -> list[str]:
        """In the order of the address, since what stands behind belongs to what stands before."""
        return re.findall(r"<(?:[^<>:]+:)?(\w+)>", self.rule.rule)

    @property
    def names_a_row(self) -> bool:
        return bool(set(self.parameters) - {"slug"}) and self.address not in NAMES_THAT_ARE_FREE


def undeclared(app: Flask) -> list[str]:
    """Return the routes that do not say who may use them."""
    return sorted(name for name, view in app.view_functions.items() if declared_access(view) is None)


def doors(app: Flask) -> list[Way]:
    """Return all routes by method, but for static files and what Flask answers by itself."""
    found = []
    for rule in app.url_map.iter_rules():
        access = declared_access(app.view_functions[rule.endpoint])
        if access is not None and not rule.endpoint.endswith(".static"):
            found += [Way(method, rule, access) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return found


class Walk:
    """Tries doors and notes what went otherwise than the table says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.problems: list[str] = []
        self.tries = 0

    def everybody_tries(self, all_doors: list[Way]) -> None:
        """As each role, scope, stranger and nobody."""
        people, programs = list(self.world.people()), list(self.world.programs())
        for door in all_doors:
            if door.is_public:
                self._try_public(door)
                continue
            made: Made | None = None
            # Those who must stay out come first: what they cannot use up, the next can be refused too.
            for actor in sorted(programs if door.is_api else people, key=lambda a: expected(door, a) == "in"):
                wanted = expected(door, actor)
                if made is None or wanted == "in":
                    made = self._ids(door, actor)
                self._note(door, actor, wanted, self.knock(door, actor, made))

    def intruders_try(self, all_doors: list[Way]) -> None:
        """With all rights, but in another project than the row that they name."""
        admin, key = self.world.intruders()
        for door in all_doors:
            if door.names_a_row and not door.is_public:
                actor = key if door.is_api else admin
                self._note(door, actor, "not found", self.knock(door, actor, self._ids(door, actor)))

    def knock(self, door: Way, actor: Actor, made: Made) -> TestResponse:
        """Send a sensible request as this actor."""
        path = re.sub(r"<(?:[^<>:]+:)?(\w+)>", lambda found: str(made[found[1]]), door.rule.rule)
        content: dict[str, Any] = {"query_string": QUERIES.get(door.address, {})}
        if door.method != "GET" and door.is_api:
            content["json"] = self._filled_in(BODIES.get(door.address, {}))
        elif door.method != "GET":
            content["data"] = {**FORMS.get(door.address, {}), "reviewer": str(self.world.members["annotator"].id)}
        self.tries += 1
        return actor.client.open(path, method=door.method, **content)

    def _ids(self, door: Way, actor: Actor) -> Made:
        made: Made = {}
        for parameter in door.parameters:
            if parameter == "slug":
                made["slug"] = actor.slug or self.world.home.slug
            elif parameter in MAKERS:
                holder = actor.user or self.world.members["admin"]
                made[parameter] = MAKERS[parameter](self.world, holder, made)
            else:
                raise AssertionError(f"{door.address}: say in MAKERS how to make a {parameter}")
        self.world.db.commit()
        return made

    def _filled_in(self, body: dict[str, Any]) -> dict[str, Any]:
        email = self.world.members["annotator"].email
        return {name: email if value == "{annotator}" else value for name, value in body.items()}

    def _try_public(self, door: Way) -> None:
        nobody = Actor("nobody", self.world.app.test_client(), is_known=False)
        answer = self.knock(door, nobody, self._ids(door, nobody))
        if answer.status_code in (403, 404) or answer.status_code >= 500:
            self.problems.append(f"{door.address} is public, but nobody gets {answer.status_code}")

    def _note(self, door: Way, actor: Actor, wanted: str, answer: TestResponse) -> None:
        happened = outcome(door, answer)
        if happened != wanted:
            self.problems.append(
                f"{door.address} as {actor.name}: {wanted} expected, but {happened} ({answer.status_code})"
            )


def expected(door: Way, actor: Actor) -> str:
    """Return what the table says: "in", "sign in", "forbidden" or "not found"."""
    if not actor.is_known or door.access.door is Door.CUSTOMER:
        return "sign in"
    if door.access.door is Door.SIGNED_IN:
        return "in"
    if door.access.door is Door.OWNER:
        return "in" if not door.is_api and actor.user is not None and actor.user.is_owner else "forbidden"
    if not actor.is_of_home:
        return "not found"
    return "in" if {str(need) for need in door.access.permissions} & actor.permissions else "forbidden"


def outcome(door: Way, answer: TestResponse) -> str:
    """Return what an answer amounts to."""
    if answer.status_code == 401 or (answer.location or "").startswith("/sign-in"):
        return "sign in"
    if answer.status_code >= 500:
        return "broken"
    return {403: "forbidden", 404: "not found"}.get(answer.status_code, "in")
