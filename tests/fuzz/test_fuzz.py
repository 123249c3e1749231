"""A slice of `make fuzz`, always the same: whatever is asked, the answer is as the document says."""

import pytest

from tests.fuzz.fuzzing import Fuzzing
from tests.machine.service import serving

CASES = 200  # about four for each operation
SEED = 2


@pytest.mark.timeout(300)
def test_every_answer_is_as_the_document_says(tmp_path, database_url):
    with serving(tmp_path, database_url) as service:
        fuzzing = Fuzzing(service)
        fuzzing.prepare()

        assert fuzzing.run(CASES, SEED)
