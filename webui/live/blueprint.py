"""The blueprint of the supervisor's pages: what can be done live, ready replies, and what is looked at afterwards."""

from flask import Blueprint

bp = Blueprint("live", __name__, template_folder="templates", static_folder="static", static_url_path="/static/live")
