"""Guards, their servers, a venue and a bot on machines of their own that are cut from each other: nothing opens."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from risk_daemon.app.composition import longest_lease_s
from risk_daemon.config.load import load
from tests import partitions_table
from tests.namespaces import Cut, Network, needed
from tests.partition_cases import (
    AS_BEFORE,
    BOT,
    BOTH,
    CASES,
    HOLDER,
    OTHER,
    PROOF_S,
    REDIS,
    STORE,
    TAKEOVER_S,
    UNPROVEN_FOR_S,
    VENUE,
    Board,
    Case,
)
from tests.partitions import SLACK_S, Outcome, config, play

CLOSED_WITHIN_S = 0.25
EMPTIED_WITHIN_S = 1.0
"""As docs/scale.md says."""


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_failure_opens_nothing_and_loses_nothing(case: Case) -> None:
    with needed(Network) as made:
        outcome = play(made, case)
    assert outcome.opened == []
    assert outcome.open_then == case.open_then
    assert outcome.proven == case.proven
    assert outcome.untold == case.untold
    assert outcome.lost == []
    _shuts_in_time(case, outcome)
    _opens_in_time(case, outcome)
    assert outcome.closing_s <= CLOSED_WITHIN_S, "a loss shuts whatever is open at once"
    assert outcome.emptied_s <= EMPTIED_WITHIN_S, "whoever reaches the venue empties it at once"


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


@pytest.mark.parametrize("how", [Cut.ERROR, Cut.SILENCE])
def test_all_that_meet_are_cut_from_each_other(how: Cut) -> None:
    """And those that might, as two servers: a pair that is left out is not known."""
    cut = {(case.board, frozenset({case.one, case.other})) for case in CASES if case.how is how}
    pairs = [(Board.POSTGRESQL, pair) for pair in combinations((HOLDER, OTHER, STORE, REDIS), 2)]
    pairs += [(Board.REDIS, pair) for pair in combinations((HOLDER, OTHER, REDIS), 2)]
    pairs += [(Board.POSTGRESQL, pair) for pair in ((HOLDER, VENUE), (OTHER, VENUE), (BOT, REDIS))]
    assert {(board, frozenset(pair)) for board, pair in pairs} <= cut


def test_only_what_is_cut_off_shuts() -> None:
    untouched = {(case.one, case.other, case.board) for case in CASES if case.open_then == AS_BEFORE}
    assert untouched == {
        (OTHER, STORE, Board.POSTGRESQL),
        (OTHER, REDIS, Board.POSTGRESQL),
        (OTHER, REDIS, Board.REDIS),
        (HOLDER, OTHER, Board.POSTGRESQL),
        (HOLDER, OTHER, Board.REDIS),
        (STORE, REDIS, Board.POSTGRESQL),
    }
    assert all(not case.shut_within_s for case in CASES if case.open_then == AS_BEFORE)


def test_who_must_not_prove_a_trip_has_the_time_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that heeds no silent peer would prove it while it is still looked on."""
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_API_KEY", "key")
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_SECRET", "secret")
    path = tmp_path / "config.toml"
    path.write_text(config("http://127.0.0.1:1", "redis://127.0.0.1", None, "a"))
    settings = load(path)
    assert longest_lease_s(settings) + settings.circuit_breaker.order_flight == PROOF_S
    assert PROOF_S + 2.0 < UNPROVEN_FOR_S < settings.circuit_breaker.cancel_deadline
    for case in CASES:
        assert case.looked_on_s == UNPROVEN_FOR_S or case.is_out or case.proven == BOTH, case.name
