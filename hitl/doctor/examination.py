"""The examination: what is looked at, in which order, and what is left out because an earlier trouble bars the way."""

from collections.abc import Callable, Iterator
from itertools import chain

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hitl.core.database import Database
from hitl.core.instance import open_instance
from hitl.doctor import contents, machine, server
from hitl.doctor.findings import Finding, trouble
from hitl.doctor.machine import Surroundings

OF_MACHINE = (machine.look_at_settings, machine.look_at_secret, machine.look_at_storage, machine.look_at_database_file)
OF_SERVER = (server.look_at_server, server.look_at_clocks, server.look_at_long_transactions, server.look_at_revision)
OF_CONTENTS = (
    server.look_at_fingerprint,
    contents.look_at_slots,
    contents.look_at_counting_revisions,
    contents.look_at_jobs,
    contents.look_at_feeds,
    contents.look_at_files,
)


def examine(around: Surroundings, *, is_thorough: bool = False) -> list[Finding]:
    """Look at an installation without changing anything but a probe in the storage that is taken away again.

    is_thorough: read every page of a SQLite database, which takes as long as copying it.
    """
    findings = list(chain.from_iterable(look(around) for look in OF_MACHINE))
    if any(finding.state == "trouble" and finding.about in ("database", "secret") for finding in findings):
        return findings  # opening it would make a new one
    database = open_instance(around.settings).database
    try:
        findings += _of_database(database, is_thorough)
    finally:
        database.close()
    return findings


def _of_database(database: Database, is_thorough: bool) -> Iterator[Finding]:
    findings = list(_looking(database, OF_SERVER))
    yield from findings
    if any(finding.state == "trouble" and finding.about in ("database", "schema") for finding in findings):
        return
    yield from _looking(database, (*OF_CONTENTS, server.look_thoroughly) if is_thorough else OF_CONTENTS)


def _looking(database: Database, looks: tuple[Callable[[Session], Iterator[Finding]], ...]) -> Iterator[Finding]:
    """Look at each thing in a transaction of its own: what one finds broken keeps no other from being looked at."""
    for look in looks:
        try:
            with database.reading() as db:
                found = list(look(db))
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            yield trouble(
                "database",
                f"It does not answer, or not as it should: {reason}",
                "Check HITL_DATABASE_URL and the server's log.",
            )
            return
        except OSError as error:
            found = [trouble("files", f"The storage cannot be listed: {error}", "Check HITL_STORAGE_URL.")]
        yield from found
