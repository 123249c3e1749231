"""Comparisons for page tests: who saw what under which letter, and what the form sends."""

from hitl.queue.blindness import blind_name, fresh_seed, in_blind_order
from hitl.queue.models import ItemTarget
from tests.hitl import factories

LETTERS = "ABCDEFGHI"
RANKING = {"name": "rank", "kind": "ranking", "label": "Best first", "required": True, "cannot_judge": True}
PAIR = {"name": "pair", "kind": "pairwise", "label": "Which is better", "required": True, "cannot_judge": True}
REASONS = {
    "name": "why",
    "kind": "tags",
    "label": "Why the first one",
    "asked_of": ["comparison"],
    "negative": False,
    "options": [
        {"value": "correct", "label": "More correct"},
        {"value": "complete", "label": "More complete"},
        {"value": "easy", "label": "Easier to follow"},
    ],
}
OF_EACH = [
    {
        "name": "helpful",
        "kind": "scale",
        "label": "Helpful",
        "required": True,
        "cannot_judge": True,
        "asked_of": ["comparison"],
        "per": "response",
        "points": [{"value": n, "label": f"Point {n}"} for n in range(1, 6)],
    },
    {
        "name": "wrong",
        "kind": "tags",
        "label": "What is wrong",
        "asked_of": ["comparison"],
        "per": "response",
        "options": [{"value": "made_up", "label": "Made up"}, {"value": "rude", "label": "Cold or rude"}],
    },
]


def comparison(desk, texts, *, criteria=(RANKING, REASONS), asked="What is the question?", responses=None, **item):
    """Add an item that compares new responses to one input, asked about by these criteria."""
    number = factories.RubricVersion._meta.sqlalchemy_session.query(factories.review.RubricVersion).count() + 1
    rubric = factories.RubricVersion(project_id=desk.project.id, number=number, criteria=list(criteria))
    made = responses or [factories.Response(project=desk.project, text=text, asked=asked) for text in texts]
    targets = [ItemTarget(position=place, response_id=one.id) for place, one in enumerate(made)]
    return factories.Item(project=desk.project, kind="comparison", targets=targets, rubric_version_id=rubric.id, **item)


def held(desk, item, **lease):
    """Let the desk's reviewer hold a comparison in the order that is theirs.

    The lease knows by letter what the form calls the responses, `names`, and what they say, `texts`.
    """
    db = factories.session()
    seed = fresh_seed()
    lease = factories.Lease(item=item, reviewer=desk.reviewer, shuffle_seed=seed, **lease)
    db.refresh(item)
    targets = in_blind_order(item.targets, seed)
    # Known now, for once the service works this session keeps out of the database.
    lease.names = {letter: blind_name(db, item, one.response_id) for letter, one in zip(LETTERS, targets, strict=False)}
    lease.texts = {letter: one.response.output["content"] for letter, one in zip(LETTERS, targets, strict=False)}
    return lease
