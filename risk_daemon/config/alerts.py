"""The table [alerts]: who is told of what, and over which channel. Secrets are not in it, see `credentials.py`."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, field_validator

from risk_daemon.config.notation import (
    Count,
    ExistingFile,
    Refused,
    Seconds,
    SecondsOrOff,
    Table,
    as_written,
    environment_name,
    listed,
)
from risk_daemon.model.event_names import EventName

# What is told and stands in no event log; the second row is told by `risk-daemon watch`.
OWN_EVENTS = (
    *("alert_lost", "event_log_failed", "guard_failed", "heartbeat", "test"),
    *("guard_silent", "guard_ended", "guard_restarting", "guard_not_writing", "disk_full"),
    *("guard_alerts_failing", "guard_log_unreadable", "guard_configuration_refused"),
)

_SECRET_PART = re.compile(r"secret|token|password|key|signature", re.IGNORECASE)

Names = Annotated[tuple[str, ...], BeforeValidator(listed)]


def _event(name: str) -> str:
    known = [*map(str, EventName), *OWN_EVENTS]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"there is no event {name!r}{f': perhaps write {near[0]!r}' if near else ''}")
    return name


def _web_address(value: str) -> str:
    """Raises ValueError for what is no address, and for one with a secret in it."""
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError('it is not an address: write one such as "https://hooks.example.org/risk"')
    if parts.username or parts.password or any(_SECRET_PART.search(key) for key, _ in parse_qsl(parts.query)):
        raise ValueError(
            "it has a secret in it: take it out, revoke it if others could read it, and put the whole address into"
            " $CREDENTIALS_DIRECTORY/alerts.<channel>.url"
        )
    return value


Url = Annotated[str, AfterValidator(_web_address)]


class Channel(Table):
    """What every channel has. events: only these, if any are named. timeout: of one try.

    secrets: the parts that must come from the credentials.
    """

    severity: Literal["info", "warning", "critical"] = "warning"
    events: Annotated[tuple[Annotated[str, AfterValidator(_event)], ...], BeforeValidator(listed)] = ()
    escalation: bool = False
    heartbeat: bool = False
    timeout: Seconds = as_written("10s")

    @property
    def secrets(self) -> tuple[str, ...]:
        return ()


class Webhook(Channel):
    """A POST. url None: from the credentials. bearer: a token instead of a signature. ca_file: as of a mail."""

    kind: Literal["webhook"]
    url: Url | None = None
    allow: Names = ()
    bearer: bool = False
    ca_file: ExistingFile | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("secret",) if self.url else ("secret", "url")


class Email(Channel):
    """A mail. Without a username nobody logs in. ca_file: trusted instead of the system's certificates."""

    kind: Literal["email"]
    host: str
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    sender: str
    recipients: Names
    ca_file: ExistingFile | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("password",) if self.username else ()

    @field_validator("recipients")
    @classmethod
    def _somebody(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _some(value)


class Sms(Channel):
    """A short message over Twilio's API. url: where that is."""

    kind: Literal["sms"]
    account_sid: str
    sender: str
    recipients: Names
    url: Url = "https://api.twilio.com"
    allow: Names = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("password",)

    @field_validator("recipients")
    @classmethod
    def _somebody(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _some(value)


class Apprise(Channel):
    """Whatever else Apprise knows. Its address is a secret throughout."""

    kind: Literal["apprise"]
    allow: Names = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("url",)


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("nobody is named: nobody would be told")
    return value


def _channel_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", name):
        raise ValueError(f"{name!r} is not a channel's name: use letters, digits, - and _")
    return name


AnyChannel = Annotated[Webhook | Email | Sms | Apprise, Discriminator("kind")]
KINDS: dict[str, type[Channel]] = {"webhook": Webhook, "email": Email, "sms": Sms, "apprise": Apprise}


class Alerts(Table):
    """rate: of one rule in an hour. escalate_after, heartbeat_every None: never."""

    strategy_name: str = "risk-daemon"
    rate: Count = as_written(10)
    escalate_after: SecondsOrOff = as_written("5m")
    heartbeat_every: SecondsOrOff = as_written("off")
    channels: dict[Annotated[str, AfterValidator(_channel_name)], AnyChannel] = Field(default_factory=dict)

    @field_validator("channels")
    @classmethod
    def _tell_apart(cls, channels: dict[str, Any]) -> dict[str, Any]:
        seen: dict[str, str] = {}
        for name in channels:
            other = seen.setdefault(environment_name(name), name)
            if other != name:
                raise Refused(
                    f"alerts.channels.{name}", f"it would share its credentials with {other}: rename one of them"
                )
        return channels
