"""Another program's `.env` with the names of its alerts: read, and turned into `[alerts.channels]` and credentials.

Its names are those of `AlertEnv`. What is secret goes into credential files only: the text of a configuration is
shown to people, a credential is not.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from yarl import URL

from risk_daemon.errors import ConfigError

SIGNING_KEY_BYTES = 32

# Their webhooks take a text of their own and no JSON of ours; Apprise knows them by the same url.
_SERVICES = ("hooks.slack.com", "discord.com", "discordapp.com")


class AlertEnv(BaseSettings):
    """What such a file may have. Addresses and numbers may be several, with commas between."""

    model_config = SettingsConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, env_ignore_empty=True)

    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    alert_email: str = ""
    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_from_number: str = ""
    alert_phone: str = ""
    alert_webhook_url: SecretStr = SecretStr("")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The file alone: what happens to be set where the command runs is not converted."""
        return (dotenv_settings,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """credentials: names of files and what is in them. remarks: what a person must know or still do."""

    text: str
    credentials: Mapping[str, str] = field(repr=False)
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    """One table, without its secrets."""

    name: str
    table: Mapping[str, object]
    credentials: Mapping[str, str] = field(repr=False)
    remarks: tuple[str, ...] = ()


def load_alert_env(path: Path | str) -> AlertEnv:
    """Read such a file. Raises ConfigError, one sentence without a value in it."""
    path = Path(path)
    try:
        path.read_text(encoding="utf-8")  # the library passes over a file that isn't there
        return AlertEnv(_env_file=path, _env_file_encoding="utf-8")  # type: ignore[call-arg]
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file.") from None
    except ValidationError as error:
        names = ", ".join(str(problem["loc"][0]).upper() for problem in error.errors(include_input=False))
        raise ConfigError(f"{path}: {names}: it can't be read: mend it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: it can't be read ({type(error).__name__}).") from None


def converted(env: AlertEnv, source: str, random: bytes) -> Converted:
    """As much as is complete. random: SIGNING_KEY_BYTES nobody knows. Raises ConfigError where nothing is complete."""
    missing = tuple(_incomplete(env))
    channels = [
        *([] if _lacks(env, _EMAIL) else [_email(env)]),
        *([] if _lacks(env, _SMS) else [_sms(env)]),
        *([] if _lacks(env, _WEBHOOK) else [_webhook(env.alert_webhook_url.get_secret_value(), random)]),
    ]
    if not channels:
        raise ConfigError(f"{source}: no channel in it is complete. {' '.join(missing)}".strip())
    others = ", ".join(sorted(name.upper() for name in (env.model_extra or {})))
    return Converted(
        text=_head(source) + "".join(map(_table_text, channels)),
        credentials={f"alerts.{c.name}.{part}": text for c in channels for part, text in c.credentials.items()},
        remarks=(
            *missing,
            *(remark for channel in channels for remark in channel.remarks),
            *([f"not converted: {others}"] if others else []),
        ),
    )


# --- what is there ----------------------------------------------------------------------------------

_EMAIL = ("smtp_host", "alert_email")
_SMS = ("twilio_account_sid", "twilio_auth_token", "twilio_from_number", "alert_phone")
_WEBHOOK = ("alert_webhook_url",)


def _lacks(env: AlertEnv, names: Sequence[str]) -> list[str]:
    return [name.upper() for name in names if not _said(getattr(env, name))]


def _said(value: str | SecretStr) -> str:
    return (value.get_secret_value() if isinstance(value, SecretStr) else value).strip()


def _incomplete(env: AlertEnv) -> Iterator[str]:
    for what, names in (("e-mail", _EMAIL), ("SMS", _SMS)):
        lacks = _lacks(env, names)
        if lacks and len(lacks) < len(names):
            verb = "is" if len(lacks) == 1 else "are"
            yield f"WARNING: {what} is NOT converted, because {' and '.join(lacks)} {verb} missing."


# --- the channels -----------------------------------------------------------------------------------


def _email(env: AlertEnv) -> _Channel:
    recipients = _several(env.alert_email)
    username = env.smtp_username.strip()
    host = env.smtp_host.strip()
    security = _security(host, env.smtp_port)
    table: dict[str, object] = {
        "kind": "email",
        "host": host,
        "port": env.smtp_port,
        "security": security,
        **({"username": username} if username else {}),
        "sender": username if "@" in username else recipients[0],
        "recipients": recipients,
    }
    password = _said(env.smtp_password)
    remarks = [
        *(["email: the server is on this machine, so nothing is encrypted"] if security == "none" else []),
        *(["WARNING: email: SMTP_USERNAME has no SMTP_PASSWORD"] if username and not password else []),
        *(["WARNING: email: SMTP_PASSWORD has no SMTP_USERNAME: nobody logs in"] if password and not username else []),
    ]
    credentials = {"password": password} if username and password else {}
    return _Channel(name="email", table=table, credentials=credentials, remarks=tuple(remarks))


def _sms(env: AlertEnv) -> _Channel:
    table = {
        "kind": "sms",
        "account_sid": env.twilio_account_sid.strip(),
        "sender": env.twilio_from_number.strip(),
        "recipients": _several(env.alert_phone),
    }
    return _Channel(name="sms", table=table, credentials={"password": _said(env.twilio_auth_token)})


def _webhook(url: str, random: bytes) -> _Channel:
    """The address may hold a token, so it is a credential."""
    url = url.strip()
    host = _host(url)
    if host in _SERVICES:
        remark = f"webhook: {host} takes a text of its own, so Apprise sends it: install that, see docs/alerts.md"
        return _Channel(name="webhook", table={"kind": "apprise"}, credentials={"url": url}, remarks=(remark,))
    key = f"whsec_{base64.b64encode(random).decode()}"
    remark = "webhook: each message is signed with a new key: give it to the receiver, see docs/alerts.md"
    table = {"kind": "webhook", "allow": [host]}
    return _Channel(name="webhook", table=table, credentials={"url": url, "secret": key}, remarks=(remark,))


def _host(url: str) -> str:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise ConfigError("ALERT_WEBHOOK_URL: it is no address: write one such as https://hooks.example.org/risk.")
    return parsed.host


def _security(host: str, port: int) -> str:
    if port == 465:
        return "tls"
    return "none" if _is_here(host) else "starttls"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _several(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]


# --- the text ---------------------------------------------------------------------------------------


def _head(source: str) -> str:
    return f"""# Made from {_quoted(source)[1:-1]} by `risk-daemon convert-alert-env`: put it into your config.toml.
# Each channel hears every warning and whatever is worse; docs/alerts.md says what else can be set.
"""


def _table_text(channel: _Channel) -> str:
    rows = "".join(f"{key} = {_quoted(value)}\n" for key, value in channel.table.items())
    return f"\n[alerts.channels.{channel.name}]\n{rows}"


def _quoted(value: object) -> str:
    """TOML of a text, a number or a list of texts; JSON says them alike."""
    return json.dumps(value).replace("\x7f", "\\u007f")
