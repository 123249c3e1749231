"""The dataset card: README.md whose header tells `datasets.load_dataset` what lies in the folder.

Without it `datasets` guesses the columns from the first 10 MB of the first split, and fails with a CastError when the
first tool call comes later, or only in the test split.
https://huggingface.co/docs/hub/datasets-manual-configuration
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CARD = """\
---
configs:
- config_name: default
  data_files:
{data_files}{dataset_info}---

Rows in the format `{name}`. `manifest.json` says where they come from, which rows were refused and why.
"""


def dataset_card(name: str, files: Mapping[str, str], features: Iterable[tuple[str, str]]) -> str:
    """The card of one export.

    files: file name by split. features: (column, type) as `datasets` writes them in YAML, for instance
    ("prompt", "list: json"); none where the files carry their own schema.
    """
    data_files = "".join(f"  - split: {split}\n    path: {path}\n" for split, path in files.items())
    columns = "".join(f"  - name: {column}\n    {kind}\n" for column, kind in features)
    dataset_info = f"dataset_info:\n  features:\n{columns}" if columns else ""
    return CARD.format(name=name, data_files=data_files, dataset_info=dataset_info)
