"""Openings: each time that an item becomes open to somebody to whom it was not, it gets a new number.

The numbers tell, for what somebody looked at, what has been opened since: what is committed later never has a number
below the `horizon` of the look. So a reviewer's place in the queue can be kept (see positions.py), and nothing that
opens before it is missed, however transactions overlap:

- On PostgreSQL the number is that of the transaction, and the horizon of a look is the lowest number that was still
  under way. Whatever the look did not see was opened by a transaction under way or yet to begin.
- On SQLite, where one transaction writes at a time, the horizon of a look is one above the highest that was kept, and
  what is opened later gets the highest that was kept by then.

PostgreSQL's numbers mean something on the server that gave them only, so a place is kept together with `this_server`.
"""

from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class opening_number(FunctionElement[int]):
    """The number of what is opened in this transaction."""

    type = BigInteger()
    inherit_cache = True


class horizon(FunctionElement[int]):
    """What is opened after this statement looked, or was opened without it seeing that, has at least this number."""

    type = BigInteger()
    inherit_cache = True


class this_server(FunctionElement[str]):
    """The server to which numbers belong. A restart makes it another one, which costs each reviewer one long look."""

    type = String()
    inherit_cache = True


@compiles(opening_number, "postgresql")
def _opening_number_on_postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"


@compiles(opening_number, "sqlite")
def _opening_number_on_sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "(SELECT coalesce(max(horizon), 0) FROM queue_positions)"


@compiles(horizon, "postgresql")
def _horizon_on_postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"


@compiles(horizon, "sqlite")
def _horizon_on_sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "(SELECT coalesce(max(horizon), 0) + 1 FROM queue_positions)"


@compiles(this_server, "postgresql")
def _this_server_on_postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(pg_postmaster_start_time() AS text)"


@compiles(this_server, "sqlite")
def _this_server_on_sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "'sqlite'"
