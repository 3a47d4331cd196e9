from __future__ import annotations

from decimal import Decimal

from risk_daemon.model.events import Price, PricesSeen, Source
from risk_daemon.portfolio.prices import PriceBook

AT = 1_000.0


def give(book: PriceBook, symbol: str, value: object, at: float = AT, venue: str = "kraken", **how: object) -> object:
    base, quote = symbol.split(":")[0].split("/")
    price = Price(symbol, base, quote, Decimal(str(value)), converts=":" not in symbol)
    source = Source.STREAM if how.get("stream") else Source.REST
    return book.apply(PricesSeen(venue, at, source, (price,)))


def rate(book: PriceBook, asset: str) -> Decimal | None:
    step = book.step(asset)
    return None if step is None else step.rate


def test_direct_inverse_and_over_hubs() -> None:
    book = PriceBook("USDT")
    give(book, "BTC/USDT", 50_000)
    give(book, "USDT/EUR", "0.8")
    give(book, "XMR/BTC", "0.003")
    assert rate(book, "BTC") == 50_000
    assert rate(book, "EUR") == Decimal("1.25")
    step = book.step("XMR")
    assert step is not None
    assert (step.parent, step.rate, step.stale) == ("BTC", Decimal("0.003"), False)


def test_without_a_path_there_is_no_step() -> None:
    book = PriceBook("USDT")
    give(book, "XMR/EUR", 100)
    assert book.step("XMR") is None
    assert book.step("EUR") is None
    assert book.step("USDT") is None


def test_a_stablecoin_is_priced_not_assumed_unless_pegged() -> None:
    assert PriceBook("USDT").step("USDC") is None
    book = PriceBook("USDT", pegs={"USDC": Decimal(1)})
    give(book, "USDC/USDT", "0.9")
    book.expire(AT + 1e6)
    step = book.step("USDC")
    assert step is not None
    assert (step.rate, step.stale) == (1, False)


def test_a_perps_mark_is_no_exchange_rate() -> None:
    book = PriceBook("USDT")
    give(book, "BTC/USDT:USDT", 50_000)
    assert book.step("BTC") is None
    mark = book.mark("kraken", "BTC/USDT:USDT")
    assert mark is not None
    assert mark.value == 50_000


def test_one_venue_stays_the_source_while_it_is_fresh() -> None:
    book = PriceBook("USDT")
    give(book, "BTC/USDT", 50_000, venue="kraken")
    assert give(book, "BTC/USDT", 50_010, venue="binance") == ([], [("binance", "BTC/USDT")])
    assert rate(book, "BTC") == 50_000
    give(book, "BTC/USDT", 50_020, AT + 20, venue="binance")
    assert book.expire(AT + 31) == ([("BTC", "USDT")], [("kraken", "BTC/USDT")])
    assert rate(book, "BTC") == 50_020
    give(book, "BTC/USDT", 50_030, AT + 32, venue="kraken")
    assert rate(book, "BTC") == 50_020, "it does not flicker back"


def test_a_fresh_detour_comes_before_a_stale_direct_path() -> None:
    book = PriceBook("USDT")
    give(book, "XMR/USDT", 150)
    give(book, "XMR/BTC", "0.003", AT + 20)
    give(book, "BTC/USDT", 50_000, AT + 20)
    assert rate(book, "XMR") == 150
    book.expire(AT + 31)
    assert rate(book, "XMR") == Decimal("0.003")


def test_of_stale_paths_the_one_known_last_is_kept() -> None:
    book = PriceBook("USDT")
    give(book, "XMR/USDT", 100)
    give(book, "XMR/BTC", "0.003", AT + 5_000)
    give(book, "BTC/USDT", 50_000, AT + 5_000)
    book.expire(AT + 9_000)
    step = book.step("XMR")
    assert step is not None
    assert (step.parent, step.stale) == ("BTC", True)


def test_a_stream_confirms_what_it_gave_since_it_connected() -> None:
    book = PriceBook("USDT")
    give(book, "BTC/USDT", 50_000, stream=True)
    give(book, "ETH/USDT", 2_500)
    book.confirm_stream("kraken", AT + 100)
    book.expire(AT + 101)
    btc, eth = book.step("BTC"), book.step("ETH")
    assert btc is not None
    assert eth is not None
    assert not btc.stale
    assert eth.stale, "a REST price is not the stream's to confirm"
    assert book.age_s("kraken", AT + 101) == 1.0


def test_after_a_loss_the_next_stream_confirms_only_what_it_gives_itself() -> None:
    book = PriceBook("USDT")
    give(book, "BTC/USDT", 50_000, stream=True)
    book.confirm_stream("kraken", AT + 10)
    book.stream_lost("kraken")
    book.confirm_stream("kraken", AT + 60)
    book.expire(AT + 39)
    step = book.step("BTC")
    assert step is not None
    assert not step.stale, "it was known to hold until 10 s after it was given"
    book.expire(AT + 41)
    step = book.step("BTC")
    assert step is not None
    assert step.stale


def test_a_stale_age_per_venue() -> None:
    book = PriceBook("USDT", price_stale_s=30, stale_by_venue={"slow": 300})
    give(book, "BTC/USDT", 50_000, venue="slow")
    book.expire(AT + 299)
    step = book.step("BTC")
    assert step is not None
    assert not step.stale


def test_what_is_not_above_zero_is_no_price() -> None:
    book = PriceBook("USDT")
    give(book, "BTC/USDT", 50_000)
    for value in (0, -1):
        assert give(book, "BTC/USDT", value, AT + 1) == ([], [])
    assert rate(book, "BTC") == 50_000


def test_an_instrument_that_was_a_mark_first_may_become_an_exchange_rate() -> None:
    book = PriceBook("USDT")
    book.apply(PricesSeen("kraken", AT, Source.REST, (Price("BTC/USDT", "BTC", "USDT", Decimal(5), converts=False),)))
    assert book.step("BTC") is None
    give(book, "BTC/USDT", 5)
    assert rate(book, "BTC") == 5


def test_the_age_of_a_venue_that_gave_nothing_is_unknown() -> None:
    assert PriceBook("USDT").age_s("kraken", AT) is None
