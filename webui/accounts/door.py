"""The pages before one is signed in: sign-in, sign-out, a password by link."""

from flask import Response, flash, g, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts import passwords
from hitl.accounts.access import PUBLIC, SESSION_ID, allow
from hitl.accounts.errors import PasswordUnacceptable, ResetLinkEnded, SignInSlowed
from hitl.accounts.models import SignInSession
from hitl.accounts.reset_links import link_of_token, use_reset_link
from hitl.accounts.sessions import end_session
from hitl.accounts.sign_in import begin_attempt, sign_in
from webui.accounts.blueprint import bp
from webui.base.appearance import local_path


@bp.get("/sign-in", endpoint="sign_in")
@allow(PUBLIC)
def show_sign_in() -> str | AnyResponse:
    """Ask who is there; whoever is signed in already goes on."""
    if g.user is not None:
        return redirect(local_path(request.args.get("next", "")))
    return render_template("accounts/sign_in.html", next=request.args.get("next", ""))


@bp.post("/sign-in")
@allow(PUBLIC)
def sign_in_here() -> AnyResponse:
    """Sign in, or say that it did not match, without saying what did not."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        attempt = begin_attempt(g.db, email, request.remote_addr)
    except SignInSlowed as error:
        return _refuse(email, 429, wait_seconds=error.retry_after_seconds)
    g.db.commit()  # the try counts from here on, and nobody waits for our lock while the password is compared
    signed_in = sign_in(g.db, attempt, password)
    if signed_in is None:
        return _refuse(email, 401)
    end_session(g.db, session.get(SESSION_ID))
    remember(signed_in)
    return redirect(local_path(request.form.get("next", "")), 303)


@bp.post("/sign-out")
@allow(PUBLIC)
def sign_out() -> AnyResponse:
    """End the session of this browser."""
    end_session(g.db, session.get(SESSION_ID))
    session.clear()
    return redirect(url_for("accounts.sign_in"), 303)


@bp.get("/reset/<token>")
@allow(PUBLIC)
def show_reset(token: str) -> AnyResponse:
    """Ask for a new password."""
    return _reset_page(token)


@bp.post("/reset/<token>")
@allow(PUBLIC)
def reset(token: str) -> AnyResponse:
    """Set the password that was chosen, and ask the person to sign in with it."""
    password = request.form.get("password", "")
    try:
        passwords.ensure_acceptable(password, link_of_token(g.db, token).user.email)
        if password != request.form.get("again"):
            return _reset_page(token, again="The two are not the same.")
        g.db.commit()  # lets go of the database while the password is hashed
        use_reset_link(g.db, token, passwords.hash_password(password))
    except PasswordUnacceptable as error:
        return _reset_page(token, password=error.message)
    except ResetLinkEnded:
        return _reset_page(token)
    session.clear()
    flash("Your password is set. Sign in with it.")
    return redirect(url_for("accounts.sign_in"), 303)


def remember(signed_in: SignInSession) -> None:
    """Let this browser's cookie name a session, and forget everything it held before, its CSRF token too."""
    session.clear()
    session.permanent = True
    session[SESSION_ID] = str(signed_in.id)


def _refuse(email: str, status: int, wait_seconds: int | None = None) -> Response:
    page = render_template(
        "accounts/sign_in.html", email=email, next=request.form.get("next", ""), refused=True, wait_seconds=wait_seconds
    )
    response = make_response(page, status)
    if wait_seconds is not None:
        response.headers["Retry-After"] = str(wait_seconds)
    return response


def _reset_page(token: str, **problems: str) -> Response:
    try:
        link = link_of_token(g.db, token)
    except ResetLinkEnded as error:
        return make_response(render_template("accounts/ended.html", message=error.message), error.status)
    page = render_template("accounts/reset.html", person=link.user, problems=problems)
    return make_response(page, 422 if problems else 200)
