"""A mail server: STARTTLS, TLS or neither, with a login or without, that can refuse and hang."""

from __future__ import annotations

import asyncio
import email
import email.policy
import time
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.receivers.certificates import Certificates

USER = "risk"
PASSWORD = "password-of-a-test"


@dataclass(frozen=True)
class Mail:
    """What was taken, for whom, when (monotonic), and whether nobody on the way could read it."""

    message: EmailMessage
    recipients: tuple[str, ...]
    at: float
    private: bool


class MailServer:
    """refused: what it says to a recipient instead of 250. hanging: it takes connections and says nothing."""

    def __init__(
        self,
        *,
        certificates: Certificates | None = None,
        tls: bool = False,
        login: bool = False,
    ) -> None:
        self.mails: list[Mail] = []
        self.refused: dict[str, str] = {}
        self.at_data = ""
        self.hanging = False
        self._options: dict[str, Any] = {"decode_data": False}
        if certificates is not None:
            key = "ssl_context" if tls else "tls_context"
            self._options[key] = certificates.server()
            self._options["require_starttls"] = not tls
        if login:
            # aiosmtpd knows its own STARTTLS, and nothing of a server that is TLS from the beginning.
            self._options |= {"authenticator": _authenticated, "auth_required": True, "auth_require_tls": not tls}
        self.host = "127.0.0.1"
        self.port = 0
        self._controller: Controller | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def open(self) -> None:
        """Listen, on the port of last time if there was one."""
        self._controller = _Controller(self, hostname=self.host, port=self.port, **self._options)
        self._controller.start()
        self.port = self._controller.port

    def shut(self) -> None:
        """Refuse connections, as a machine that is down."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's own name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hanging:
            await asyncio.Event().wait()
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.at_data:
            return self.at_data
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        private = session.ssl is not None or "ssl_context" in self._options
        self.mails.append(Mail(message, tuple(envelope.rcpt_tos), time.monotonic(), private))
        return "250 OK"


class _Controller(Controller):
    """A port of 0 is one that is free."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def _authenticated(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)
