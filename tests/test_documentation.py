import re
from pathlib import Path

import pytest

from hitl.cli import COMMANDS
from hitl.core.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def targets_in(page: Path) -> list[str]:
    """Return the files that a page links to."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    return [link for link in links if "://" not in link]


class TestDocumentation:
    def test_it_names_every_setting_with_its_default(self) -> None:
        page = (ROOT / "docs/operations.md").read_text()

        for name, field in Settings.model_fields.items():
            row = re.search(rf"^\| `HITL_{name.upper()}` \| (.*?) \|", page, re.MULTILINE)
            assert row, f"docs/operations.md does not tell of HITL_{name.upper()}"
            if field.default is not None:
                assert str(field.default).rstrip("/") == row[1].strip("`"), name

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_it_links_to_files_that_are_there(self, page: Path) -> None:
        missing = [target for target in targets_in(page) if not (page.parent / target).exists()]

        assert not missing

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_it_shows_only_commands_that_exist(self, page: Path) -> None:
        shown = re.findall(r"(?:^|`|&& )hitl ([a-z]+)", page.read_text(), re.MULTILINE)

        assert set(shown) <= set(COMMANDS)
