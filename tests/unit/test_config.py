"""Every way to get the file wrong is refused, in one sentence that says where and what to do."""

from __future__ import annotations

import datetime as dt
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon import config
from risk_daemon.errors import ConfigError, ExitCode

REPOSITORY = Path(__file__).parents[2]
PORTFOLIO = "[portfolio]\ninitial_capital = 10000\n"
VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
SIMULATED = VENUE + "simulated = true\n"


def write(directory: Path, *parts: str) -> Path:
    path = directory / "config.toml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert caught.value.exit_code == ExitCode.REFUSED
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    assert text.endswith(".")
    return text.removeprefix(f"{path}: ")


def test_the_repository_s_file_loads_as_it_is() -> None:
    settings = config.load(REPOSITORY / "config.toml")

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
    settings = config.load(write(tmp_path, PORTFOLIO, SIMULATED))

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
    settings = config.load(
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
    settings = config.load(
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
    settings = config.load(path)

    printed = config.effective(settings)
    assert dict(config.Settings.model_validate(printed)) == dict(settings)
    assert printed["breakers"]["blind"] == {"warn_after": "10s", "veto_after": "2592000s", "trip_after": "never"}
    assert printed["circuit_breaker"]["warnings"] == ["2.5%"]
    assert printed["prices"]["pegs"] == {"USDC": "1"}


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml") == "there is no such file: give one with --config FILE."


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    assert "it can't be read" in refusal(tmp_path)


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
        'circuit_breaker.action: only "trip" is available in this version',
    ),
    "not a truth value": (
        PORTFOLIO + '[circuit_breaker]\nconfirm = "yes"\n' + SIMULATED,
        "circuit_breaker.confirm: write true or false",
    ),
    "1 for true": (PORTFOLIO + "[circuit_breaker]\nconfirm = 1\n" + SIMULATED, "write true or false"),
    "closing positions": (
        PORTFOLIO + "[circuit_breaker]\nauto_close_positions = true\n" + SIMULATED,
        "circuit_breaker.auto_close_positions: closing positions is not available in this version",
    ),
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
    "a rule to come": (
        PORTFOLIO + '[breakers.drawdown]\nlimit = "10%"\n' + SIMULATED,
        "breakers.drawdown: this rule is not available in this version",
    ),
    "a rule that can't be changed": (
        PORTFOLIO + "[breakers.manual]\n" + SIMULATED,
        "breakers.manual: it is always on",
    ),
    "alerts": (PORTFOLIO + '[alerts.oncall]\nurl = "x"\n' + SIMULATED, "alerts: it is not available in this version"),
    "broadcast": (PORTFOLIO + "[broadcast.kafka]\n" + SIMULATED, "broadcast: it is not available in this version"),
    "dead man's switch": (
        PORTFOLIO + SIMULATED + '[venues.kraken.dead_man]\ntimeout = "60s"',
        "venues.kraken.dead_man: it is not available in this version",
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
        PORTFOLIO + '[state]\nstore = "postgresql://u:hunter2@h/d"\n' + SIMULATED,
        'state.store: only "sqlite" is available in this version',
    ),
    "another lock": (
        PORTFOLIO + '[state]\nlocks = ["file", "redis://h"]\n' + SIMULATED,
        'state.locks: only ["file"] is available in this version',
    ),
    "no lock": (PORTFOLIO + "[state]\nlocks = []\n" + SIMULATED, 'state.locks: only ["file"] is available'),
    "a state directory without a name": (PORTFOLIO + '[state]\ndir = ""\n' + SIMULATED, "state.dir: it is not a path"),
}


@pytest.mark.parametrize("case", BAD)
def test_is_refused(case: str, tmp_path: Path) -> None:
    text, expected = BAD[case]

    assert expected in refusal(write(tmp_path, text))


@pytest.mark.parametrize("key", ["api_key", "apiKey", "secret", "password", "token", "passphrase", "private_key"])
def test_a_secret_is_refused_and_not_repeated(key: str, tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path, PORTFOLIO, VENUE, f'{key} = "hunter2"'))

    assert sentence.startswith(f"venues.kraken.{key}: secrets do not belong in this file")
    assert "hunter2" not in sentence


def test_a_secret_in_a_part_to_come_is_seen_first(tmp_path: Path) -> None:
    assert "alerts.oncall.token: secrets" in refusal(write(tmp_path, PORTFOLIO, '[alerts.oncall]\ntoken = "x"'))


def test_a_secret_in_a_store_s_address_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(write(tmp_path, BAD["another store"][0]))


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9001", "http://127.8.9.1:1/", "http://localhost:9001/x", "http://[::1]:9001"]
)
def test_this_machine_s_endpoints_are_accepted(endpoint: str) -> None:
    config.check_loopback(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:9001", "ws://127.0.0.1", "http://[::1", "http://0.0.0.0:1", "http://2130706433:1",
     "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://127.0.0.1@example.com", "http://127.0.0.1?x"],
)  # fmt: skip
def test_other_endpoints_are_not(endpoint: str) -> None:
    with pytest.raises(ValueError):
        config.check_loopback(endpoint)


# --- credentials -----------------------------------------------------------------------------------


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return config.load(write(tmp_path, PORTFOLIO, VENUE.replace("kraken]", "my-kraken]")))


def test_credentials_come_from_the_environment(live: config.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_API_KEY", "k")
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_SECRET", "s\n")

    found = config.credentials(live, "my-kraken")
    assert (found.api_key.get_secret_value(), found.secret.get_secret_value(), found.password) == ("k", "s", None)
    assert "'k'" not in repr(found)


def test_credential_files_go_before_the_environment(
    live: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for part in ("api_key", "secret", "password"):
        (tmp_path / f"my-kraken.{part}").write_text(f"file-{part}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_API_KEY", "environment")

    found = config.credentials(live, "my-kraken")
    assert found.api_key.get_secret_value() == "file-api_key"
    assert found.password is not None
    assert found.password.get_secret_value() == "file-password"


@pytest.mark.parametrize("secret", [None, "", " "])
def test_a_missing_or_empty_credential_is_refused(
    live: config.Settings, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_API_KEY", "k")
    if secret is not None:
        monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_SECRET", secret)

    with pytest.raises(ConfigError, match=r"my-kraken: its secret is missing: put it into .*my-kraken\.secret or RISK"):
        config.credentials(live, "my-kraken")


def test_an_unreadable_credential_is_refused(
    live: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my-kraken.api_key").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with pytest.raises(ConfigError, match=r"my-kraken\.api_key: this credential can't be read"):
        config.credentials(live, "my-kraken")


def test_a_simulated_venue_needs_no_credentials(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, PORTFOLIO, SIMULATED))

    found = config.credentials(settings, "kraken")
    assert (found.api_key.get_secret_value(), found.secret.get_secret_value()) == (API_KEY, API_SECRET)


def test_two_venues_with_one_key_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_A_API_KEY", "hunter2")
    monkeypatch.setenv("RISK_DAEMON_B_API_KEY", "hunter2")
    path = write(tmp_path, PORTFOLIO, VENUE.replace("kraken]", "a]"), VENUE.replace("kraken]", "b]"))

    sentence = refusal(path)
    assert sentence.startswith("venues.b: it is the same account as a")
    assert "hunter2" not in sentence


def test_two_subaccounts_are_two_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_A_API_KEY", "1")
    monkeypatch.setenv("RISK_DAEMON_B_API_KEY", "2")
    path = write(tmp_path, PORTFOLIO, VENUE.replace("kraken]", "a]"), VENUE.replace("kraken]", "b]"))

    assert set(config.load(path).venues) == {"a", "b"}


def test_no_environment_variable_changes_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_CIRCUIT_BREAKER__LOSS_THRESHOLD", "50%")
    settings = config.load(write(tmp_path, PORTFOLIO, SIMULATED))

    assert settings.circuit_breaker.loss_threshold == Decimal("0.05")
    assert "RISK_DAEMON_CIRCUIT_BREAKER__LOSS_THRESHOLD" in config.unknown_environment(settings)
    assert config.unknown_environment(settings, {"RISK_DAEMON_KRAKEN_API_KEY": "", "PATH": ""}) == ()


def test_settings_can_t_be_changed(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, PORTFOLIO, SIMULATED))

    with pytest.raises(ValueError, match="frozen"):
        settings.circuit_breaker.confirm = False  # type: ignore[misc]


def test_the_file_in_the_repository_is_its_own_documentation() -> None:
    raw = tomllib.loads((REPOSITORY / "config.toml").read_text())

    assert config.Settings.model_validate(raw).circuit_breaker == config.CircuitBreaker()
