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
