"""Many guesses at the same moment, each in a transaction of its own."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from hitl.accounts.errors import SignInSlowed
from hitl.accounts.models import FailedSignIn
from hitl.accounts.sign_in import begin_attempt


def test_it_lets_only_five_of_many_guesses_through(shared_database):
    def guess(_):
        try:
            with shared_database.writing() as db:
                begin_attempt(db, "kim@example.org", None)
        except SignInSlowed:
            return "refused"
        return "compared"

    with ThreadPoolExecutor(12) as crowd:
        outcomes = list(crowd.map(guess, range(24)))

    assert outcomes.count("compared") == 5
    with shared_database.reading() as db:
        assert db.scalar(select(func.count()).select_from(FailedSignIn)) == 5
