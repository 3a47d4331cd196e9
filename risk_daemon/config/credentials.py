"""The keys of the accounts: never in the configuration file, never in a sentence."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from risk_daemon.config.notation import ENVIRONMENT_PREFIX, environment_name
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError

# What `adapters.simulated` serves for; in base64, as some venues sign with the decoded secret.
_SIMULATED_KEY = "simulated"
_SIMULATED_SECRET = base64.b64encode(b"risk-daemon simulated venue: not a secret, loopback only").decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of one account. password: only some exchanges have one (a passphrase)."""

    api_key: SecretStr
    secret: SecretStr
    password: SecretStr | None = None


def credentials(settings: Settings, venue: str) -> Credentials:
    """A venue's keys, from $CREDENTIALS_DIRECTORY or else the environment.

    A simulated venue needs none and gets made-up ones. Raises ConfigError when a key is missing, empty or
    can't be read.
    """
    if settings.venues[venue].simulated:
        return Credentials(SecretStr(_SIMULATED_KEY), SecretStr(_SIMULATED_SECRET))
    key, secret = find_credential(venue, "api_key"), find_credential(venue, "secret")
    if key is None or secret is None:
        parts = [part for part, found in (("api_key", key), ("secret", secret)) if found is None]
        raise ConfigError(f"{settings.file}: venues.{venue}: {_missing(venue, parts)}")
    return Credentials(key, secret, find_credential(venue, "password"))


def _missing(venue: str, parts: Sequence[str]) -> str:
    """Every part that is missing, and where each may be put."""
    verb, one = ("is", "it") if len(parts) == 1 else ("are", "each")
    places = "; ".join(
        f"$CREDENTIALS_DIRECTORY/{venue}.{part} or {environment_name(venue)}_{part.upper()}" for part in parts
    )
    return f"its {' and '.join(parts)} {verb} missing: put {one} into {places}."


def unknown_environment(settings: Settings, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """RISK_DAEMON_ variables that nothing reads. They change nothing; their owner may believe they do."""
    known = {
        f"{environment_name(venue)}_{part}" for venue in settings.venues for part in ("API_KEY", "SECRET", "PASSWORD")
    }
    names = os.environ if environment is None else environment
    return tuple(sorted(n for n in names if n.startswith(ENVIRONMENT_PREFIX) and n not in known))


def find_credential(venue: str, part: str) -> SecretStr | None:
    """One of `api_key`, `secret`, `password`; None if it is missing or empty. Raises ConfigError."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        path = Path(directory) / f"{venue}.{part}"
        try:
            text = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: this credential can't be read: {type(error).__name__}.") from None
        if text:
            return SecretStr(text)
    text = os.environ.get(f"{environment_name(venue)}_{part.upper()}", "").strip()
    return SecretStr(text) if text else None


def refuse_shared_accounts(settings: Settings) -> None:
    """Two venues with one key are one account, whose money would count twice."""
    seen: dict[tuple[object, ...], str] = {}
    for name, venue in settings.venues.items():
        key = None if venue.simulated else find_credential(name, "api_key")
        if key is None:
            continue
        account = (venue.exchange, venue.endpoint, venue.sandbox, key.get_secret_value())
        other = seen.setdefault(account, name)
        if other != name:
            raise ConfigError(
                f"{settings.file}: venues.{name}: it is the same account as {other}, so its money would count"
                " twice: keep one of them, with the markets of both."
            )
