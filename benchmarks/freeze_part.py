"""One part of `benchmarks.freeze` or `benchmarks.export` in a process of its own, so that its memory is its own.

usage: python -m benchmarks.freeze_part floor|freeze|export|export-floor ROWS [FORMAT], with the settings of an instance
in HITL_…; prints {"rows": a second, "cpu": seconds, "mib": at the peak}.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq
from sqlalchemy import select, text

from benchmarks.machine import peak_mib
from hitl.accounts.models import Project
from hitl.app import import_parts
from hitl.core.instance import Instance, open_instance
from hitl.core.jobs import Worker
from hitl.datasets.export import export_version
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import DatasetVersion
from hitl.datasets.storage import Storage
from hitl.datasets.versions import version_named
from hitl.worker import give_way

NAME = "pairs"
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
FLAT = pa.schema([("id", pa.string()), ("prompt", pa.list_(MESSAGE)), ("chosen", MESSAGE), ("rejected", MESSAGE)])
READ_ROWS = 16_384


def freeze(instance: Instance, _rows: int) -> None:
    """Freeze all pairs, as a worker does."""
    give_way()
    with instance.database.writing() as db:
        project = db.scalars(select(Project)).one()
        identifier = start_freeze(db, project, NAME).id
    worker = Worker(instance.database)
    while True:
        worker.run_one()
        with instance.database.reading() as db:
            version = db.get_one(DatasetVersion, identifier)
            if version.state == "failed":
                raise RuntimeError(version.error)
            if version.state == "frozen":
                return


def prepare_floor(instance: Instance) -> None:
    """Lay what a freeze reads into one flat table, so that the floor only reads, parses and writes."""
    prompt = "json_extract(r.input, '$.messages')" if instance.database.is_sqlite else "(r.input -> 'messages')"
    with instance.database.writing() as db:
        db.execute(text("DROP TABLE IF EXISTS flat_pairs"))
        db.execute(
            text(
                f"CREATE TABLE flat_pairs AS SELECT r.client_id AS id, {prompt} AS prompt, e.a_output AS chosen, "
                "r.output AS rejected FROM evidence e JOIN responses r ON r.id = e.input_response_id"
            )
        )


def floor(instance: Instance, _rows: int) -> None:
    """Read the flat table by ADBC, parse its JSON by Arrow, write Parquet."""
    options = pj.ParseOptions(explicit_schema=FLAT, newlines_in_values=False, unexpected_field_behavior="ignore")
    with (
        tempfile.TemporaryDirectory() as folder,
        pq.ParquetWriter(f"{folder}/flat.parquet", FLAT, compression="zstd", compression_level=1) as out,
    ):
        for batch in _flat_rows(instance):
            lines = pa.BufferReader(_as_lines(batch))
            out.write_table(pj.read_json(lines, pj.ReadOptions(block_size=1 << 22), options).select(FLAT.names))


def _flat_rows(instance: Instance) -> Iterator[pa.RecordBatch]:
    cast = "" if instance.database.is_sqlite else "::text"
    query = f"SELECT id, prompt{cast}, chosen{cast}, rejected{cast} FROM flat_pairs"
    url = instance.database.url
    if instance.database.is_sqlite:
        from adbc_driver_sqlite import dbapi

        connection = dbapi.connect(url.database)
    else:
        from adbc_driver_postgresql import dbapi

        connection = dbapi.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    # The stream ends with its connection and cursor, so both are held here.
    with connection, connection.cursor() as cursor:
        if instance.database.is_sqlite:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(READ_ROWS)})
        cursor.execute(query)
        yield from (batch for batch in cursor.fetch_record_batch() if batch.num_rows)


def _as_lines(batch: pa.RecordBatch) -> pa.Buffer:
    """Join columns of JSON text to a text of one object a line. Nothing is parsed."""
    large = pa.large_string()
    parts: list[Any] = ['{"id":"', batch.column(0).cast(large), '"']
    for index, name in enumerate(("prompt", "chosen", "rejected"), start=1):
        parts += [f',"{name}":', batch.column(index).cast(large)]
    joined = [pa.scalar(part, large) if isinstance(part, str) else part for part in [*parts, "}\n"]]
    column = pc.binary_join_element_wise(*joined, pa.scalar("", large))
    offsets = memoryview(column.buffers()[1]).cast("q")
    start, end = offsets[column.offset], offsets[column.offset + len(column)]
    return column.buffers()[2].slice(start, end - start)


def export(instance: Instance, _rows: int, format: str) -> None:
    """Export the newest version in a format."""
    with instance.database.reading() as db:
        version = version_named(db, db.scalars(select(Project)).one(), NAME)
    with tempfile.TemporaryDirectory() as folder:
        export_version(Storage(instance.settings.storage_url), version, format, Path(folder) / "out")


def export_floor(instance: Instance, _rows: int) -> None:
    """Read the newest version's rows and write them again by Arrow alone."""
    with instance.database.reading() as db:
        version = version_named(db, db.scalars(select(Project)).one(), NAME)
    storage = Storage(instance.settings.storage_url)
    with storage.reading(f"{version.location}/rows.parquet") as file, tempfile.TemporaryDirectory() as folder:
        rows = pq.ParquetFile(file)
        path = f"{folder}/rows.parquet"
        with pq.ParquetWriter(path, rows.schema_arrow, compression="zstd", compression_level=1) as out:
            for batch in rows.iter_batches(10_000):
                out.write_batch(batch)


PARTS: dict[str, Callable[..., None]] = {
    "floor": floor,
    "freeze": freeze,
    "export": export,
    "export-floor": export_floor,
}


def main() -> None:
    """Do the part that the arguments name."""
    part, rows, *rest = sys.argv[1:]
    import_parts()
    instance = open_instance()
    if part == "floor":
        prepare_floor(instance)
    start, cpu = time.perf_counter(), time.process_time()
    PARTS[part](instance, int(rows), *rest)
    seconds = time.perf_counter() - start
    told = {"rows": int(rows) / seconds, "cpu": time.process_time() - cpu, "mib": peak_mib()}
    print(orjson.dumps(told).decode())


if __name__ == "__main__":
    main()
