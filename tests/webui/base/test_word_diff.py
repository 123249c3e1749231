from webui.base.word_diff import word_diff


def drawn(before, after):
    signs = {"same": "{}", "out": "[-{}-]", "in": "[+{}+]"}
    return "".join(signs[change.kind].format(change.text) for change in word_diff(before, after).changes)


class TestWordDiff:
    def test_it_marks_words_that_leave_and_come(self):
        assert drawn("It is booked now", "It is not booked") == "It is [+not +]booked[-now-]"

    def test_it_counts_words_not_marks(self):
        diff = word_diff("Yes - it is", "No, it was so")

        assert (diff.words_out, diff.words_in) == (2, 3)

    def test_it_compares_scripts_without_blanks_letter_by_letter(self):
        assert drawn("部屋はある", "部屋はない") == "部屋は[-ある-][+ない+]"

    def test_blanks_alone_are_no_change(self):
        assert [change.kind for change in word_diff("a  b", "a\nb").changes] == ["same"]

    def test_an_empty_text_is_all_change(self):
        assert drawn("", "Good day") == "[+Good day+]"
        assert drawn("Good day", "") == "[-Good day-]"

    def test_it_gives_up_on_what_would_take_too_long(self):
        assert word_diff("the " * 2_000, "the " * 2_000) is None
