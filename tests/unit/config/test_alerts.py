"""The table [alerts]: what loads, what is refused and how, and where secrets come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.config.load import channel_secrets, effective, load, unknown_environment
from risk_daemon.errors import ConfigError
from tests.unit.config.files import PORTFOLIO, SIMULATED, refusal, write

HOOK = '[alerts.channels.oncall]\nkind = "webhook"\nurl = "https://hooks.example.org/risk"\n'
MAIL = '[alerts.channels.mail]\nkind = "email"\nhost = "smtp.example.org"\nsender = "a@example.org"\n'
SMS = '[alerts.channels.phone]\nkind = "sms"\naccount_sid = "AC1"\nsender = "+1"\nrecipients = ["+2"]\n'
APPRISE = '[alerts.channels.slack]\nkind = "apprise"\n'
TO = 'recipients = ["b@example.org"]\n'


def file(tmp_path: Path, *tables: str) -> Path:
    return write(tmp_path, PORTFOLIO, SIMULATED, *tables)


def test_nobody_is_told_by_default(tmp_path: Path) -> None:
    settings = load(file(tmp_path))
    assert (settings.alerts.channels, settings.alerts.rate, settings.alerts.escalate_after) == ({}, 10, 300.0)
    assert settings.alerts.heartbeat_every is None


def test_every_kind_loads_and_reads_the_same_when_it_is_printed(tmp_path: Path) -> None:
    head = '[alerts]\nstrategy_name = "momentum"\nrate = 3\nescalate_after = "off"\nheartbeat_every = "1m"\n'
    more = 'severity = "critical"\nevents = ["manual_halt"]\nescalation = true\nheartbeat = true\ntimeout = "3s"\n'
    settings = load(file(tmp_path, head, HOOK + more, MAIL + TO, SMS, APPRISE))
    assert {name: one.kind for name, one in settings.alerts.channels.items()} == {
        "oncall": "webhook",
        "mail": "email",
        "phone": "sms",
        "slack": "apprise",
    }
    shown = effective(settings)["alerts"]
    assert (shown["escalate_after"], shown["heartbeat_every"]) == ("off", "60s")
    assert (shown["channels"]["oncall"]["timeout"], shown["channels"]["mail"]["security"]) == ("3s", "starttls")


REFUSED = {
    HOOK + 'sevrity = "info"': 'alerts.channels.oncall.sevrity: this key is not known: perhaps write "severity"',
    HOOK + 'severity = "loud"': "alerts.channels.oncall.severity: 'loud' is not accepted",
    HOOK + 'events = ["manual_halts"]': "perhaps write 'manual_halt'",
    HOOK + 'secret = "whsec_x"': "alerts.<channel>.secret",
    HOOK.replace("webhook", "pigeon"): "alerts.channels.oncall: its kind is not known",
    HOOK.replace('kind = "webhook"\n', ""): "alerts.channels.oncall: its kind is missing",
    HOOK.replace("https://", "https://me:hush@"): "alerts.channels.oncall.url: it has a secret in it",
    HOOK.replace("risk", "risk?token=hush"): "alerts.channels.oncall.url: it has a secret in it",
    HOOK.replace("https", "file"): "alerts.channels.oncall.url: it is not an address",
    HOOK.replace("oncall", '"on call"'): "is not a channel's name",
    HOOK + HOOK.replace("oncall", "ONCALL"): "alerts.channels.ONCALL: it would share its credentials with oncall",
    MAIL: "alerts.channels.mail.recipients: it is missing",
    MAIL + "recipients = []": "nobody would be told",
    MAIL + TO + "port = 0": "alerts.channels.mail.port",
    APPRISE + 'url = "slack://hush"': "alerts.channels.slack.url: this key is not known",
    "[alerts]\nrate = 0": "alerts.rate: 0 is not a count",
    "[alerts]\nrte = 1": 'alerts.rte: this key is not known: perhaps write "rate"',
    '[alerts]\nescalate_after = "never"': 'or "off"',
}


@pytest.mark.parametrize("tables", REFUSED, ids=lambda tables: REFUSED[tables][:60])
def test_what_is_refused(tmp_path: Path, tables: str) -> None:
    told = refusal(file(tmp_path, tables))
    assert REFUSED[tables] in told
    assert "hush" not in told


def test_secrets_come_from_files_and_else_from_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(file(tmp_path, HOOK.replace('url = "https://hooks.example.org/risk"\n', "")))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("RISK_DAEMON_ALERTS_ONCALL_URL", "https://from.example.org\n")
    monkeypatch.setenv("RISK_DAEMON_ALERTS_ONCALL_SECRET", "from the environment")
    (tmp_path / "alerts.oncall.secret").write_text("from a file\n")
    assert channel_secrets(settings, "oncall") == {"secret": "from a file", "url": "https://from.example.org"}


@pytest.mark.parametrize(
    ("table", "name", "parts"),
    [
        (HOOK, "oncall", "secret"),
        (MAIL + TO + 'username = "me"', "mail", "password"),
        (SMS, "phone", "password"),
        (APPRISE, "slack", "url"),
    ],
)
def test_a_secret_that_is_missing_is_said_with_its_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, name: str, parts: str
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError) as caught:
        channel_secrets(load(file(tmp_path, table)), name)
    told = str(caught.value)
    assert f"alerts.channels.{name}: its {parts} is missing" in told
    assert f"alerts.{name}.{parts} or RISK_DAEMON_ALERTS_{name.upper()}_{parts.upper()}" in told


def test_a_mail_without_a_login_needs_no_secret(tmp_path: Path) -> None:
    assert channel_secrets(load(file(tmp_path, MAIL + TO)), "mail") == {}


def test_a_variable_with_a_typo_is_named(tmp_path: Path) -> None:
    environment = {"RISK_DAEMON_ALERTS_ONCALL_SECRET": "x", "RISK_DAEMON_ALERTS_ONCAL_SECRET": "x"}
    assert unknown_environment(load(file(tmp_path, HOOK)), environment) == ("RISK_DAEMON_ALERTS_ONCAL_SECRET",)
