"""The keys of the accounts: where they come from, which go before which, and that nothing repeats them."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.config.credentials import credentials, store_password
from risk_daemon.config.load import load as load_config
from risk_daemon.config.load import unknown_environment
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError
from tests.unit.config.files import PORTFOLIO, SIMULATED, VENUE, refusal, write

KEY, SECRET = "RISK_DAEMON_MY_KRAKEN_API_KEY", "RISK_DAEMON_MY_KRAKEN_SECRET"


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return load_config(write(tmp_path, PORTFOLIO, VENUE.replace("kraken]", "my-kraken]")))


def test_credentials_come_from_the_environment(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_API_KEY", "k")
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_SECRET", "s\n")

    found = credentials(live, "my-kraken")
    assert (found.api_key.get_secret_value(), found.secret.get_secret_value(), found.password) == ("k", "s", None)
    assert "'k'" not in repr(found)


def test_credential_files_go_before_the_environment(
    live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for part in ("api_key", "secret", "password"):
        (tmp_path / f"my-kraken.{part}").write_text(f"file-{part}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_API_KEY", "environment")

    found = credentials(live, "my-kraken")
    assert found.api_key.get_secret_value() == "file-api_key"
    assert found.password is not None
    assert found.password.get_secret_value() == "file-password"


@pytest.mark.parametrize("secret", [None, "", " "])
def test_a_missing_or_empty_credential_is_refused(
    live: Settings, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_API_KEY", "k")
    if secret is not None:
        monkeypatch.setenv("RISK_DAEMON_MY_KRAKEN_SECRET", secret)

    with pytest.raises(ConfigError, match=r"my-kraken: its secret is missing: put it into .*my-kraken\.secret or RISK"):
        credentials(live, "my-kraken")


def test_an_unreadable_credential_is_refused(live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my-kraken.api_key").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with pytest.raises(ConfigError, match=r"my-kraken\.api_key: this credential can't be read"):
        credentials(live, "my-kraken")


def test_a_simulated_venue_needs_no_credentials(tmp_path: Path) -> None:
    settings = load_config(write(tmp_path, PORTFOLIO, SIMULATED))

    found = credentials(settings, "kraken")
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

    assert set(load_config(path).venues) == {"a", "b"}


def test_no_environment_variable_changes_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_CIRCUIT_BREAKER__LOSS_THRESHOLD", "50%")
    settings = load_config(write(tmp_path, PORTFOLIO, SIMULATED))

    assert settings.circuit_breaker.loss_threshold == Decimal("0.05")
    assert "RISK_DAEMON_CIRCUIT_BREAKER__LOSS_THRESHOLD" in unknown_environment(settings)
    assert unknown_environment(settings, {"RISK_DAEMON_KRAKEN_API_KEY": "", "PATH": ""}) == ()


# --- what is not taken for a key -------------------------------------------------------------------


def files(directory: Path, monkeypatch: pytest.MonkeyPatch, **parts: str) -> None:
    """A directory of credentials with these parts of my-kraken."""
    directory.mkdir()
    for part, text in parts.items():
        (directory / f"my-kraken.{part}").write_text(text)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))


@pytest.mark.parametrize(
    "typo", ["RISK_DAEMON_MY_KRAKEN_APIKEY", "RISK_DAEMON_MYKRAKEN_API_KEY", "risk_daemon_my_kraken_api_key"]
)
def test_a_variable_with_a_typo_is_no_key_and_is_said(
    typo: str, live: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "s")
    monkeypatch.setenv(typo, "hunter2")

    with pytest.raises(ConfigError, match=f"its api_key is missing: put it into .* or {KEY}") as refused:
        credentials(live, "my-kraken")
    assert "hunter2" not in str(refused.value)
    assert unknown_environment(live) == (typo,)


@pytest.mark.parametrize("name", ["API_KEY", "api_key", "SECRET", "KRAKEN_API_KEY"])
def test_a_variable_without_the_venue_is_nobody_s_key(
    name: str, live: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hunter2")

    with pytest.raises(ConfigError, match="its api_key and secret are missing"):
        credentials(live, "my-kraken")


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_file_hides_no_variable(
    text: str, live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(tmp_path / "keys", monkeypatch, api_key=text, secret="s")
    monkeypatch.setenv(KEY, "k")

    found = credentials(live, "my-kraken")
    assert (found.api_key.get_secret_value(), found.secret.get_secret_value()) == ("k", "s")


def test_a_file_of_another_case_is_another_s(live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files(tmp_path / "keys", monkeypatch, secret="s")
    (tmp_path / "keys" / "MY-KRAKEN.api_key").write_text("k")

    with pytest.raises(ConfigError, match="its api_key is missing"):
        credentials(live, "my-kraken")


def test_a_file_may_be_a_link_that_leads_elsewhere(
    live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(tmp_path / "keys", monkeypatch, secret="s")
    (tmp_path / "elsewhere").write_text("k\n")
    (tmp_path / "keys" / "my-kraken.api_key").symlink_to(tmp_path / "elsewhere")

    assert credentials(live, "my-kraken").api_key.get_secret_value() == "k"


def test_a_directory_that_is_not_there_is_refused(
    live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Even where the variables would do: its owner believes that the files count."""
    monkeypatch.setenv(KEY, "k")
    monkeypatch.setenv(SECRET, "s")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentails"))

    with pytest.raises(ConfigError, match="credentails: \\$CREDENTIALS_DIRECTORY names no directory"):
        credentials(live, "my-kraken")


def test_bytes_that_are_no_text_are_refused_and_not_repeated(
    live: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(tmp_path / "keys", monkeypatch, secret="s")
    (tmp_path / "keys" / "my-kraken.api_key").write_bytes(b"hunter2\xff")

    with pytest.raises(ConfigError, match=r"my-kraken\.api_key: this credential can't be read") as refused:
        credentials(live, "my-kraken")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_simulated_venue_takes_nothing_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_config(write(tmp_path, PORTFOLIO, SIMULATED))
    for part in ("API_KEY", "SECRET", "PASSWORD"):
        monkeypatch.setenv(f"RISK_DAEMON_KRAKEN_{part}", "hunter2")

    found = credentials(settings, "kraken")
    assert (found.api_key.get_secret_value(), found.password) == (API_KEY, None)


# --- secrecy ---------------------------------------------------------------------------------------


def test_no_text_of_them_has_a_secret(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("API_KEY", "SECRET", "PASSWORD"):
        monkeypatch.setenv(f"RISK_DAEMON_MY_KRAKEN_{part}", "hunter2")
    found = credentials(live, "my-kraken")

    assert found.password is not None
    for text in (repr(found), str(found), found.model_dump_json(), str(found.model_dump()), f"{found.api_key}"):
        assert "hunter2" not in text


def test_a_refusal_has_none_of_the_others(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "hunter2")

    with pytest.raises(ConfigError) as refused:
        credentials(live, "my-kraken")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__, "the cause would tell what was found"


def test_keys_can_t_be_changed(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "k")
    monkeypatch.setenv(SECRET, "s")

    with pytest.raises(ValueError, match="frozen"):
        credentials(live, "my-kraken").venue = "another"  # type: ignore[misc]


@pytest.mark.parametrize("module", ["cli", "cli.operating", "client", "guarded_exchange", "middleware", "breakers"])
def test_what_answers_without_them_does_not_load_what_reads_them(module: str) -> None:
    program = f"import sys, risk_daemon.{module}; print('pydantic_settings' in sys.modules)"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=bare)
    assert done.stdout.strip() == "False"


# --- the store's password ---------------------------------------------------------------------------


def test_the_password_of_the_store_is_in_a_file_or_a_variable_and_may_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert store_password() == ""
    monkeypatch.setenv("RISK_DAEMON_STATE_STORE_PASSWORD", "of the variable")
    assert store_password() == "of the variable"
    (tmp_path / "state.store.password").write_text("of the file\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert store_password() == "of the file"


def test_its_variable_is_known_where_there_is_a_server(tmp_path: Path) -> None:
    variable = {"RISK_DAEMON_STATE_STORE_PASSWORD": "x"}
    server = '[state]\nstore = "postgresql://guard@127.0.0.1/risk"\n'
    assert unknown_environment(load_config(write(tmp_path, PORTFOLIO, server, SIMULATED)), variable) == ()
    assert unknown_environment(load_config(write(tmp_path, PORTFOLIO, SIMULATED)), variable) == tuple(variable)


@pytest.mark.parametrize(
    ("ledger", "variable"),
    [
        ("redis://127.0.0.1:6379/0", "RISK_DAEMON_STATE_LOCKS_PASSWORD"),
        ("postgresql://guard@127.0.0.1/guard", "RISK_DAEMON_STATE_STORE_PASSWORD"),
    ],
)
def test_the_password_of_a_fund_s_ledger_is_a_known_variable(ledger: str, variable: str, tmp_path: Path) -> None:
    fund = f'[fund]\nname = "alpha"\nlimit = "5%"\nmember = "a"\nbudget = 4\nledger = "{ledger}"\n'
    environment = {"RISK_DAEMON_STATE_LOCKS_PASSWORD": "x", "RISK_DAEMON_STATE_STORE_PASSWORD": "x"}
    [unknown] = unknown_environment(load_config(write(tmp_path, PORTFOLIO, fund, SIMULATED)), environment)
    assert {unknown, variable} == set(environment)
