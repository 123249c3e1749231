"""A service is installed without numpy, which the tests' own trainers bring; pyarrow uses it wherever it finds it."""

import subprocess
import sys

WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = sys.modules["pandas"] = None
import pyarrow as pa
from hitl.datasets.browsing import _positions
columns = pa.table({"split": ["train", "test", "test"], "origin": ["ranking", "ranking", "correction"]})
print(_positions(columns, {"split": "test", "origin": "ranking"}))
"""


def test_rows_are_filtered_without_numpy():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("[1]\n", "")
