"""The sentences name every number, action and reason of the configuration, strongest first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.app.explain import explanations
from risk_daemon.config.load import load as load_config

CAPITAL = "[portfolio]\ninitial_capital = 10000\n"
VENUES = (
    '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
    '[venues.futures]\nexchange = "krakenfutures"\nmarkets = ["perp"]\nsimulated = true\n'
)
Explain = Callable[..., list[str]]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    def told(*parts: str, capital: str = CAPITAL) -> list[str]:
        (tmp_path / "config.toml").write_text("\n".join((capital, *parts, VENUES)))
        return list(explanations(load_config(tmp_path / "config.toml")))

    return told


def one(sentences: list[str], part: str) -> str:
    found = [sentence for sentence in sentences if part in sentence]
    assert len(found) == 1, f"{part!r} is in {len(found)} of {sentences}"
    return found[0]


def test_the_loss_of_capital_in_money(explain: Explain) -> None:
    told = one(explain(), "`capital_loss`")

    assert told.startswith(
        "When the portfolio has lost 500 USDT of 10000 USDT (5 % of initial capital, 9500 USDT left), it trips."
    )
    assert told.endswith("A warning is given at 3 %; trading goes on.")


def test_the_loss_of_a_capital_that_is_not_known_yet(explain: Explain) -> None:
    told = explain("[breakers.drawdown]", "[breakers.daily_loss]", capital='[portfolio]\ninitial_capital = "auto"\n')

    assert one(told, "`capital_loss`").startswith("When the portfolio has lost 5 % of the first equity seen, it trips.")
    assert one(told, "portfolio_dd").startswith(
        "When the portfolio is 10 % below its highest worth of the last 30 days,"
    )
    assert one(told, "`daily_loss`").startswith("When the portfolio has lost 5 % since 00:00 UTC, it trips.")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            '[breakers.drawdown]\nlimit = "12.5%"\nlookback_days = 7',
            (
                "When the portfolio is 12.5 % below its highest worth of the last 7 days (after a peak of 10000 USDT,"
                " 1250 USDT are lost), it trips. Bots are told `portfolio_dd_circuit`."
            ),
        ),
        (
            '[breakers.drawdown]\nlookback_days = "all"\naction = "veto"',
            (
                "below its highest worth ever (after a peak of 10000 USDT, 1000 USDT are lost), all new orders are"
                " refused while it lasts."
            ),
        ),
        (
            '[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\nwarnings = ["1%", "2%"]',
            (
                "When the portfolio has lost 3 % since 00:00 UTC (300 USDT, if the day began with 10000 USDT), it"
                " freezes. Bots are told `daily_loss`. A warning is given at 1 % and 2 %; trading goes on."
            ),
        ),
        (
            '[breakers.daily_loss]\nlimit = "5000 USDT"\nwarnings = ["1000 USDT"]',
            (
                "When the portfolio has lost 5000 USDT since 00:00 UTC (50 % of 10000 USDT), it trips. Bots are told"
                " `daily_loss`. A warning is given at 1000 USDT;"
            ),
        ),
        (
            '[breakers.weekly_loss]\nlimit = "7%"',
            "When the portfolio has lost 7 % since Monday 00:00 UTC (700 USDT, if the week began with 10000 USDT), all",
        ),
        (
            '[breakers.venue_loss]\nlimit = "7%"',
            "When one account (kraken or futures) has lost 7 % of its worth at 00:00 UTC, all new orders",
        ),
        (
            '[breakers.venue_loss]\nlimit = "70 USDT"\nvenue = "kraken"',
            "When kraken has lost 70 USDT since 00:00 UTC, all new orders",
        ),
        (
            '[breakers.position_loss]\nlimit = "20%"',
            "When the unrealised loss of one position is 20 % of its value at entry, all new orders",
        ),
        (
            '[breakers.volatility]\nlimit = "150%"\nwindow = "2h"',
            "When equity swings by 150 % a year, by the minutes of the last 2 h, all new orders",
        ),
        (
            "[breakers.order_rate]\nmax_orders = 10\nwarnings = [8]",
            (
                "When one bot has more than 10 orders in 1 min, or all together more than 10 (one bot counts for half"
                " at most), new orders of that bot, or of all in the second case, are refused while it lasts."
                " Bots are told `order_rate`. A warning is given at 8;"
            ),
        ),
        (
            '[breakers.error_rate]\nwindow = "90s"',
            "When one bot has more than 10 unexpected errors in 90 s, or all together more than 10",
        ),
        (
            '[breakers.error_rate]\nscope = "all"',
            "When all bots and venues together have more than 10 unexpected errors in 1 min, all new orders",
        ),
        (
            '[breakers.order_rate]\nscope = "venue"\nmax_orders_total = "off"',
            "When one venue has more than 100 orders in 1 min, new orders of that venue are refused while it lasts.",
        ),
        (
            '[breakers.mine]\nclass = "rules:Mine"\naction = "trip"',
            "When your own rule rules:Mine says so, it trips. Bots are told `custom:mine`.",
        ),
        ('[breakers.mine]\nclass = "rules:Mine"', "it does what its class says, a veto at least."),
    ],
)
def test_a_rule_in_a_sentence(table: str, sentence: str, explain: Explain) -> None:
    assert sentence in one(explain(table), sentence[:40])


def test_hours_and_names_are_said(explain: Explain) -> None:
    told = explain(
        '[breakers.night]\nrule = "drawdown"\nactive_hours = "22:00-06:00"', '[baselines]\ntimezone = "Asia/Tokyo"'
    )

    sentence = one(told, "portfolio_dd_circuit")
    assert sentence.startswith("Between 22:00 and 06:00 Asia/Tokyo, when the portfolio is 10 % below")
    assert sentence.endswith("This is the rule 'night'.")


def test_the_strongest_reason_comes_first_whatever_the_order_of_the_file(explain: Explain) -> None:
    tables = [
        '[breakers.mine]\nclass = "rules:Mine"',
        "[breakers.order_rate]",
        '[breakers.volatility]\nlimit = "80%"',
        "[breakers.error_rate]",
        '[breakers.position_loss]\nlimit = "5%"',
        '[breakers.venue_loss]\nlimit = "5%"',
        '[breakers.weekly_loss]\nlimit = "5%"',
        "[breakers.daily_loss]",
        "[breakers.drawdown]",
    ]
    told = explain(*tables)

    causes = [
        "manual_halt", "portfolio_dd_circuit", "capital_loss", "daily_loss", "weekly_loss", "venue_loss",
        "position_loss", "volatility", "error_rate", "order_rate", "custom:mine",
        "unlistable:VENUE", "blind", "confirming", "starting",
    ]  # fmt: skip
    assert [sentence.split("Bots are told `")[1].split("`")[0] for sentence in told[: len(causes)]] == causes


def test_what_a_trip_means(explain: Explain) -> None:
    told = one(explain('[circuit_breaker]\nsettle = "3s"\ncancel_deadline = "90s"'), "It trips:")

    assert "every open order on kraken and futures is cancelled, with them every stop and take-profit" in told
    assert "came back empty twice, 3 s apart" in told
    assert "exits with 1 and stays down until `risk-daemon reset`" in told
    assert "Not proven within 90 s, it exits with 4" in told


def test_protective_orders_that_stay(explain: Explain) -> None:
    told = one(explain('[circuit_breaker]\nprotective_orders = "keep"'), "It trips:")

    assert "but reduce-only orders of open positions stay" in told


@pytest.mark.parametrize("table", ['[circuit_breaker]\naction = "freeze"', '[breakers.daily_loss]\naction = "freeze"'])
def test_what_a_freeze_means_where_there_can_be_one(table: str, explain: Explain) -> None:
    day = '[baselines]\nreset_at = "22:30"\ntimezone = "Europe/Prague"'
    told = one(explain(table, day), "It freezes:")

    assert "looks for orders every 30 s" in told
    assert "ends by itself at the next 22:30 Europe/Prague" in told
    assert not any("It freezes" in sentence for sentence in explain(day))


def test_doubts(explain: Explain) -> None:
    told = explain('[breakers.blind]\ntrip_after = "10m"', "[circuit_breaker]\nconfirm = false")

    assert "After 10 min it trips." in one(told, "`blind`")
    assert any("one wild tick is enough" in sentence for sentence in told)
    assert "It never trips." in one(explain(), "`blind`")
    assert "within 2 s, with the gate already shut" in one(explain(), "`confirming`")


def test_single_orders(explain: Explain) -> None:
    told = explain(
        '[gate]\nmax_notional = "1000 USDT"\nmax_quantity = 2.5\nprice_collar = "3%"\nduplicate_window = "500ms"'
        "\nmax_orders_per_second_per_bot = 5\nallow_reduce_only = true"
    )

    sentence = one(told, "A single order is refused")
    for part in (
        "worth more than 1000 USDT (`max_notional`)", "more than 2.5 (`max_quantity`)",
        "more than 3 % away from the market (`price_collar`)", "within 0.5 s before (`duplicate_order`)",
        "sent 5 orders in this second already (`bot_order_rate`)",
    ):  # fmt: skip
        assert part in sentence
    assert any("`price_unknown`" in sentence for sentence in told)
    assert any("pass under a veto and a freeze" in sentence for sentence in told)
    assert "Single orders have no limits: [gate] sets them." in explain()
    assert not any("`price_unknown`" in sentence for sentence in explain("[gate]\nmax_quantity = 1"))
