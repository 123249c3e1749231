import pytest

from hitl.queue.items import add_item
from hitl.queue.rules import AllCondition, Terms, create_rule
from tests.hitl import factories


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_pages_fit_their_window(committed, desk, member, address, browsing, enter, width):
    long_word = "A response with averyveryverylongwordthatnobodywouldwritebutamodelmight" * 3
    item = add_item(committed, desk, [factories.Response(project=desk, text=long_word)], reviews_wanted=2)
    rule = create_rule(
        committed, desk, "A rule with a name that is rather long", Terms(condition=AllCondition(), rate=1)
    )
    page = browsing.open(width=width)
    enter(page, member("lead"))

    home = f"{address}/projects/hotel-desk"
    for path in (home, f"{home}/queue", f"{home}/items/{item.id}", f"{home}/rules/{rule.id}", f"{address}/api/docs"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_rule_asks_only_for_what_its_responses_need(member, address, browsing, enter):
    page = browsing.open()
    enter(page, member("lead"))
    page.goto(f"{address}/projects/hotel-desk/rules/new")
    assert not page.get_by_label("Model").is_visible()

    page.get_by_label("From which responses").select_option("model")

    assert page.get_by_label("Model").is_visible()
    assert not page.get_by_label("Kind of feedback").is_visible()


def test_several_items_are_chosen_and_reserved_by_keyboard(committed, desk, member, address, browsing, enter):
    for text in ("One.", "Two.", "Three."):
        add_item(committed, desk, [factories.Response(project=desk, text=text)])
    committed.commit()
    page = browsing.open()
    enter(page, member("lead", name="Ana Lima"))
    page.goto(f"{address}/projects/hotel-desk/queue")
    assert page.get_by_role("button", name="Close").get_attribute("aria-disabled") == "true"

    for key in ("j", "Space", "ArrowDown", "Enter", "j", "Space"):
        page.keyboard.press(key)
    page.get_by_text("2 chosen").wait_for()
    page.keyboard.press("m")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("2 items reserved for Ana Lima.").wait_for()

    page.locator("[name=item]").first.click()
    page.locator("[name=item]").last.click(modifiers=["Shift"])
    page.get_by_text("3 chosen").wait_for()
    page.keyboard.press("x")
    page.get_by_text("3 items closed.").wait_for()
