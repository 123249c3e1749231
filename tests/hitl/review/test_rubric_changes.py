from hitl.review.rubric_changes import changes_between

THUMBS = {"kind": "thumbs", "name": "good", "label": "Good", "hint": "", "required": False}
TEXT = {"kind": "text", "name": "why", "label": "Why", "hint": "", "required": False}


def test_the_same_is_no_change():
    assert changes_between([THUMBS, TEXT], [THUMBS, TEXT]) == []


def test_it_names_what_is_new_and_what_is_gone():
    assert changes_between([THUMBS], [TEXT]) == ["“Why” is new: text.", "“Good” is asked no more."]


def test_it_says_how_one_differs():
    (said,) = changes_between([THUMBS], [THUMBS | {"label": "Fine", "required": True, "hint": "on the whole"}])
    assert said == "“Good”: it is labelled “Fine”; its hint is another; it must be answered."


def test_it_counts_points():
    scale = {"kind": "scale", "name": "clear", "label": "Clear", "points": [1, 2, 3]}
    (said,) = changes_between([scale], [scale | {"points": [1, 2, 3, 4]}])
    assert said == "“Clear”: its points change, from 3 to 4."


def test_it_notices_another_order_and_only_that():
    assert changes_between([THUMBS, TEXT], [TEXT, THUMBS]) == ["The criteria stand in another order."]
