"""A frozen version: its figures, its rows with where they come from, and its downloads."""

import errno
import io
import json
import re
import tempfile
import zipfile
from pathlib import Path

import pytest

from hitl.accounts.models import Project
from hitl.accounts.projects import change_settings
from hitl.datasets import exporting
from tests.hitl.datasets.test_interventions import edits
from tests.webui.base.payloads import storable_payloads
from tests.webui.datasets.conftest import words


def frozen(desk, rows=3, **selection):
    for number in range(rows):
        desk.corrected(f"Question {number}?", f"Wrong {number}", f"Right {number}", client_id=f"answer-{number}")
    return desk.freeze("desk", **selection)


def row_urls(page):
    return re.findall(r'data-row href="([^"]+)"', page.text)


class TestTheVersion:
    def test_it_says_what_it_holds_and_what_was_left_out(self, desk, ada):
        desk.corrected("No?", "n", "N.", may_train="no")
        version = frozen(desk)

        page = ada.get(f"{desk.url}/desk/1")

        assert "Pairs 3 in 3 groups" in words(page)
        assert "may not be trained on 1" in words(page)
        assert "Corrections 3 100" in words(page)
        assert "Models desk-small 3" in words(page)
        assert "Reviewers 1 person" in words(page)
        assert f'data-text="{version.content_hash}"' in page.text
        assert "The chosen answer is longer in 0 of 100 pairs" in words(page)

    def test_it_warns_of_splits_without_rows_and_of_large_groups(self, desk, ada):
        for number in range(2):
            desk.corrected(f"Question {number}?", "Wrong", f"Right {number}", end_user="guest")
        desk.freeze("desk", shares={"train": 0.5, "validation": 0.5, "test": 0})

        page = words(ada.get(f"{desk.url}/desk/1"))

        assert "Warns: no row in" in page
        assert "Warns: 100 of 100 rows belong together 2 rows that share" in page

    def test_it_turns_pages_and_filters_by_split_and_origin(self, desk, ada):
        frozen(desk, rows=60)
        url = f"{desk.url}/desk/1"

        first, second = ada.get(url), ada.get(f"{url}?after=25")
        train = ada.get(f"{url}?split=train")

        assert (len(row_urls(first)), len(row_urls(second))) == (25, 25)
        assert "1 to 25 of 60" in words(first)
        assert "26 to 50 of 60" in words(second)
        assert "51 to 60 of 60" in words(ada.get(f"{url}?after=50"))
        assert not set(row_urls(first)) & set(row_urls(second))
        count = int(re.search(r"Train (\d+)", words(first))[1])
        assert f"of {count}" in words(train)
        assert all("split=train" in address for address in row_urls(train))
        assert "No row is of this split and origin" in words(ada.get(f"{url}?origin=ranking"))
        assert "1 to 25 of 60" in words(ada.get(f"{url}?after=junk&split=junk&origin=junk"))

    def test_versions_that_are_not_there_are_not_found(self, desk, ada):
        frozen(desk)

        for path in ("/desk/2", "/nothing/1", "/desk%00/1", "/desk/1/rows/none", "/desk/1/exports/none"):
            assert ada.get(f"{desk.url}{path}").status_code == 404, path


class TestTheRow:
    def test_it_tells_the_whole_story(self, desk, ada):
        frozen(desk, rows=1)
        (url,) = row_urls(ada.get(f"{desk.url}/desk/1"))

        page = words(ada.get(url))

        assert "Row 1 of 1" in page
        assert "Question 0?" in page
        assert "Chosen Assistant Right 0" in page
        assert "Rejected Assistant Wrong 0" in page
        assert "1 word out, 1 in Wrong Right 0" in page
        assert "desk-small" in page
        assert "Known to the client as answer-0" in page
        assert "Picked by hand so it stands for no other responses" in page
        assert re.search(r"Reviewer [0-9a-f]{8} corrected it", page)
        assert "rubric version 1" in page
        assert "Frozen in version 1" in page
        assert "kim" not in page.lower()

    def test_it_leads_to_its_neighbours_within_the_filter(self, desk, ada):
        frozen(desk, rows=30, shares={"train": 0.5, "validation": 0.5, "test": 0})
        urls = row_urls(ada.get(f"{desk.url}/desk/1?split=train"))

        page = ada.get(urls[1])

        assert f'data-key="k" href="{urls[0]}"' in page.text
        assert f'data-key="j" href="{urls[2]}"' in page.text
        assert "that match" in words(page)

    def test_it_names_the_other_versions_that_hold_the_row(self, desk, ada):
        frozen(desk, rows=1)
        desk.corrected("Another?", "no", "Yes.")
        desk.freeze("desk")
        url = row_urls(ada.get(f"{desk.url}/desk/1"))[0]

        desk.freeze("strict")

        page = ada.get(url)

        assert "Frozen in versions 1 and 2" in words(page)
        assert "Frozen in strict, version 1" in words(page)
        assert f'href="{desk.url}/strict/1/rows/' in page.text

    def test_it_tells_of_a_supervisor_who_edited_the_draft(self, desk, ada):
        edits(desk, desk.response("Is there a room?", "I booked it!", may_train="yes"), "There is none.")
        desk.freeze("desk")
        (url,) = row_urls(ada.get(f"{desk.url}/desk/1"))

        page = words(ada.get(url))

        assert re.search(r"Reviewer [0-9a-f]{8} edited the draft before it was sent", page)
        assert "in the live conversation" in page
        assert "No rule drew it so it stands for no other responses" in page
        assert "kim" not in page.lower()

    def test_a_demonstration_has_one_answer(self, desk, ada):
        desk.approves(desk.response("Two?", "Two.", may_train="yes"))
        desk.freeze("shown", "demonstration")
        (url,) = row_urls(ada.get(f"{desk.url}/shown/1"))

        page = words(ada.get(url))

        assert "Answer Assistant Two." in page
        assert "approved it as it was" in page
        assert "From rejected" not in page


class TestHostileText:
    def test_it_does_nothing_but_be_read(self, desk, browsing, enter, address):
        everything = "\n\n".join(storable_payloads())
        run = '"><script>window.__ran = 1</script><img src=x onerror=window.__ran=1>'
        asked = {"messages": hostile_messages(everything), "tools": [{"type": "function", "function": {"name": run}}]}
        named = {"model": run, "client_id": run, "model_version": run, "prompt_name": run, "prompt_version": run}
        whole = desk.response("", everything, input=asked, may_train="yes", **named)
        desk.corrects(whole, f"Mended: {everything}")
        for text in storable_payloads()[:8]:
            desk.corrected(text, text, f"Mended: {text}")
        desk.freeze("desk")
        page = browsing.open()
        enter(page, desk.member("engineer"))
        page.goto(f"{address}{desk.url}/desk/1")
        urls = page.locator("[data-row]").evaluate_all("links => links.map(link => link.href)")
        paths = [f"{address}{desk.url}/desk/1/exports/{format}" for format in ("trl-preference", "jsonl")]

        assert len(urls) == 9
        for url in [page.url, *paths, *urls]:
            page.goto(url)
            assert page.evaluate("window.__ran === undefined"), url
            assert page.locator("main h1").count() == 1, url
            assert page.locator("main").locator("script, img, iframe, object, style").count() == 0, url


def hostile_messages(text):
    call = {"id": "c", "type": "function", "function": {"name": text[:255], "arguments": json.dumps({text: text})}}
    return [
        {"role": "system", "content": text},
        {"role": "user", "name": text[:255], "content": text},
        {"role": "assistant", "content": text, "reasoning_content": text, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": text},
    ]


class TestTheKeyboard:
    def test_rows_are_walked_with_j_and_k_and_opened_with_enter(self, desk, browsing, enter, address):
        frozen(desk)
        page = browsing.open()
        enter(page, desk.member("engineer"))
        page.goto(f"{address}{desk.url}/desk/1")

        for key in ("j", "j", "k", "j"):
            page.keyboard.press(key)
        page.keyboard.press("Enter")

        page.wait_for_selector("h1:has-text('Row 2 of 3')")
        page.keyboard.press("j")
        page.wait_for_selector("h1:has-text('Row 3 of 3')")
        page.keyboard.press("k")
        page.wait_for_selector("h1:has-text('Row 2 of 3')")

    def test_a_page_shows_the_version_by_itself_once_it_is_frozen(self, desk, browsing, enter, address):
        desk.corrected()
        page = browsing.open()
        enter(page, desk.member("engineer"))
        page.goto(f"{address}{desk.url}/new")
        page.fill("[name=name]", "desk")
        page.click("button:has-text('Freeze the version')")
        page.wait_for_selector("text=Waits for a free worker")

        desk.work()

        page.wait_for_selector("text=Where the pairs come from")


def made(desk, ada, format):
    """Let the file of an export be made."""
    assert ada.post(f"{desk.url}/desk/1/exports/{format}").status_code == 303
    desk.work()


def _full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class TestTheDownload:
    def test_it_says_beforehand_what_is_in_it_and_gives_the_command(self, desk, ada):
        frozen(desk)

        page = words(ada.get(f"{desk.url}/desk/1/exports/trl-preference"))

        assert "Make desk-1-trl-preference.zip" in page
        assert "None: every row fits this format." in page
        command = f"hitl export desk@1 --project {desk.project.slug} --format trl-preference --out"
        assert command in page

    @pytest.mark.parametrize("format", ["trl-preference", "jsonl", "parquet"])
    def test_it_is_a_zip_with_a_manifest_and_leaves_nothing_behind(self, desk, ada, format, tmp_path, monkeypatch):
        frozen(desk)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        made(desk, ada, format)

        answer = ada.get(f"{desk.url}/desk/1/exports/{format}/archive")

        assert list(tmp_path.iterdir()) == []
        assert answer.headers["Content-Disposition"] == f"attachment; filename=desk-1-{format}.zip"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/zip", "no-store")
        assert answer.content_length == len(answer.data)
        archive = zipfile.ZipFile(io.BytesIO(answer.data))
        folder = f"desk-1-{format}"
        assert {str(Path(name).parent) for name in archive.namelist()} == {folder}
        manifest = json.loads(archive.read(f"{folder}/manifest.json"))
        assert sum(manifest["rows"].values()) == 3
        assert manifest["source"]["dataset"] == "desk"

    def test_it_is_made_once_by_a_worker_while_the_page_says_how_far_it_is(self, desk, ada):
        frozen(desk)
        url = f"{desk.url}/desk/1/exports/jsonl"
        assert ada.get(f"{url}/archive").status_code == 404

        answer = ada.post(url)

        assert (answer.status_code, answer.location) == (303, url)
        assert "Waits for a free worker" in words(ada.get(url))
        assert "Waits for a free worker" in words(ada.get(f"{url}/progress"))
        desk.work()
        ended = ada.get(f"{url}/progress")
        assert (ended.status_code, ended.headers["HX-Refresh"]) == (204, "true")
        assert re.search(r"Download desk-1-jsonl.zip [\d.]+ (Bytes|kB), 3 rows", words(ada.get(url)))
        first = ada.get(f"{url}/archive").data
        ada.post(url)
        assert "Download desk-1-jsonl.zip" in words(ada.get(url))  # nothing is done twice
        assert ada.get(f"{url}/archive").data == first

    def test_it_is_made_anew_when_the_project_names_another_licence(self, desk, ada):
        frozen(desk)
        url = f"{desk.url}/desk/1/exports/huggingface"
        made(desk, ada, "huggingface")
        without = ada.get(f"{url}/archive").data
        desk.write(lambda db: change_settings(db, db.get_one(Project, desk.project.id), {"licence": "cc-by-4.0"}))

        assert "Make desk-1-huggingface.zip" in words(ada.get(url))
        assert ada.get(f"{url}/archive").status_code == 404
        made(desk, ada, "huggingface")

        cards = [
            zipfile.ZipFile(io.BytesIO(data)).read("desk-1-huggingface/README.md").decode()
            for data in (without, ada.get(f"{url}/archive").data)
        ]
        assert ['license: "cc-by-4.0"\n' in card for card in cards] == [False, True]

    def test_a_storage_that_refuses_is_named_and_it_can_be_asked_for_again(self, desk, ada, monkeypatch):
        frozen(desk)
        url = f"{desk.url}/desk/1/exports/jsonl"
        ada.post(url)
        with monkeypatch.context() as broken:
            broken.setattr(exporting.shutil, "copyfileobj", _full_disk)
            desk.work()

        page = words(ada.get(url))
        assert "The file was not made The server's disk refused to write the export: No space left on device." in page
        made(desk, ada, "jsonl")
        assert "Download desk-1-jsonl.zip" in words(ada.get(url))

    def test_a_part_of_it_cannot_be_asked_for(self, desk, ada):
        frozen(desk)
        made(desk, ada, "jsonl")

        answer = ada.get(f"{desk.url}/desk/1/exports/jsonl/archive", headers={"Range": "bytes=0-9"})

        assert answer.status_code == 200
        assert zipfile.ZipFile(io.BytesIO(answer.data)).testzip() is None

    def test_it_names_the_rows_that_a_format_refuses(self, desk, ada):
        frozen(desk, rows=1)
        odd = {
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            "tools": [],
        }
        desk.corrected(input=odd)
        desk.freeze("desk")

        page = ada.get(f"{desk.url}/desk/2/exports/trl-preference")

        assert "Refused rows 1 row" in words(page)
        assert "unsupported_content_part" in words(page)
        assert re.search(rf'href="{desk.url}/desk/2/rows/[0-9a-f]{{64}}"', page.text)
        assert "Refused rows 0 rows" in words(ada.get(f"{desk.url}/desk/2/exports/jsonl"))

    def test_a_format_that_can_hold_no_row_says_why(self, desk, ada):
        odd = {
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            "tools": [],
        }
        desk.corrected(input=odd)
        desk.freeze("desk")

        page = words(ada.get(f"{desk.url}/desk/1/exports/trl-preference"))

        assert "This format can hold none of these rows" in page
        assert "Make desk-1" not in page
        ada.post(f"{desk.url}/desk/1/exports/trl-preference")  # no button asks for it; somebody may all the same
        desk.work()
        assert ada.get(f"{desk.url}/desk/1/exports/trl-preference/archive").status_code == 404

    def test_a_version_that_is_not_frozen_has_no_download(self, desk, ada):
        desk.freeze("desk")

        assert ada.get(f"{desk.url}/desk/1/exports/jsonl").status_code == 409
