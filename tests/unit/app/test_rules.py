"""Settings into rules: every key reaches its argument, and a class that can't be used stops the start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import time
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.app.rules import build_rules, longest_lookback, pretrade_settings
from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers.base import Action, BaseCircuitBreaker
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker
from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode
from risk_daemon.gate.pretrade import PreTradeSettings

CONFIGURED = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
)
OWN = """
from risk_daemon.breakers.base import Action, BaseCircuitBreaker, CircuitBreakerType, Verdict


class Spread(BaseCircuitBreaker):
    def __init__(self, max_spread, action=None):
        super().__init__(CircuitBreakerType.CUSTOM, action=action or Action.FREEZE)
        self.max_spread = max_spread

    def evaluate(self, context, now):
        return Verdict(self.name, self.breaker_type, self.action)
"""


@pytest.fixture(autouse=True)
def _import_path() -> Iterator[None]:
    """What a test makes importable is forgotten after it."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("own_rules"):
            del sys.modules[name]


def settings(directory: Path, *parts: str) -> Settings:
    (directory / "config.toml").write_text("\n".join((*parts, CONFIGURED)))
    return load_config(directory / "config.toml")


def built(directory: Path, *parts: str) -> dict[str, BaseCircuitBreaker]:
    return {rule.name: rule for rule in build_rules(settings(directory, *parts))}


def test_without_tables_there_are_no_rules(tmp_path: Path) -> None:
    assert build_rules(settings(tmp_path)) == ()


def test_drawdown(tmp_path: Path) -> None:
    rules = built(
        tmp_path,
        "[breakers.drawdown]",
        '[breakers.a]\nrule = "drawdown"\nlimit = "5%"\nlookback_days = 7\naction = "freeze"\nwarnings = ["2%", "3%"]',
        '[breakers.b]\nrule = "drawdown"\nlookback_days = "all"\naction = "veto"',
    )
    default, a, b = rules["drawdown"], rules["a"], rules["b"]

    assert isinstance(default, DrawdownCircuitBreaker)
    assert (default.max_drawdown_pct, default.lookback_days, default.action) == (Decimal("0.1"), 30, Action.TRIP)
    assert isinstance(a, DrawdownCircuitBreaker)
    assert (a.max_drawdown_pct, a.lookback_days, a.action) == (Decimal("0.05"), 7, Action.FREEZE)
    assert a.warnings == (Decimal("0.02"), Decimal("0.03"))
    assert isinstance(b, DrawdownCircuitBreaker)
    assert (b.lookback_days, b.action, b.cause) == (None, Action.VETO, "portfolio_dd_circuit")


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("daily_loss", DailyLossCircuitBreaker),
        ("weekly_loss", WeeklyLossCircuitBreaker),
        ("venue_loss", VenueLossCircuitBreaker),
        ("position_loss", PositionLossCircuitBreaker),
    ],
)
@pytest.mark.parametrize(("limit", "size", "is_ratio"), [("7%", "0.07", True), ("700 USDT", "700", False)])
def test_a_loss_in_percent_or_money(
    rule: str, kind: type[BaseCircuitBreaker], limit: str, size: str, is_ratio: bool, tmp_path: Path
) -> None:
    warning = "1%" if is_ratio else "1 USDT"
    made = built(tmp_path, f'[breakers.{rule}]\nlimit = "{limit}"\nwarnings = ["{warning}"]')[rule]

    assert isinstance(made, kind)
    found = made.limit  # type: ignore[attr-defined]
    assert (found.size, found.is_ratio) == (Decimal(size), is_ratio)
    assert made.warnings == (Decimal("0.01") if is_ratio else Decimal(1),)


def test_the_daily_loss_has_its_default(tmp_path: Path) -> None:
    made = built(tmp_path, "[breakers.daily_loss]")["daily_loss"]

    assert isinstance(made, DailyLossCircuitBreaker)
    assert (made.limit.size, made.limit.is_ratio, made.action) == (Decimal("0.05"), True, Action.TRIP)


def test_one_venue_or_each(tmp_path: Path) -> None:
    rules = built(
        tmp_path,
        '[breakers.venue_loss]\nlimit = "5%"',
        '[breakers.one]\nrule = "venue_loss"\nlimit = "5%"\nvenue = "kraken"',
    )

    assert [getattr(rules[name], "venue", "") for name in ("venue_loss", "one")] == [None, "kraken"]


def test_volatility_and_rates(tmp_path: Path) -> None:
    rules = built(
        tmp_path,
        '[breakers.volatility]\nlimit = "150%"\nwindow = "2h"\nwarnings = ["80%"]',
        '[breakers.order_rate]\nmax_orders = 7\nwindow = "30s"\nwarnings = [5]',
        '[breakers.error_rate]\nmax_errors = 3\nwindow = "5m"',
        '[breakers.defaults]\nrule = "order_rate"',
        '[breakers.more_defaults]\nrule = "error_rate"',
    )
    volatility, orders, errors = rules["volatility"], rules["order_rate"], rules["error_rate"]

    assert isinstance(volatility, VolatilityCircuitBreaker)
    assert (volatility.max_volatility, volatility.window_s) == (1.5, 7200.0)
    assert isinstance(orders, OrderRateCircuitBreaker)
    assert (orders.limit, orders.window_s, orders.warnings) == (7, 30.0, (Decimal(5),))
    assert isinstance(errors, ErrorRateCircuitBreaker)
    assert (errors.limit, errors.window_s, errors.action) == (3, 300.0, Action.VETO)
    defaults = [(getattr(rules[name], "limit", 0)) for name in ("defaults", "more_defaults")]
    assert defaults == [100, 10]


def test_active_hours_are_those_of_the_trading_day_s_zone(tmp_path: Path) -> None:
    rules = built(
        tmp_path, '[baselines]\ntimezone = "Europe/Prague"', '[breakers.drawdown]\nactive_hours = "22:00-06:00"'
    )

    assert rules["drawdown"].active_hours == ActiveHours(time(22), time(6), "Europe/Prague")


def test_each_call_makes_rules_that_have_seen_nothing(tmp_path: Path) -> None:
    loaded = settings(tmp_path, "[breakers.drawdown]")
    first, second = build_rules(loaded), build_rules(loaded)

    assert first[0] is not second[0]


def test_the_longest_lookback_is_remembered(tmp_path: Path) -> None:
    long = '[breakers.long]\nrule = "drawdown"\nlookback_days = 90'
    endless = '[breakers.endless]\nrule = "drawdown"\nlookback_days = "all"'

    assert longest_lookback(settings(tmp_path, "[baselines]\nlookback_days = 7")) == 7
    assert longest_lookback(settings(tmp_path, "[baselines]\nlookback_days = 7", long)) == 90
    assert longest_lookback(settings(tmp_path, long, endless)) is None


def test_limits_of_single_orders(tmp_path: Path) -> None:
    gate = (
        '[gate]\nmax_notional = "1000 USDT"\nmax_quantity = 2\nprice_collar = "3%"\nduplicate_window = "500ms"'
        "\nmax_orders_per_second_per_bot = 5"
    )

    assert pretrade_settings(settings(tmp_path)) == PreTradeSettings()
    assert pretrade_settings(settings(tmp_path, gate)) == PreTradeSettings(
        Decimal(1000), Decimal(2), Decimal("0.03"), 0.5, 5
    )


# --- rules of the user's own -----------------------------------------------------------------------


def test_a_rule_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "own_rules_a.py").write_text(OWN)
    text = (
        '[breakers.spread]\nclass = "own_rules_a:Spread"\nmax_spread = 0.02\nactive_hours = "08:00-09:00"'
        '\n[breakers.wide]\nclass = "own_rules_a:Spread"\nmax_spread = 0.1\naction = "veto"'
    )
    rules = built(tmp_path, text)

    spread = rules["spread"]
    assert (spread.cause, spread.action) == ("custom:spread", Action.FREEZE)
    assert spread.active_hours == ActiveHours(time(8), time(9))
    assert spread.max_spread == 0.02  # type: ignore[attr-defined]
    assert rules["wide"].action is Action.VETO


def test_what_is_installed_goes_before_what_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "own_rules_b.py").write_text(OWN)
    build_rules(settings(tmp_path, '[breakers.spread]\nclass = "own_rules_b:Spread"\nmax_spread = 1'))

    assert sys.path.index(str(tmp_path)) == len(sys.path) - 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("own_rules_none:Spread", "No module named 'own_rules_none'"),
        ("own_rules_c:Other", "Other"),
        ("own_rules_c:Spread", "max_spread"),
        ("own_rules_c:Action", "is no subclass of BaseCircuitBreaker"),
        ("own_rules_broken:Spread", "SyntaxError"),
    ],
)
def test_a_class_that_can_t_be_used_stops_the_start(path: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "own_rules_c.py").write_text(OWN)
    (tmp_path / "own_rules_broken.py").write_text("class Spread(:")
    loaded = settings(tmp_path, f'[breakers.spread]\nclass = "{path}"')

    with pytest.raises(ConfigError) as caught:
        build_rules(loaded)
    assert caught.value.exit_code == ExitCode.REFUSED
    assert str(caught.value).startswith(f"{tmp_path / 'config.toml'}: breakers.spread: {path} ")
    assert why in str(caught.value)
