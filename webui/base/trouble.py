"""What a page says when something is wrong: what happened, what became of your work, what to do."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WayOn:
    """A link that leads out of the trouble."""

    label: str
    url: str
    key: str | None = None


@dataclass(frozen=True)
class Trouble:
    """One trouble, in the words of the person who met it."""

    status: int
    code: str
    title: str
    happened: str
    work: str = ""  # what became of what they did
    remedy: str = ""  # what to do
    kept: str = ""  # text of theirs that was not sent, shown again
    ways_on: tuple[WayOn, ...] = field(default_factory=tuple)
    request_id: str | None = None


_NOTHING_CHANGED = "Nothing was changed."
_TITLES_AND_REMEDIES = {
    400: ("This request could not be read", "Go back, reload the page and try again."),
    401: ("Sign in first", "After that you come back to this page."),
    403: ("This is not yours to do", "Ask an admin of this project for the role that may."),
    404: ("There is nothing here", "The address may be mistyped, or the page belongs to a project you are not in."),
    405: ("This address does not take that", "Go back and use the buttons of the page."),
    409: ("This changed in the meantime", "Reload the page to see how it is now."),
    413: ("This is too large", "Send less at once."),
    415: ("This is not the right kind of file", "Send it in the form that the page names."),
    422: ("Something here cannot be accepted", "Go back and change what is named above."),
    429: ("Too many attempts", "Wait a minute, then try again."),
    500: (
        "This did not work, and it is our fault",
        "Try again in a moment; if it stays, tell the person who runs this server the number below.",
    ),
    503: ("The server is not ready just now", "Try again in a moment."),
}


def trouble_for(
    status: int,
    code: str,
    happened: str = "",
    *,
    work: str | None = None,
    kept: str = "",
    ways_on: tuple[WayOn, ...] = (),
    request_id: str | None = None,
) -> Trouble:
    """Return the trouble of an HTTP status, with its usual title and remedy.

    happened: the error's own sentence; left out where the title already says it.
    work: what became of the person's work; by default that nothing was changed, except where nothing was tried.
    """
    title, remedy = _TITLES_AND_REMEDIES.get(status, _TITLES_AND_REMEDIES[500 if status >= 500 else 400])
    if work is None:
        work = "" if status in (401, 404) else _NOTHING_CHANGED
    # A page of somebody else and a page that never was must read the same.
    said = "" if status == 404 else happened
    return Trouble(status, code, title, said, work, remedy, kept, ways_on, request_id)
