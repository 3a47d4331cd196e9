"""From another program's .env to channels, and on to the people it told."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.alerts.channels.base import (
    AnySettings,
    AppriseSettings,
    EmailSettings,
    Security,
    SmsSettings,
    WebhookSettings,
)
from risk_daemon.cli.alert_env import SIGNING_KEY_BYTES, converted, load_alert_env
from risk_daemon.errors import ConfigError, ExitCode, UsageError
from tests.receivers.mail import MailServer
from tests.receivers.twilio import SENDER, SID, TOKEN, TwilioFace
from tests.receivers.webhook import WebhookReceiver
from tests.unit.alerts.channels.worlds import told

WHOLE = """# alerts of the bot
SMTP_HOST=smtp.gmail.com
SMTP_PORT=587
SMTP_USERNAME=bot@gmail.com
SMTP_PASSWORD="app pa$$ word#1"
ALERT_EMAIL=desk@example.org, boss@example.org
TWILIO_ACCOUNT_SID=AC00000000000000000000000000000000
TWILIO_AUTH_TOKEN=token-of-a-test
TWILIO_FROM_NUMBER=+15005550006
ALERT_PHONE=+15551230001
ALERT_WEBHOOK_URL=https://hooks.example.org/risk?token=hush
"""
RANDOM = bytes(range(SIGNING_KEY_BYTES))
KEY = "whsec_" + base64.b64encode(RANDOM).decode()
KINDS: dict[str, type[AnySettings]] = {
    "email": EmailSettings,
    "sms": SmsSettings,
    "webhook": WebhookSettings,
    "apprise": AppriseSettings,
}


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set where the command runs must not be taken for the file's."""
    monkeypatch.setenv("ALERT_PHONE", "+4930123456")
    monkeypatch.setenv("SMTP_HOST", "elsewhere.example.org")


def made_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "bot.env"
    path.write_text(text, encoding="utf-8")
    return converted(load_alert_env(path), path.name, RANDOM)


def channels_of(made: Any) -> dict[str, Any]:
    channels: dict[str, Any] = tomllib.loads(made.text).get("alerts", {}).get("channels", {})
    return channels


def settings_of(made: Any, name: str, **changed: Any) -> AnySettings:
    """As the daemon would have it: the table, and what is in the credentials."""
    table = channels_of(made)[name]
    kind = KINDS[table.pop("kind")]
    secrets = {file.rpartition(".")[2]: text for file, text in made.credentials.items() if f".{name}." in file}
    security = {"security": Security(table["security"])} if "security" in table else {}
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return kind(name=name, **table | lists | security | secrets | changed)


def test_all_its_names_are_converted_and_secrets_are_credentials(tmp_path: Path) -> None:
    made = made_of(tmp_path, WHOLE)
    assert channels_of(made) == {
        "email": {
            "kind": "email",
            "host": "smtp.gmail.com",
            "port": 587,
            "security": "starttls",
            "username": "bot@gmail.com",
            "sender": "bot@gmail.com",
            "recipients": ["desk@example.org", "boss@example.org"],
        },
        "sms": {
            "kind": "sms",
            "account_sid": "AC00000000000000000000000000000000",
            "sender": "+15005550006",
            "recipients": ["+15551230001"],
        },
        "webhook": {"kind": "webhook", "allow": ["hooks.example.org"]},
    }
    assert dict(made.credentials) == {
        "alerts.email.password": "app pa$$ word#1",
        "alerts.sms.password": "token-of-a-test",
        "alerts.webhook.url": "https://hooks.example.org/risk?token=hush",
        "alerts.webhook.secret": KEY,
    }
    assert not any(secret in made.text + repr(made) for secret in made.credentials.values())
    assert made.remarks == (
        "webhook: each message is signed with a new key: give it to the receiver, see docs/alerts.md",
    )


async def test_the_converted_channels_reach_whom_they_reached(tmp_path: Path) -> None:
    with MailServer() as mail, TwilioFace() as phone, WebhookReceiver(KEY) as hook:
        made = made_of(
            tmp_path,
            f"SMTP_HOST={mail.host}\nSMTP_PORT={mail.port}\nALERT_EMAIL=desk@example.org\n"
            f"TWILIO_ACCOUNT_SID={SID}\nTWILIO_AUTH_TOKEN={TOKEN}\nTWILIO_FROM_NUMBER={SENDER}\n"
            f"ALERT_PHONE=+15551230001\nALERT_WEBHOOK_URL={hook.url}risk\n",
        )
        sms = settings_of(made, "sms", url=phone.url, allow=("127.0.0.1",))
        tries = [await told(one) for one in (settings_of(made, "email"), sms, settings_of(made, "webhook"))]
        assert [one.delivered for one in tries] == [True, True, True], tries
        assert [len(mail.mails), len(phone.messages), hook.ids] == [1, 1, ["trip-1"]]


@pytest.mark.parametrize(
    ("host", "port", "security"),
    [
        ("smtp.example.org", 465, "tls"),
        ("smtp.example.org", 587, "starttls"),
        ("smtp.example.org", 25, "starttls"),
        ("localhost", 25, "none"),
        ("127.0.0.1", 1025, "none"),
        ("localhost", 465, "tls"),
    ],
)
def test_the_way_to_the_mail_server_is_as_private_as_it_can_be(
    tmp_path: Path, host: str, port: int, security: str
) -> None:
    made = made_of(tmp_path, f"SMTP_HOST={host}\nSMTP_PORT={port}\nALERT_EMAIL=desk@example.org\n")
    table = channels_of(made)["email"]
    assert (table["security"], table["sender"]) == (security, "desk@example.org")
    assert any("nothing is encrypted" in remark for remark in made.remarks) is (security == "none")


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("ALERT_EMAIL", "WARNING: e-mail is NOT converted, because ALERT_EMAIL is missing."),
        ("TWILIO_AUTH_TOKEN", "WARNING: SMS is NOT converted, because TWILIO_AUTH_TOKEN is missing."),
        ("SMTP_PASSWORD", "WARNING: email: SMTP_USERNAME has no SMTP_PASSWORD"),
        ("SMTP_USERNAME", "WARNING: email: SMTP_PASSWORD has no SMTP_USERNAME: nobody logs in"),
    ],
)
def test_what_is_missing_is_said_loudly(tmp_path: Path, left_out: str, said: str) -> None:
    made = made_of(tmp_path, WHOLE.replace(f"{left_out}=", f"{left_out}_OLD="))
    assert said in made.remarks
    assert f"not converted: {left_out}_OLD" in made.remarks


def test_a_channel_that_nobody_set_up_is_no_warning(tmp_path: Path) -> None:
    made = made_of(tmp_path, "SMTP_HOST=\nTWILIO_ACCOUNT_SID=\nALERT_WEBHOOK_URL=https://hooks.example.org/\n")
    assert list(channels_of(made)) == ["webhook"]
    assert not any("WARNING" in remark for remark in made.remarks)


def test_a_webhook_of_slack_takes_apprise(tmp_path: Path) -> None:
    url = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    made = made_of(tmp_path, f"ALERT_WEBHOOK_URL={url}\n")
    assert channels_of(made) == {"webhook": {"kind": "apprise"}}
    assert dict(made.credentials) == {"alerts.webhook.url": url}
    assert "install that" in made.remarks[0]


def test_signs_that_mean_something_in_toml_stay_what_they_are(tmp_path: Path) -> None:
    made = made_of(tmp_path, "SMTP_HOST=localhost\nSMTP_USERNAME='a\"]\\#\x7fé'\nALERT_EMAIL=größe@example.org\n")
    table = channels_of(made)["email"]
    assert (table["username"], table["recipients"]) == ('a"]\\#\x7fé', ["größe@example.org"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no channel in it is complete"),
        ("SMTP_HOST=localhost\n", "ALERT_EMAIL is missing"),
        ("SMTP_HOST=localhost\nSMTP_PORT=hush\nALERT_EMAIL=a@example.org\n", "SMTP_PORT"),
        ("SMTP_HOST=localhost\nSMTP_PORT=99999\nALERT_EMAIL=a@example.org\n", "SMTP_PORT"),
        ("ALERT_WEBHOOK_URL=hush\n", "ALERT_WEBHOOK_URL"),
        ("ALERT_WEBHOOK_URL=ftp://hush/\n", "ALERT_WEBHOOK_URL"),
    ],
)
def test_what_says_nothing_is_refused_without_being_shown(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refusal:
        made_of(tmp_path, text)
    assert "hush" not in str(refusal.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_alert_env(tmp_path / "none.env")
    (tmp_path / "odd.env").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "odd.env"):
        with pytest.raises(ConfigError, match="can't be read"):
            load_alert_env(path)


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "bot.env"
    path.write_text(WHOLE)
    return path


def test_the_files_are_written_for_their_owner_alone(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, directory = source.parent / "alerts.toml", source.parent / "credentials"
    line = ["convert-alert-env", str(source), "--output", str(output), "--credentials", str(directory)]
    assert cli.main(line) is ExitCode.STOPPED
    assert "hooks.example.org" in output.read_text()
    names = ["alerts.email.password", "alerts.sms.password", "alerts.webhook.secret", "alerts.webhook.url"]
    assert sorted(path.name for path in directory.iterdir()) == names
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "alerts.email.password").read_text() == "app pa$$ word#1"
    said = capsys.readouterr()
    assert "alerts.webhook.secret" in said.err
    assert not any(path.read_text() in said.out + said.err for path in directory.iterdir())


def test_without_a_directory_they_are_only_named(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert-alert-env", str(source)]) is ExitCode.STOPPED
    said = capsys.readouterr()
    assert list(tomllib.loads(said.out)["alerts"]["channels"]) == ["email", "sms", "webhook"]
    assert "written with --credentials DIRECTORY: alerts.email.password" in said.err
    assert [path.name for path in source.parent.iterdir()] == ["bot.env"]


def test_a_new_key_each_time(source: Path) -> None:
    for name in ("one", "two"):
        cli.main(["convert-alert-env", str(source), "--credentials", str(source.parent / name)])
    keys = {(source.parent / name / "alerts.webhook.secret").read_text() for name in ("one", "two")}
    assert len(keys) == 2
    assert {len(base64.b64decode(key.removeprefix("whsec_"))) for key in keys} == {SIGNING_KEY_BYTES}


@pytest.mark.parametrize("there", ["credentials/alerts.webhook.url", "alerts.toml"])
def test_nothing_is_overwritten_and_then_nothing_is_written(source: Path, there: str) -> None:
    output, directory = source.parent / "alerts.toml", source.parent / "credentials"
    directory.mkdir()
    (source.parent / there).write_text("mine")
    with pytest.raises(UsageError, match="already"):
        cli.main(["convert-alert-env", str(source), "--output", str(output), "--credentials", str(directory)])
    files = [path for path in source.parent.rglob("*") if path.is_file() and path != source]
    assert [path.read_text() for path in files] == ["mine"]


def test_a_place_that_can_not_be_written_is_said(source: Path) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        cli.main(["convert-alert-env", str(source), "--credentials", str(source / "below")])
