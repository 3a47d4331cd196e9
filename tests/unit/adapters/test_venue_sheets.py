"""What is told of each exchange is what the guard works by."""

from __future__ import annotations

import ccxt.pro

from adapters.registry import VENUES, venue_of
from adapters.venue_sheets import Standing, sheet_of, sheets
from tests.unit.adapters import WITHOUT_A_FILE

SHEETS = {sheet.exchange: sheet for sheet in sheets()}


def test_every_exchange_of_ccxt_is_classified_once() -> None:
    assert len(SHEETS) == len(sheets())
    assert set(ccxt.exchanges) | set(ccxt.pro.exchanges) <= SHEETS.keys()


def test_every_registered_venue_tells_its_scopes() -> None:
    for exchange, venue in VENUES.items():
        sheet = SHEETS[exchange]
        assert [scope.name for scope in sheet.scopes] == [plan.scope.name for plan in venue.scopes or ()]
        assert (sheet.standing is Standing.NOT_PROVABLE) == (venue.scopes is None)
        assert (sheet.standing is Standing.PROVABLE) == (venue.scopes is not None and not venue.unprovable)
        assert bool(sheet.not_covered) != (sheet.standing is Standing.PROVABLE)
        assert all(scope.listing and scope.cancels for scope in sheet.scopes)


def test_an_exchange_without_a_file_is_not_provable_or_not_guarded_and_says_why() -> None:
    sheet = SHEETS[WITHOUT_A_FILE]
    assert sheet.standing is Standing.NOT_PROVABLE
    assert "which orders its listing leaves out" in sheet.not_covered[0]
    others = [sheet for exchange, sheet in SHEETS.items() if exchange not in VENUES]
    assert {sheet.standing for sheet in others} == {Standing.NOT_PROVABLE, Standing.NOT_GUARDED}
    assert all(sheet.not_covered for sheet in others)


def test_kraken_is_provable() -> None:
    assert sheet_of(venue_of("kraken")).standing is Standing.PROVABLE
