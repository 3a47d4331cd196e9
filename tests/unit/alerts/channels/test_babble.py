"""Servers that speak no HTTP and no SMTP, or too much of it: no delivery, no exception, no end of memory."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.alerts.channels.base import Attempted, EmailSettings, Security, WebhookSettings
from tests.receivers.raw import RawServer
from tests.receivers.webhook import SECRET
from tests.unit.alerts.channels.worlds import told

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("speaking", "status"),
    [
        ({"says": b"garbage\r\n\r\n"}, "connection"),
        ({"says": b"", "goes": True}, "connection"),
        ({"says": b"x" * 65_536, "again": True}, "connection"),
        ({"says": OK + b"X: " + b"y" * 1_000_000}, "connection"),
        ({"says": OK + b"X: y\r\n" * 100_000}, "connection"),
        ({"says": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"}, "connection"),
        ({"says": b"HTTP/1.1 102 Processing\r\n\r\n", "again": True}, "timeout"),
        ({"says": b"HTTP/1.1 999 odd\r\n\r\n", "goes": True}, "999"),
    ],
)
async def test_what_is_no_answer_of_a_webhook_is_no_delivery(speaking: dict[str, Any], status: str) -> None:
    with RawServer(**speaking) as server:
        url = f"http://127.0.0.1:{server.port}/token-of-a-test?key=another-token"
        attempted = await told(
            WebhookSettings(name="hook", url=url, secret=SECRET, allow=("127.0.0.1",), timeout_s=0.5)
        )
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, status)
    assert "token" not in attempted.answer


@pytest.mark.parametrize(
    "speaking",
    [
        {"says": OK + b"Content-Length: 99\r\n\r\nshort", "goes": True},
        {"says": OK + b"\r\n" + b"x" * 65_536, "again": True},
    ],
)
async def test_an_odd_body_changes_nothing_about_its_status(speaking: dict[str, Any]) -> None:
    with RawServer(**speaking) as server:
        url = f"http://127.0.0.1:{server.port}/"
        attempted = await told(WebhookSettings(name="hook", url=url, secret=SECRET, allow=("127.0.0.1",)))
    assert (attempted.delivered, attempted.status) == (True, "200")


@pytest.mark.parametrize(
    ("speaking", "status", "may_retry"),
    [
        ({"says": b"garbage\r\n"}, "smtp -1", True),
        ({"says": b"\xff\xfe\r\n"}, "smtp -1", True),
        ({"says": b"220-hello\r\n", "again": True}, "smtp -1", True),
        ({"says": b"x" * 65_536, "again": True}, "smtp -1", True),
        ({"says": b"220 hello\r\n", "goes": True}, "connection", True),
        ({"says": b"421 not now\r\n"}, "smtp 421", True),
        ({"says": b"554 go away\r\n"}, "smtp 554", False),
        # It says all its lines beforehand, and so nothing when the mail is there.
        ({"says": b"220 hello\r\n250 fine\r\n250 fine\r\n250 fine\r\n354 go on\r\n250 taken\r\n"}, "timeout", True),
    ],
)
async def test_what_is_no_answer_of_a_mail_server_is_no_delivery(
    speaking: dict[str, Any], status: str, may_retry: bool
) -> None:
    attempted = await mailed(speaking)
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, may_retry, status)


async def test_a_mail_server_that_says_yes_to_everything_has_nothing() -> None:
    attempted = await mailed({"says": b"220 hello\r\n250 fine\r\n", "again": True})
    assert (attempted.delivered, attempted.may_retry) == (False, True)


async def mailed(speaking: dict[str, Any]) -> Attempted:
    with RawServer(**speaking) as server:
        settings = EmailSettings(
            name="desk",
            host="127.0.0.1",
            port=server.port,
            security=Security.NONE,
            sender="risk@example.org",
            recipients=("desk@example.org",),
            timeout_s=0.5,
        )
        return await told(settings)
