"""`hitl dataset` and `hitl export`: from reviews to training files."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import orjson
from pydantic import ValidationError
from sqlalchemy.orm import Session, joinedload

from exporters.exporter import Exported
from exporters.registry import EXPORTERS
from hitl.accounts.projects import project_of_slug, settings_of
from hitl.core.instance import Instance, open_ready_instance
from hitl.core.jobs import Job, Worker
from hitl.core.logs import configure_logs
from hitl.datasets.errors import FreezeFailed
from hitl.datasets.export import export_version
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import DATASET_KINDS, Dataset, DatasetVersion
from hitl.datasets.plain import version_as_json
from hitl.datasets.selection import SPLITS, Selection
from hitl.datasets.storage import Storage
from hitl.datasets.versions import datasets_of, parse_version_name, version_named, versions_of

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_LINES = 5.0

project_option = click.option("--project", "slug", required=True, metavar="SLUG", help="The project's short name.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def dataset() -> None:
    """Freeze and look at dataset versions."""


@dataset.command("freeze")
@click.argument("name")
@project_option
@click.option("--kind", type=click.Choice(DATASET_KINDS), help="Of a new dataset. [default: preference]")
@click.option("--policy", type=click.Choice(["majority", "unanimous", "each"]), help="Which judgements make a row.")
@click.option("--origin", "origins", multiple=True, help="Only evidence of this origin. May be given several times.")
@click.option("--criterion", "criteria", multiple=True, help="Only evidence under this criterion of the rubric.")
@click.option("--model", "models", multiple=True, help="Only responses of this model.")
@click.option("--since", metavar="TIME", help="Only responses made at this time or later: 2026-05-01T00:00:00Z.")
@click.option("--until", metavar="TIME", help="Only responses made before this time.")
@click.option("--min-agreement", type=float, metavar="SHARE", help="Share of the judgements that must agree, 0 to 1.")
@click.option("--shares", metavar="TRAIN,VALIDATION,TEST", help="How much goes where: 0.8,0.1,0.1.")
@click.option(
    "--include-unknown/--exclude-unknown",
    default=None,
    help="Take responses of which nobody said whether they may train.",
)
@click.option(
    "--include-personal-data/--exclude-personal-data",
    default=None,
    help="Take responses that were marked as holding personal data.",
)
@click.option("--seed", help="Of a new dataset: decides which group of rows is in which split. [default: its name]")
@json_option
def freeze_dataset(name: str, slug: str, kind: Any, seed: str | None, as_json: bool, **chosen: Any) -> None:
    """Freeze the next version of the dataset NAME, made if it is new.

    Options that are not given stay as they were for the version before.
    """
    instance = _open()
    with instance.database.writing() as db:
        project = project_of_slug(db, slug)
        selection = _selection(db, project, name, chosen)
        version_id = start_freeze(db, project, name, kind, selection, seed=seed).id
    with _progress(name) as tell:
        _work_until_done(instance, version_id, tell)
    with instance.database.reading() as db:
        version = _with_dataset(db, version_id)
        if version.state != "frozen":
            raise FreezeFailed(version.error)
        _print(version_as_json(version), as_json, _card(version))


@dataset.command("show")
@click.argument("version_name", metavar="NAME[@VERSION]")
@project_option
@json_option
def show(version_name: str, slug: str, as_json: bool) -> None:
    """Say what a version holds; of NAME alone, the newest that is frozen."""
    instance = _open()
    with instance.database.reading() as db:
        version = version_named(db, project_of_slug(db, slug), *parse_version_name(version_name))
        _print(version_as_json(version), as_json, _card(version))


@dataset.command("list")
@project_option
@json_option
def list_versions(slug: str, as_json: bool) -> None:
    """List all versions of all datasets."""
    instance = _open()
    with instance.database.reading() as db:
        versions = db.scalars(versions_of(project_of_slug(db, slug))).all()
        lines = [_line(version) for version in versions] or ["No dataset yet. `hitl dataset freeze NAME` makes one."]
        _print({"versions": [version_as_json(version) for version in versions]}, as_json, "\n".join(lines))


@click.command()
@click.argument("version_name", metavar="NAME[@VERSION]")
@project_option
@click.option(
    "--format", "format_name", required=True, type=click.Choice(list(EXPORTERS)), help="What the trainer reads."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder that is empty, or not there yet.")
@click.option("--split", "splits", multiple=True, type=click.Choice(SPLITS), help="Only this split. [default: all]")
@json_option
def export(version_name: str, slug: str, format_name: str, out: Path, splits: tuple[str, ...], as_json: bool) -> None:
    """Write a dataset version in a trainer's format; of NAME alone, the newest that is frozen."""
    instance = _open()
    with instance.database.reading() as db:
        project = project_of_slug(db, slug)
        version = version_named(db, project, *parse_version_name(version_name))
    licence = settings_of(project).licence
    exported = export_version(_storage(instance), version, format_name, out, splits or SPLITS, licence=licence)
    told = {"format": exported.format, "folder": str(out), "rows": exported.counts}
    told["refused"] = {"count": exported.refused_count, "by_code": dict(exported.refused_by_code)}
    _print(told, as_json, _exported(version, exported, out))


def _open() -> Instance:
    instance = open_ready_instance()
    configure_logs(instance.settings.log_format)
    return instance


def _storage(instance: Instance) -> Storage:
    return Storage(instance.settings.storage_url)


def _selection(db: Session, project: Any, name: str, chosen: dict[str, Any]) -> Selection | None:
    """Return what the version before took, with what the options change; None when they change nothing."""
    changes = {option: value for option, value in chosen.items() if value not in (None, ())}
    if not changes:
        return None
    if "shares" in changes:
        changes["shares"] = _shares(changes["shares"])
    before = db.scalar(datasets_of(project).where(Dataset.name == name))
    try:
        return Selection.model_validate({**(before.selection if before else {}), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0] if first["loc"] else "since").replace("_", "-")
        raise click.BadParameter(first["msg"], param_hint=option) from error


def _shares(text: str) -> dict[str, float]:
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(
            "write three numbers that sum to 1, as in 0.8,0.1,0.1", param_hint="--shares"
        ) from error
    return {"train": train, "validation": validation, "test": test}


def _work_until_done(instance: Instance, version_id: UUID, tell: Callable[[float], None]) -> None:
    """Work until the version is frozen or failed. Should this process die, another worker goes on."""
    worker = Worker(instance.database)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        while (progress := _progress_of(instance, version_id)) is not None:
            tell(progress)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        tell(1.0)
    finally:
        worker.stop()
        thread.join(timeout=10)


def _progress_of(instance: Instance, version_id: UUID) -> float | None:
    """Return how far the freeze is; None when it has ended."""
    with instance.database.reading() as db:
        version = db.get_one(DatasetVersion, version_id)
        if version.state != "freezing":
            return None
        job = db.get(Job, version.job_id)
        if job is not None and job.state in ("failed", "cancelled"):
            return None
        return job.progress if job else 0.0


@contextmanager
def _progress(label: str) -> Iterator[Callable[[float], None]]:
    """Yield what is told how far the work is: a bar on a terminal, a line now and then in a log."""
    if sys.stderr.isatty():
        with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:
            yield lambda share: bar.update(int(share * 1000) - bar.pos)
        return
    told_at = time.monotonic()

    def tell(share: float) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= SECONDS_BETWEEN_LINES:
            told_at = time.monotonic()
            click.echo(f"{label}: {share:.0%} done", err=True)

    yield tell


def _with_dataset(db: Session, version_id: UUID) -> DatasetVersion:
    return db.get_one(DatasetVersion, version_id, options=[joinedload(DatasetVersion.dataset)])


def _print(told: dict[str, Any], as_json: bool, text: str) -> None:
    click.echo(orjson.dumps(told).decode() if as_json else text)


def _line(version: DatasetVersion) -> str:
    what = f"{version.dataset.name}@{version.number}"
    if version.state != "frozen" or version.statistics is None:
        return f"{what}  {version.state}" + (f": {version.error}" if version.error else "")
    return f"{what}  {version.dataset.kind}, {version.statistics['rows']:,} rows, sha256 {version.content_hash}"


def _card(version: DatasetVersion) -> str:
    lines = [_line(version)]
    figures = version.statistics
    if figures is None:
        return lines[0]
    lines.append("  splits: " + _counts(figures["rows_per_split"]))
    lines.append("  origins: " + _counts(figures["origins"]))
    lines.append("  left out: " + (_counts(figures["left_out"]) or "nothing"))
    lines.append(f"  merged: {figures['duplicates_merged']:,} duplicates; {figures['conflicts']:,} with other opinions")
    lines.append(f"  reviewers: {figures['reviewers']:,}; groups: {figures['groups']:,}")
    for group in figures["large_groups"]:
        lines.append(f"  warning: {group['share']:.0%} of the rows belong together, all in {group['split']}")
    if "verdicts" in figures:
        lines.append("  verdicts: " + _counts(figures["verdicts"]))
    lengths = figures["lengths"]
    if lengths:
        lines.append(
            f"  chosen is longer in {lengths['chosen_longer_share']:.0%} of the pairs, "
            f"{lengths['median_ratio']:.2f} times as long in the middle"
        )
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())


def _exported(version: DatasetVersion, exported: Exported, out: Path) -> str:
    told = f"{version.dataset.name}@{version.number} as {exported.format} in {out}: {_counts(exported.counts)}."
    if exported.refused_count:
        told += f" Refused: {_counts(dict(exported.refused_by_code))}; manifest.json names them."
    return told
