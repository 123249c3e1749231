"""Pages as a person reads them."""

import html
import re

from werkzeug.test import TestResponse


def words_of(page: str) -> str:
    """Return the words of a page's main part, in one line."""
    main = re.search(r"<main.*?</main>", page, re.DOTALL)
    assert main is not None, "the page has no main part"
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main.group())).split())


def words_of_answer(answer: TestResponse) -> str:
    """Return all words of an answer, a page with its bar or a mere fragment, in one line."""
    body = re.sub(r"<head>.*?</head>", " ", answer.get_data(as_text=True), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
