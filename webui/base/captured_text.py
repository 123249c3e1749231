"""Captured text as HTML: what models and end users wrote is hostile until shown to be harmless.

Markdown is read by markdown-it with HTML switched off, and its result passes an allow-list (nh3). Either alone would
be enough; a mistake in one is caught by the other, and the Content-Security-Policy stands behind both.
"""

import re
import unicodedata

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape

# Longer texts are shown as they are. Ordinary prose takes 0.1 s per 100,000 characters, but texts can be built that
# take ten times as long (0.3 s at this limit, on one slow core), and a page shows many of them.
MARKDOWN_LIMIT = 20_000
LINE_LIMIT = 200
# A marker is fifty times as long as the character it names: past so many, the rest become a plain U+FFFD each.
MARKER_LIMIT = 500

_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "span"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_SCHEMES = {"http", "https", "mailto"}


def captured_html(text: str) -> Markup:
    """Return captured text as safe HTML, with its Markdown shown and its hidden characters made visible."""
    text = _well_formed(text)
    if len(text) > MARKDOWN_LIMIT:
        return Markup('<p class="plain-note">Shown as plain text because it is long: {:,} characters.</p>').format(
            len(text)
        ) + plain_html(text)
    rendered = nh3.clean(
        _MARKDOWN.render(text),
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes={"a": {"href"}, "ol": {"start"}},
        tag_attribute_values={"span": {"class": {"not-loaded"}}},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
        url_schemes=_SCHEMES,
        url_relative="deny",
    )
    return Markup(_show_hidden(rendered))


def plain_html(text: str) -> Markup:
    """Return captured text as it was written: no Markdown, white space kept, hidden characters made visible."""
    return Markup('<div class="plain">{}</div>').format(Markup(_show_hidden(str(escape(_well_formed(text))))))


def plain_pieces(text: str) -> list[list[str]]:
    """Return captured text in pieces, for a script that shows it as it was written and counts its characters.

    A piece is [characters], shown as they are, or [characters, what is shown in their place, its name]; the name is
    empty for a line end, and past as many names as a page bears. The characters of all pieces are the whole text.
    """
    pieces: list[list[str]] = []
    at = named = 0
    for hit in _UNLIKE_ITSELF.finditer(text):
        found = hit.group()
        if hit["flag"] or (hit["hidden"] and len(found) == 1 and _belongs(found, text, hit.start())):
            continue
        pieces += [[text[at : hit.start()]]] if at < hit.start() else []
        if hit["line_end"]:
            pieces.append([found, "\n", ""])
        else:
            named += 1
            pieces.append([found, *_named(found)] if named <= MARKER_LIMIT else [found, "\ufffd", ""])
        at = hit.end()
    return [*pieces, [text[at:]]] if at < len(text) else pieces


def captured_line(text: str, limit: int = LINE_LIMIT) -> Markup:
    """Return the start of captured text in one line, for lists and summaries."""
    text = _well_formed(text[: limit * 4])
    line = " ".join(text.split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    return Markup(_show_hidden(str(escape(line))))


def _well_formed(text: str) -> str:
    """Replace what no HTML page can hold: lone surrogates and NUL."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


# --- Markdown ---------------------------------------------------------------------------------------------------------


class _CapturedRenderer(RendererHTML):
    """Renders images as words, headings below the page's own, and code without classes."""

    def image(self, tokens: list[Token], idx: int, options: object, env: object) -> str:  # type: ignore[override]
        """Name the image instead of loading it: loading would tell its host who reviews what, and when."""
        token = tokens[idx]
        name = self.renderInlineAsText(token.children or [], options, env).strip()  # type: ignore[arg-type]
        source = str(token.attrGet("src") or "")
        label = escapeHtml(f"Image, not loaded: {name}" if name else "Image, not loaded")
        if token.meta.get("in_link") or not source.lower().startswith(("http:", "https:")):
            return f'<span class="not-loaded">{label}</span>'
        return f'<span class="not-loaded"><a href="{escapeHtml(source)}">{label}</a></span>'

    def heading_open(self, tokens: list[Token], idx: int, options: object, env: object) -> str:
        return f"<h{_heading_level(tokens[idx])}>"

    def heading_close(self, tokens: list[Token], idx: int, options: object, env: object) -> str:
        return f"</h{_heading_level(tokens[idx])}>\n"


def _heading_level(token: Token) -> int:
    """Captured headings start at h3: h1 and h2 belong to the page."""
    return min(int(token.tag[1]) + 2, 6)


def _mark_images_in_links(state: StateCore) -> None:
    """A link inside a link is no HTML: an image in a link is named without one of its own."""
    for block in state.tokens:
        depth = 0
        for token in block.children or []:
            depth += (token.type == "link_open") - (token.type == "link_close")
            if token.type == "image" and depth:
                token.meta["in_link"] = True


def _leads_to_the_web(url: str) -> bool:
    return url.strip().lower().startswith(("http:", "https:", "mailto:"))


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_CapturedRenderer)
    markdown.enable(["table", "strikethrough"])
    markdown.core.ruler.push("images_in_links", _mark_images_in_links)
    # Whatever is no web or mail address stays the text it is, brackets and all, so that nothing is hidden.
    markdown.validateLink = _leads_to_the_web  # type: ignore[method-assign]
    return markdown


_MARKDOWN = _markdown()

# --- Characters one cannot see ----------------------------------------------------------------------------------------

_MARKS = "\u061c\u200e\u200f"  # direction marks: needed beside right-to-left letters, a trick elsewhere
_JOINERS = "\u200c\u200d"  # needed inside emoji and between letters of some scripts, a trick elsewhere
_HIDDEN = re.compile(
    # A flag such as Scotland's is a black flag and tag characters: the one place where these are no smuggled text.
    "(?P<flag>\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f)"
    "|(?P<hidden>[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff])(?P=hidden)*"
)
# Browsers show a carriage return as a blank, and a page's source turns it into a line feed.
_UNLIKE_ITSELF = re.compile(f"(?P<line_end>\r\n?)|{_HIDDEN.pattern}")


def _named(found: str) -> tuple[str, str]:
    """Return what stands for a run of one hidden character, and its name."""
    times = f" × {len(found):,}" if len(found) > 1 else ""
    return f"U+{ord(found[0]):04X}{times}", unicodedata.name(found[0], "control character").lower()


def _show_hidden(markup: str) -> str:
    """Put a visible name in the place of each character that steers or hides text.

    markup: HTML whose attributes hold ASCII alone, as links do after normalising; so every hit is in a text.
    """
    shown = 0

    def visible(hit: re.Match[str]) -> str:
        nonlocal shown
        found = hit.group()
        if hit["flag"] or (len(found) == 1 and _belongs(found, markup, hit.start())):
            return found
        shown += 1
        if shown > MARKER_LIMIT:
            return "\ufffd"
        words, name = _named(found)
        return f'<span class="hidden-char" title="{name}">{words}</span>'

    return _HIDDEN.sub(visible, markup)


def _belongs(character: str, text: str, at: int) -> bool:
    """Tell whether a joiner or mark does its proper work between its neighbours."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if character in _JOINERS:
        return bool(before and after) and not before.isascii() and not after.isascii()
    if character in _MARKS:
        return any(unicodedata.bidirectional(near) in ("R", "AL") for near in (before, after) if near)
    return False
