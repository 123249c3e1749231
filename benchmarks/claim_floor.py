"""The floor of a claim: the least that a database must do for it, in bare SQL on tables of two and four columns.

One claim is one transaction that picks the first open item that a person has not had, takes one of its slots, and
writes who holds it until when. On PostgreSQL that is one statement; SQLite needs three, behind one lock.
"""

import sqlite3
import threading
import time
from collections.abc import Callable

import psycopg

_POSTGRESQL = """
CREATE TABLE floor_items (
  id bigint PRIMARY KEY, queue_id int NOT NULL, priority int NOT NULL,
  open_slots smallint NOT NULL) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
CREATE TABLE floor_leases (
  id bigserial PRIMARY KEY, item_id bigint NOT NULL REFERENCES floor_items(id), reviewer_id int NOT NULL,
  state smallint NOT NULL DEFAULT 0, lease_until timestamptz NOT NULL, UNIQUE (item_id, reviewer_id));
"""
_SQLITE = """
CREATE TABLE floor_items (
  id INTEGER PRIMARY KEY, queue_id INT NOT NULL, priority INT NOT NULL, open_slots INT NOT NULL);
CREATE TABLE floor_leases (
  id INTEGER PRIMARY KEY, item_id INT NOT NULL REFERENCES floor_items(id),
  reviewer_id INT NOT NULL, state INT NOT NULL DEFAULT 0, lease_until REAL NOT NULL, UNIQUE (item_id, reviewer_id));
"""
_INDICES = (
    "CREATE INDEX floor_open ON floor_items (queue_id, priority DESC, id) WHERE open_slots > 0",
    "CREATE INDEX floor_until ON floor_leases (lease_until) WHERE state = 0",
)
_CLAIM = """
WITH c AS MATERIALIZED (
  SELECT i.id FROM floor_items i
   WHERE i.queue_id = %(queue)s AND i.open_slots > 0
     AND NOT EXISTS (SELECT 1 FROM floor_leases a WHERE a.item_id = i.id AND a.reviewer_id = %(reviewer)s)
   ORDER BY i.priority DESC, i.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
u AS (UPDATE floor_items i SET open_slots = i.open_slots - 1 FROM c WHERE i.id = c.id RETURNING i.id)
INSERT INTO floor_leases (item_id, reviewer_id, lease_until)
SELECT id, %(reviewer)s, now() + interval '15 minutes' FROM u RETURNING item_id
"""
_PICK = """
UPDATE floor_items SET open_slots = open_slots - 1 WHERE id = (
  SELECT i.id FROM floor_items i WHERE i.queue_id = ? AND i.open_slots > 0
    AND NOT EXISTS (SELECT 1 FROM floor_leases a WHERE a.item_id = i.id AND a.reviewer_id = ?)
  ORDER BY i.priority DESC, i.id LIMIT 1) RETURNING id
"""
_HOLD = "INSERT INTO floor_leases (item_id, reviewer_id, lease_until) VALUES (?, ?, ?)"

Claim = Callable[[], object]


class Floor:
    """Bare tables in a database of one's own, with a queue for each time that claims are measured."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection | psycopg.Connection] = []

    def fill(self, items: int, queues: int) -> None:
        """Make the tables anew, with this many open items in each of the queues."""
        every = items * queues
        if self.is_sqlite:
            connection = self._sqlite()
            connection.executescript(f"DROP TABLE IF EXISTS floor_leases; DROP TABLE IF EXISTS floor_items; {_SQLITE}")
            counted = "WITH RECURSIVE s(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM s WHERE x + 1 < ?)"
            connection.execute("BEGIN")
            connection.execute(
                f"INSERT INTO floor_items {counted} SELECT x + 1, x % ?, abs(random()) % 10, 1 FROM s", (every, queues)
            )
            connection.execute("COMMIT")
            for statement in (*_INDICES, "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"):
                connection.execute(statement)
            return
        connection = self._postgresql()
        connection.execute("DROP TABLE IF EXISTS floor_leases, floor_items")
        connection.execute(_POSTGRESQL)
        connection.execute(
            "INSERT INTO floor_items SELECT x + 1, x %% %s, (random() * 9)::int, 1 FROM generate_series(0, %s) x",
            (queues, every - 1),
        )
        for statement in (*_INDICES, "VACUUM ANALYZE floor_items", "VACUUM ANALYZE floor_leases", "CHECKPOINT"):
            connection.execute(statement)

    def claimer(self, queue: int, reviewer: int) -> Claim:
        """Return a function that claims for one person, on a connection of its own; False when nothing is left."""
        if not self.is_sqlite:
            connection = self._postgresql()
            asked = {"queue": queue, "reviewer": reviewer}
            return lambda: connection.execute(_CLAIM, asked, prepare=True).fetchone() is not None
        sqlite = self._sqlite()

        def claim() -> bool:
            with self._lock:
                sqlite.execute("BEGIN IMMEDIATE")
                row = sqlite.execute(_PICK, (queue, reviewer)).fetchone()
                if row:
                    sqlite.execute(_HOLD, (row[0], reviewer, time.time() + 900))
                sqlite.execute("COMMIT")
            return row is not None

        return claim

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.pop().close()

    def _postgresql(self) -> psycopg.Connection:
        connection = psycopg.connect(self.url, autocommit=True)
        self._connections.append(connection)
        return connection

    def _sqlite(self) -> sqlite3.Connection:
        file = self.url.removeprefix("sqlite:///")
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=60)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")
        self._connections.append(connection)
        return connection
