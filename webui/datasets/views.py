"""Datasets: what there is, freezing the next version, reading a version row by row, taking it away."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, redirect, render_template, request, send_file, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as WsgiResponse

from exporters.registry import exporter
from hitl.accounts.access import allow
from hitl.accounts.models import User
from hitl.accounts.permissions import Permission
from hitl.accounts.projects import settings_of
from hitl.core.errors import AppError, NotFound
from hitl.core.jobs import Job
from hitl.datasets.biography import biography
from hitl.datasets.export import formats_for, rehearse_export
from hitl.datasets.exporting import ask_for_export, export_of
from hitl.datasets.freeze import start_freeze
from hitl.datasets.material import material_of
from hitl.datasets.models import DATASET_KINDS, Dataset, DatasetVersion
from hitl.datasets.selection import ORIGINS_OF_KIND, SPLITS
from hitl.datasets.storage import storage_of
from hitl.datasets.versions import datasets_of, ensure_frozen, is_dataset_name, version_named, versions_of
from hitl.review.models import RubricVersion
from webui.base.layout import EVERYWHERE, Key
from webui.datasets import words
from webui.datasets.forms import FreezeForm
from webui.datasets.length_plot import length_plot
from webui.datasets.row_detail import RowDetail
from webui.datasets.row_list import RowFilter, row_list

bp = Blueprint(
    "datasets",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static/datasets",
)
ALL = "/projects/<slug>/datasets"  # no prefix of the blueprint: its static files belong to no project
ONE = f"{ALL}/<name>/<int:number>"

# So many rows are tried out before a download; beyond that the download itself says what it refused.
REHEARSED_ROWS = 5_000

LIST_KEYS = (Key("Next row", ("j",)), Key("Row before", ("k",)), Key("Open the row", ("⏎",)), *EVERYWHERE)
ROW_KEYS = (Key("Next row", ("j",)), Key("Row before", ("k",)), *EVERYWHERE)


@bp.context_processor
def name_things() -> dict[str, Any]:
    """Give the templates the words for what the program calls by short names."""
    return {"words": words, "splits": SPLITS}


@bp.get(ALL)
@allow(Permission.DATA)
def index(slug: str) -> str:
    """List the datasets, newest version first."""
    datasets = g.db.scalars(datasets_of(g.project)).all()
    versions: dict[UUID, list[DatasetVersion]] = {dataset.id: [] for dataset in datasets}
    for version in g.db.scalars(versions_of(g.project)):
        versions[version.dataset_id].append(version)
    return render_template(
        "datasets/index.html",
        datasets=datasets,
        versions=versions,
        names=_names_of(version for found in versions.values() for version in found[:1]),
        jobs=_jobs_of(version for found in versions.values() for version in found[:1]),
        material={} if datasets else _material(),
    )


@bp.get(f"{ALL}/new")
@allow(Permission.DATA)
def new(slug: str) -> str:
    """Ask what the next version takes; the address may name the dataset it belongs to."""
    dataset = _dataset_named(request.args.get("name", ""))
    return _freeze_page(FreezeForm.like(dataset) if dataset else FreezeForm(), dataset)


@bp.post(ALL)
@allow(Permission.DATA)
def create(slug: str) -> WsgiResponse | tuple[str, int]:
    """Start to freeze the next version."""
    form = FreezeForm.typed(request.form)
    dataset = _dataset_named(form.name)
    selection = form.selection(dataset.selection if dataset and dataset.kind == form.kind else {})
    if selection is None:
        return _freeze_page(form, dataset), 422
    try:
        version = start_freeze(g.db, g.project, form.name, form.kind, selection, g.user)  # type: ignore[arg-type]
    except AppError as error:
        g.db.rollback()
        form.refuse(error)
        return _freeze_page(form, dataset), error.status
    return redirect(_version_url(version), 303)


@bp.get(ONE)
@allow(Permission.DATA)
def show(slug: str, name: str, number: int) -> str:
    """Show a version: how far its freeze is, why it failed, or what it holds."""
    version = version_named(g.db, g.project, name, number)
    if version.state != "frozen":
        names, jobs = _names_of([version]), _jobs_of([version])
        return render_template("datasets/freezing.html", version=version, names=names, jobs=jobs)
    rows = row_list(storage_of(g.db), version, RowFilter.asked(request.args))
    lengths = version.statistics["lengths"] if version.statistics else None
    return render_template(
        "datasets/show.html",
        version=version,
        figures=version.statistics,
        names=_names_of([version]),
        rows=rows,
        empty_splits=_empty_splits(version),
        rubrics=_rubric_numbers(version),
        formats=formats_for(version.dataset.kind),
        plots=[length_plot(lengths, 800, 210), length_plot(lengths, 326, 190)] if lengths else None,
        keys=LIST_KEYS,
    )


@bp.get(f"{ONE}/progress")
@allow(Permission.DATA)
def progress(slug: str, name: str, number: int) -> Response | str:
    """Say how far a freeze is, as a fragment; once it has ended, let the page be loaded anew."""
    version = version_named(g.db, g.project, name, number)
    if version.state != "freezing":
        return Response(status=204, headers={"HX-Refresh": "true"})
    return render_template("datasets/_progress.html", version=version, jobs=_jobs_of([version]))


@bp.get(f"{ONE}/rows/<row_id>")
@allow(Permission.DATA)
def row(slug: str, name: str, number: int, row_id: str) -> str:
    """Show a row: what was asked, its answers, what differs, and where all of it comes from."""
    version = version_named(g.db, g.project, name, number)
    told = biography(g.db, version, row_id)
    detail = RowDetail.of(storage_of(g.db), version, told, RowFilter.asked(request.args))
    return render_template("datasets/row.html", version=version, told=told, detail=detail, keys=ROW_KEYS)


@bp.get(f"{ONE}/exports/<format>")
@allow(Permission.DATA)
def export(slug: str, name: str, number: int, format: str) -> str:
    """Say what a download in this format holds and refuses."""
    version = _exportable(name, number, format)
    rehearsal = rehearse_export(storage_of(g.db), version, format, REHEARSED_ROWS)
    tried = sum(rehearsal.counts.values()) + rehearsal.refused_count
    return render_template(
        "datasets/export.html",
        version=version,
        format=format,
        exporter=exporter(format),
        formats=formats_for(version.dataset.kind),
        rehearsal=rehearsal,
        tried=tried,
        **_made(version, format),
    )


@bp.post(f"{ONE}/exports/<format>")
@allow(Permission.DATA)
def make_export(slug: str, name: str, number: int, format: str) -> WsgiResponse:
    """Ask for the file in this format."""
    version = _exportable(name, number, format)
    ask_for_export(g.db, version, format, g.user)
    return redirect(url_for(".export", slug=slug, name=name, number=number, format=format), 303)


@bp.get(f"{ONE}/exports/<format>/progress")
@allow(Permission.DATA)
def export_progress(slug: str, name: str, number: int, format: str) -> Response | str:
    """Say how far an export is, as a fragment; once it has ended, let the page be loaded anew."""
    version = _exportable(name, number, format)
    made = _made(version, format)
    if made["export"] is None or made["export"].state != "writing":
        return Response(status=204, headers={"HX-Refresh": "true"})
    return render_template("datasets/_export.html", version=version, format=format, **made)


@bp.get(f"{ONE}/exports/<format>/archive")
@allow(Permission.DATA)
def download(slug: str, name: str, number: int, format: str) -> Response:
    """Send the file in this format, once it is made."""
    export = export_of(g.db, _exportable(name, number, format), format)
    if export is None or export.location is None:
        raise NotFound
    file = storage_of(g.db).open(export.location)
    g.db.commit()  # nothing was written; the long part must not hold the database's snapshot
    stem = f"{name}-{number}-{format}"
    response = send_file(
        file, mimetype="application/zip", as_attachment=True, download_name=f"{stem}.zip", conditional=False
    )
    response.content_length = export.bytes
    response.headers["Cache-Control"] = "no-store"
    return response


def _freeze_page(form: FreezeForm, dataset: Dataset | None) -> str:
    return render_template(
        "datasets/new.html",
        form=form,
        dataset=dataset,
        datasets=g.db.scalars(datasets_of(g.project)).all(),
        material=_material(),
        origins_of_kind=ORIGINS_OF_KIND,
        may_train_default=settings_of(g.project).may_train_default,
        takes_thumbs=settings_of(g.project).end_user_thumbs,
    )


def _material() -> dict[str, Any]:
    return {kind: material_of(g.db, g.project, kind) for kind in DATASET_KINDS}


def _dataset_named(name: str) -> Dataset | None:
    if not is_dataset_name(name):  # it may hold characters that databases refuse
        return None
    found: Dataset | None = g.db.scalar(datasets_of(g.project).where(Dataset.name == name))
    return found


def _exportable(name: str, number: int, format: str) -> DatasetVersion:
    version = version_named(g.db, g.project, name, number)
    ensure_frozen(version)
    if format not in formats_for(version.dataset.kind):
        raise NotFound
    return version


def _made(version: DatasetVersion, format: str) -> dict[str, Any]:
    """Return what became of an export, and its job, for the templates."""
    made = export_of(g.db, version, format)
    return {"export": made, "job": g.db.get(Job, made.job_id) if made and made.job_id else None}


def _version_url(version: DatasetVersion) -> str:
    return url_for(".show", slug=g.project.slug, name=version.dataset.name, number=version.number)


def _names_of(versions: Iterable[DatasetVersion]) -> dict[UUID, str]:
    """Return the names of those who froze these versions."""
    identifiers = {version.created_by_id for version in versions}
    return dict(g.db.execute(select(User.id, User.name).where(User.id.in_(identifiers))).all())


def _jobs_of(versions: Iterable[DatasetVersion]) -> dict[UUID, Job]:
    """Return the jobs of those versions that are being frozen, by the version's id."""
    freezing = {version.job_id: version.id for version in versions if version.state == "freezing"}
    return {freezing[job.id]: job for job in g.db.scalars(select(Job).where(Job.id.in_(freezing)))}


def _empty_splits(version: DatasetVersion) -> list[str]:
    """Return the splits that should have rows and have none."""
    counts = (version.statistics or {})["rows_per_split"]
    return [split for split in SPLITS if version.selection["shares"][split] > 0 and counts[split] == 0]


def _rubric_numbers(version: DatasetVersion) -> list[int]:
    """Return the rubric versions under which a version's rows were judged, by their numbers."""
    identifiers = [UUID(identifier) for identifier in (version.statistics or {}).get("rubric_versions", ())]
    query = select(RubricVersion.number).where(RubricVersion.id.in_(identifiers)).order_by(RubricVersion.number)
    return list(g.db.scalars(query))
