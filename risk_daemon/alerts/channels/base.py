"""What every way to people is: its settings, one try, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from risk_daemon.alerts.alert import Alert, Severity

ANSWER_CHARACTERS = 200
TRY_TIMEOUT_S = 10.0


class Security(StrEnum):
    """How the way to a mail server is kept private."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


# --- what is set ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """What a channel of any kind has: which alerts it hears. events: only these, if any are named."""

    kind: ClassVar[str]

    name: str
    severity: Severity = Severity.WARNING
    events: frozenset[str] = frozenset()
    escalation: bool = False
    heartbeat: bool = False
    timeout_s: float = TRY_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings(ChannelSettings):
    """A POST of JSON.

    url: it may hold a token, so it is kept out of every record but for its host.
    secret: `whsec_` and base64, or the token where `bearer`.
    allow: hosts it may go to; none: the URL's own. Private addresses only of hosts that are named.
    """

    kind: ClassVar[str] = "webhook"

    url: str = field(repr=False)
    secret: str = field(repr=False)
    bearer: bool = False
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings(ChannelSettings):
    """A mail through any SMTP server. Without a username nobody logs in.

    ca_file: certificates to trust instead of the system's, for a server of one's own.
    """

    kind: ClassVar[str] = "email"

    host: str
    port: int = 587
    security: Security = Security.STARTTLS
    username: str = ""
    password: str = field(default="", repr=False)
    sender: str
    recipients: tuple[str, ...]
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings(ChannelSettings):
    """A short message to each number, through Twilio's API. url: where the API is, for a face of it."""

    kind: ClassVar[str] = "sms"

    account_sid: str
    password: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]
    url: str = "https://api.twilio.com"
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseSettings(ChannelSettings):
    """Whatever else Apprise knows, by its URL, which is a secret throughout."""

    kind: ClassVar[str] = "apprise"

    url: str = field(repr=False)
    allow: tuple[str, ...] = ()


AnySettings = WebhookSettings | EmailSettings | SmsSettings | AppriseSettings


# --- one try ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What became of one try.

    may_retry: what time may heal, like 5xx, 429, timeouts and lost connections; no 4xx, refused login or redirect.
    status: like "204", "smtp 535" or "timeout". answer: the beginning of what came back, without secrets.
    """

    delivered: bool
    may_retry: bool
    status: str
    answer: str = ""
    retry_after_s: float | None = None


class Channel(Protocol):
    """One way to people."""

    @property
    def name(self) -> str: ...

    async def send(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        """Try once. Never raises, but for CancelledError, after which it may be called again."""
        ...

    async def close(self) -> None: ...


def delivered(status: str, answer: str = "") -> Attempted:
    return Attempted(delivered=True, may_retry=False, status=status, answer=answer[:ANSWER_CHARACTERS])


def later(status: str, answer: str = "", *, retry_after_s: float | None = None) -> Attempted:
    """It failed, and another try may not."""
    text = answer[:ANSWER_CHARACTERS]
    return Attempted(delivered=False, may_retry=True, status=status, answer=text, retry_after_s=retry_after_s)


def refused(status: str, answer: str = "") -> Attempted:
    """It failed, and will again until somebody mends it."""
    return Attempted(delivered=False, may_retry=False, status=status, answer=answer[:ANSWER_CHARACTERS])
