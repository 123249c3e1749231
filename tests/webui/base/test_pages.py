import gzip
import re

import pytest

from webui.base.appearance import KEYS_COOKIE, THEME_COOKIE
from webui.base.layout import NavEntry, initials_of, visible_to


class TestFrame:
    def test_it_says_where_one_is(self, client):
        page = client.get("/review").text

        assert re.search(r'<a href="/review" aria-current="page">Review <span class="count">320</span>', page)
        assert "1,281" in page

    def test_it_lets_htmx_do_nothing_but_swap(self, client):
        page = client.get("/").text

        assert '"allowEval": false' in page
        assert '"includeIndicatorStyles": false' in page
        assert '{"code": "422", "swap": true}' in page
        assert 'hx-headers=\'{"X-CSRFToken": ' in page

    def test_it_has_no_inline_script_or_style(self, client):
        for path in ("/", "/review", "/door", "/trouble/404", "/captured"):
            page = client.get(path).text
            assert not re.search(r"<script(?![^>]* src=)[^>]*>", page)
            assert not re.search(r"<style|<[a-z][^>&]* style=|<[a-z][^>&]* on[a-z]+=", page.split("<main")[0])

    def test_it_lists_the_keys_of_the_page_in_its_help(self, client):
        page = client.get("/review").text

        assert "Cannot judge</span>" in page
        assert "Leave a field</span>" in page

    def test_it_asks_for_few_and_small_files(self, client):
        page = client.get("/review").text
        links = re.findall(r'(?:href|src)="(/static/[^"#]+)', page)

        assert len(set(links)) <= 20
        assert sum(len(client.get(link).data) for link in set(links)) < 160_000


class TestAppearance:
    def test_it_is_kept_for_the_browser(self, client):
        answer = client.post("/appearance", data={"theme": "dark", "next": "/review?x=1"})

        assert (answer.status_code, answer.location) == (303, "/review?x=1")
        assert '<html lang="en" data-theme="dark">' in client.get("/").text

    def test_it_switches_single_keys_off(self, client):
        client.post("/appearance", data={"keys": "off", "next": "/"})

        assert 'data-single-keys="off"' in client.get("/").text

    @pytest.mark.parametrize("cookie", ['"><script>', "Dark", ""])
    def test_it_takes_only_what_it_knows(self, client, cookie):
        client.set_cookie(THEME_COOKIE, cookie)
        client.set_cookie(KEYS_COOKIE, cookie)

        page = client.get("/").text
        assert '<html lang="en">' in page
        assert "data-single-keys" not in page

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "",
            "x",
            "/é",
        ],
    )
    def test_it_never_leads_elsewhere(self, client, elsewhere):
        assert client.post("/appearance", data={"theme": "dark", "next": elsewhere}).location == "/"

    def test_it_needs_the_token_of_our_page(self, app):
        assert app.test_client().post("/appearance", data={"theme": "dark"}).status_code == 400


class TestHeaders:
    def test_it_allows_nothing_unsafe(self, client):
        headers = client.get("/review").headers

        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"

    def test_it_lets_nobody_store_a_page(self, client):
        assert client.get("/review").headers["Cache-Control"] == "no-store"

    def test_it_insists_on_https_only_under_https(self, client):
        assert "Strict-Transport-Security" not in client.get("/").headers
        assert "Strict-Transport-Security" in client.get("/", base_url="https://localhost").headers

    def test_it_sends_them_with_errors_too(self, client):
        assert "Content-Security-Policy" in client.get("/nowhere").headers


class TestStaticFiles:
    def test_it_lets_browsers_keep_what_they_ask_for_by_hash(self, client):
        link = re.search(r'href="(/static/base/css/tokens\.css\?v=[0-9a-f]{12})"', client.get("/").text).group(1)

        assert "immutable" in client.get(link).headers["Cache-Control"]

    @pytest.mark.parametrize("query", ["", "?v=000000000000"])
    def test_it_has_them_ask_again_otherwise(self, client, query):
        assert client.get(f"/static/base/css/tokens.css{query}").headers["Cache-Control"] == "no-cache"

    def test_static_files_are_sent_compressed(self, client):
        plain = client.get("/static/base/js/htmx.min.js", headers={"Accept-Encoding": "identity"})
        packed = client.get("/static/base/js/htmx.min.js", headers={"Accept-Encoding": "gzip, br"})

        assert (plain.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (None, "gzip")
        assert gzip.decompress(packed.data) == plain.data
        assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2
        assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
        assert "Accept-Ranges" not in packed.headers

    def test_a_compressed_file_that_the_browser_has_is_not_sent_again(self, client):
        first = client.get("/static/base/js/htmx.min.js", headers={"Accept-Encoding": "gzip"})
        again = {"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]}

        assert first.headers["ETag"].startswith('W/"')
        assert client.get("/static/base/js/htmx.min.js", headers=again).status_code == 304

    def test_a_part_of_a_file_is_a_part_of_the_file_as_it_is(self, client):
        part = client.get("/static/base/js/htmx.min.js", headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})

        assert (part.status_code, len(part.data)) == (206, 10)
        assert "Content-Encoding" not in part.headers

    def test_pages_are_not_compressed(self, client):
        page = client.get("/review", headers={"Accept-Encoding": "gzip"})

        assert "Content-Encoding" not in page.headers

    def test_a_first_visit_takes_little(self, client):
        links = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', client.get("/review").text))
        files = [client.get(link, headers={"Accept-Encoding": "gzip"}).data for link in links]

        assert sum(map(len, files)) < 100_000

    def test_it_has_every_icon_that_a_template_names(self, client):
        sprite = client.get("/static/base/icons.svg").text
        pages = "".join(client.get(path).text for path in ("/", "/review", "/door"))

        for name in set(re.findall(r"icons\.svg\?v=[0-9a-f]+#([a-z-]+)", pages)):
            assert f'<symbol id="{name}"' in sprite


class TestCriteria:
    def test_it_shows_the_answers(self, client, store):
        store.fields = {"answer.helpful": ["4"], "answer.correct": ["unsure"], "answer.wrong": ["made-up", "rude"]}

        page = client.get("/review").text
        checked = re.findall(r'name="answer\.(\w+)" value="([\w-]+)"[^>]* checked', page)

        assert checked == [("helpful", "4"), ("correct", "unsure"), ("wrong", "made-up"), ("wrong", "rude")]
        assert "<b>4</b> What was needed, with a detour." in page

    def test_it_starts_a_correction_from_the_original(self, client):
        page = client.get("/review").text

        assert page.count("\nOK, I&#39;ve successfully completed this Hotel booking for you!</textarea>") == 2

    def test_it_names_what_is_missing(self, client):
        answer = client.post("/submit", data={"comment": "x"})

        assert answer.status_code == 422
        assert 'aria-describedby="answer-helpful-hint answer-helpful-problem"' in answer.text
        assert "Choose a point from 1 to 5." in answer.text

    def test_it_keeps_hostile_answers_as_text(self, client, store):
        store.fields = {"comment": ["</textarea><script>window.__ran=1</script>"]}

        assert "</textarea><script>" not in client.get("/review").text


class TestTrouble:
    def test_it_says_what_became_of_the_work(self, client):
        page = client.get("/trouble/409").text

        assert "This draft was changed in another tab." in page
        assert "could not complete this booking" in page
        assert "409, stale_draft" in page

    def test_it_never_tells_a_foreign_page_from_none(self, client):
        assert "There is nothing here" in client.get("/trouble/404").text


class TestLayout:
    def test_it_shows_only_places_one_may_go_to(self):
        home, queue = NavEntry("Home", "/", "home"), NavEntry("Queue", "/q", "queue", permission="queue.read")

        assert visible_to(set(), [home, queue]) == (home,)
        assert visible_to({"queue.read"}, [home, queue]) == (home, queue)

    @pytest.mark.parametrize(("name", "initials"), [("Alex Lindt", "AL"), ("Kim", "KI"), ("  ", "?"), ("A b C", "AC")])
    def test_it_shortens_names(self, name, initials):
        assert initials_of(name) == initials
