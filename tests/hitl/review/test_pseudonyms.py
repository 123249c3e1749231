import re

from hitl.review.pseudonyms import reviewer_pseudonym
from tests.hitl import factories


class TestReviewerPseudonym:
    def test_it_stays_the_same_in_a_project_and_differs_in_the_next(self, db):
        person, here, there = factories.User(), factories.Project(), factories.Project()

        name = reviewer_pseudonym(db, here.id, person.id)

        assert re.fullmatch("reviewer [0-9a-f]{8}", name)
        assert reviewer_pseudonym(db, here.id, person.id) == name
        assert reviewer_pseudonym(db, there.id, person.id) != name
        assert reviewer_pseudonym(db, here.id, factories.User().id) != name
