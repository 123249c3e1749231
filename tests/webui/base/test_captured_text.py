import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webui.base.payloads import payloads
from webui.base.captured_text import MARKDOWN_LIMIT, captured_html, captured_line, plain_html

ALLOWED = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "span", "div"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
ALLOWED_ATTRIBUTES = {"href", "rel", "target", "class", "title", "start"}
SHOWS = (captured_html, plain_html, captured_line)

hostile_text = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*payloads(), "[", "]", "(", ")", "<", ">", '"', "`", "*", "|", "\n", "&", " "])).map(
        "".join
    ),
)


class Harmless(HTMLParser):
    """Fails on anything that could do something."""

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED
        assert {name for name, _ in attrs} <= ALLOWED_ATTRIBUTES
        found = dict(attrs)
        if tag == "a" and "href" in found:
            assert found["href"].lower().startswith(("http:", "https:", "mailto:"))
            assert found["rel"] == "noopener noreferrer nofollow"
            assert found["target"] == "_blank"
        if "class" in found:
            assert found["class"] in ("not-loaded", "hidden-char", "plain", "plain-note")
        # Markers for hidden characters are put in after cleaning; they must never land inside an attribute.
        assert all(value is None or value.isascii() for _, value in attrs)

    def handle_comment(self, data):
        raise AssertionError(data)

    def handle_decl(self, decl):
        raise AssertionError(decl)

    def handle_pi(self, data):
        raise AssertionError(data)


def ensure_harmless(markup):
    reader = Harmless(convert_charrefs=True)
    reader.feed(str(markup))
    reader.close()


class TestCapturedText:
    @pytest.mark.parametrize("show", SHOWS)
    @pytest.mark.parametrize("text", payloads())
    def test_it_makes_every_payload_harmless(self, show, text):
        ensure_harmless(show(text))

    @pytest.mark.parametrize("show", SHOWS)
    @given(text=hostile_text)
    def test_it_makes_any_text_harmless(self, show, text):
        ensure_harmless(show(text))

    @given(text=st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N"])))
    def test_it_keeps_every_word(self, text):
        assert str(captured_html(text)).strip() in ("", f"<p>{text}</p>")

    def test_it_shows_markdown(self):
        shown = captured_html(
            "# Rooms\n\n- **double**\n- `single`\n\n|a|b|\n|-|-|\n|1|2|\n\n[site](https://ok.example)"
        )

        assert "<h3>Rooms</h3>" in shown
        assert "<li><strong>double</strong></li>" in shown
        assert "<td>1</td>" in shown
        assert '<a href="https://ok.example" target="_blank" rel="noopener noreferrer nofollow">site</a>' in shown

    def test_it_shows_html_as_the_text_it_is(self):
        assert captured_html("a <b>bold</b> claim") == "<p>a &lt;b&gt;bold&lt;/b&gt; claim</p>\n"

    def test_it_shows_code_as_it_was_written(self):
        assert (
            captured_html("```python\nif a < b:\n    pass\n```") == "<pre><code>if a &lt; b:\n    pass\n</code></pre>\n"
        )

    @pytest.mark.parametrize(
        "address", ["javascript:x", "data:text/html,x", "//evil.example", "/sign-out", "file:///etc"]
    )
    def test_it_shows_links_that_lead_elsewhere_than_the_web_as_text(self, address):
        shown = captured_html(f"[click]({address})")

        assert "<a" not in shown
        assert "click" in shown

    def test_it_names_an_image_instead_of_loading_it(self):
        shown = captured_html("![a chart](https://evil.example/pixel.gif)")

        assert "<img" not in shown
        assert "Image, not loaded: a chart" in shown

    def test_it_does_not_put_a_link_into_a_link(self):
        assert captured_html("[![a](https://x.example/a.png)](https://ok.example)").count("<a ") == 1

    def test_it_leaves_template_code_alone(self):
        assert captured_html("{{7*7}} {% raw %}") == "<p>{{7*7}} {% raw %}</p>\n"

    def test_it_shows_very_long_texts_as_they_are_and_says_so(self):
        shown = captured_html("**a** " * 5000)

        assert "Shown as plain text because it is long: 30,000 characters." in shown
        assert "**a** **a**" in shown

    @pytest.mark.parametrize(
        "piece",
        [
            "Hello there, *this* is `text`. ",
            "[",
            "![a](b",
            "*a",
            "[[a](b)",
            "a\n=\n",
            "|a|b|\n|-|-|\n",
            "\u202e",
            "\u202e\u200b",
            "&",
            "<",
        ],
    )
    @pytest.mark.parametrize("length", [MARKDOWN_LIMIT, 100_000])
    def test_it_is_fast_whatever_the_text(self, piece, length):
        text = (piece * length)[:length]
        started = time.perf_counter()

        shown = captured_html(text)

        # 0.3 s at most on a quiet slow core; the rest is room for a busy machine.
        assert time.perf_counter() - started < 3
        assert len(shown) < 12 * length

    def test_it_cuts_a_line_to_its_length(self):
        assert captured_line("one\ntwo  three", limit=9) == "one two…"


class TestHiddenCharacters:
    @pytest.mark.parametrize("show", SHOWS)
    @pytest.mark.parametrize("code", [0x202E, 0x2066, 0x200B, 0x2060, 0xFEFF, 0x00AD, 0x1B, 0xE0041, 0x3164])
    def test_it_names_what_steers_or_hides_text(self, show, code):
        shown = show(f"a{chr(code)}b")

        assert chr(code) not in shown
        assert f"U+{code:04X}" in shown

    def test_it_finds_them_behind_entities_too(self):
        assert "U+202E" in captured_html("a&#8238;b")

    def test_it_counts_a_run_of_the_same(self):
        assert "U+200B × 3" in captured_html("a\u200b\u200b\u200bb")

    def test_it_leaves_joiners_in_emoji_and_letters(self):
        family, persian = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "می\u200cخواهم"
        assert captured_html(f"{family} {persian}") == f"<p>{family} {persian}</p>\n"

    def test_it_leaves_marks_beside_letters_from_right_to_left(self):
        assert "U+200F" not in captured_html("שלום\u200f!")
        assert "U+200F" in captured_html("hello\u200f!")

    def test_it_leaves_flags_made_of_tags(self):
        scotland = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
        assert captured_html(scotland) == f"<p>{scotland}</p>\n"

    def test_it_replaces_what_no_page_can_hold(self):
        assert "\ufffd" in captured_html("a\0b\ud800c")
