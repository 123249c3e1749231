"""Static files by a name that changes with their content, so that browsers may keep them for good."""

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, request, url_for
from markupsafe import Markup

KEEP_FOR_GOOD = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"


def asset(folder: str, filename: str) -> str:
    """Return the address of a static file of a feature's blueprint, with the hash of its content.

    folder: the blueprint's name, as in `asset("base", "css/forms.css")`.
    """
    return url_for(f"{folder}.static", filename=filename, v=_content_hash(folder, filename))


def css(folder: str, filename: str) -> Markup:
    """Return the link to a stylesheet."""
    return Markup('<link rel="stylesheet" href="{}">').format(asset(folder, filename))


def js(folder: str, filename: str) -> Markup:
    """Return the tag of a script that runs once the page is read."""
    return Markup('<script src="{}" defer></script>').format(asset(folder, filename))


def keep_static_files(response: Response) -> Response:
    """Let browsers keep a static file asked for by its content's hash; have them ask again for any other."""
    folder, _, kind = (request.endpoint or "").rpartition(".")
    if kind != "static" or not folder or response.status_code not in (200, 304):
        return response
    filename = (request.view_args or {}).get("filename", "")
    asked_by_hash = request.args.get("v") == _content_hash(folder, filename)
    response.headers["Cache-Control"] = KEEP_FOR_GOOD if asked_by_hash else ASK_EACH_TIME
    return response


def register_assets(app: Flask) -> None:
    """Give templates `asset`, `css` and `js`, and static files their cache headers."""
    app.jinja_env.globals.update(asset=asset, css=css, js=js)
    app.after_request(keep_static_files)


def _content_hash(folder: str, filename: str) -> str:
    static_folder = current_app.blueprints[folder].static_folder
    if static_folder is None:
        raise LookupError(f"the blueprint {folder} has no static files")
    path = Path(static_folder) / filename
    return _hash_of(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _hash_of(path: Path, changed_at_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
