import pytest

from hitl.accounts.models import Project
from hitl.review.rubric_drafts import rubric_draft_of
from hitl.review.rubrics import publish_rubric, read_rubric, rubric_in_use
from tests.webui.rubric.conftest import Editor
from tests.webui.words import words_of

THUMBS = [{"kind": "thumbs", "name": "good", "label": "Good"}]


def in_use(database, desk):
    with database.reading() as db:
        return rubric_in_use(db, db.get_one(Project, desk.id))


def draft(database, desk):
    with database.reading() as db:
        found = rubric_draft_of(db, db.get_one(Project, desk.id))
        return None if found is None else found.criteria


class TestEditing:
    def test_it_starts_with_the_version_in_use_and_makes_no_draft_by_itself(self, editor, desk, shared_database):
        words = words_of(editor.page)
        assert "Rubric version 1" in words
        assert "Helpful scale 1 to 5 required overall" in words
        editor.press("save")
        assert draft(shared_database, desk) is None

    @pytest.mark.parametrize(
        "kind", ["scale", "thumbs", "choice", "tags", "text", "correction", "ranking", "pairwise", "spans"]
    )
    def test_it_adds_and_removes_each_kind(self, editor, desk, shared_database, kind):
        editor.press(f"add:{kind}")
        assert draft(shared_database, desk)[-1]["kind"] == kind
        assert "New criterion" in words_of(editor.page)
        assert 'id="criterion-4"' in editor.page
        editor.press("remove:4", **{"4.label": "Something"})
        assert len(draft(shared_database, desk)) == 4

    def test_it_publishes_what_was_edited(self, editor, desk, shared_database):
        editor.press("add:choice")
        editor.press(
            "save",
            **{
                "4.label": "Tone",
                "4.hint": "on the whole",
                "4.required": "on",
                "4.asked_of": ["response", "conversation"],
                "4.options.label": ["Warm", "Cold"],
                "4.options.value": ["", "chilly"],
                "0.label": "Helps",
            },
        )
        words = words_of(editor.page)
        assert "draft of version 2" in words
        assert "Publish version 2" in words
        question = words_of(editor.browser.get(f"{editor.url}/publication").text)
        assert "“Tone” is new: choice." in question
        assert "“Helpful”: it is labelled “Helps”." in question
        editor.publish()

        rubric = in_use(shared_database, desk)
        tone = rubric.criteria[4]
        assert (tone.name, tone.label, tone.required) == ("tone", "Tone", True)
        assert [(option.value, option.label) for option in tone.options] == [("warm", "Warm"), ("chilly", "Cold")]
        assert (rubric.criteria[0].name, rubric.criteria[0].label) == ("helpful", "Helps")
        assert "Version 2 is in use" in words_of(editor.page) or "Rubric version 2" in words_of(editor.page)
        assert draft(shared_database, desk) is None

    def test_it_moves_criteria_by_buttons_and_by_the_order_of_the_fields(self, editor, desk, shared_database):
        def names():
            return [criterion["name"] for criterion in draft(shared_database, desk)]

        editor.press("down:0")
        assert names() == ["correct", "helpful", "wrong", "correction"]
        editor.press("up:3")
        assert names() == ["correct", "helpful", "correction", "wrong"]
        editor.press("up:0")
        editor.press("down:9")
        editor.press("keep", criterion=["3", "0", "1", "2"])
        assert names() == ["wrong", "correct", "helpful", "correction"]

    def test_it_adds_and_removes_points_and_options(self, editor, desk, shared_database):
        editor.press("more:0:points")
        assert [point["value"] for point in draft(shared_database, desk)[0]["points"]] == [1, 2, 3, 4, 5, 6]
        editor.press("less:0:points:5")
        assert len(draft(shared_database, desk)[0]["points"]) == 5
        editor.press("less:2:options:0")
        assert draft(shared_database, desk)[2]["options"][0]["value"] == "made_up"

    def test_it_names_problems_at_their_fields_and_does_not_publish(self, editor, desk, shared_database):
        points = ["No", "", "Some", "Much", "All"]
        editor.press("save", **{"0.label": "", "0.points.label": points, "1.name": "Not a name", "3.name": "wrong"})
        words = words_of(editor.page)
        for said in ("Give it a label", "Say what this means", "Lower-case letters", "Criterion 3 is named “wrong”"):
            assert said in words
        assert (
            'id="c0-label" name="0.label" value="" maxlength="500" aria-describedby="c0-label-hint c0-label-problem"'
            in (editor.page)
        )
        assert "4 things to mend first" in words
        editor.publish()
        assert "Nothing was published" in words_of(editor.page) or in_use(shared_database, desk).criteria[0].label
        assert in_use(shared_database, desk).criteria[0].label == "Helpful"
        assert editor.browser.get(f"{editor.url}/publication").status_code == 303

    def test_it_gives_back_what_was_typed_whatever_it_was(self, editor):
        editor.press(
            "save", **{"0.label": '<script>alert("1")</script>', "0.points.value": ["1", "two", "3", "4", "5"]}
        )
        assert "<script>alert" not in editor.page
        assert "&lt;script&gt;alert" in editor.page
        assert 'value="two"' in editor.page
        assert "A whole number" in words_of(editor.page)

    @pytest.mark.parametrize(
        "action",
        [
            "",
            "add:king",
            "up",
            "up:x",
            "up:²",
            "remove:99999999999",
            "more:0:king",
            "less:0:points:77",
            "less:0",
            ":::",
        ],
    )
    def test_it_takes_no_harm_from_a_button_that_is_not_there(self, editor, action):
        assert editor.press(action).status_code == 303

    def test_it_refuses_what_cannot_be_stored_and_says_so(self, editor, desk, shared_database):
        refused = editor.press("save", **{"0.label": "x" * 300_000})
        assert refused.status_code == 413
        assert draft(shared_database, desk) is None

    def test_it_discards_a_draft(self, editor, desk, shared_database):
        editor.press("save", **{"0.label": "Helps"})
        editor.browser.post(f"{editor.url}/draft/discard", data={"seen_number": editor.fields["seen_number"]})
        assert draft(shared_database, desk) is None
        assert 'value="Helpful"' in editor.open()


class TestTwoLeads:
    def test_they_share_the_draft(self, editor, another):
        editor.press("save", **{"0.label": "Helps"})
        kims = another()
        assert 'value="Helps"' in kims.page
        assert "by Ana Lima" in words_of(kims.page)

    def test_the_second_keeps_what_they_typed_and_chooses(self, editor, another, desk, shared_database):
        kims = another()
        editor.press("save", **{"0.label": "Ana's"})
        late = kims.press("save", **{"0.label": "Kim's"})

        assert late.status_code == 409
        assert "Ana Lima changed the draft while you were at it" in words_of(late.text)
        assert 'value="Kim&#39;s"' in late.text
        assert draft(shared_database, desk)[0]["label"] == "Ana's"
        kims.press("save")
        assert draft(shared_database, desk)[0]["label"] == "Kim's"

    def test_nobody_publishes_what_they_have_not_seen(self, editor, another, desk, shared_database):
        editor.press("save", **{"0.label": "Ana's"})
        kims = another()
        editor.press("save", **{"0.label": "Ana's newer"})
        kims.publish()
        assert in_use(shared_database, desk).criteria[0].label == "Helpful"
        assert "Nothing was published" in words_of(kims.page) or "draft of version 2" in words_of(kims.page)

    def test_a_version_published_meanwhile_is_named(self, editor, desk, shared_database):
        editor.press("save", **{"0.label": "Ana's"})
        with shared_database.writing() as db:
            publish_rubric(db, db.get_one(Project, desk.id), read_rubric(THUMBS))
        assert "Version 2 was published since this draft began from version 1" in words_of(editor.open())
        assert "Publish version 3" in words_of(editor.page)


class TestPreview:
    def test_it_is_made_by_the_reviewers_own_macros(self, item, editor):
        assert 'name="answer.helpful" value="1" data-choose="1"' in editor.page
        assert "Breakfast is until ten." in words_of(editor.page)

    def test_it_leaves_out_what_must_be_mended(self, editor):
        editor.press("save", **{"1.points.label": ["", "", "", "", ""]})
        assert "Not shown until mended: Correct" in words_of(editor.page)
        assert 'name="answer.helpful"' in editor.page
        assert 'name="answer.correct"' not in editor.page

    def test_it_shows_what_each_kind_of_item_is_asked(self, editor):
        editor.press("save", preview_of="comparison")
        assert "Nothing is asked about comparisons" in words_of(editor.page)
        editor.press("save", preview_of="conversation", **{"0.asked_of": ["response"]})
        assert 'name="answer.correct"' in editor.page
        assert 'name="answer.helpful"' not in editor.page

    def test_it_shows_both_ways_of_comparing_and_passages(self, editor):
        for kind, label in (("ranking", "Best first"), ("pairwise", "Better"), ("spans", "Mistakes")):
            place = len(editor.fields.getlist("criterion"))
            editor.press(f"add:{kind}")
            options = {f"{place}.options.label": ["Wrong"], f"{place}.options.value": [""]} if kind == "spans" else {}
            editor.press("save", preview_of="comparison", **{f"{place}.label": label}, **options)
        assert 'name="answer.best_first.a"' in editor.page
        assert 'name="answer.better" value="a.much"' in editor.page
        assert "Response C And a third one." in words_of(editor.page)
        editor.press("save", preview_of="response")
        assert 'id="answer-mistakes"' in editor.page
        assert 'data-words="words-a"' in editor.page
        asked = {f"{place}.per": "response", f"{place}.asked_of": ["comparison"]}
        editor.press("save", preview_of="comparison", **asked)
        for letter in "abc":
            assert f'name="answer.mistakes.{letter}"' in editor.page
            assert f'<marked-words class="words" id="words-{letter}"' in editor.page

    def test_while_typing_only_the_preview_comes_back(self, editor):
        fields = editor.fields
        fields.setlist("0.label", ["Helps"])
        fields.setlist("action", ["keep"])
        answer = editor.browser.post(f"{editor.url}/draft", data=fields, headers={"HX-Request": "true"})
        assert answer.text.lstrip().startswith('<section class="panel preview" id="preview"')
        assert 'id="seen_number" value="1" hx-swap-oob="true"' in answer.text
        assert 'name="0.label"' not in answer.text


class TestVersions:
    def test_a_version_is_shown_and_taken_as_draft(self, editor, desk, shared_database):
        with shared_database.writing() as db:
            publish_rubric(db, db.get_one(Project, desk.id), read_rubric(THUMBS))
        words = words_of(editor.open())
        assert "Version 2 in use" in words
        assert "Version 1" in words
        first = editor.page.split("/rubric/versions/")[-1].split('"')[0]
        page = editor.browser.get(f"{editor.url}/versions/{first}").text
        assert "The first version" in words_of(page)
        editor.browser.post(f"{editor.url}/versions/{first}/draft", data={"seen_number": "0"})
        assert [criterion["name"] for criterion in draft(shared_database, desk)] == [
            "helpful",
            "correct",
            "wrong",
            "correction",
        ]

    def test_it_knows_no_version_that_is_not_there(self, editor):
        assert editor.browser.get(f"{editor.url}/versions/01890000-0000-7000-8000-000000000000").status_code == 404

    def test_publishing_offers_the_items_that_nobody_has_begun(
        self, editor, item, desk, shared_database, sign_in, lead
    ):
        before = item.rubric_version_id
        sign_in(lead)  # commits the item
        editor.press("save", **{"0.label": "Helps"})
        question = words_of(editor.browser.get(f"{editor.url}/publication").text)
        assert "1 item waits for reviews." in question
        assert "Give the new version to the 1 that nobody has begun" in question
        editor.publish(also_untouched="on")
        with shared_database.reading() as db:
            assert db.get_one(type(item), item.id).rubric_version_id != before


def test_an_annotator_has_no_editor(sign_in, member, desk):
    annotator = sign_in(member("annotator"))
    assert annotator.get(f"/projects/{desk.slug}/rubric").status_code == 403
    assert "/rubric" not in annotator.get(f"/projects/{desk.slug}").text


def test_an_admin_has_all_tabs(sign_in, member, desk):
    page = Editor(sign_in(member("admin")), desk).page
    for tab in ("Rubric", "Guidelines", "Project", "Members", "Invitations", "Keys"):
        assert f">{tab}</a>" in page
