"""Makes rows for tests. Give what the test is about; the rest is filled in."""

from datetime import timedelta
from typing import Any

import factory
from factory.alchemy import SQLAlchemyModelFactory
from sqlalchemy.orm import Session, scoped_session

from hitl.accounts import models as accounts
from hitl.capture import models as capture
from hitl.core import canonical, clock
from hitl.live import models as live
from hitl.queue import models as queue
from hitl.review import models as review

CRITERIA: list[dict[str, Any]] = [
    {
        "name": "helpful",
        "kind": "scale",
        "label": "Helpful",
        "hint": "1 no help, 5 exactly what was needed",
        "required": True,
        "cannot_judge": True,
        "overall": True,
        "points": [{"value": n, "label": f"Point {n}"} for n in range(1, 6)],
    },
    {
        "name": "wrong",
        "kind": "tags",
        "label": "What is wrong",
        "required": False,
        "options": [{"value": "made_up", "label": "Made up"}, {"value": "rude", "label": "Cold or rude"}],
    },
    {"name": "correction", "kind": "correction", "label": "Correct it", "required": False},
    {"name": "ranking", "kind": "ranking", "label": "Best first", "required": True, "cannot_judge": True},
]

session: scoped_session[Session] = scoped_session(lambda: _current())
_bound: list[Session] = []


def _current() -> Session:
    return _bound[-1]


def bind(db: Session) -> None:
    """Make the factories write into this session."""
    session.remove()
    _bound[:] = [db]


def unbind() -> None:
    """Forget the session."""
    session.registry.clear()
    _bound.clear()


class Factory(SQLAlchemyModelFactory):
    class Meta:
        abstract = True
        sqlalchemy_session = session
        sqlalchemy_session_persistence = "flush"


class User(Factory):
    class Meta:
        model = accounts.User

    email = factory.Sequence(lambda n: f"person{n}@example.org")
    name = factory.Sequence(lambda n: f"Person {n}")


class Project(Factory):
    class Meta:
        model = accounts.Project

    slug = factory.Sequence(lambda n: f"project-{n}")
    name = factory.Sequence(lambda n: f"Project {n}")

    @factory.post_generation
    def rubric(project: Any, create: bool, criteria: list[dict[str, Any]] | None, **_: Any) -> None:
        version = RubricVersion(project_id=project.id, criteria=criteria or CRITERIA)
        project.rubric_version_id = version.id
        session.flush()


class Membership(Factory):
    class Meta:
        model = accounts.Membership

    user = factory.SubFactory(User)
    project = factory.SubFactory(Project)
    user_id = factory.SelfAttribute("user.id")
    project_id = factory.SelfAttribute("project.id")
    role = "annotator"


class RubricVersion(Factory):
    class Meta:
        model = review.RubricVersion

    number = 1
    criteria = factory.LazyFunction(lambda: list(CRITERIA))
    published_at = factory.LazyFunction(clock.now)


class Response(Factory):
    """`text` is what the model said, `asked` what the user asked."""

    class Meta:
        model = capture.Response

    class Params:
        asked = factory.Sequence(lambda n: f"What is question {n}?")
        text = factory.Sequence(lambda n: f"This is answer {n}.")
        project = factory.SubFactory(Project)

    project_id = factory.SelfAttribute("project.id")
    client_id = factory.Sequence(lambda n: f"response-{n}")
    content_hash = factory.LazyAttribute(lambda r: canonical.content_hash([r.client_id, r.input, r.output]))
    input = factory.LazyAttribute(lambda r: {"messages": [{"role": "user", "content": r.asked}], "tools": []})
    input_hash = factory.LazyAttribute(lambda r: canonical.content_hash(r.input))
    output = factory.LazyAttribute(lambda r: {"role": "assistant", "content": r.text})
    model = "desk-small"
    created_at = factory.LazyFunction(clock.now)


class Conversation(Factory):
    class Meta:
        model = capture.Conversation

    class Params:
        project = factory.SubFactory(Project)

    project_id = factory.SelfAttribute("project.id")
    client_id = factory.Sequence(lambda n: f"conversation-{n}")


class LiveConversation(Factory):
    """One in which nothing has happened yet."""

    class Meta:
        model = live.LiveConversation

    class Params:
        project = factory.SubFactory(Project)

    id = factory.LazyAttribute(lambda talk: Conversation(project=talk.project).id)
    project_id = factory.SelfAttribute("project.id")


class Item(Factory):
    """An open item about one response."""

    class Meta:
        model = queue.Item

    class Params:
        project = factory.SubFactory(Project)
        response = factory.SubFactory(Response, project=factory.SelfAttribute("..project"))

    project_id = factory.SelfAttribute("project.id")
    rubric_version_id = factory.SelfAttribute("project.rubric_version_id")
    created_at = factory.LazyFunction(clock.now)
    reviews_wanted = 1
    open_slots = factory.SelfAttribute("reviews_wanted")
    sort_key = factory.LazyAttribute(lambda item: item.created_at.timestamp())
    targets = factory.LazyAttribute(lambda item: [queue.ItemTarget(position=0, response_id=item.response.id)])


class Comparison(Item):
    """An open item that compares responses to one input: `texts` are what the models said."""

    class Params:
        texts = ("This.", "That.")
        asked = factory.Sequence(lambda n: f"What is compared {n}?")
        responses = factory.LazyAttribute(
            lambda item: [Response(project=item.project, asked=item.asked, text=text) for text in item.texts]
        )

    kind = "comparison"
    targets = factory.LazyAttribute(
        lambda item: [
            queue.ItemTarget(position=place, response_id=response.id) for place, response in enumerate(item.responses)
        ]
    )


class Lease(Factory):
    """A running lease that holds a slot of a fresh item; `expired=True` lets its time be over."""

    class Meta:
        model = queue.Lease

    class Params:
        expired = False
        item = factory.SubFactory(Item, open_slots=0)
        reviewer = factory.SubFactory(User)

    project_id = factory.SelfAttribute("item.project_id")
    item_id = factory.SelfAttribute("item.id")
    reviewer_id = factory.SelfAttribute("reviewer.id")
    expires_at = factory.LazyAttribute(
        lambda lease: clock.now() + (timedelta(minutes=-1) if lease.expired else timedelta(minutes=15))
    )
