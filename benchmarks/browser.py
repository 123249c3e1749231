"""What a person at the review page waits for, in Chromium: `python -m benchmarks.browser`.

From Ctrl+Enter to the frame that shows the next item; what the first visit loads; and whether a message of 100,000
characters stays smooth: the longest that the page was busy at a stretch, and the frames while it is scrolled.
"""

import gzip
import time
from collections.abc import Callable
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import urlsplit

from playwright.sync_api import Page, Response

from benchmarks.bench import Bench, main
from benchmarks.databases import settle_down
from benchmarks.filling import add_open_items, add_responses, open_desk
from benchmarks.serving import own_service, sign_in
from benchmarks.timing import Timings, percentile
from tests.machine.chromium import chromium

NEXT_ITEM_MS, FIRST_VISIT_KB, LONGEST_TASK_MS = 150.0, 200.0, 200.0
LONG_CHARACTERS = 100_000


def measure(bench: Bench) -> None:
    """Review short answers, look at the first visit, and read and correct a long answer."""
    bench.table("Submit, until the next item is painted")
    for kind in bench.kinds:
        with _page(bench, kind, characters=600) as (page, address):
            if kind == bench.kinds[0]:
                _first_visit(bench, page, address)
            page.goto(address)
            _next_items(bench, kind, page)
    bench.table(f"An answer of {LONG_CHARACTERS:,} characters")
    with _page(bench, bench.kinds[0], characters=LONG_CHARACTERS) as (page, address):
        _long_answer(bench, page, address)


@contextmanager
def _page(bench: Bench, kind: str, *, characters: int):
    """A page of a signed-in reviewer and the address at which it begins to review."""
    reviews = _reviews(bench)
    with own_service(kind) as service, chromium() as browser:
        with service.instance() as instance:
            desk = open_desk(instance.database, "desk", 1)
            about = add_responses(instance.database, desk, reviews + 5, characters=characters)
            add_open_items(instance.database, desk, reviews + 5, about=about)
            with instance.database.writing() as db:
                cookie = sign_in(instance, db, desk.people[0])
            settle_down(instance.settings.database_url)
        service.start()
        context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        context.add_cookies([{"name": "hitl_session", "value": cookie, "url": service.address}])
        context.set_default_timeout(60_000)
        context.add_init_script(WATCH)
        yield context.new_page(), f"{service.address}/projects/{desk.slug}/review"


def _reviews(bench: Bench) -> int:
    return bench.sized(full=100, quick=20, smoke=2)


# How long each task kept the page busy, and when each frame came.
WATCH = """
window.busy = []; window.frames_at = [];
new PerformanceObserver(list => window.busy.push(...list.getEntries().map(task => task.duration)))
  .observe({type: "longtask", buffered: true});
const tick = now => { window.frames_at.push(now); requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""
# Resolves in the frame after the one that shows an item of another lease.
NEXT_PAINTED = """
([lease, began]) => new Promise(resolve => {
  const look = () => {
    const form = document.querySelector("form#review");
    if (form && form.getAttribute("action") !== lease)
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began), 0));
    else requestAnimationFrame(look);
  };
  look();
})
"""


def _first_visit(bench: Bench, page: Page, address: str) -> None:
    """Weigh what a browser with nothing cached loads: as it is sent, and as a proxy that compresses would send it."""
    loaded: list[Response] = []

    def keep(response: Response) -> None:
        loaded.append(response)

    page.on("response", keep)
    page.goto(address, wait_until="networkidle")
    bodies = {urlsplit(response.url).path: response.body() for response in loaded if response.status == 200}
    sent = sum(int(response.headers.get("content-length", 0)) for response in loaded)
    compressed = sum(len(gzip.compress(body, 6)) for body in bodies.values())
    plain = sum(map(len, bodies.values()))
    bench.note(
        f"first visit: {len(bodies)} files, {plain / 1000:.0f} kB, sent as {sent / 1000:.0f} kB, "
        f"{compressed / 1000:.0f} kB with gzip"
    )
    bench.goal("first visit, compressed", compressed / 1000, unit="kB", at_most=FIRST_VISIT_KB)
    page.remove_listener("response", keep)


def _next_items(bench: Bench, kind: str, page: Page) -> None:
    _open_item(page)
    waited = Timings()
    for _ in range(_reviews(bench)):
        _rate(page)
        waited.seconds.append(_submit(page) / 1000)
    p95 = 1000 * percentile(waited.seconds, 0.95)
    bench.row(database=kind, **{"p50 ms": waited.p(50), "p95 ms": p95, "max ms": waited.p(100)})
    bench.goal(f"submit until the next item is painted, {kind}: p95", p95, unit="ms", at_most=NEXT_ITEM_MS)


def _open_item(page: Page) -> None:
    """Wait for the first item, which a page in view opens by itself."""
    page.locator("[data-criterion].is-current").wait_for()


def _rate(page: Page) -> None:
    page.locator("[data-criterion].is-current").wait_for()
    page.keyboard.press("4")
    page.keyboard.press("j")
    page.keyboard.press("4")


def _submit(page: Page) -> float:
    """Submit by keyboard and return the milliseconds until the next item was painted."""
    lease = page.locator("form#review").get_attribute("action")
    began = page.evaluate("performance.now()")
    page.keyboard.press("Control+Enter")
    return page.evaluate(NEXT_PAINTED, [lease, began])


def _long_answer(bench: Bench, page: Page, address: str) -> None:
    page.goto(address)
    longest = []
    for what, act in (
        ("open", lambda: _open_item(page)),
        ("scroll", lambda: _scroll(page)),
        ("correct", lambda: _correct(page)),
    ):
        longest.append(_watched(bench, page, what, act))
    bench.goal(
        "the longest that typing or scrolling kept the page busy", max(longest[1:]), unit="ms", at_most=LONGEST_TASK_MS
    )


def _watched(bench: Bench, page: Page, what: str, act: Callable[[], None]) -> float:
    """Do something and return the longest that the page was busy at a stretch meanwhile, in milliseconds."""
    page.evaluate("() => { window.busy.length = 0; window.frames_at.length = 0; }")
    began = time.perf_counter()
    act()
    took = time.perf_counter() - began
    page.wait_for_timeout(100)
    busy, frames = page.evaluate("[window.busy, window.frames_at]")
    pauses = [later - earlier for earlier, later in pairwise(frames)]
    longest = max(busy, default=0.0)
    bench.row(
        doing=what,
        seconds=took,
        **{"longest task ms": longest, "tasks over 50 ms": len(busy)},
        **{"p95 between frames ms": percentile(pauses, 0.95), "longest between frames ms": max(pauses, default=0.0)},
    )
    return longest


def _scroll(page: Page) -> None:
    page.mouse.move(400, 400)
    for _ in range(30):
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(16)


def _correct(page: Page) -> None:
    page.locator("[data-criterion='correction'] textarea, textarea[name='answer.correction']").first.click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Please write to us if it has not come by Friday.", delay=20)


if __name__ == "__main__":
    main("browser", "The review page in a browser", measure)
