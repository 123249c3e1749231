import pytest

from exporters.registry import EXPORTERS
from tests.exporters.golden_files import FOLDERS, GOLDEN, write


class TestGoldenFiles:
    @pytest.mark.parametrize("folder", FOLDERS)
    def test_it_writes_the_same_bytes(self, folder, tmp_path):
        write(folder, tmp_path / "out")

        assert contents(tmp_path / "out") == contents(GOLDEN / folder)

    def test_it_has_golden_files_for_every_format_and_kind(self):
        covered = {(name, rows[0].kind) for name, rows in FOLDERS.values()}

        assert covered == {(name, kind) for name, exporter in EXPORTERS.items() for kind in exporter.kind}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
