"""Static files by a name that changes with their content, so that browsers may keep them for good; sent compressed.

Pages are not compressed: they carry the token of their forms beside text that strangers wrote, and from the length of
both together such a stranger could guess the token (BREACH). Static files hold nothing secret.
"""

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, request, url_for
from markupsafe import Markup

KEEP_FOR_GOOD = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"
WORTH_COMPRESSING = 512  # bytes


def asset(folder: str, filename: str) -> str:
    """Return the address of a static file of a feature's blueprint, with the hash of its content.

    folder: the blueprint's name, as in `asset("base", "css/forms.css")`.
    """
    path = _static_path(folder, filename)
    # What url_for puts before the path differs between servers, and between a page and an address for elsewhere.
    return _address_of(request.root_path, folder, filename, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _address_of(_root: str, folder: str, filename: str, path: Path, changed_at_ns: int) -> str:
    return url_for(f"{folder}.static", filename=filename, v=_hash_of(path, changed_at_ns))


def css(folder: str, filename: str) -> Markup:
    """Return the link to a stylesheet."""
    return Markup('<link rel="stylesheet" href="{}">').format(asset(folder, filename))


def js(folder: str, filename: str) -> Markup:
    """Return the tag of a script that runs once the page is read."""
    return Markup('<script src="{}" defer></script>').format(asset(folder, filename))


def js_before_page(folder: str, filename: str) -> Markup:
    """Return the tag of a script that runs before anything of the page is seen; in the head alone, and small."""
    return Markup('<script src="{}"></script>').format(asset(folder, filename))


def keep_static_files(response: Response) -> Response:
    """Let browsers keep a static file asked for by its content's hash; have them ask again for any other."""
    folder, _, kind = (request.endpoint or "").rpartition(".")
    if kind != "static" or not folder or response.status_code not in (200, 304):
        return response
    filename = (request.view_args or {}).get("filename", "")
    asked_by_hash = request.args.get("v") == _content_hash(folder, filename)
    response.headers["Cache-Control"] = KEEP_FOR_GOOD if asked_by_hash else ASK_EACH_TIME
    if _is_text(response):
        response.vary.add("Accept-Encoding")
        if response.status_code == 200 and request.accept_encodings.quality("gzip") > 0:
            _compress(response, _static_path(folder, filename))
    return response


def _is_text(response: Response) -> bool:
    return response.mimetype.startswith("text/") or response.mimetype == "image/svg+xml"


def _compress(response: Response, path: Path) -> None:
    """Put the compressed file in the place of the file, where that is shorter."""
    packed = _packed(path, path.stat().st_mtime_ns)
    if packed is None:
        return
    response.close()  # the file that was opened to be sent
    response.direct_passthrough = False
    response.set_data(packed)
    response.content_encoding = "gzip"
    response.headers.remove("Accept-Ranges")
    tag, _ = response.get_etag()
    if tag is not None:  # weak: the same content in other bytes
        response.set_etag(tag, weak=True)


@lru_cache(maxsize=512)
def _packed(path: Path, changed_at_ns: int) -> bytes | None:
    content = path.read_bytes()
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    return packed if len(content) >= WORTH_COMPRESSING and len(packed) < len(content) else None


def register_assets(app: Flask) -> None:
    """Give templates `asset`, `css`, `js` and `js_before_page`, and static files their cache headers."""
    app.jinja_env.globals.update(asset=asset, css=css, js=js, js_before_page=js_before_page)
    app.after_request(keep_static_files)


def _content_hash(folder: str, filename: str) -> str:
    path = _static_path(folder, filename)
    return _hash_of(path, path.stat().st_mtime_ns)


def _static_path(folder: str, filename: str) -> Path:
    static_folder = current_app.blueprints[folder].static_folder
    if static_folder is None:
        raise LookupError(f"the blueprint {folder} has no static files")
    return Path(static_folder) / filename


@lru_cache(maxsize=512)
def _hash_of(path: Path, changed_at_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
