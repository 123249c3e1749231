"""What a table would become, for a person to look at before anything is stored."""

from collections.abc import Sequence

import orjson

from hitl.capture.errors import RowInvalid
from hitl.capture.mapping import Mapping
from hitl.capture.rows import ResponseRow, read_row
from hitl.capture.tables import Table, TableRow, printable

ROWS_SHOWN = 3
CHARACTERS_SHOWN = 600  # of one row


def preview(table: Table, mapping: Mapping, sample: Sequence[TableRow]) -> str:
    """Return which column is what, and the first rows as they would be stored, or why they would be refused."""
    lines = [f"{table.name}:", *(f"  {line}" for line in mapping.in_words(table.columns))]
    for row in sample[:ROWS_SHOWN]:
        lines += ["", f"row {row.number}", f"  {printable(_shown(mapping, row))}"]
    return "\n".join(lines)


def _shown(mapping: Mapping, row: TableRow) -> str:
    try:
        made = mapping.row_of(row)
        read_row(ResponseRow, made)
        said = mapping.feedback_of(row)
    except RowInvalid as problem:
        return f"refused: {problem.message} {problem.param or ''}".rstrip()
    whole = {**made, **{words["kind"]: words["value"] for words in said}}
    text = orjson.dumps(whole).decode()
    return text if len(text) <= CHARACTERS_SHOWN else f"{text[:CHARACTERS_SHOWN]}…"
