"""What on a server is one's own past: by runs, never by numbers alone."""

from __future__ import annotations

import pytest

from risk_daemon.state.store.lineage import KEEP_RUNS, Head, Lineage, Relation

SENT = Lineage().sent_by("a", 5)


def test_nothing_there_and_everything_foreign() -> None:
    assert Lineage().relation(None, 5) is Relation.ABSENT
    assert Lineage().relation(Head(3, "x"), 5) is Relation.OTHER
    assert Lineage().relation(Head(6, "x"), 5) is Relation.AHEAD


def test_what_this_run_sent_is_ours_and_no_more() -> None:
    for revision in (5, 20):
        assert SENT.relation(Head(5, "a"), revision) is Relation.OURS
        assert SENT.relation(Head(2, "a"), revision) is Relation.OURS
    assert SENT.relation(Head(6, "a"), 5) is Relation.AHEAD
    assert SENT.relation(Head(6, "a"), 6) is Relation.OTHER, "a save that was never sent"


def test_a_copy_that_went_on_past_the_server_does_not_take_it_for_its_past() -> None:
    """Restored at 5, the server has 100 of the same run, and now we are at 150."""
    assert SENT.relation(Head(5, "a"), 150) is Relation.OURS
    assert SENT.relation(Head(100, "a"), 20) is Relation.AHEAD
    assert SENT.relation(Head(100, "a"), 150) is Relation.OTHER
    assert SENT.sent_by("b", 150).relation(Head(100, "a"), 200) is Relation.OTHER, "a second start changes nothing"


def test_what_was_perhaps_sent_by_a_run_that_was_killed_is_ours() -> None:
    later = SENT.taken("a", 7).sent_by("a", 9).sent_by("b", 12).sent_by("c", 20)
    for head in (Head(7, "a"), Head(9, "a"), Head(11, "b"), Head(12, "b"), Head(20, "c")):
        assert later.relation(head, 20) is Relation.OURS
    assert later.relation(Head(10, "a"), 20) is Relation.OTHER
    assert later.taken("c", 20) == Lineage(20, (("a", 9), ("b", 12), ("c", 20))), "the server may be restored from then"


def test_of_the_runs_the_last_ones_are_remembered() -> None:
    lineage = Lineage()
    for number in range(1, KEEP_RUNS + 3):
        lineage = lineage.taken(f"run {number}", number)
    assert len(lineage.runs) == KEEP_RUNS
    assert lineage.relation(Head(3, "run 3"), 99) is Relation.OURS
    assert lineage.relation(Head(2, "run 2"), 99) is Relation.OTHER


def test_sending_an_older_one_again_forgets_nothing() -> None:
    assert SENT.sent_by("a", 3) == SENT
    assert SENT.taken("a", 3) == Lineage(3, (("a", 5),))


def test_it_comes_back_as_it_was() -> None:
    lineage = SENT.taken("a", 7).sent_by("b", 9)
    assert Lineage.of(lineage.text()) == lineage
    assert Lineage.of("{}") == Lineage()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"runs": 1}',
        '{"acked": "x"}',
        '{"runs": [["a", 1], ["b"]]}',
        '{"runs": [[1, 1]]}',
        '{"runs": [["a", null]]}',
    ],
)
def test_a_damaged_one_knows_no_run(text: str) -> None:
    assert Lineage.of(text).runs == ()
