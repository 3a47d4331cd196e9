"""The keys of the accounts and of the channels of alerts: never in the configuration file, never in a sentence.

Each is in `$CREDENTIALS_DIRECTORY/<venue>.<part>` or else in `RISK_DAEMON_<VENUE>_<PART>`. What is empty is not there.
A channel's are under `alerts.<channel>`, and `RISK_DAEMON_ALERTS_<CHANNEL>`. The passwords of servers are
`state.store.password`, `state.locks.password` and `broadcast.kafka.password`, or `RISK_DAEMON_STATE_STORE_PASSWORD` and
so on.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from risk_daemon.config.notation import ENVIRONMENT_PREFIX, environment_name
from risk_daemon.config.settings import Settings
from risk_daemon.config.state import REDIS_PASSWORD
from risk_daemon.errors import ConfigError
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.store.postgres_url import PostgresUrl

_REDIS_PASSWORD_VARIABLE = f"{ENVIRONMENT_PREFIX}STATE_LOCKS_PASSWORD"
# What `adapters.simulated` serves for; in base64, as some venues sign with the decoded secret.
_STORE_PASSWORD = f"{ENVIRONMENT_PREFIX}STATE_STORE_PASSWORD"
_SIMULATED_KEY = "simulated"
_SIMULATED_SECRET = base64.b64encode(b"risk-daemon simulated venue: not a secret, loopback only").decode()


# --- where they come from ---------------------------------------------------------------------------


class _Parts(PydanticBaseSettingsSource):
    """What `read` finds by the name of a part.

    The library's own sources would pass over a link that leads elsewhere, only warn of a directory, take variables in
    any case, and let an empty file hide a variable.
    """

    def __init__(self, settings_cls: type[BaseSettings], read: Callable[[str], str]) -> None:
        super().__init__(settings_cls)
        self._read = read

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._read(field_name).strip() or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields.items()
        wanted = [(name, field) for name, field in fields if name not in self.current_state]
        found = {name: self.get_field_value(field, name)[0] for name, field in wanted}
        return {name: text for name, text in found.items() if text is not None}


class _OfVenue(BaseSettings):
    """Parts of the keys of one venue. Raises ConfigError for a file that can't be read."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    venue: str

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Files before variables. No other source: a variable without the venue's name is nobody's key."""
        venue = str(init_settings()["venue"])
        prefix = environment_name(venue)
        return (
            init_settings,
            _Parts(settings_cls, lambda part: _in_file(f"{venue}.{part}")),
            _Parts(settings_cls, lambda part: os.environ.get(f"{prefix}_{part.upper()}", "")),
        )


def _in_file(name: str) -> str:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return ""
    path = Path(directory) / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(
                f"{directory}: $CREDENTIALS_DIRECTORY names no directory: mend it, or unset it."
            ) from None
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this credential can't be read: {type(error).__name__}.") from None


# --- the keys ---------------------------------------------------------------------------------------


class Credentials(_OfVenue):
    """The keys of one account. password: only some exchanges have one (a passphrase)."""

    api_key: SecretStr
    secret: SecretStr
    password: SecretStr | None = None


class _AccountKey(_OfVenue):
    """Which account it is."""

    api_key: SecretStr | None = None


def credentials(settings: Settings, venue: str) -> Credentials:
    """A venue's keys. A simulated one needs none and gets made-up ones.

    Raises ConfigError when a key is missing, empty or can't be read.
    """
    if settings.venues[venue].simulated:
        key, secret = SecretStr(_SIMULATED_KEY), SecretStr(_SIMULATED_SECRET)
        return Credentials.model_construct(venue=venue, api_key=key, secret=secret)
    try:
        return Credentials(venue=venue)  # type: ignore[call-arg]  # the rest comes from the sources
    except ValidationError as error:
        parts = [str(problem["loc"][0]) for problem in error.errors(include_input=False)]
        raise ConfigError(f"{settings.file}: venues.{venue}: {_missing(venue, parts)}") from None


def _missing(venue: str, parts: Sequence[str]) -> str:
    """Every part that is missing, and where each may be put."""
    verb, one = ("is", "it") if len(parts) == 1 else ("are", "each")
    places = "; ".join(
        f"$CREDENTIALS_DIRECTORY/{venue}.{part} or {environment_name(venue)}_{part.upper()}" for part in parts
    )
    return f"its {' and '.join(parts)} {verb} missing: put {one} into {places}."


def channel_secrets(settings: Settings, channel: str) -> dict[str, str]:
    """Every secret that a channel needs, by its part. Raises ConfigError when one is missing or can't be read."""
    prefix, parts = environment_name(f"alerts_{channel}"), settings.alerts.channels[channel].secrets
    found = {
        part: _in_file(f"alerts.{channel}.{part}").strip() or os.environ.get(f"{prefix}_{part.upper()}", "").strip()
        for part in parts
    }
    missing = [part for part, text in found.items() if not text]
    if missing:
        raise ConfigError(f"{settings.file}: alerts.channels.{channel}: {_missing(f'alerts.{channel}', missing)}")
    return found


def lock_password() -> str | None:
    """What the locks on other machines ask for; None: there is none. Raises ConfigError for one that can't be read."""
    return _in_file(REDIS_PASSWORD).strip() or os.environ.get(_REDIS_PASSWORD_VARIABLE, "").strip() or None


def store_password() -> str:
    """The password of the server that the state is mirrored to; empty where it takes none. Raises ConfigError."""
    return _in_file("state.store.password").strip() or os.environ.get(_STORE_PASSWORD, "").strip()


KAFKA = "broadcast.kafka"


def kafka_password(settings: Settings) -> SecretStr | None:
    """Of whoever logs in at the broker; None where nobody does. Raises ConfigError when it is missing or unreadable."""
    kafka = settings.broadcast.kafka
    if kafka is None or not kafka.logs_in:
        return None
    text = _in_file(f"{KAFKA}.password").strip() or os.environ.get(f"{environment_name(KAFKA)}_PASSWORD", "").strip()
    if not text:
        raise ConfigError(f"{settings.file}: {KAFKA}: {_missing(KAFKA, ['password'])}")
    return SecretStr(text)


def unknown_environment(settings: Settings, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """RISK_DAEMON_ variables, in any case, that nothing reads. They change nothing; their owner may believe they do."""
    known = {
        f"{environment_name(venue)}_{part}" for venue in settings.venues for part in ("API_KEY", "SECRET", "PASSWORD")
    } | {
        f"{environment_name(f'alerts_{channel}')}_{part}"
        for channel in settings.alerts.channels
        for part in ("SECRET", "URL", "PASSWORD")
    }
    servers = (*settings.state.redis_locks, settings.state.server, settings.ledger_address)
    known |= {_REDIS_PASSWORD_VARIABLE for server in servers if isinstance(server, RedisAddress)}
    known |= {_STORE_PASSWORD for server in servers if isinstance(server, PostgresUrl)}
    if settings.broadcast.kafka is not None:
        known.add(f"{environment_name(KAFKA)}_PASSWORD")
    names = os.environ if environment is None else environment
    return tuple(sorted(n for n in names if n.upper().startswith(ENVIRONMENT_PREFIX) and n not in known))


def refuse_shared_accounts(settings: Settings) -> None:
    """Two venues with one key are one account, whose money would count twice."""
    seen: dict[tuple[object, ...], str] = {}
    for name, venue in settings.venues.items():
        key = None if venue.simulated else _AccountKey(venue=name).api_key
        if key is None:
            continue
        account = (venue.exchange, venue.endpoint, venue.sandbox, key.get_secret_value())
        other = seen.setdefault(account, name)
        if other != name:
            raise ConfigError(
                f"{settings.file}: venues.{name}: it is the same account as {other}, so its money would count"
                " twice: keep one of them, with the markets of both."
            )
