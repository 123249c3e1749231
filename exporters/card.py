"""The dataset card: README.md whose header tells `datasets.load_dataset` what lies in the folder.

Without it `datasets` guesses the columns from the first 10 MB of the first split, and fails with a CastError when the
first tool call comes later, or only in the test split.

`datasets` finds what it has already read by the folder's last name and by this header, not by what is in the files. So
the header has a description that differs when they do: otherwise the next version, written into a folder of the same
name, would be answered with the rows of the last one.
https://huggingface.co/docs/hub/datasets-manual-configuration
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CARD = """\
---
configs:
- config_name: default
  description: sha256 {content_hash}
  data_files:
{data_files}{dataset_info}---

Rows in the format `{name}`. `manifest.json` says where they come from, which rows were refused and why.
"""


def dataset_card(name: str, files: Mapping[str, str], features: Iterable[tuple[str, str]], content_hash: str) -> str:
    """The card of one export.

    files: file name by split. content_hash: differs when what the files hold does. features: (column, type) as
    `datasets` writes them in YAML, for instance ("prompt", "list: json"); none where the files carry their own schema.
    """
    data_files = "".join(f"  - split: {split}\n    path: {path}\n" for split, path in files.items())
    columns = "".join(f"  - name: {column}\n    {kind}\n" for column, kind in features)
    dataset_info = f"dataset_info:\n  features:\n{columns}" if columns else ""
    return CARD.format(name=name, content_hash=content_hash, data_files=data_files, dataset_info=dataset_info)
