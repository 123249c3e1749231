"""`hitl capture`: responses from a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import orjson

from hitl.accounts.projects import project_of_slug
from hitl.capture.files import RUN_AGAIN, STDIN, RejectedLines, Source, Tally, capture_lines, open_source
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
def capture(file: str, slug: str, rejected_file: Path | None, as_json: bool) -> None:
    """Put the responses in FILE into a project.

    FILE has one JSON object a line, shaped as in the API (POST /api/v1/projects/SLUG/responses); it may be gzipped.
    `-` reads standard input.

    Run it again after it broke off, or when the file has grown: what is in already is skipped. A line without
    `client_id` is recognised by its content.

    Lines that are refused go to FILE.rejected.jsonl with their number and the reason, and the exit code is 1.
    """
    instance = open_ready_instance()
    with instance.database.reading() as db:
        project_id = project_of_slug(db, slug).id
    rejected = RejectedLines(rejected_file or Path(("stdin" if file == STDIN else file) + ".rejected.jsonl"))
    tally = Tally()
    with open_source(file, max_line_bytes=instance.settings.max_body_bytes) as source, rejected:
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


def _summary(tally: Tally, rejected: RejectedLines) -> str:
    told = f"{tally.created:,} captured, {tally.duplicates:,} were in already, {tally.rejected:,} refused"
    return f"{told} (see {rejected.path})." if tally.rejected else f"{told}."


@contextmanager
def _progress(source: Source) -> Iterator[Callable[[Tally], None]]:
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
