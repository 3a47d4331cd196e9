"""Every kind of channel at once, from the whole process to real receivers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, Venue, docs_secret, kraken_config, wait_for
from tests.receivers import mail, twilio
from tests.receivers.apprise_faces import AppriseJson, PagerDuty
from tests.receivers.certificates import Certificates, made_in
from tests.receivers.http import hanging
from tests.receivers.mail import MailServer
from tests.receivers.twilio import TwilioFace
from tests.receivers.webhook import SECRET, WebhookReceiver

KEYS = {"kraken": (DOCS_KEY, docs_secret())}


@dataclass(frozen=True)
class Desk:
    """A receiver of each kind. messages: of each, the moment (monotonic) and the text of what it took."""

    certificates: Certificates
    hook: WebhookReceiver
    mail: MailServer
    phone: TwilioFace
    chat: AppriseJson
    pager: PagerDuty

    def messages(self) -> dict[str, list[tuple[float, str]]]:
        return {
            "hook": [(one.at, one.content["summary"]) for one in self.hook.taken],
            "mail": [(one.at, one.message["Subject"]) for one in self.mail.mails],
            "phone": [(one.at, one.content["Body"]) for one in self.phone.taken],
            "chat": [(one.at, one.content["title"]) for one in self.chat.taken],
            "pager": [(one.at, one.content["payload"]["summary"]) for one in self.pager.taken],
        }

    def heard(self, word: str) -> dict[str, float]:
        """When each first heard of it."""
        found = {name: [at for at, text in told if word in text] for name, told in self.messages().items()}
        return {name: moments[0] for name, moments in found.items() if moments}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    certificates = made_in(tmp_path)
    with ExitStack() as stack:
        yield Desk(
            certificates=certificates,
            hook=stack.enter_context(WebhookReceiver()),
            mail=stack.enter_context(MailServer(certificates=certificates, login=True)),
            phone=stack.enter_context(TwilioFace()),
            chat=stack.enter_context(AppriseJson()),
            pager=stack.enter_context(PagerDuty()),
        )


@pytest.fixture
def deaf() -> Iterator[tuple[WebhookReceiver, TwilioFace, AppriseJson, MailServer]]:
    """They take connections, and say nothing."""
    with WebhookReceiver() as hook, TwilioFace() as phone, AppriseJson() as chat, MailServer() as server:
        for receiver in (hook, phone, chat):
            receiver.answering = hanging
        server.hanging = True
        yield hook, phone, chat, server


def tables(desk: Desk) -> str:
    """The channels of the desk; their secrets are in `secrets`."""
    return f"""
[alerts.channels.hook]
kind = "webhook"
url = "{desk.hook.url}"
allow = ["127.0.0.1"]
[alerts.channels.mail]
kind = "email"
host = "localhost"
port = {desk.mail.port}
username = "{mail.USER}"
sender = "risk@example.org"
recipients = ["desk@example.org"]
ca_file = "{desk.certificates.authority}"
{sms("phone", desk.phone)}
[alerts.channels.chat]
kind = "apprise"
allow = ["127.0.0.1"]
[alerts.channels.pager]
kind = "apprise"
"""


def sms(name: str, face: TwilioFace) -> str:
    return f"""
[alerts.channels.{name}]
kind = "sms"
account_sid = "{twilio.SID}"
sender = "{twilio.SENDER}"
recipients = ["+15551230001"]
url = "{face.url}"
allow = ["127.0.0.1"]
"""


def secrets(desk: Desk) -> dict[str, str]:
    return {
        "HOOK_SECRET": SECRET,
        "MAIL_PASSWORD": mail.PASSWORD,
        "PHONE_PASSWORD": twilio.TOKEN,
        "CHAT_URL": desk.chat.apprise_url,
        "PAGER_URL": desk.pager.apprise_url,
    }


def started(venue: Venue, daemon_for: Any, config: str, found: dict[str, str], **environment: str) -> Daemon:
    daemon: Daemon = daemon_for(kraken_config(venue.endpoint) + config, KEYS)
    daemon.environment |= {f"RISK_DAEMON_ALERTS_{name}": text for name, text in found.items()}
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    daemon.start(**environment)
    daemon.wait_open()
    return daemon


def late_s(moments: dict[str, float], event: dict[str, Any]) -> dict[str, float]:
    """How long after it happened each heard of it."""
    ago_s = time.time() - datetime.fromisoformat(event["time"]).timestamp()
    happened = time.monotonic() - ago_s
    return {name: at - happened for name, at in moments.items()}


def test_every_kind_of_channel_has_the_trip_in_a_second(
    documented_kraken: Venue, daemon_for: Any, desk: Desk, deaf: Any, tmp_path: Path
) -> None:
    """Though one of nearly each kind hangs beside it."""
    hook, phone, chat, server = deaf
    config = f"""
[alerts.channels.deafhook]
kind = "webhook"
url = "{hook.url}"
allow = ["127.0.0.1"]
[alerts.channels.deafmail]
kind = "email"
host = "{server.host}"
port = {server.port}
security = "none"
sender = "risk@example.org"
recipients = ["desk@example.org"]
[alerts.channels.deafchat]
kind = "apprise"
allow = ["127.0.0.1"]
{sms("deafphone", phone)}
"""
    found = secrets(desk) | {
        "DEAFHOOK_SECRET": SECRET,
        "DEAFCHAT_URL": chat.apprise_url,
        "DEAFPHONE_PASSWORD": twilio.TOKEN,
    }
    known = desk.pager.known_in(tmp_path / "site")
    daemon = started(documented_kraken, daemon_for, tables(desk) + config, found, PYTHONPATH=known)
    documented_kraken.post(price={"BTC": 45500})
    wait_for(lambda: len(desk.heard("warning level")) == 5, "the warning at every receiver that answers")
    documented_kraken.post(price={"BTC": 43000})
    wait_for(lambda: len(desk.heard("TRIPPED")) == 5, "the trip at every receiver that answers")
    assert daemon.exit_code() == 1, daemon.output()

    (trip,) = daemon.of("circuit_breaker_triggered")
    assert max(late_s(desk.heard("TRIPPED"), trip).values()) <= 1.0
    assert [one.private for one in desk.mail.mails][:1] == [True]
    assert any(f"(trip {trip['trip_id']})" in text for _, text in desk.phone.messages)
    trips = [one.content for one in desk.pager.taken if "TRIPPED" in one.content["payload"]["summary"]]
    assert trips[0]["payload"]["severity"] == "critical"


@pytest.mark.long
def test_channels_that_were_converted_from_a_env_hear_of_a_trip(
    documented_kraken: Venue, daemon_for: Any, tmp_path: Path
) -> None:
    with MailServer() as server, TwilioFace() as phone, WebhookReceiver() as hook:
        (tmp_path / "bot.env").write_text(
            f"SMTP_HOST={server.host}\nSMTP_PORT={server.port}\nALERT_EMAIL=desk@example.org\n"
            f"TWILIO_ACCOUNT_SID={twilio.SID}\nTWILIO_AUTH_TOKEN={twilio.TOKEN}\n"
            f"TWILIO_FROM_NUMBER={twilio.SENDER}\nALERT_PHONE=+15551230001\nALERT_WEBHOOK_URL={hook.url}risk\n"
        )
        convert = converted(tmp_path)
        hook.secret = (tmp_path / "credentials" / "alerts.webhook.secret").read_text()
        # The one thing that is not of the file: Twilio, here.
        text = convert.replace('kind = "sms"', f'kind = "sms"\nurl = "{phone.url}"\nallow = ["127.0.0.1"]')
        daemon = started(documented_kraken, daemon_for, text, {}, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
        documented_kraken.post(price={"BTC": 43000})
        wait_for(
            lambda: (
                any("TRIPPED" in one.message["Subject"] for one in server.mails)
                and any("TRIPPED" in text for _, text in phone.messages)
                and any("TRIPPED" in one["summary"] for one in hook.alerts)
            ),
            "the trip at each",
        )
        assert daemon.exit_code() == 1, daemon.output()


def converted(directory: Path) -> str:
    """What the command makes of the file, by a process of its own."""
    line = ["convert-alert-env", "bot.env", "--credentials", "credentials"]
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon", *line], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout
