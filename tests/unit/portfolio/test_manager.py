from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.model.events import (
    BalancesSeen,
    Kind,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
    StreamConfirmed,
)
from risk_daemon.portfolio.account import unrealized
from risk_daemon.portfolio.manager import PortfolioManager, PortfolioSettings

AT = 1_000.0
EXPECTED = {"spot": frozenset({Kind.BALANCES, Kind.PRICES}), "perp": frozenset({Kind.BALANCES, Kind.POSITIONS})}
LONG = Position(
    symbol="BTC/USDT:USDT",
    quantity=Decimal(2),
    entry=Decimal(50_000),
    settle="USDT",
    underlying="BTC",
    contract_size=Decimal("0.1"),
)


def guarded(**settings: object) -> PortfolioManager:
    return PortfolioManager(10_000, "USDT", PortfolioSettings(expected=EXPECTED, **settings))  # type: ignore[arg-type]


def balances(venue: str = "spot", at: float = AT, source: Source = Source.REST, **rows: object) -> BalancesSeen:
    amounts = {asset: Decimal(str(amount)) for asset, amount in rows.items()}
    return BalancesSeen(venue, at, source, amounts, complete=source is Source.REST)


# --- for a program of one's own ------------------------------------------------------------------------


def test_the_library_way() -> None:
    book = PortfolioManager(10_000, "USDT")
    book.update_balance("USDT", 9_400, venue="kraken")
    book.update_balance("USDT", "100")
    book.update_price("BTC", 50_000.0)
    book.update_balance("BTC", 0.01)
    assert book.equity == 10_000
    book.update_position(LONG, mark=50_500)
    summary = book.summary()
    assert summary.current_value == 10_100
    assert summary.total_pnl == summary.unrealized_pnl == 100
    assert summary.realized_pnl == 0
    assert summary.pnl_percent == 1
    assert book.interval().is_trusted


def test_flows_are_neither_profit_nor_loss() -> None:
    book = PortfolioManager(10_000, "USDT")
    book.update_balance("USDT", 12_100)
    book.net_flows = Decimal(2_000)
    assert book.summary().total_pnl == 100
    assert book.summary().realized_pnl == 100


@pytest.mark.parametrize("bad", [float("nan"), "inf", None, "x"])
def test_what_is_not_finite_never_gets_in(bad: object) -> None:
    book = PortfolioManager(10_000)
    with pytest.raises(ValueError):
        book.update_balance("USDT", bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        book.update_price("BTC", bad)  # type: ignore[arg-type]
    assert book.equity == 0


@pytest.mark.parametrize("bad", [0, -1])
def test_a_price_must_be_above_zero(bad: int) -> None:
    book = PortfolioManager(10_000)
    with pytest.raises(ValueError):
        book.update_price("BTC", bad)
    with pytest.raises(ValueError):
        book.update_position(LONG, mark=bad)


def test_a_summary_needs_a_capital() -> None:
    with pytest.raises(ValueError):
        PortfolioManager().summary()


# --- holdings ------------------------------------------------------------------------------------------


def test_venues_holding_the_same_asset_add_up() -> None:
    book = guarded()
    book.apply(balances("spot", USDT=100))
    book.apply(balances("perp", USDT=50))
    assert book.equity == 150
    assert book.venue_equity("perp") == 50
    assert book.venue_equity("nowhere") == 0


def test_a_complete_reading_zeroes_what_it_does_not_name() -> None:
    book = guarded()
    book.apply(balances(USDT=100, EUR=5))
    book.apply(balances(at=AT + 1, USDT=90))
    assert book.amounts("spot") == {"USDT": 90}


def test_a_partial_frame_touches_only_what_it_names_and_confirms_nothing() -> None:
    book = guarded()
    book.apply(balances(USDT=100, EUR=5))
    book.apply(balances(at=AT + 40, source=Source.STREAM, USDT=90))
    assert book.amounts("spot") == {"USDT": 90, "EUR": 5}
    assert book.age_s("spot", Kind.BALANCES, AT + 40) == 40


def test_a_debt_counts_against_the_rest() -> None:
    book = guarded()
    book.update_price("BTC", 50_000)
    book.apply(balances(USDT=60_000, BTC=-1))
    assert book.equity == 10_000


def test_an_older_reply_never_overwrites_a_newer_row() -> None:
    book = guarded()
    book.apply(balances(USDT=100, EUR=5))
    book.apply(balances(at=AT + 2, source=Source.STREAM, USDT=90))
    book.apply(balances(at=AT + 1, USDT=100, EUR=7))
    assert book.amounts("spot") == {"USDT": 90, "EUR": 7}
    book.apply(balances(at=AT + 0.5, USDT=1, EUR=1))
    assert book.amounts("spot") == {"USDT": 90, "EUR": 7}


def test_the_first_picture_is_no_change_and_the_next_is() -> None:
    book = guarded()
    assert book.apply(balances(USDT=100)).moved == 0
    assert book.apply(balances(at=AT + 1, USDT=70)).moved == -30


def test_ignored_assets_count_nothing_and_need_no_price() -> None:
    book = guarded(ignore_assets=frozenset({"KFEE", "BTC"}))
    book.update_price("BTC", 50_000)
    book.apply(balances(USDT=1, KFEE=500, BTC=1))
    assert book.equity == 1
    assert book.held_assets() == frozenset()
    assert book.unpriced() == ()
    assert book.rate("BTC") == 0


# --- positions -----------------------------------------------------------------------------------------


def test_profit_of_a_linear_and_of_an_inverse_position() -> None:
    assert unrealized(LONG, Decimal(51_000)) == (200, 10_200)
    short = Position(
        symbol="BTC/USD:BTC",
        quantity=Decimal(-100),
        entry=Decimal(50_000),
        settle="BTC",
        underlying="BTC",
        contract_size=Decimal(100),
        inverse=True,
    )
    pnl, notional = unrealized(short, Decimal(40_000))
    assert pnl == Decimal("0.05")
    assert notional == Decimal("0.25")


def test_a_position_without_a_mark_is_doubtful_and_said_to_be_missing() -> None:
    book = guarded()
    book.apply(balances("spot", USDT=100))
    book.apply(balances("perp", USDT=0))
    book.apply(PositionsSeen("perp", AT, Source.REST, (LONG,), complete=True))
    assert book.missing() == ("mark of BTC/USDT:USDT on perp",)
    interval = book.interval()
    assert (interval.low, interval.value, interval.high) == (-1_900, 100, 2_100)


def test_a_complete_listing_closes_what_it_does_not_name_and_an_old_one_does_not() -> None:
    book = guarded()
    book.apply(PositionsSeen("perp", AT, Source.STREAM, (LONG,), complete=False))
    book.apply(PositionsSeen("perp", AT - 1, Source.REST, (), complete=True))
    assert book.positions("perp") == (LONG,)
    book.apply(PositionsSeen("perp", AT + 1, Source.REST, (), complete=True))
    assert book.positions("perp") == ()
    book.apply(PositionsSeen("perp", AT, Source.STREAM, (LONG,), complete=False))
    assert book.positions("perp") == ()


# --- what is known -------------------------------------------------------------------------------------


def test_what_is_missing_is_said_in_words() -> None:
    book = guarded()
    assert book.missing() == ("spot balances", "perp balances", "perp positions")
    assert book.unconfirmed() == ("spot balances", "perp balances", "perp positions")
    book.apply(balances(USDT=1, NEWT=4))
    assert book.missing() == ("perp balances", "perp positions", "price of NEWT")
    book.update_price("NEWT", 2, venue="spot")
    assert book.missing() == ("perp balances", "perp positions")
    assert book.unpriced() == ()


def test_stale_parts_are_intervals_until_they_are_confirmed() -> None:
    book = guarded()
    book.apply(balances("spot", USDT=100))
    book.apply(balances("perp", at=AT + 30, USDT=10))
    book.refresh(AT + 46)
    interval = book.interval()
    assert (interval.low, interval.high) == (90, 130)
    book.apply(StreamConfirmed("spot", Kind.BALANCES, AT + 46))
    assert book.interval().is_trusted


def test_a_sign_of_life_confirms_nothing_that_was_never_read() -> None:
    book = guarded()
    book.apply(StreamConfirmed("perp", Kind.POSITIONS, AT))
    assert "perp positions" in book.missing()


def test_legs_of_one_underlying_from_different_moments_are_skewed() -> None:
    book = guarded()
    book.apply(balances(BTC=1))
    book.apply(PositionsSeen("perp", AT, Source.REST, (LONG,), complete=True))
    spot = Price("BTC/USDT", "BTC", "USDT", Decimal(50_000))
    mark = Price("BTC/USDT:USDT", "BTC", "USDT", Decimal(50_000), converts=False)
    book.apply(PricesSeen("spot", AT, Source.STREAM, (spot,)))
    book.apply(PricesSeen("perp", AT + 0.9, Source.STREAM, (mark,)))
    assert not book.is_skewed(1.0)
    book.apply(PricesSeen("perp", AT + 1.1, Source.STREAM, (mark,)))
    assert book.is_skewed(1.0)


def test_trust_bears_a_thousandth_of_doubt() -> None:
    book = guarded()
    book.apply(balances("spot", USDT=10_000, at=AT + 60))
    book.apply(balances("perp", USDT=24))
    book.refresh(AT + 61)
    assert book.interval().is_trusted
    book.apply(balances("perp", source=Source.STREAM, at=AT + 61, USDT=30))
    assert not book.interval().is_trusted
