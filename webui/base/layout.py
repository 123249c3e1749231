"""What the frame around every page shows: where am I, where can I go, who am I.

Templates find it as `layout`. Whoever puts the application together hands `register_pages` a function that makes one
for the current request; pages hand over their own keys as `keys`:

    render_template("review/show.html", lease=lease, keys=REVIEW_KEYS)
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from webui.base.appearance import Appearance


@dataclass(frozen=True)
class ProjectLink:
    """A project this person is in, and its first page."""

    name: str
    url: str


@dataclass(frozen=True)
class NavEntry:
    """A place to go, shown only to those who may go there."""

    name: str
    url: str
    icon: str
    permission: str | None = None  # None: for everybody
    is_current: bool = False
    count: int | None = None  # what waits there
    count_goes_on: bool = False  # there is more than that; nobody counted on
    needs_you: bool = False  # the count asks for someone now


@dataclass(frozen=True)
class Key:
    """A line of the keyboard help: what happens, and by which keys."""

    does: str
    keys: tuple[str, ...]


EVERYWHERE = (
    Key("All keys", ("?",)),
    Key("Leave a field", ("Esc",)),
)

REVIEW_KEYS = (
    Key("Choose a point, an option or a tag", ("1", "…", "9")),
    Key("Cannot judge", ("0",)),
    Key("Next criterion", ("↓", "j")),
    Key("Previous criterion", ("↑", "k")),
    Key("Correct the response", ("e",)),
    Key("Mark a passage", ("m",)),
    Key("Read it formatted; as it was written", ("v",)),
    Key("Marking: move, by words, select", ("←", "Ctrl", "⇧")),
    Key("Marking: label, then how bad; keep; leave", ("1", "⏎", "Esc")),
    Key("Marking: remove the mark", ("Del",)),
    Key("Comment", ("c",)),
    Key("Submit and next", ("⏎",)),
    Key("Submit from inside a field", ("Ctrl", "⏎")),
    Key("Skip", ("s",)),
    Key("Undo", ("z",)),
    Key("Guidelines", ("g",)),
)


# On a page that compares, beside those above: letters are the names of responses there, so the comment has another.
COMPARE_KEYS = (
    Key("Compare: place a response, best first", ("a", "b", "…")),
    Key("Compare: the next is equal to the last", ("e", "=")),
    Key("Compare: take the last one back", ("⌫",)),
    Key("Compare: move a letter that has the focus", ("←", "→")),
    Key("Compare: all or both are bad", ("x",)),
    Key("Compare two: better, again: much better", ("a", "b")),
    Key("Compare: words that differ", ("w",)),
    Key("Compare: comment", ("n",)),
)


QUEUE_KEYS = (
    Key("Next, previous item", ("j", "k")),
    Key("Choose it, or no longer", ("Space",)),
    Key("Chosen items: reserve them for somebody", ("m",)),
    Key("Chosen items: put them back", ("b",)),
    Key("Chosen items: close them", ("x",)),
)


BOARD_KEYS = (
    Key("Open the first that needs you", ("⏎",)),
    Key("Next, previous conversation", ("j", "k")),
    Key("Find a conversation", ("/",)),
)

LIVE_KEYS = (
    Key("Held: send as it is", ("a",)),
    Key("Held: edit; send edited", ("e", "Ctrl", "⏎")),
    Key("Held: refuse, the bot tries again", ("r",)),
    Key("Take over; write", ("t", "e")),
    Key("Hand back to the bot", ("b",)),
    Key("Asked for a person, or alert: dealt with", ("d",)),
    Key("Whisper to the bot", ("w",)),
    Key("Note for colleagues", ("n",)),
    Key("Ready replies", ("/",)),
    Key("Next, previous conversation", ("j", "k")),
)


@dataclass(frozen=True)
class Layout:
    """The frame of one page for one person; the defaults are the frame for somebody who is not signed in."""

    user_name: str | None = None
    initials: str = ""
    projects: tuple[ProjectLink, ...] = ()
    project: ProjectLink | None = None
    nav: tuple[NavEntry, ...] = ()
    tabs: tuple[NavEntry, ...] = ()  # the pages of the place one is in, where it has several
    account_links: tuple[NavEntry, ...] = ()  # in the account menu, above the appearance
    appearance: Appearance = field(default_factory=Appearance)
    home_url: str = "/"
    sign_out_url: str | None = None  # takes a POST
    keys: tuple[Key, ...] = EVERYWHERE


def visible_to(permissions: Set[str], entries: Iterable[NavEntry]) -> tuple[NavEntry, ...]:
    """Return the entries that somebody with these permissions may follow."""
    return tuple(entry for entry in entries if entry.permission is None or entry.permission in permissions)


def initials_of(name: str) -> str:
    """Return two letters that stand for a name: of its first and last word, or the first two of its only word."""
    words = name.split()
    if not words:
        return "?"
    return (words[0][:2] if len(words) == 1 else words[0][0] + words[-1][0]).upper()
