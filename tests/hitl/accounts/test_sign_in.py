import time

import pytest
from sqlalchemy import func, select

from hitl.accounts import passwords, users
from hitl.accounts.access import person_of_session
from hitl.accounts.errors import PasswordUnacceptable, SignInSlowed, WrongPassword
from hitl.accounts.models import FailedSignIn
from hitl.accounts.password_change import begin_password_change, change_password
from hitl.accounts.sessions import start_session
from hitl.accounts.sign_in import begin_attempt, forget_old_failures, sign_in
from tests.hitl import factories
from tests.hitl.accounts.conftest import PASSWORD

ADDRESS = "192.0.2.7"


def fail(db, email, times, address=ADDRESS):
    """Try without ever being right. The comparison itself, which is slow, does not matter to the count."""
    for _ in range(times):
        begin_attempt(db, email, address)


def failures(db):
    return db.scalar(select(func.count()).select_from(FailedSignIn))


class TestSignIn:
    def test_it_signs_in_whoever_knows_the_password(self, db, person):
        session = sign_in(db, begin_attempt(db, person.email, ADDRESS), PASSWORD)

        assert person_of_session(db, session.id).user is person
        assert failures(db) == 0

    def test_it_does_not_care_how_the_address_is_typed(self, db, person):
        assert sign_in(db, begin_attempt(db, f"  {person.email.upper()} ", ADDRESS), PASSWORD)

    def test_it_says_the_same_to_everybody_else(self, db, person):
        closed, fresh = factories.User(password_hash=person.password_hash), factories.User(password_hash=None)
        users.deactivate(db, closed)
        for email, password in [
            (person.email, "another password"),
            (person.email, ""),
            (person.email, PASSWORD + "\ud800"),
            (person.email, "x" * 100_000),
            (closed.email, PASSWORD),
            (fresh.email, ""),
            (fresh.email, PASSWORD),
            ("nobody@example.org", PASSWORD),
            ("\0\ud800", "\0"),
        ]:
            assert sign_in(db, begin_attempt(db, email, ADDRESS), password) is None

    def test_it_forgets_a_try_only_when_it_was_right(self, db, person):
        sign_in(db, begin_attempt(db, person.email, ADDRESS), "another password")
        assert failures(db) == 1
        fail(db, person.email, 1, address="198.51.100.1")
        sign_in(db, begin_attempt(db, person.email, ADDRESS), PASSWORD)
        assert failures(db) == 1  # somebody at another address is still guessing

    def test_it_refuses_when_the_password_changed_meanwhile(self, db, person):
        attempt = begin_attempt(db, person.email, ADDRESS)
        person.password_hash = passwords.hash_password("another password")
        db.flush()
        assert sign_in(db, attempt, PASSWORD) is None

    def test_it_hashes_anew_when_the_parameters_changed(self, db, person):
        from argon2 import PasswordHasher

        person.password_hash = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
        db.flush()
        assert sign_in(db, begin_attempt(db, person.email, ADDRESS), PASSWORD)
        assert not passwords.needs_new_hash(person.password_hash)
        assert sign_in(db, begin_attempt(db, person.email, ADDRESS), PASSWORD)

    def test_it_takes_about_as_long_for_nobody_as_for_somebody(self, db, person):
        def seconds(email):
            attempt = begin_attempt(db, email, None)
            started = time.thread_time()
            sign_in(db, attempt, "another password")
            return time.thread_time() - started

        somebody = min(seconds(person.email) for _ in range(3))
        nobody = min(seconds("nobody@example.org") for _ in range(3))
        assert 0.4 < nobody / somebody < 2.5


class TestSlowingDown:
    def test_it_refuses_the_sixth_try_for_an_address_even_if_it_is_right(self, db, person):
        fail(db, person.email, 5)
        with pytest.raises(SignInSlowed) as refused:
            begin_attempt(db, person.email, ADDRESS)
        assert 50 <= refused.value.retry_after_seconds <= 60
        with pytest.raises(SignInSlowed):
            begin_attempt(db, person.email.upper(), "198.51.100.1")

    def test_it_counts_for_an_address_that_nobody_has(self, db):
        fail(db, "nobody@example.org", 5)
        with pytest.raises(SignInSlowed):
            begin_attempt(db, "nobody@example.org", ADDRESS)

    def test_it_lets_one_try_through_after_each_pause_and_the_pauses_grow(self, db, person, hands):
        fail(db, person.email, 5)
        hands.move(seconds=61)
        fail(db, person.email, 1)
        with pytest.raises(SignInSlowed) as refused:
            begin_attempt(db, person.email, ADDRESS)
        assert 110 <= refused.value.retry_after_seconds <= 120
        hands.move(seconds=121)
        assert sign_in(db, begin_attempt(db, person.email, ADDRESS), PASSWORD)

    def test_it_does_not_count_refused_tries(self, db, person):
        fail(db, person.email, 5)
        with pytest.raises(SignInSlowed):
            begin_attempt(db, person.email, ADDRESS)
        assert failures(db) == 5

    def test_it_slows_a_network_address_that_tries_many_people(self, db):
        for number in range(50):
            fail(db, f"person{number}@example.com", 1)
        with pytest.raises(SignInSlowed):
            begin_attempt(db, "one.more@example.com", ADDRESS)
        assert begin_attempt(db, "one.more@example.com", "198.51.100.1")
        assert begin_attempt(db, "two.more@example.com", None)

    def test_it_forgets_after_a_quarter_of_an_hour(self, db, person, hands):
        fail(db, person.email, 5)
        hands.move(minutes=15, seconds=1)
        assert begin_attempt(db, person.email, ADDRESS)
        forget_old_failures(db)
        assert failures(db) == 1


class TestPasswordChange:
    def test_it_ends_every_other_session(self, db, person):
        here, elsewhere = start_session(db, person), start_session(db, person)
        fresh = change_password(db, begin_password_change(db, person, NEW, ADDRESS), PASSWORD, NEW)

        assert person_of_session(db, here.id) is None
        assert person_of_session(db, elsewhere.id) is None
        assert person_of_session(db, fresh.id).user is person
        assert sign_in(db, begin_attempt(db, person.email, ADDRESS), PASSWORD) is None
        assert sign_in(db, begin_attempt(db, person.email, ADDRESS), NEW)

    def test_it_needs_the_present_password_and_counts_guesses(self, db, person):
        with pytest.raises(WrongPassword):
            change_password(db, begin_password_change(db, person, NEW, ADDRESS), "another password", NEW)
        assert failures(db) == 1

    @pytest.mark.parametrize("bad", ["", "eleven char", "x" * 257, "aaaaaaaaaaaaaaaaaa", "twelve chars\ud800"])
    def test_it_refuses_a_bad_password(self, db, person, bad):
        with pytest.raises(PasswordUnacceptable):
            begin_password_change(db, person, bad, ADDRESS)

    def test_it_refuses_ones_own_address(self, db, person):
        with pytest.raises(PasswordUnacceptable):
            begin_password_change(db, person, person.email.upper(), ADDRESS)

    def test_a_password_typed_on_another_keyboard_is_the_same(self):
        kept = passwords.hash_password("pass\u0065\u0301 et mot long")
        assert passwords.matches(kept, "pass\u00e9 et mot long")
        assert passwords.matches(passwords.hash_password("with\0zero bytes"), "with\0zero bytes")


NEW = "a new and better one"
