"""Queue."""

from flask import Blueprint, render_template

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission

bp = Blueprint("queue", __name__, url_prefix="/projects/<slug>", template_folder="templates")


@bp.get("/queue")
@allow(Permission.QUEUE)
def index(slug: str) -> str:
    return render_template("home/index.html")
