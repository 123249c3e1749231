"""The comparison with Label Studio needs its server; what can be tried without it is how the figures are counted."""

from benchmarks.all import names
from benchmarks.peers import Figures


def test_it_counts_tasks_that_several_people_labelled():
    figures = Figures()
    figures.handed.update(["one", "two", "two", "three", "four", "four", "four", "five"])
    figures.rating.seconds, figures.wall_seconds = [0.1] * 8, 4.0

    row = figures.row()

    assert row["labelled twice, in 100"] == 40.0
    assert row["ratings per second"] == 2.0


def test_it_is_fetched_only_when_asked_for():
    assert "claim" in names()
    assert "peers" not in names()
