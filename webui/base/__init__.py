"""What all pages share: the frame, the parts, the scripts, the safety of what they show."""

from collections.abc import Callable

from flask import Blueprint, Flask, g
from werkzeug.local import LocalProxy

from webui.base.appearance import register_appearance
from webui.base.assets import register_assets
from webui.base.captured_text import captured_html, captured_line, plain_html
from webui.base.layout import Layout
from webui.base.security import register_security


def register_pages(app: Flask, layout: Callable[[], Layout] = Layout) -> None:
    """Give the application the shared templates, static files and headers.

    layout: makes the frame of the current request; called at most once a request, and not for mere fragments.
    """
    blueprint = Blueprint(
        "base", __name__, static_folder="static", static_url_path="/static/base", template_folder="templates"
    )
    register_appearance(blueprint)
    app.register_blueprint(blueprint)
    register_assets(app)
    register_security(app)
    app.jinja_env.filters.update(captured=captured_html, captured_line=captured_line, captured_plain=plain_html)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True

    @app.context_processor
    def frame() -> dict[str, object]:
        return {"layout": LocalProxy(layout_of_this_request)}

    def layout_of_this_request() -> Layout:
        if "layout" not in g:
            g.layout = layout()
        return g.layout  # type: ignore[no-any-return]
