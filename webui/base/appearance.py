"""How the pages look and answer to one person: light or dark, single-letter keys or not.

Kept in two cookies of the browser, since it holds for a screen rather than for an account and must also hold on the
sign-in page. They name nobody and grant nothing.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from flask import Blueprint, Request, redirect, request
from werkzeug.wrappers import Response

from hitl.accounts.access import PUBLIC, allow

Theme = Literal["system", "light", "dark"]

THEME_COOKIE = "hitl_theme"
KEYS_COOKIE = "hitl_keys"
ONE_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True)
class Appearance:
    """What this browser asked for."""

    theme: Theme = "system"
    single_keys: bool = True


def chosen_appearance(asked: Request) -> Appearance:
    """Return what the request's browser chose earlier; the defaults if it chose nothing."""
    theme = asked.cookies.get(THEME_COOKIE)
    return Appearance(
        theme="dark" if theme == "dark" else "light" if theme == "light" else "system",
        single_keys=asked.cookies.get(KEYS_COOKIE) != "off",
    )


@allow(PUBLIC)
def choose_appearance() -> Response:
    """Keep what was chosen and go back to the page it was chosen on."""
    response = redirect(local_path(request.form.get("next", "")), 303)
    theme = request.form.get("theme")
    if theme in ("system", "light", "dark"):
        _keep(response, THEME_COOKIE, theme)
    keys = request.form.get("keys")
    if keys in ("on", "off"):
        _keep(response, KEYS_COOKIE, keys)
    return response


def register_appearance(blueprint: Blueprint) -> None:
    """Add the public route that the account menu posts to."""
    blueprint.add_url_rule("/appearance", "appearance", choose_appearance, methods=["POST"])


def _keep(response: Response, cookie: str, value: str) -> None:
    response.set_cookie(
        cookie, value, max_age=ONE_YEAR_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure
    )


def local_path(address: str) -> str:
    """Return the address if it is a path of this site, else the first page: a form must not send people elsewhere."""
    # Browsers drop tabs and newlines and read a backslash as a slash: "/\t/evil.example" would leave this site.
    is_plain = address.isascii() and address.isprintable() and "\\" not in address
    if not is_plain or not address.startswith("/") or address.startswith("//"):
        return "/"
    parts = urlsplit(address)
    return "/" if parts.scheme or parts.netloc else address
