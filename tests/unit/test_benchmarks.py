"""What `make bench` prints and which parts it measures; what is measured is not for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS, chosen, line
from benchmarks.daemon_process import Account, config, environment
from benchmarks.desk_faces import BINANCE
from benchmarks.order_desk import OrderDesk
from benchmarks.rows import Row
from benchmarks.store_trip_rows import interval
from benchmarks.sweep_rows import calls_until_proven, desk
from risk_daemon.config.load import load


def test_all_parts_are_measured_where_none_is_named() -> None:
    assert chosen([]) == list(PARTS)


def test_named_parts_only_each_once_and_in_their_order() -> None:
    assert chosen(["wire", "engine", "wire"]) == ["engine", "wire"]


def test_an_unknown_part_ends_it_and_the_known_are_named() -> None:
    with pytest.raises(
        SystemExit,
        match="no part speed; known are engine, gate, http, wire, page, sweep, store, process, scale",
    ):
        chosen(["engine", "speed"])


@pytest.mark.parametrize(
    ("row", "held", "words"),
    [
        (Row(name="a", measured=1.5, at_most=2), True, ["1.5", "<= 2", "hold"]),
        (Row(name="a", measured=2.5, at_most=2, unit="ms"), False, ["2.5 ms", "<= 2", "miss"]),
        (Row(name="a", measured=3, at_least=2), True, [">= 2", "hold"]),
        (Row(name="a", measured=12_345, unit="a second"), None, ["12,345 a second"]),
    ],
)
def test_a_row_says_what_was_measured_and_whether_it_holds(row: Row, held: bool | None, words: list[str]) -> None:
    assert row.held is held
    assert all(word in line(row) for word in words)


def test_the_interval_of_a_ratio_has_it_and_says_how_sure_it_is() -> None:
    least, most = interval([2.0] * 12, [1.0] * 12)
    assert least == most == 2.0
    wide = interval([1.0, 9.0] * 6, [2.0, 3.0] * 6)
    assert wide[0] < 1 < wide[1], "nobody can tell"


def test_a_daemon_is_given_a_configuration_that_it_takes(tmp_path: Path) -> None:
    accounts = [Account("one", "kraken", "http://127.0.0.1:1"), Account("two", "krakenfutures", "http://127.0.0.1:2")]
    path = tmp_path / "config.toml"
    path.write_text(config(accounts, 10_000, confirm="false"))
    settings = load(path)
    assert {name: venue.exchange for name, venue in settings.venues.items()} == {
        "one": "kraken",
        "two": "krakenfutures",
    }
    assert not settings.circuit_breaker.confirm
    assert environment(accounts)["RISK_DAEMON_TWO_SECRET"]


async def test_a_desk_serves_what_a_sweep_asks_and_notes_it() -> None:
    async with desk("binance", BINANCE, symbols=2, orders=5) as place:
        assert await calls_until_proven(place) == 3 * 2 + 2, "three rounds of both listings, and two symbols"
        assert isinstance(place.server, OrderDesk)
        assert place.server.open == {}
        assert [asked.is_cancel for asked in place.server.asked][:5] == [False, False, True, True, False]
