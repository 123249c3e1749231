"""Pages as a person reads them."""

import html
import re


def words_of(page: str) -> str:
    """Return the words of a page's main part, in one line."""
    main = re.search(r"<main.*?</main>", page, re.DOTALL)
    assert main is not None, "the page has no main part"
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main.group())).split())
