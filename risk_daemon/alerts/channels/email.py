"""A mail through any SMTP server, by STARTTLS, TLS or, where one asks for it, neither."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import aiosmtplib

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.channels.base import Attempted, EmailSettings, Security, delivered, later, refused
from risk_daemon.alerts.channels.posting import trusting
from risk_daemon.alerts.channels.recipients import Owed, together
from risk_daemon.alerts.channels.trying import said, tried
from risk_daemon.alerts.channels.wording import headline, page
from risk_daemon.alerts.outbound import LookUp
from risk_daemon.errors import ConfigError
from risk_daemon.model.addresses import is_loopback

_CONNECT_WITHIN_S = 1.0  # where there is another address; the last may take as long as the try does
_FINAL = 500  # replies from here on are refusals; those below ask for patience


class EmailChannel:
    """Tells everybody by one mail. A connection for each: alerts are rare, and an old one may have died unseen."""

    def __init__(self, settings: EmailSettings, *, look_up: LookUp) -> None:
        """Raises ConfigError for what can't be an address, and for a password that anybody could read on its way."""
        _refuse_what_cannot_be_sent(settings)
        self.name = settings.name
        self._settings = settings
        self._look_up = look_up
        self._owed = Owed(settings.recipients)
        self._tls = None if settings.security is Security.NONE else trusting(settings.ca_file)

    async def send(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        return await tried(self._deliver(alert, payload), self._settings.timeout_s, (self._settings.password,))

    async def close(self) -> None:
        """Nothing is open."""

    async def _deliver(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        owed, message = self._owed.of(alert.alert_id), composed(self._settings, alert, payload)
        client = self._client()
        try:
            await self._connect(client)
            missed, reply = await client.send_message(message, sender=self._settings.sender, recipients=owed)
        except aiosmtplib.SMTPRecipientsRefused as error:
            missed = {one.recipient: aiosmtplib.SMTPResponse(one.code, one.message) for one in error.recipients}
            reply = ""
        except aiosmtplib.SMTPResponseException as error:
            return self._refusal(error.code, error.message)
        except aiosmtplib.SMTPTimeoutError as error:
            return later("timeout", said(str(error)))
        except ConnectionError as error:
            return later("connection", said(f"{type(error).__name__}: {error}"))
        except aiosmtplib.SMTPException as error:  # it can't do what we need: no STARTTLS, no way to log in
            return refused("smtp", self._said(str(error)))
        finally:
            client.close()  # without a farewell: what was taken is taken
        tries = {one: self._refusal(*missed[one]) if one in missed else delivered("smtp 250", reply) for one in owed}
        for recipient, one in tries.items():
            if one.delivered:
                self._owed.reached(alert.alert_id, recipient)
        return together(tries)

    async def _connect(self, client: aiosmtplib.SMTP) -> None:
        sock = await _connection(await self._look_up(self._settings.host), self._settings.port)
        # Without a name of ours the library would look one up, on the threads of the loop.
        await client.connect(sock=sock, local_hostname=_literal(sock.getsockname()[0]))

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            use_tls=settings.security is Security.TLS,
            start_tls=settings.security is Security.STARTTLS,
            tls_context=self._tls,
            username=settings.username or None,
            password=settings.password or None,
            timeout=settings.timeout_s,
        )

    def _refusal(self, code: int, message: str) -> Attempted:
        judge = refused if code >= _FINAL else later
        return judge(f"smtp {code}", self._said(message))

    def _said(self, text: str) -> str:
        return said(text, (self._settings.password,))


def composed(settings: EmailSettings, alert: Alert, payload: Mapping[str, Any]) -> EmailMessage:
    """The mail. Its id is the alert's, so that a second one of the same is seen to be that."""
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Subject"] = headline(alert, payload)
    message["Date"] = format_datetime(datetime.fromtimestamp(alert.wall, UTC))
    message["Message-ID"] = f"<{alert.alert_id}@{settings.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(page(alert, payload))
    return message


def _refuse_what_cannot_be_sent(settings: EmailSettings) -> None:
    if not settings.recipients:
        raise ConfigError(f"{settings.name}: a mail needs somebody to tell.")
    for address in (settings.sender, *settings.recipients):
        name, _, domain = address.rpartition("@")
        if not name or not domain or not address.isprintable() or any(sign in address for sign in ' ,;<>"'):
            raise ConfigError(f"{settings.name}: {address!r} is no address: write it like someone@example.org.")
    if settings.username and settings.security is Security.NONE and not is_loopback(settings.host):
        raise ConfigError(
            f'{settings.name}: without encryption everybody on the way reads the password: use "starttls" or "tls".'
        )


async def _connection(addresses: tuple[str, ...], port: int) -> socket.socket:
    """A socket to the first address that takes it. Raises OSError when none does."""
    problems: list[str] = []
    for address in addresses:
        within_s = None if address == addresses[-1] else _CONNECT_WITHIN_S
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(within_s):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError as error:  # a timeout is one
            sock.close()
            problems.append(f"{address} port {port}: {error.strerror or 'no answer'}")
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise ConnectionError("; ".join(problems))


def _literal(address: str) -> str:
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
