"""Every way to get the file wrong is refused, in one sentence that says where and what to do."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import tempfile
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.config.alerts import KINDS, Channel
from risk_daemon.config.breakers import Breakers
from risk_daemon.config.broadcast import Kafka
from risk_daemon.config.load import effective
from risk_daemon.config.load import load as load_config
from risk_daemon.config.loosening import tables_of
from risk_daemon.config.notation import LossSize, Table
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.registry import RULES as RULE_TABLES
from risk_daemon.config.rules.daily_loss import DailyLoss
from risk_daemon.config.rules.drawdown import Drawdown
from risk_daemon.config.settings import CircuitBreaker, DeadMan, Settings, Venue
from risk_daemon.gate.restraints import severity
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.state.store.postgres_url import PostgresUrl
from tests.unit.config.files import PORTFOLIO, SIMULATED, VENUE, refusal, write

REPOSITORY = Path(__file__).parents[3]


def test_the_repository_s_file_loads_as_it_is() -> None:
    settings = load_config(REPOSITORY / "config.toml")

    assert settings.portfolio.initial_capital == Decimal(10_000)
    assert settings.circuit_breaker.loss_threshold == Decimal("0.05")
    assert settings.circuit_breaker.warning_levels == (Decimal("0.03"),)
    assert {name: (venue.markets, venue.simulated) for name, venue in settings.venues.items()} == {
        "kraken": (("spot",), True),
        "krakenfutures": (("perp",), True),
    }
    assert settings.state.dir == REPOSITORY / "var"
    assert settings.socket_path == REPOSITORY / "var" / "risk-daemon.sock"


def test_the_least_file_has_the_defaults_of_the_contract(tmp_path: Path) -> None:
    settings = load_config(write(tmp_path, PORTFOLIO, SIMULATED))

    breaker = settings.circuit_breaker
    assert (breaker.warning_threshold, breaker.loss_threshold) == (Decimal("0.03"), Decimal("0.05"))
    assert (breaker.action, breaker.protective_orders, breaker.confirm) == ("trip", "cancel", True)
    assert (breaker.confirm_within, breaker.settle, breaker.cancel_deadline, breaker.order_flight) == (2, 2, 300, 5)
    blind = settings.breakers.blind
    assert (blind.warn_after, blind.veto_after, blind.trip_after) == (10, 30, None)
    data = settings.data
    assert (data.reconcile_every, data.balance_stale, data.position_stale, data.price_stale) == (15, 45, 45, 30)
    assert (data.price_skew, data.settle_legs, data.call_timeout, data.stale_band) == (1, 0.25, 10, Decimal("0.2"))
    assert settings.baselines.reset_at == dt.time(0)
    assert settings.state.dir == tmp_path / "var"


def test_words_are_none(tmp_path: Path) -> None:
    settings = load_config(
        write(
            tmp_path,
            '[portfolio]\ninitial_capital = "auto"',
            '[circuit_breaker]\nwarning_threshold = "off"\nwarnings = ["4%", 0.02]',
            '[breakers.blind]\ntrip_after = "10m"',
            '[baselines]\nlookback_days = "all"\nreset_at = "22:00"\ntimezone = "Europe/Berlin"',
            SIMULATED,
        )
    )

    assert settings.portfolio.initial_capital is None
    assert settings.circuit_breaker.warning_threshold is None
    assert settings.circuit_breaker.warning_levels == (Decimal("0.02"), Decimal("0.04"))
    assert settings.breakers.blind.trip_after == 600
    assert settings.baselines.lookback_days is None


def test_a_venue_s_own_times_go_over_the_common_ones(tmp_path: Path) -> None:
    settings = load_config(
        write(tmp_path, PORTFOLIO, "[data]\nbalance_stale = '50s'", SIMULATED, 'price_stale = "60s"')
    )

    data = settings.data_for("kraken")
    assert (data.balance_stale, data.price_stale, settings.data.price_stale) == (50, 60, 30)


def test_the_effective_configuration_loads_to_the_same_settings(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[portfolio]\ninitial_capital = "auto"\nignore_assets = ["KFEE"]\ndust_below = "0.5 USDT"',
        '[circuit_breaker]\nwarning_threshold = "off"\nwarnings = ["2.5%"]',
        '[data]\ncall_timeout = "1500ms"\n[baselines]\nlookback_days = "all"',
        '[breakers.blind]\nveto_after = "30d"\n[prices.pegs]\nUSDC = 1',
        SIMULATED,
    )
    settings = load_config(path)

    printed = effective(settings)
    assert dict(Settings.model_validate(printed)) == dict(settings)
    assert printed["breakers"]["blind"] == {"warn_after": "10s", "veto_after": "2592000s", "trip_after": "never"}
    assert printed["circuit_breaker"]["warnings"] == ["2.5%"]
    assert printed["prices"]["pegs"] == {"USDC": "1"}


RULES = """
[circuit_breaker]
action = "freeze"
resweep_every = "1m"
[breakers.drawdown]
[breakers.night]
rule = "drawdown"
limit = "5%"
lookback_days = "all"
action = "freeze"
warnings = ["4%", "2%"]
active_hours = "22:00-06:00"
[breakers.daily_loss]
limit = "500.5 USDT"
warnings = ["100 USDT"]
[breakers.weekly_loss]
limit = 0.07
[breakers.venue_loss]
limit = "20%"
venue = "kraken"
[breakers.position_loss]
limit = "15%"
[breakers.volatility]
limit = "150%"
warnings = ["80%", 0.5]
[breakers.order_rate]
warnings = [50]
[breakers.error_rate]
window = "5m"
[breakers.mine]
class = "package.rules:Mine"
active_hours = "08:00-09:00"
max_spread = 0.02
names = ["a", "b"]
[gate]
allow_reduce_only = true
max_notional = "1000 USDT"
max_quantity = 0.5
price_collar = "2%"
duplicate_window = "500ms"
max_orders_per_second_per_bot = 5
"""


def test_rules_are_read_as_written(tmp_path: Path) -> None:
    settings = load_config(write(tmp_path, RULES, CONFIGURED))
    rules = settings.breakers.rules

    assert list(rules) == [
        "drawdown", "night", "daily_loss", "weekly_loss", "venue_loss", "position_loss", "volatility", "order_rate",
        "error_rate", "mine",
    ]  # fmt: skip
    drawdown, night, daily, mine = rules["drawdown"], rules["night"], rules["daily_loss"], rules["mine"]
    assert isinstance(drawdown, Drawdown)
    assert (drawdown.limit, drawdown.lookback_days, drawdown.action) == (Decimal("0.1"), 30, "trip")
    assert isinstance(night, Drawdown)
    assert (night.limit, night.lookback_days, night.action) == (Decimal("0.05"), None, "freeze")
    assert night.warnings == (Decimal("0.02"), Decimal("0.04"))
    assert (str(night.active_hours), drawdown.active_hours) == ("22:00-06:00", None)
    assert isinstance(daily, DailyLoss)
    assert (daily.limit.money, daily.limit.ratio, daily.action) == (Decimal("500.5"), None, "trip")
    assert isinstance(mine, OwnRule)
    assert (mine.class_path, mine.action) == ("package.rules:Mine", None)
    assert mine.options == {"max_spread": 0.02, "names": ["a", "b"]}
    assert {rules[name].action for name in ("weekly_loss", "venue_loss", "volatility", "order_rate")} == {"veto"}
    assert (settings.circuit_breaker.action, settings.circuit_breaker.resweep_every) == ("freeze", 60)
    gate = settings.gate
    assert (gate.max_notional, gate.max_quantity, gate.price_collar) == (Decimal(1000), Decimal("0.5"), Decimal("0.02"))
    assert (gate.allow_reduce_only, gate.duplicate_window, gate.max_orders_per_second_per_bot) == (True, 0.5, 5)


def test_rules_are_printed_as_they_could_be_written(tmp_path: Path) -> None:
    settings = load_config(write(tmp_path, RULES, CONFIGURED))
    printed = effective(settings)

    assert dict(Settings.model_validate(printed)) == dict(settings)
    rules = printed["breakers"]
    assert rules["night"]["warnings"] == ["2%", "4%"]
    assert rules["daily_loss"]["limit"] == "500.5 USDT"
    assert rules["volatility"]["limit"] == "150%"
    assert rules["mine"] == {
        "class": "package.rules:Mine", "active_hours": "08:00-09:00", "max_spread": 0.02, "names": ["a", "b"],
    }  # fmt: skip
    assert json.loads(json.dumps(printed)) == printed


@pytest.mark.parametrize(
    ("limit", "ratio"), [("0.05", "0.05"), ('"0.05"', "0.05"), ('"5 %"', "0.05"), ("0.999", "0.999")]
)
def test_a_fraction_is_a_ratio(limit: str, ratio: str, tmp_path: Path) -> None:
    settings = load_config(write(tmp_path, f"[breakers.daily_loss]\nlimit = {limit}", CONFIGURED))

    assert (
        settings.breakers.rules["daily_loss"]
        == Settings.model_validate(effective(settings)).breakers.rules["daily_loss"]
    )
    assert getattr(settings.breakers.rules["daily_loss"], "limit", None) == LossSize(Decimal(ratio))


def test_a_drawdown_looks_back_as_the_baselines_say_unless_it_says_itself(tmp_path: Path) -> None:
    text = (
        '[baselines]\nlookback_days = 7\n[breakers.drawdown]\n[breakers.a]\nrule = "drawdown"\nlookback_days = 60'
        '\n[breakers.mine]\nclass = "a:B"'
    )
    settings = load_config(write(tmp_path, text, CONFIGURED))

    rules = settings.breakers.rules
    assert [getattr(rules[name], "lookback_days", None) for name in ("drawdown", "a", "mine")] == [7, 60, None]
    mine = rules["mine"]
    assert isinstance(mine, OwnRule)
    assert mine.options == {}


def test_money_is_in_the_currency_of_the_portfolio(tmp_path: Path) -> None:
    text = '[portfolio]\nreference_currency = "EUR"\ninitial_capital = 1\n[breakers.daily_loss]\nlimit = "5 EUR"\n'
    settings = load_config(write(tmp_path, text, '[gate]\nmax_notional = "9 EUR"', SIMULATED))

    assert effective(settings)["breakers"]["daily_loss"]["limit"] == "5 EUR"


def test_listening_elsewhere_takes_tls(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    for part in ("cert", "key"):
        (tmp_path / "tls" / f"{part}.pem").write_text("")
    files = 'tls_certificate = "tls/cert.pem"\ntls_key = "tls/key.pem"'
    api = load_config(write(tmp_path, f'[api]\nlisten = "0.0.0.0:0"\n{files}', CONFIGURED)).api

    named = load_config(write(tmp_path, f'[warden]\nhost = "guard.example.org"\n[api]\n{files}', CONFIGURED))

    assert named.warden.host == "guard.example.org"
    assert (api.host, api.port, api.is_local) == ("0.0.0.0", 0, False)
    assert (api.tls_certificate, api.tls_key) == (tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem")


def test_a_file_that_somebody_else_may_not_look_for_is_left_to_who_needs_it() -> None:
    """`watch` runs as a user of its own, and reads the same configuration."""
    directory = Path(tempfile.mkdtemp())
    try:
        directory.chmod(0o755)
        (directory / "tls").mkdir()
        (directory / "tls" / "key.pem").touch()
        (directory / "tls").chmod(0o000)
        tls = '[api]\ntls_certificate = "tls/cert.pem"\ntls_key = "tls/key.pem"\n'
        path = write(directory, PORTFOLIO + VENUE + tls)
        path.chmod(0o644)
        uid = os.geteuid()
        if uid == 0:
            os.seteuid(65534)
        try:
            assert load_config(path).api.tls_key == directory / "tls" / "key.pem"
        finally:
            os.seteuid(uid)
    finally:
        (directory / "tls").chmod(0o700)
        shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:8787", "::1", 8787), ("localhost:1", "localhost", 1)],
)
def test_listening_here_takes_none(listen: str, host: str, port: int, tmp_path: Path) -> None:
    api = load_config(write(tmp_path, f'[api]\nlisten = "{listen}"', CONFIGURED)).api

    assert (api.host, api.port, api.is_local, api.tls_key) == (host, port, True, None)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml") == "there is no such file: give one with --config FILE."


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    assert "it can't be read" in refusal(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    assert "it can't be read (it is no regular file)" in refusal(tmp_path / "config.toml")


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    assert "it is not valid TOML" in refusal(write(tmp_path, "[portfolio\n"))


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")

    assert "it is not valid TOML" in refusal(path)


BAD = {
    "nothing": ("", "portfolio: it is missing: add it"),
    "no capital": ("[portfolio]\n" + SIMULATED, "portfolio.initial_capital: it is missing: add it"),
    "no venues": (PORTFOLIO, "venues: it is missing: add it"),
    "empty venues": (PORTFOLIO + "[venues]", "venues: no venue is configured"),
    "typo at the top": (PORTFOLIO + "[circut_breaker]\n" + SIMULATED, 'perhaps write "circuit_breaker"'),
    "typo in a table": (
        PORTFOLIO + '[circuit_breaker]\nloss_treshold = "5%"\n' + SIMULATED,
        'circuit_breaker.loss_treshold: this key is not known: perhaps write "loss_threshold"',
    ),
    "typo in a nested table": (
        PORTFOLIO + '[breakers.blind]\nwarn_aftr = "5s"\n' + SIMULATED,
        'breakers.blind.warn_aftr: this key is not known: perhaps write "warn_after"',
    ),
    "typo in a venue": (
        PORTFOLIO + VENUE + "simulatd = true",
        'venues.kraken.simulatd: this key is not known: perhaps write "simulated"',
    ),
    "unlike any key": (PORTFOLIO + "[state]\nzzz = 1\n" + SIMULATED, "state.zzz: this key is not known: take it out"),
    "a typo before what it leaves missing": (
        "[portfolio]\ninitial_captial = 1\n" + SIMULATED,
        'portfolio.initial_captial: this key is not known: perhaps write "initial_capital" (and 1 more)',
    ),
    "5 for a ratio": (
        PORTFOLIO + "[circuit_breaker]\nloss_threshold = 5\n" + SIMULATED,
        'circuit_breaker.loss_threshold: 5 is not a ratio below 1; for 5 percent write "5%"',
    ),
    "negative ratio": (
        PORTFOLIO + '[circuit_breaker]\nloss_threshold = "-5%"\n' + SIMULATED,
        "circuit_breaker.loss_threshold: '-5%' is negative",
    ),
    "zero limit": (PORTFOLIO + '[circuit_breaker]\nloss_threshold = "0%"\n' + SIMULATED, "is zero"),
    "empty limit": (PORTFOLIO + '[circuit_breaker]\nloss_threshold = ""\n' + SIMULATED, "'' is not a number"),
    "infinite limit": (PORTFOLIO + "[circuit_breaker]\nloss_threshold = inf\n" + SIMULATED, "inf is not finite"),
    "limit switched off": (PORTFOLIO + '[circuit_breaker]\nloss_threshold = "off"\n' + SIMULATED, "not a number"),
    "warning above limit": (
        PORTFOLIO + '[circuit_breaker]\nwarning_threshold = "6%"\n' + SIMULATED,
        "circuit_breaker.warning_threshold: a warning at 6% would never come before the limit",
    ),
    "warning at limit": (PORTFOLIO + '[circuit_breaker]\nwarning_threshold = "5%"\n' + SIMULATED, "at 5% would never"),
    "default warning above a low limit": (
        PORTFOLIO + '[circuit_breaker]\nloss_threshold = "2%"\n' + SIMULATED,
        "circuit_breaker.warning_threshold: a warning at 3% would never come before the limit, loss_threshold at 2%",
    ),
    "one of several warnings above limit": (
        PORTFOLIO + '[circuit_breaker]\nwarnings = ["1%", "9%"]\n' + SIMULATED,
        "circuit_breaker.warnings: a warning at 9%",
    ),
    "unknown action": (
        PORTFOLIO + '[circuit_breaker]\naction = "stop"\n' + SIMULATED,
        "circuit_breaker.action: 'stop' is not accepted: write 'trip' or 'freeze'",
    ),
    "not a truth value": (
        PORTFOLIO + '[circuit_breaker]\nconfirm = "yes"\n' + SIMULATED,
        "circuit_breaker.confirm: write true or false",
    ),
    "1 for true": (PORTFOLIO + "[circuit_breaker]\nconfirm = 1\n" + SIMULATED, "write true or false"),
    "no time to prove": (PORTFOLIO + '[circuit_breaker]\ncancel_deadline = "1s"\n' + SIMULATED, "set it above settle"),
    "a duration without a unit": (
        PORTFOLIO + "[data]\nbalance_stale = 45\n" + SIMULATED,
        "data.balance_stale: 45 is not a duration",
    ),
    "a zero duration": (PORTFOLIO + '[data]\ncall_timeout = "0s"\n' + SIMULATED, "no time at all"),
    "always stale": (
        PORTFOLIO + '[data]\nprice_stale = "15s"\n' + SIMULATED,
        "data.price_stale: 15s is not longer than reconcile_every (15s)",
    ),
    "stale before it comes": (
        PORTFOLIO + '[data]\nreconcile_every = "1ms"\nprice_stale = "45ms"\n' + SIMULATED,
        "data.price_stale: 45ms is not longer than what readings take (5s)",
    ),
    "a venue always stale": (
        PORTFOLIO + SIMULATED + 'reconcile_every = "40s"',
        "data.price_stale: 30s is not longer than reconcile_every (40s)",
    ),
    "capital in another currency": (
        '[portfolio]\ninitial_capital = "5000 EUR"\n' + SIMULATED,
        "portfolio.initial_capital: '5000 EUR' is not in the reference currency USDT",
    ),
    "no capital at all": ("[portfolio]\ninitial_capital = 0\n" + SIMULATED, "0 is not above zero"),
    "capital as a word": ('[portfolio]\ninitial_capital = "all"\n' + SIMULATED, 'or "auto"'),
    "the currency ignored": (
        PORTFOLIO + 'ignore_assets = ["USDT"]\n' + SIMULATED,
        "portfolio.ignore_assets: USDT is the reference currency",
    ),
    "no days": (PORTFOLIO + "[baselines]\nlookback_days = 0\n" + SIMULATED, "baselines.lookback_days: 0 is not"),
    "a time that is none": (PORTFOLIO + '[baselines]\nreset_at = "25:00"\n' + SIMULATED, "baselines.reset_at: '25:00'"),
    "a zone that is none": (PORTFOLIO + '[baselines]\ntimezone = "Mars"\n' + SIMULATED, "baselines.timezone: 'Mars'"),
    "blind in the wrong order": (
        PORTFOLIO + '[breakers.blind]\nwarn_after = "40s"\n' + SIMULATED,
        "breakers.blind.veto_after: it is shorter than warn_after",
    ),
    "blind trips before it vetoes": (
        PORTFOLIO + '[breakers.blind]\ntrip_after = "20s"\n' + SIMULATED,
        "breakers.blind.trip_after: it is shorter than veto_after",
    ),
    "blind never vetoes": (PORTFOLIO + '[breakers.blind]\nveto_after = "never"\n' + SIMULATED, "not a duration"),
    "a rule that can't be changed": (
        PORTFOLIO + "[breakers.manual]\n" + SIMULATED,
        "breakers.manual: it is always on",
    ),
    "a dead man's switch that is shared": (
        PORTFOLIO + SIMULATED + '[venues.kraken.dead_man]\ntimeout = "60s"',
        "venues.kraken.dead_man.exclusive: a switch has one owner",
    ),
    "said to be shared": (
        PORTFOLIO + SIMULATED + '[venues.kraken.dead_man]\ntimeout = "60s"\nexclusive = false',
        "venues.kraken.dead_man.exclusive: a switch has one owner",
    ),
    "a dead man's switch without a time": (
        PORTFOLIO + SIMULATED + "[venues.kraken.dead_man]\nexclusive = true",
        "venues.kraken.dead_man.timeout: it is missing",
    ),
    "a part of a second": (
        PORTFOLIO + SIMULATED + '[venues.kraken.dead_man]\nexclusive = true\ntimeout = "1500ms"',
        "venues.kraken.dead_man.timeout: 1.5s is not whole",
    ),
    "a typo in a venue's table": (
        PORTFOLIO + SIMULATED + '[venues.kraken.dead_man]\nexclusive = true\ntimeout = "60s"\nexclusiv = 1',
        'venues.kraken.dead_man.exclusiv: this key is not known: perhaps write "exclusive"',
    ),
    "no market": (
        PORTFOLIO + '[venues.kraken]\nexchange = "kraken"\nmarkets = []\n',
        "venues.kraken.markets: name each market once",
    ),
    "a market that is none": (
        PORTFOLIO + '[venues.kraken]\nexchange = "kraken"\nmarkets = ["sopt"]\n',
        "venues.kraken.markets.0: 'sopt' is not accepted: write 'spot', 'margin' or 'perp'",
    ),
    "a market as text": (
        PORTFOLIO + '[venues.kraken]\nexchange = "kraken"\nmarkets = "spot"\n',
        "venues.kraken.markets: write a list in brackets",
    ),
    "in two places": (
        PORTFOLIO + SIMULATED + "sandbox = true",
        "venues.kraken: simulated, endpoint and sandbox exclude each other",
    ),
    "a stranger's endpoint": (
        PORTFOLIO + VENUE + 'endpoint = "http://10.0.0.7:9001"',
        "venues.kraken.endpoint: 10.0.0.7 is not this machine",
    ),
    "a name that sounds local": (
        PORTFOLIO + VENUE + 'endpoint = "http://127.0.0.1.example.com:9001"',
        "127.0.0.1.example.com is not this machine",
    ),
    "an endpoint with a user": (PORTFOLIO + VENUE + 'endpoint = "http://me:pw@127.0.0.1"', "without a user name"),
    "a venue's path": (PORTFOLIO + SIMULATED.replace("kraken]", '"../kraken"]'), "is not a venue's name"),
    "venues with the same variables": (
        PORTFOLIO + SIMULATED.replace("kraken]", "a-b]") + SIMULATED.replace("kraken]", "a_b]"),
        "venues.a_b: it would share its credentials with a-b",
    ),
    "twice the same table": (PORTFOLIO + SIMULATED + SIMULATED, "it is not valid TOML"),
    "listening to everybody": (
        PORTFOLIO + '[api]\nlisten = "0.0.0.0:8787"\n' + SIMULATED,
        "api.listen: '0.0.0.0:8787' is reachable from elsewhere",
    ),
    "another store": (
        PORTFOLIO + '[state]\nstore = "mysql://u@h/d"\n' + SIMULATED,
        'state.store: it is no store: write "sqlite", or a server such as "postgresql://user@host:5432/database"',
    ),
    "a store's password in the file": (
        PORTFOLIO + '[state]\nstore = "postgresql://u:hunter2@h/d"\n' + SIMULATED,
        "state.store: secrets do not belong in this file: take the password out",
    ),
    "a guard's name with a space": (
        PORTFOLIO + '[guard]\nname = "the first"\n' + SIMULATED,
        "guard.name: 'the first' is not a name: use letters, digits, - and _",
    ),
    "a guard that is its own peer": (
        PORTFOLIO + '[guard]\nname = "a"\npeers = ["a"]\n' + SIMULATED,
        "guard.peers: name each of the other guards once, and not this one",
    ),
    "a peer twice": (
        PORTFOLIO + '[guard]\npeers = ["b", "b"]\n' + SIMULATED,
        "guard.peers: name each of the other guards once",
    ),
    "peers that meet nowhere": (
        PORTFOLIO + '[guard]\npeers = ["b"]\n' + SIMULATED,
        "guard.peers: guards of the same accounts need a place that they share",
    ),
    "peers that would both close positions": (
        PORTFOLIO
        + '[guard]\npeers = ["b"]\n[circuit_breaker]\nauto_close_positions = true\n'
        + '[state]\nstore = "postgresql://guard@127.0.0.1/risk"\n'
        + SIMULATED,
        "circuit_breaker.auto_close_positions: several guards would close the same positions",
    ),
    **{
        f"locks: {what}": (PORTFOLIO + f"[state]\nlocks = {locks}\n" + SIMULATED, f"state.locks: {reason}")
        for what, locks, reason in [
            ("none", "[]", "the lock in the state directory comes first and is always there"),
            ("no file", '["redis://h"]', "the lock in the state directory comes first and is always there"),
            ("the file second", '["redis://h", "file"]', "the lock in the state directory comes first"),
            ("the file twice", '["file", "file"]', "'file' is the same as 'file': keep one of them"),
            ("a text", '"file"', 'write a list of texts in brackets, such as ["file"]'),
            ("a number", '["file", 6379]', "write a list of texts in brackets"),
            ("a word", '["file", "redis"]', "'redis' is no lock"),
            ("a host", '["file", "h:6379"]', "'h:6379' is no lock"),
            ("a typo", '["file", "reddis://h"]', "'reddis://h' is not the address of a Redis"),
            ("http", '["file", "http://h"]', "'http://h' is not the address of a Redis"),
            (
                "a socket",
                '["file", "unix:///run/redis.sock"]',
                "'unix:///run/redis.sock' is not the address of a Redis",
            ),
            ("no host", '["file", "redis:///0"]', "'redis:///0' names no host, or no usable port"),
            ("port 0", '["file", "redis://h:0"]', "'redis://h:0' names no host, or no usable port"),
            ("a port that is none", '["file", "redis://h:x"]', "it is not a URL"),
            (
                "a database that is none",
                '["file", "redis://h/main"]',
                "'redis://h/main' does not end with the number of a database",
            ),
            ("a query", '["file", "redis://h/0?db=1"]', "'redis://h/0?db=1' has a query or a fragment"),
            (
                "twice",
                '["file", "redis://h", "redis://h:6379/0"]',
                "'redis://h:6379/0' is the same as 'redis://h': keep one of them",
            ),
            (
                "with a user twice",
                '["file", "redis://h/1", "rediss://me@h/1"]',
                "'rediss://me@h/1' is the same as 'redis://h/1'",
            ),
        ]
    },
    "guard: a name with a colon": (
        PORTFOLIO + '[guard]\nname = "a:b"\n' + SIMULATED,
        "guard.name: 'a:b' is not a name",
    ),
    "guard: no name": (PORTFOLIO + '[guard]\nname = ""\n' + SIMULATED, "guard.name: '' is not a name"),
    "guard: no group": (PORTFOLIO + "[guard]\ngroup = 7\n" + SIMULATED, "guard.group: write a text in quotes"),
    "guard: a typo": (
        PORTFOLIO + '[guard]\nnmae = "a"\n' + SIMULATED,
        'guard.nmae: this key is not known: perhaps write "name"',
    ),
    "a log that is kept for an hour": (
        PORTFOLIO + '[state]\nkeep_logs = "1h"\n' + SIMULATED,
        'state.keep_logs: it is less than a day: write "1d" or more, or "never"',
    ),
    "snapshots that are kept for an hour": (
        PORTFOLIO + '[state]\nkeep_snapshots = "1h"\n' + SIMULATED,
        'state.keep_snapshots: it is less than a day: write "1d" or more, or "never"',
    ),
    "a state directory without a name": (PORTFOLIO + '[state]\ndir = ""\n' + SIMULATED, "state.dir: it is not a path"),
}

CONFIGURED = PORTFOLIO + SIMULATED


def fund(**changes: Any) -> str:
    """The table of a fund, with other values."""
    table = {"name": "alpha", "limit": "500 USDT", "member": "a", "budget": "400 USDT"}
    table |= {"ledger": "redis://127.0.0.1:6379/0", **changes}
    return "\n".join(("[fund]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())))


NO_LEDGER = "\n".join(line for line in fund().splitlines() if not line.startswith("ledger"))


def test_a_fund_s_table_is_read(tmp_path: Path) -> None:
    read = load_config(write(tmp_path, fund(), CONFIGURED)).fund
    assert read is not None
    assert (read.name, read.member, read.limit.money, read.budget) == ("alpha", "a", Decimal(500), Decimal(400))
    part = load_config(write(tmp_path, fund(limit="5%", budget=10_000), CONFIGURED)).fund
    assert part is not None
    assert part.limit.ratio == Decimal("0.05")
    assert load_config(write(tmp_path, CONFIGURED)).fund is None


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ((fund(),), "redis://127.0.0.1:6379/0"),
        ((fund(ledger="postgresql://guard@/guard?host=/run"),), "/run:5432/guard"),
        ((NO_LEDGER, '[state]\nstore = "postgresql://guard@127.0.0.1/guard"'), "127.0.0.1:5432/guard"),
        (
            (NO_LEDGER, '[state]\nlocks = ["file", "redis://127.0.0.1:1/2", "redis://127.0.0.1:3/4"]'),
            "redis://127.0.0.1:1/2",
        ),
        ((fund(), '[state]\nstore = "postgresql://guard@127.0.0.1/guard"'), "redis://127.0.0.1:6379/0"),
        (
            (
                NO_LEDGER,
                '[state]\nstore = "postgresql://guard@127.0.0.1/guard"\nlocks = ["file", "redis://127.0.0.1:1/2"]',
            ),
            "127.0.0.1:5432/guard",
        ),
    ],
)
def test_where_a_fund_s_ledger_is(tables: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    address = load_config(write(tmp_path, *tables, CONFIGURED)).ledger_address
    assert (address.where if isinstance(address, PostgresUrl) else str(address)) == expected


def test_a_drill_has_no_fund(tmp_path: Path) -> None:
    alone = load_config(write(tmp_path, fund(), CONFIGURED)).alone(tmp_path)
    assert (alone.fund, alone.ledger_address) == (None, None)


BAD_RULES = {
    "no such rule": (
        "[breakers.drawdwon]",
        "breakers.drawdwon: there is no rule 'drawdwon': perhaps write \"drawdown\"",
    ),
    "no such rule by name": ('[breakers.night]\nrule = "drawdonw"', "breakers.night.rule: there is no rule 'drawdonw'"),
    "like no rule": ("[breakers.zzz]", "write rule = one of drawdown, daily_loss, weekly_loss"),
    "a typo in a rule": (
        '[breakers.drawdown]\nlimt = "5%"',
        'breakers.drawdown.limt: this key is not known: perhaps write "limit"',
    ),
    "a typo in a named rule": (
        "[breakers.night]\nrule = 'order_rate'\nmax_order = 5",
        'breakers.night.max_order: this key is not known: perhaps write "max_orders"',
    ),
    "a key of another rule": (
        "[breakers.drawdown]\nmax_orders = 5",
        "breakers.drawdown.max_orders: this key is not known",
    ),
    "percent without its sign": (
        "[breakers.drawdown]\nlimit = 5",
        'breakers.drawdown.limit: 5 is not a ratio below 1; for 5 percent write "5%"',
    ),
    "money for a ratio": ('[breakers.drawdown]\nlimit = "500 USDT"', "breakers.drawdown.limit: '500 USDT' is money"),
    "percent or money": ("[breakers.daily_loss]\nlimit = 5", '5 could be percent or money: write "5%" or "5 USDT"'),
    "percent or money, as text": ('[breakers.daily_loss]\nlimit = "5"', 'write "5%" or "5 USDT"'),
    "too much for percent": ("[breakers.daily_loss]\nlimit = 5000", 'could be percent or money: write "5000 USDT"'),
    "1 for a limit": ("[breakers.daily_loss]\nlimit = 1", "1 could be percent or money"),
    "an empty rule limit": (
        '[breakers.daily_loss]\nlimit = ""',
        "breakers.daily_loss.limit: '' is not a number: write a",
    ),
    "a word for a limit": ('[breakers.daily_loss]\nlimit = "off"', "breakers.daily_loss.limit: 'off' is not a number"),
    "no loss at all": ('[breakers.daily_loss]\nlimit = "0%"', "breakers.daily_loss.limit: '0%' is zero"),
    "zero money": ('[breakers.daily_loss]\nlimit = "0 USDT"', "breakers.daily_loss.limit: '0 USDT' is not above zero"),
    "a negative loss": ("[breakers.daily_loss]\nlimit = -0.05", "breakers.daily_loss.limit: -0.05 is negative"),
    "NaN for a limit": ("[breakers.daily_loss]\nlimit = nan", "breakers.daily_loss.limit: nan is not finite"),
    "true for a limit": ("[breakers.daily_loss]\nlimit = true", "breakers.daily_loss.limit: True is not a number"),
    "everything": ('[breakers.daily_loss]\nlimit = "100%"', "breakers.daily_loss.limit: '100%' is not a ratio below 1"),
    "money of elsewhere": (
        '[breakers.daily_loss]\nlimit = "500 EUR"',
        "breakers.daily_loss.limit: '500 EUR' is not in the reference currency USDT",
    ),
    "a warning in money of elsewhere": (
        '[breakers.daily_loss]\nlimit = "500 USDT"\nwarnings = ["100 EUR"]',
        "a warning at 100 EUR can't be compared with the limit, 500 USDT",
    ),
    "a needed limit": (
        "[breakers.weekly_loss]",
        'breakers.weekly_loss.limit: it is missing, and this rule has no default: add it, such as limit = "5%"',
    ),
    "a needed limit of a named rule": ('[breakers.a]\nrule = "volatility"', "breakers.a.limit: it is missing"),
    "a rule's warning at its limit": (
        '[breakers.drawdown]\nwarnings = ["10%"]',
        "breakers.drawdown.warnings: a warning at 10% would never come before the limit, limit at 10%: set it below",
    ),
    "a warning of another kind": (
        '[breakers.daily_loss]\nlimit = "500 USDT"\nwarnings = ["3%"]',
        "breakers.daily_loss.warnings: a warning at 3% can't be compared with the limit, 500 USDT",
    ),
    "too many orders warned of": (
        "[breakers.order_rate]\nmax_orders = 10\nwarnings = [10]",
        "breakers.order_rate.warnings: a warning at 10 would never come before the limit, max_orders at 10",
    ),
    "a warning that is no list": ('[breakers.drawdown]\nwarnings = "5%"', "breakers.drawdown.warnings: write a list"),
    "hours without minutes": ('[breakers.drawdown]\nactive_hours = "8-9"', "'8-9' is not a span of the day: write"),
    "hours beyond midnight": ('[breakers.drawdown]\nactive_hours = "14:00-24:00"', "'24:00' is not a time of day"),
    "no hours at all": ('[breakers.drawdown]\nactive_hours = "08:00-08:00"', "begins where it ends"),
    "no orders at all": ("[breakers.order_rate]\nmax_orders = 0", "breakers.order_rate.max_orders: 0 is not a count"),
    "half an order": ("[breakers.order_rate]\nmax_orders = 2.5", "breakers.order_rate.max_orders: 2.5 is not a count"),
    "more than is counted": ("[breakers.error_rate]\nmax_errors = 100000", "more than is ever counted"),
    "a window that is forgotten": ('[breakers.error_rate]\nwindow = "2h"', "7200s is longer than what is remembered"),
    "a window without samples": (
        '[breakers.volatility]\nlimit = "80%"\nwindow = "1m"',
        "breakers.volatility.window: 60s is out of range",
    ),
    "a volatility without its sign": ("[breakers.volatility]\nlimit = 1.5", 'write "1.5%" or "150%"'),
    "no volatility": ("[breakers.volatility]\nlimit = 0", "breakers.volatility.limit: 0 is not above zero"),
    "a word for a volatility": ('[breakers.volatility]\nlimit = "much"', "'much' is not a ratio: write one such as"),
    "no such venue": ("[breakers.venue_loss]\nlimit = 0.1\nvenue = 'krakn'", 'perhaps write "kraken"'),
    "an unknown action": ('[breakers.drawdown]\naction = "stop"', "write 'veto', 'freeze' or 'trip'"),
    "a rule that is no table": ('[breakers]\ndrawdown = "5%"', "breakers.drawdown: write it as a table"),
    "a name in capitals": ('[breakers.Night]\nrule = "drawdown"', "breakers.Night: it is not a rule's name"),
    "a name of another rule": (
        '[breakers.drawdown]\nrule = "daily_loss"',
        "a table named drawdown is of the rule drawdown",
    ),
    "a second blindness": ('[breakers.dark]\nrule = "blind"', "breakers.dark.rule: there is only one 'blind'"),
    "the circuit breaker's own": ("[breakers.capital_loss]", "breakers.capital_loss: it is always on and set in"),
    "two of one name": ("[breakers.drawdown]\n[breakers.drawdown]", "it is not valid TOML"),
    "no days to look back": ("[breakers.drawdown]\nlookback_days = 0", "0 is not a number of days"),
    "no class": ('[breakers.mine]\nclass = "rules.Mine"', "breakers.mine.class: 'rules.Mine' names no class"),
    "a class by a rule's name": ('[breakers.drawdown]\nclass = "a:B"', "breakers.drawdown: drawdown is a rule of this"),
    "a class and a rule": (
        '[breakers.mine]\nclass = "a:B"\nrule = "drawdown"',
        "breakers.mine.rule: a rule of your own",
    ),
    "a class and a name": ('[breakers.mine]\nclass = "a:B"\nname = "x"', "breakers.mine.name: a rule of your own"),
    "a secret for a class": (
        '[breakers.mine]\nclass = "a:B"\ntoken = "hunter2"',
        "breakers.mine.token: secrets do not",
    ),
    "an unknown gate key": (
        "[gate]\nmax_notinal = 1",
        'gate.max_notinal: this key is not known: perhaps write "max_notional"',
    ),
    "an order in other money": ('[gate]\nmax_notional = "9 EUR"', "gate.max_notional: '9 EUR' is not in the reference"),
    "an order of nothing": ("[gate]\nmax_quantity = 0", "gate.max_quantity: 0 is not above zero"),
    "a collar without its sign": (
        "[gate]\nprice_collar = 5",
        "gate.price_collar: 5 is not a ratio below 1; for 5 percent",
    ),
    "a window of nothing": ('[gate]\nduplicate_window = "0s"', "gate.duplicate_window: '0s' is no time at all"),
    "half an order a second": ("[gate]\nmax_orders_per_second_per_bot = 0.5", "0.5 is not a count"),
    "a certificate without a key": ("[api]\ntls_certificate = 'config.toml'", "api.tls_key: it is missing beside"),
    "a key without a certificate": ("[api]\ntls_key = 'config.toml'", "api.tls_certificate: it is missing beside"),
    "a certificate that is not there": (
        "[api]\ntls_certificate = 'none.pem'",
        "api.tls_certificate: there is no such file",
    ),
    "a quorum of nobody": ("[warden]\nquorum = 0", "warden.quorum: "),
    "a time without end": (f'[data]\ncall_timeout = "{"9" * 400}s"', "is longer than a hundred years"),
    "days without end": (
        f"[baselines]\nlookback_days = {'9' * 400}",
        "baselines.lookback_days: it is more than a hundred years",
    ),
    "a number nobody can read": (f"[warden]\nquorum = {'9' * 5000}", "it is not valid TOML"),
    "a quorum of everybody": ("[warden]\nquorum = 21", "warden.quorum: what counts once"),
    "a glass that never breaks": ('[warden]\nbreak_glass_after = "31d"', "warden.break_glass_after: it is for the day"),
    "a warden's page without TLS": (
        '[warden]\nhost = "guard.example.org"',
        "warden.host: guard.example.org needs TLS, or no browser gives passkeys there: set api.tls_certificate",
    ),
    "a warden's page at an address": ('[warden]\nhost = "127.0.0.1"', "warden.host: '127.0.0.1' is not a name"),
    "a warden's page at an origin": ('[warden]\nhost = "https://guard"', "warden.host: 'https://guard' is not a name"),
    "a warden's page with a port": ('[warden]\nhost = "localhost:1"', "warden.host: 'localhost:1' is not a name"),
    "a glass that is broken at once": ('[warden]\nbreak_glass_after = "0s"', "'0s' is no time at all"),
    "a fund without a limit": ('[fund]\nname = "alpha"\nmember = "a"\nbudget = 5', "fund.limit: "),
    "a fund without a name": (fund(name=""), "fund.name: '' is not a name: use letters"),
    "a member of two words": (fund(member="a b"), "fund.member: 'a b' is not a name"),
    "a fund's limit without a unit": (fund(limit=500), "fund.limit: 500 could be percent or money"),
    "a fund's limit in other money": (
        fund(limit="500 USDC"),
        "fund.limit: '500 USDC' is not in the reference currency",
    ),
    "a budget in other money": (fund(budget="4 USDC"), "fund.budget: '4 USDC' is not in the reference currency"),
    "a budget above the limit": (fund(budget=501), "fund.budget: 501 is above the fund's limit of 500 USDT"),
    "a budget of nothing": (fund(budget=0), "fund.budget: 0 is not above zero"),
    "a budget as a part": (fund(budget="5%"), "fund.budget: '5%' is not an amount"),
    "a fund without a ledger": (NO_LEDGER, "fund.ledger: the members of a fund need a place that they share"),
    "a fund of twins": (
        f'{fund()}\n[guard]\npeers = ["b"]\n[state]\nlocks = ["file", "redis://127.0.0.1:6379/0"]',
        "fund: two guards of one account would be two members of the fund",
    ),
    "a ledger in a file": (fund(ledger="file"), "fund.ledger: it is no ledger"),
    "a ledger's password": (fund(ledger="redis://:hunter2@127.0.0.1/0"), "fund.ledger: it holds a password"),
    "a ledger's password in PostgreSQL": (
        fund(ledger="postgresql://guard:hunter2@127.0.0.1/guard"),
        "fund.ledger: secrets do not belong in this file",
    ),
    "a ledger far away in the clear": (
        fund(ledger="postgresql://guard@db.example.org/guard"),
        "fund.ledger: the host is not this machine",
    ),
    "a fund of one's own words": (fund(share=1), "fund.share: "),
    "a port that is none": ('[api]\nlisten = "127.0.0.1:99999"', "api.listen: '127.0.0.1:99999' is not an address"),
}


@pytest.mark.parametrize("case", BAD_RULES)
def test_a_rule_is_refused(case: str, tmp_path: Path) -> None:
    text, expected = BAD_RULES[case]

    sentence = refusal(write(tmp_path, text, CONFIGURED))
    assert expected in sentence
    assert "hunter2" not in sentence


def test_a_pasted_key_is_not_repeated(tmp_path: Path) -> None:
    pem = '[api]\ntls_key = """-----BEGIN PRIVATE KEY-----\nhunter2\n"""'
    sentence = refusal(write(tmp_path, pem, CONFIGURED))

    assert sentence.startswith("api.tls_key: it is not a path")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("case", BAD)
def test_is_refused(case: str, tmp_path: Path) -> None:
    text, expected = BAD[case]

    assert expected in refusal(write(tmp_path, text))


@pytest.mark.parametrize("key", ["api_key", "apiKey", "secret", "password", "token", "passphrase", "private_key"])
def test_a_secret_is_refused_and_not_repeated(key: str, tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path, PORTFOLIO, VENUE, f'{key} = "hunter2"'))

    assert sentence.startswith(f"venues.kraken.{key}: secrets do not belong in this file")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("url", ["redis://me:hunter2@h/0", "rediss://:hunter2@h", "rediss://:hunter2@h:x"])
def test_the_password_of_a_lock_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path, PORTFOLIO, SIMULATED, f'[state]\nlocks = ["file", "{url}"]'))
    assert "state.locks" in sentence
    assert "hunter2" not in sentence


def test_locks_in_redis_are_taken_as_they_are_written(tmp_path: Path) -> None:
    locks = ["file", "rediss://guard@redis.example.org:6380/2", "redis://[::1]/1"]
    state = load_config(write(tmp_path, PORTFOLIO, SIMULATED, f"[state]\nlocks = {json.dumps(locks)}")).state
    assert list(state.locks) == locks
    assert [(str(one), one.user) for one in state.redis_locks] == [
        ("rediss://redis.example.org:6380/2", "guard"),
        ("redis://[::1]:6379/1", None),
    ]


def test_a_secret_of_the_broadcast_is_seen_first(tmp_path: Path) -> None:
    assert "broadcast.kafka.token: secrets" in refusal(write(tmp_path, PORTFOLIO, '[broadcast.kafka]\ntoken = "x"'))


def test_a_secret_in_a_store_s_address_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(write(tmp_path, BAD["another store"][0]))


# --- the whole -------------------------------------------------------------------------------------


def test_settings_can_t_be_changed(tmp_path: Path) -> None:
    settings = load_config(write(tmp_path, PORTFOLIO, SIMULATED))

    with pytest.raises(ValueError, match="frozen"):
        settings.circuit_breaker.confirm = False  # type: ignore[misc]


def test_the_file_in_the_repository_is_its_own_documentation() -> None:
    raw = tomllib.loads((REPOSITORY / "config.toml").read_text())

    assert Settings.model_validate(raw).circuit_breaker == CircuitBreaker()


# --- the document ----------------------------------------------------------------------------------


def documented(section: str) -> dict[str, str]:
    """Keys and defaults of one section of the document."""
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert f"\n## {section}\n" in text, f"docs/configuration.md has no '## {section}'"
    part = re.split(r"^## ", text.split(f"\n## {section}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \| ", part, re.MULTILINE))


def in_the_file(table: type[Table], *, besides: frozenset[str] = frozenset()) -> dict[str, str]:
    """Keys and defaults of a model, as the document has them."""
    fields = {field.alias or key: field for key, field in table.model_fields.items() if key not in besides}
    return {key: as_default(field) for key, field in fields.items()}


def as_default(field: Any) -> str:
    if field.is_required():
        return "needed"
    default = field.get_default(call_default_factory=True)
    return "off" if default is None else f"`{json.dumps(default)}`"


FIELDS = Settings.model_fields
SECTIONS: dict[str, type[Table]] = {
    f"[{name}]": tables_of(field)[0]
    for name, field in FIELDS.items()
    if name not in ("breakers", "venues", "broadcast")
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_and_default_stands_in_the_document(section: str) -> None:
    assert documented(section) == in_the_file(SECTIONS[section])


def test_every_key_of_a_venue_stands_in_the_document() -> None:
    assert documented("[venues.NAME]") == in_the_file(Venue)
    assert documented("[venues.NAME.dead_man]") == {**in_the_file(DeadMan), "exclusive": "needed"}


def test_every_key_of_the_broadcast_stands_in_the_document() -> None:
    assert documented("[broadcast.kafka]") == in_the_file(Kafka)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_channel_stands_in_the_document(kind: str) -> None:
    common = in_the_file(Channel)
    assert documented("[alerts.channels.NAME]") == {"kind": "needed", **common}
    assert documented(f"A channel: {kind}") == in_the_file(KINDS[kind], besides=frozenset({"kind", *common}))


def test_every_key_of_blindness_stands_in_the_document() -> None:
    assert documented("[breakers.blind]") == in_the_file(Breakers.model_fields["blind"].annotation)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULE_TABLES)
def test_every_key_of_a_rule_stands_in_the_document(rule: str) -> None:
    for_all = frozenset({"rule", "active_hours", "warnings"})

    assert documented(f"[breakers.{rule}]") == in_the_file(RULE_TABLES[rule], besides=for_all)


def test_what_every_rule_takes_stands_in_the_document() -> None:
    common = documented("[breakers.NAME]")
    assert (common.pop("rule"), common.pop("action")) == ("NAME", "see there")
    for table in RULE_TABLES.values():
        assert common == {key: in_the_file(table)[key] for key in ("active_hours", "warnings")}
    assert documented("A rule of your own") == in_the_file(OwnRule)


def test_every_table_in_the_document_is_there() -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    rules = {f"[breakers.{name}]" for name in ("NAME", "blind", *RULE_TABLES)}

    assert set(re.findall(r"^## (\[.+\])$", text, re.MULTILINE)) == {
        *SECTIONS,
        *rules,
        "[venues.NAME]",
        "[venues.NAME.dead_man]",
        "[alerts.channels.NAME]",
        "[broadcast.kafka]",
    }


def test_every_rule_s_reason_stands_in_the_document_in_its_place() -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    sentence = text.split("the first that holds of:", 1)[1].split("and then the limits", 1)[0]
    told = [name.replace("NAME", "x").replace("VENUE", "x") for name in re.findall(r"`([\w:]+)`", sentence)]

    causes = {rule.cause.partition(":")[0] for rule in CircuitBreakerType}
    assert causes <= {reason.partition(":")[0] for reason in told}
    assert told == sorted(told, key=severity)


def test_every_example_in_the_document_loads(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)

    assert len(examples) >= 3
    for example in examples:
        load_config(write(tmp_path, example, CONFIGURED))
