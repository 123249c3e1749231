"""The API of datasets: freeze versions, read their rows, take them out."""

from dataclasses import asdict

from flask import Response as HttpResponse
from flask import g, send_file
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.orm import selectinload

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core.cursors import BadCursor
from hitl.core.http import ErrorEnvelope, ProjectPath, answer
from hitl.datasets.biography import biography
from hitl.datasets.exporting import ask_for_export, export_asked_for
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import Dataset
from hitl.datasets.plain import dataset_as_json, export_as_json, version_as_json
from hitl.datasets.schemas import (
    BiographyShape,
    DatasetList,
    DatasetPath,
    ExportQuery,
    ExportShape,
    FreezeBody,
    RowPath,
    RowsQuery,
    RowsShape,
    VersionPath,
    VersionShape,
)
from hitl.datasets.storage import storage_of
from hitl.datasets.versions import datasets_of, ensure_frozen, rows_page, version_named

bp = APIBlueprint(
    "datasets_api",
    __name__,
    url_prefix="/api/v1/projects/<slug>/datasets",
    abp_tags=[Tag(name="Datasets", description="Freeze dataset versions and take them out")],
    abp_security=[{"key": []}],
)


@bp.get("", responses={200: DatasetList})
@allow(Permission.DATA)
def list_datasets(path: ProjectPath) -> HttpResponse:
    """List the project's datasets with their versions."""
    found = g.db.scalars(datasets_of(g.project).options(selectinload(Dataset.versions)))
    return answer({"datasets": [dataset_as_json(dataset) for dataset in found]})


@bp.post("/<name>/versions", responses={202: VersionShape, 409: ErrorEnvelope})
@allow(Permission.DATA)
def freeze_version(path: DatasetPath, body: FreezeBody) -> HttpResponse:
    """Freeze the next version of a dataset, which is made if it is new.

    202 with the version in state `freezing`: ask for it again until it is `frozen`, or `failed` with the reason.
    """
    version = start_freeze(g.db, g.project, path.name, body.kind, body.selection, g.user, body.seed)
    return answer(version_as_json(version), 202)


@bp.get("/<name>/versions/<int:number>", responses={200: VersionShape})
@allow(Permission.DATA)
def show_version(path: VersionPath) -> HttpResponse:
    """Show a version: state, hashes, selection and statistics."""
    return answer(version_as_json(version_named(g.db, g.project, path.name, path.number)))


@bp.get("/<name>/versions/<int:number>/rows", responses={200: RowsShape})
@allow(Permission.DATA)
def list_rows(path: VersionPath, query: RowsQuery) -> HttpResponse:
    """Page through a version's rows, in their order."""
    version = version_named(g.db, g.project, path.name, path.number)
    ensure_frozen(version)
    after = _position(query.cursor)
    page = rows_page(storage_of(g.db), version, after=after, limit=query.limit, split=query.split, origin=query.origin)
    next_cursor = None if page.next_position is None else str(page.next_position)
    return answer({"rows": page.rows, "next_cursor": next_cursor})


@bp.get("/<name>/versions/<int:number>/rows/<row_id>", responses={200: BiographyShape})
@allow(Permission.DATA)
def show_row(path: RowPath) -> HttpResponse:
    """Show a row with its biography: responses, rules with their rates, reviews, evidence, versions that hold it."""
    version = version_named(g.db, g.project, path.name, path.number)
    return answer(asdict(biography(g.db, version, path.row_id)))


@bp.post("/<name>/versions/<int:number>/export", responses={202: ExportShape})
@allow(Permission.DATA)
def make_export(path: VersionPath, query: ExportQuery) -> HttpResponse:
    """Ask for a version in a trainer's format: the worker writes it once, and there it stays.

    202 with its state: ask with GET until it is there. One that failed is tried again.
    """
    version = version_named(g.db, g.project, path.name, path.number)
    return answer(export_as_json(ask_for_export(g.db, version, query.format, g.user)), 202)


@bp.get(
    "/<name>/versions/<int:number>/export",
    responses={200: {"content": {"application/zip": {}}}, 202: ExportShape, 409: ErrorEnvelope},
)
@allow(Permission.DATA)
def export(path: VersionPath, query: ExportQuery) -> HttpResponse:
    """Take a version out in a trainer's format: a zip with one file a split, README.md and manifest.json.

    202 with its state while it is being written; 409 `export_not_asked` until somebody has asked with POST.
    """
    version = version_named(g.db, g.project, path.name, path.number)
    made = export_asked_for(g.db, version, query.format)
    if made.location is None:
        return answer(export_as_json(made), 202)
    file = storage_of(g.db).open(made.location)
    size = made.bytes or 0
    g.db.commit()  # nothing was written; the long part must not hold the database's snapshot
    name = f"{path.name}-{path.number}-{query.format}.zip"
    response = send_file(file, mimetype="application/zip", as_attachment=True, download_name=name, conditional=False)
    response.content_length = size
    return response


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadCursor(param="/cursor")
    return int(cursor)
