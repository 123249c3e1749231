"""Reading and writing while the rows between are worked out: both spend their time outside Python's lock."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")


@contextmanager
def written_behind(writer: pq.ParquetWriter) -> Iterator[Callable[[pa.Table], None]]:
    """Give what writes tables by a thread of its own; at most one waits while another is written."""
    written: Future[None] | None = None
    with ThreadPoolExecutor(1, "written-behind") as thread:

        def write(table: pa.Table) -> None:
            nonlocal written
            if written is not None:
                written.result()  # raises what went wrong
            written = thread.submit(writer.write_table, table)

        yield write
        if written is not None:
            written.result()


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield these items, each made by a thread of its own while the one before is used."""
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        ahead = thread.submit(next, items, None)
        while (item := ahead.result()) is not None:
            ahead = thread.submit(next, items, None)
            yield item
