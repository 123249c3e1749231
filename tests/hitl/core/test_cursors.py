import contextlib
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.core import cursors
from tests.hitl import factories


class TestPage:
    def test_it_walks_all_rows_once_even_when_more_are_added_meanwhile(self, db: Session) -> None:
        people = [factories.User().id for _ in range(7)]
        seen, cursor = [], None
        while True:
            page = cursors.page(db, select(User), User.id, cursor=cursor, limit=3)
            seen += [user.id for user in page.rows]
            people += [factories.User().id] if len(people) < 9 else []
            cursor = page.next_cursor
            if cursor is None:
                break

        assert seen == people

    def test_it_can_begin_with_the_newest(self, db: Session) -> None:
        people = [factories.User().id for _ in range(5)]
        first = cursors.page(db, select(User), User.id, cursor=None, limit=3, newest_first=True)
        second = cursors.page(db, select(User), User.id, cursor=first.next_cursor, limit=3, newest_first=True)

        assert [user.id for user in [*first.rows, *second.rows]] == people[::-1]
        assert second.next_cursor is None

    @given(st.text())
    def test_it_refuses_a_cursor_that_it_did_not_give_out(self, text: str) -> None:
        # Whatever comes: an identifier or a named refusal, never another error.
        with contextlib.suppress(cursors.BadCursor):
            assert isinstance(cursors.decode(text), UUID)
