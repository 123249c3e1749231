"""Home."""

from flask import Blueprint, render_template

from hitl.accounts.access import SIGNED_IN, allow
from hitl.accounts.permissions import Permission

bp = Blueprint("home", __name__, template_folder="templates")


@bp.get("/")
@allow(SIGNED_IN)
def index() -> str:
    return render_template("home/index.html")


@bp.get("/projects/<slug>")
@allow(*Permission)
def show(slug: str) -> str:
    return render_template("home/index.html")
