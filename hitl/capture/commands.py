"""`hitl capture`: responses from a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import orjson

from hitl.accounts.projects import project_of_slug
from hitl.capture.files import (
    RUN_AGAIN,
    STDIN,
    Readable,
    RejectedLines,
    TableSource,
    Tally,
    capture_lines,
    open_source,
)
from hitl.capture.mapping import NAMES, SAMPLE, mapping_of
from hitl.capture.preview import preview
from hitl.capture.tables import first_rows, is_table, open_table
from hitl.core.errors import AppError
from hitl.core.instance import open_ready_instance

SECONDS_BETWEEN_LINES = 5.0


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--project", "slug", required=True, metavar="SLUG", help="The project to put them into.")
@click.option(
    "--rejected",
    "rejected_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where refused lines go. [default: FILE.rejected.jsonl]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--map", "said", multiple=True, metavar="FIELD=COLUMN", help="Of a table: which column is a field; none: FIELD=."
)
@click.option("--encoding", help="Of a CSV file, such as cp1252. [default: UTF-8, or UTF-16 by its mark]")
@click.option("--assume-utc", is_flag=True, help="Of a table: times without a zone are UTC.")
@click.option("--dry-run", is_flag=True, help="Of a table: show what each column would become, and store nothing.")
@click.option("--yes", is_flag=True, help="Of a table: store without asking.")
def capture(
    file: str,
    slug: str,
    rejected_file: Path | None,
    as_json: bool,
    said: tuple[str, ...],
    encoding: str | None,
    assume_utc: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Put the responses in FILE into a project.

    FILE has one JSON object a line, shaped as in the API (POST /api/v1/projects/SLUG/responses); it may be gzipped.
    `-` reads standard input.

    FILE may be a table, CSV (with a header) or Parquet. Which column is what is guessed from names and first rows,
    shown, and asked about; say it with --map, such as --map input=question, and --yes where nobody can answer.

    Run it again after it broke off, or when the file has grown: what is in already is skipped. A line without
    `client_id` is recognised by its content.

    Lines that are refused go to FILE.rejected.jsonl with their number and the reason, and the exit code is 1.
    """
    instance = open_ready_instance()
    with instance.database.reading() as db:
        project_id = project_of_slug(db, slug).id
    rejected = RejectedLines(rejected_file or Path(("stdin" if file == STDIN else file) + ".rejected.jsonl"))
    tally = Tally()
    max_bytes = instance.settings.max_body_bytes
    with ExitStack() as opened:
        if file != STDIN and is_table(file):
            with open_table(file, max_row_bytes=max_bytes, encoding=encoding) as table:
                sample = first_rows(table, SAMPLE)
            mapping = mapping_of(table.columns, sample, _said(said), assume_utc=assume_utc)
            if not _agreed(preview(table, mapping, sample), dry_run=dry_run, yes=yes):
                return
            table = opened.enter_context(open_table(file, max_row_bytes=max_bytes, encoding=encoding))
            source: Readable = TableSource(table, mapping, max_bytes)
        elif said or encoding or assume_utc or dry_run:
            raise click.UsageError("--map, --encoding, --assume-utc and --dry-run are about tables: CSV and Parquet.")
        else:
            source = opened.enter_context(open_source(file, max_line_bytes=max_bytes))
        opened.enter_context(rejected)
        rejected.forget_earlier_run()
        try:
            with _progress(source) as tell:
                capture_lines(instance.database, project_id, instance.keys, source, rejected, tally, tell)
        except AppError:
            click.echo(_summary(tally, rejected), err=True)
            raise
        except KeyboardInterrupt:
            click.echo(f"Stopped at line {tally.lines:,}. {_summary(tally, rejected)} {RUN_AGAIN}", err=True)
            raise
    if as_json:
        told = {**tally.as_json(), "rejected_file": str(rejected.path) if tally.rejected else None}
        click.echo(orjson.dumps(told).decode())
    else:
        click.echo(_summary(tally, rejected))
    if tally.rejected:
        sys.exit(1)


def _said(pairs: tuple[str, ...]) -> dict[str, str]:
    said = dict(pair.partition("=")[::2] for pair in pairs if "=" in pair)
    if len(said) < len(pairs):
        raise click.UsageError(f"--map takes FIELD=COLUMN, each field once. Fields are {', '.join(NAMES)}.")
    return said


def _agreed(shown: str, *, dry_run: bool, yes: bool) -> bool:
    """Show what would be stored, and say whether to go on; where nobody can be asked, that is wrong usage."""
    click.echo(shown, err=not dry_run)
    if dry_run:
        return False
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("Nothing was stored. Look at the columns above, and run it again with --yes.")
    return click.confirm("Store it like this?", err=True)


def _summary(tally: Tally, rejected: RejectedLines) -> str:
    told = f"{tally.created:,} captured, {tally.duplicates:,} were in already, {tally.rejected:,} refused"
    return f"{told} (see {rejected.path})." if tally.rejected else f"{told}."


@contextmanager
def _progress(source: Readable) -> Iterator[Callable[[Tally], None]]:
    """Yield what is called after each batch: a bar moves on a terminal, a line is printed now and then in a log."""
    if source.size is not None and sys.stderr.isatty():
        with click.progressbar(length=source.size, label=source.name, file=sys.stderr) as bar:
            yield lambda _tally: bar.update(source.position - bar.pos)
            bar.update(source.size - bar.pos)
    else:
        yield _lines_now_and_then()


def _lines_now_and_then() -> Callable[[Tally], None]:
    told_at = time.monotonic()

    def tell(tally: Tally) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= SECONDS_BETWEEN_LINES:
            told_at = time.monotonic()
            click.echo(f"line {tally.lines:,}: {tally.created:,} captured, {tally.rejected:,} refused", err=True)

    return tell
