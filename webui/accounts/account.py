"""One's own account: name, password, looks."""

from flask import Response, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts.access import SIGNED_IN, allow
from hitl.accounts.errors import NameUnacceptable, PasswordUnacceptable, SignInSlowed, WrongPassword
from hitl.accounts.password_change import begin_password_change, change_password
from hitl.accounts.users import rename
from webui.accounts.blueprint import bp
from webui.accounts.door import remember


@bp.get("/account")
@allow(SIGNED_IN)
def show() -> Response:
    """Show one's own account."""
    return _page()


@bp.post("/account/name")
@allow(SIGNED_IN)
def change_name() -> AnyResponse:
    """Change how others see one's name."""
    name = request.form.get("name", "")
    try:
        rename(g.db, g.user, name)
    except NameUnacceptable as error:
        return _page(name=error.message)
    flash("Your name is changed.")
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/password")
@allow(SIGNED_IN)
def change_own_password() -> AnyResponse:
    """Change one's password; every other browser is signed out."""
    new = request.form.get("password", "")
    if new != request.form.get("again"):
        return _page(again="The two are not the same.")
    try:
        attempt = begin_password_change(g.db, g.user, new, request.remote_addr)
        g.db.commit()  # the try counts from here on, and nobody waits for our lock while the password is compared
        remember(change_password(g.db, attempt, request.form.get("present", ""), new))
    except PasswordUnacceptable as error:
        return _page(password=error.message)
    except WrongPassword as error:
        return _page(present=error.message)
    except SignInSlowed as error:
        return _page(429, error.retry_after_seconds, present=f"{error.message}")
    flash("Your password is changed. All other browsers are signed out.")
    return redirect(url_for("accounts.show"), 303)


def _page(status: int = 422, retry_after_seconds: int | None = None, **problems: str) -> Response:
    page = render_template(
        "accounts/show.html", user=g.user, problems=problems, name=request.form.get("name", g.user.name)
    )
    response = make_response(page, status if problems else 200)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response
