"""Guards, their servers, a venue and a bot on machines of their own that are cut from each other: nothing opens."""

from __future__ import annotations

import pytest

from tests import partitions_table
from tests.namespaces import Network, needed
from tests.partitions import BOT, CASES, HOLDER, OTHER, SLACK_S, TAKEOVER_S, Case, Outcome, play

CLOSED_WITHIN_S = 0.25


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_failure_opens_nothing_and_loses_nothing(case: Case) -> None:
    with needed(Network) as made:
        outcome = play(made, case)
    assert outcome.opened == []
    assert outcome.lost == []
    assert outcome.open_then == case.open_then
    assert outcome.proven == case.proven
    _shuts_in_time(case, outcome)
    _opens_in_time(case, outcome)
    assert outcome.closing_s <= CLOSED_WITHIN_S, "a loss shuts whatever is open at once"


def _shuts_in_time(case: Case, outcome: Outcome) -> None:
    for who, within_s in case.shut_within_s.items():
        assert outcome.shut_s[who] <= within_s + SLACK_S, f"{who} found it open for {outcome.shut_s[who]:.2f} s"
    assert outcome.shut_s.keys() <= case.shut_within_s.keys(), "what should stay open was shut"


def _opens_in_time(case: Case, outcome: Outcome) -> None:
    if OTHER in case.open_then:
        assert outcome.takeover_s is not None
        assert outcome.takeover_s <= TAKEOVER_S
    else:
        assert outcome.takeover_s is None


def test_every_failure_that_is_played_is_in_the_table_of_the_docs() -> None:
    page = partitions_table.PAGE.read_text()
    lines = partitions_table.lines_in(page)
    assert list(lines) == [(case.name, str(case.board)) for case in CASES]
    assert all(line[2] == line[3] == "nothing" for line in lines.values())
    assert all(partitions_table.with_line(page, line) == page for line in lines.values()), "written by hand"


def test_only_what_is_cut_off_shuts() -> None:
    untouched = [case for case in CASES if case.open_then == {HOLDER, BOT}]
    assert len(untouched) == 4, "the other guard from Redis, and the two guards from each other"
    assert all(not case.shut_within_s for case in untouched)
