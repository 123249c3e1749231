import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from hitl.core import clock, idempotency
from hitl.core.database import Database
from hitl.core.ids import new_id


class TestBegin:
    def test_it_gives_a_repeat_the_first_answer(self, db: Session, owner: UUID) -> None:
        assert idempotency.begin(db, owner, "key-1", "hash") is None
        idempotency.finish(db, owner, "key-1", 201, '{"id": 1}')

        assert idempotency.begin(db, owner, "key-1", "hash") == idempotency.EarlierAnswer(201, '{"id": 1}')

    def test_it_refuses_the_same_key_with_another_body(self, db: Session, owner: UUID) -> None:
        idempotency.begin(db, owner, "key-1", "hash")
        idempotency.finish(db, owner, "key-1", 201, "{}")

        with pytest.raises(idempotency.IdempotencyKeyReused):
            idempotency.begin(db, owner, "key-1", "another hash")

    def test_it_keeps_the_keys_of_two_owners_apart(self, db: Session, owner: UUID) -> None:
        idempotency.begin(db, owner, "key-1", "hash")

        assert idempotency.begin(db, new_id(), "key-1", "another hash") is None

    @pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak", "ключ"])
    def test_it_refuses_a_key_that_is_none(self, db: Session, owner: UUID, key: str) -> None:
        with pytest.raises(idempotency.BadIdempotencyKey):
            idempotency.begin(db, owner, key, "hash")

    def test_it_forgets_after_a_day(self, db: Session, owner: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
        idempotency.begin(db, owner, "key-1", "hash")
        tomorrow = clock.now() + timedelta(hours=25)
        monkeypatch.setattr(clock, "now", lambda: tomorrow)

        idempotency.forget_old_requests(db)

        assert idempotency.begin(db, owner, "key-1", "hash") is None

    def test_it_lets_only_one_of_many_simultaneous_repeats_act(self, shared_database: Database, owner: UUID) -> None:
        acted: list[int] = []

        def ask(number: int) -> None:
            with shared_database.writing() as db:
                if idempotency.begin(db, owner, "key-1", "hash") is None:
                    acted.append(number)
                    idempotency.finish(db, owner, "key-1", 201, "{}")

        askers = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()

        assert len(acted) == 1

    @pytest.fixture
    def owner(self) -> UUID:
        return new_id()
