"""Mails, to a real server: with STARTTLS, TLS and a login, and one that refuses, hangs or is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.alerts.channels.base import EmailSettings, Security
from risk_daemon.errors import ConfigError
from tests.receivers.certificates import Certificates, made_in
from tests.receivers.mail import PASSWORD, USER, MailServer
from tests.unit.alerts.channels.worlds import ODD, PAYLOAD, TRIP, channel_of, told


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return made_in(tmp_path)


def settings_of(server: MailServer, **changed: Any) -> EmailSettings:
    plain = EmailSettings(
        name="desk",
        host=server.host,
        port=server.port,
        security=Security.NONE,
        sender="risk@example.org",
        recipients=("desk@example.org", "boss@example.org"),
    )
    return replace(plain, **changed)


def private(certificates: Certificates, security: Security) -> dict[str, Any]:
    return {
        "security": security,
        "username": USER,
        "password": PASSWORD,
        "ca_file": str(certificates.authority),
        "host": "localhost",
    }


async def test_everybody_has_the_whole_alert_in_one_mail(server: MailServer) -> None:
    attempted = await told(settings_of(server))
    assert (attempted.delivered, attempted.status) == (True, "smtp 250")
    (mail,) = server.mails
    assert mail.recipients == ("desk@example.org", "boss@example.org")
    headline = "CRITICAL momentum: Drawdown reached 10.2 % of 10 %: everything is cancelled."
    assert mail.message["Subject"].strip() == headline
    assert mail.message["From"] == "risk@example.org"
    assert mail.message["To"] == "desk@example.org, boss@example.org"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert "observed: 0.102" in mail.message.get_content()


async def test_the_same_alert_is_the_same_mail(server: MailServer) -> None:
    for _ in range(2):
        await told(settings_of(server))
    first, second = (mail.message["Message-ID"] for mail in server.mails)
    assert first == second == "<trip-1@example.org>"


async def test_a_summary_makes_no_headers(server: MailServer) -> None:
    alert = replace(TRIP, summary="stop\r\nBcc: thief@example.org\r\n\r\nbody — größer")
    assert (await told(settings_of(server), alert)).delivered
    (mail,) = server.mails
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"] == "CRITICAL momentum: stop Bcc: thief@example.org body — größer"


async def test_whatever_a_venue_said_arrives(server: MailServer) -> None:
    assert (await told(settings_of(server), ODD)).delivered
    assert server.mails[0].message.get_content().startswith("half ? [2J x")


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_encrypted_and_logged_in(certificates: Certificates, security: Security) -> None:
    with MailServer(certificates=certificates, tls=security is Security.TLS, login=True) as server:
        attempted = await told(settings_of(server, **private(certificates, security)))
        assert attempted.delivered, attempted
        assert [mail.private for mail in server.mails] == [True]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_refused_login_is_final_and_shows_no_password(certificates: Certificates, security: Security) -> None:
    with MailServer(certificates=certificates, tls=security is Security.TLS, login=True) as server:
        wrong = private(certificates, security) | {"password": "wrong-password"}
        attempted = await told(settings_of(server, **wrong))
        assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "smtp 535")
        assert "wrong-password" not in attempted.answer
        assert server.mails == []


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_strangers_certificate_gets_no_password(certificates: Certificates, security: Security) -> None:
    with MailServer(certificates=certificates, tls=security is Security.TLS, login=True) as server:
        attempted = await told(settings_of(server, **private(certificates, security) | {"ca_file": ""}))
        assert (attempted.delivered, attempted.status) == (False, "connection")
        assert server.mails == []


async def test_a_server_without_starttls_gets_nothing(server: MailServer) -> None:
    attempted = await told(settings_of(server, security=Security.STARTTLS))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "smtp")
    assert "STARTTLS" in attempted.answer
    assert server.mails == []


async def test_a_server_that_knows_no_login_gets_nothing(server: MailServer) -> None:
    attempted = await told(settings_of(server, username=USER, password=PASSWORD))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "smtp")
    assert server.mails == []


# --- servers that say no ----------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "may_retry"), [("451 later, please", True), ("550 nobody here", False)])
async def test_a_recipient_that_is_refused(server: MailServer, reply: str, may_retry: bool) -> None:
    server.refused = {"boss@example.org": reply}
    attempted = await told(settings_of(server))
    code = f"smtp {reply[:3]}"
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, may_retry, code)
    assert attempted.answer.startswith("boss@example.org: ")
    assert [mail.recipients for mail in server.mails] == [("desk@example.org",)]


async def test_the_next_try_is_for_those_who_missed_it(server: MailServer) -> None:
    server.refused = {"boss@example.org": "451 later, please"}
    async with channel_of(settings_of(server)) as channel:
        assert (await channel.send(TRIP, PAYLOAD)).may_retry
        server.refused = {}
        assert (await channel.send(TRIP, PAYLOAD)).delivered
    assert [mail.recipients for mail in server.mails] == [("desk@example.org",), ("boss@example.org",)]


@pytest.mark.parametrize(("reply", "may_retry"), [("451 later, please", True), ("550 nobody here", False)])
async def test_all_are_refused(server: MailServer, reply: str, may_retry: bool) -> None:
    server.refused = {"desk@example.org": reply, "boss@example.org": reply}
    attempted = await told(settings_of(server))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, may_retry, f"smtp {reply[:3]}")


@pytest.mark.parametrize(("reply", "may_retry"), [("452 full", True), ("554 no", False)])
async def test_the_mail_itself_is_refused(server: MailServer, reply: str, may_retry: bool) -> None:
    server.at_data = reply
    attempted = await told(settings_of(server))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, may_retry, f"smtp {reply[:3]}")


async def test_a_server_that_hangs_is_given_up(server: MailServer) -> None:
    server.hanging = True
    attempted = await told(settings_of(server, timeout_s=0.3))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "timeout")


async def test_a_server_that_says_nothing_is_given_up(server: MailServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        attempted = await told(settings_of(server, port=mute.getsockname()[1], timeout_s=0.3))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "timeout")


@pytest.mark.parametrize("host", ["127.0.0.1", "no..host"])
async def test_a_server_that_is_not_there(server: MailServer, host: str) -> None:
    settings = settings_of(server, host=host)
    server.shut()
    attempted = await told(settings)
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "connection")


# --- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipients": ()},
        {"recipients": ("desk",)},
        {"recipients": ("desk@example.org\nBcc: thief@example.org",)},
        {"recipients": ("a@example.org, b@example.org",)},
        {"sender": "@example.org"},
        {"sender": "Risk <risk@example.org>"},
        {"host": "mail.example.org", "username": USER, "password": PASSWORD},
    ],
)
async def test_what_could_never_be_sent_is_refused(server: MailServer, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="desk:"):
        await told(settings_of(server, **wrong))
