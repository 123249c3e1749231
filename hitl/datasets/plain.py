"""Datasets and versions as plain values, for the API and the command line."""

from typing import Any

from hitl.datasets.models import Dataset, DatasetVersion, VersionExport


def version_as_json(version: DatasetVersion) -> dict[str, Any]:
    """Return what a version says of itself."""
    return {
        "dataset": version.dataset.name,
        "version": version.number,
        "kind": version.dataset.kind,
        "state": version.state,
        "error": version.error,
        "content_hash": version.content_hash,
        "lineage_hash": version.lineage_hash,
        "selection": version.selection,
        "statistics": version.statistics,
        "manifest": version.manifest,
        "created_at": version.created_at.isoformat(),
        "frozen_at": version.frozen_at.isoformat() if version.frozen_at else None,
    }


def dataset_as_json(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset with its versions, newest first."""
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "selection": dataset.selection,
        "seed": dataset.seed,
        "created_at": dataset.created_at.isoformat(),
        "versions": [version_as_json(version) for version in reversed(dataset.versions)],
    }


def export_as_json(export: VersionExport) -> dict[str, Any]:
    """Return an export as the API shows it."""
    return {
        "dataset": export.version.dataset.name,
        "version": export.version.number,
        "format": export.format,
        "state": export.state,
        "error": export.error,
        "bytes": export.bytes,
        "rows": export.row_count,
        "refused": export.refused_count,
        "created_at": export.created_at,
    }
