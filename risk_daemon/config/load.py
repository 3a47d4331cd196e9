"""The configuration: loaded strictly, or refused in one sentence.

What is not understood is never skipped: an unknown key, a missing file or a limit without a unit would
leave the guard weaker than its owner believes.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from risk_daemon.config.alerts import KINDS
from risk_daemon.config.credentials import (
    Credentials,
    channel_secrets,
    credentials,
    kafka_password,
    refuse_shared_accounts,
    unknown_environment,
)
from risk_daemon.config.notation import ENVIRONMENT_PREFIX, Refused
from risk_daemon.config.registry import RULES
from risk_daemon.config.regular_file import read_regular
from risk_daemon.config.settings import CircuitBreaker, Data, Settings, Venue, as_file
from risk_daemon.errors import ConfigError
from risk_daemon.model.addresses import check_loopback

__all__ = [
    "CircuitBreaker",
    "Credentials",
    "Data",
    "Settings",
    "Venue",
    "channel_secrets",
    "check_loopback",
    "credentials",
    "effective",
    "kafka_password",
    "load",
    "read_table",
    "unknown_environment",
]

_SECRET_KEY = re.compile(
    r"secret|password|passwd|passphrase|token|api_?key|private_?key|credential|^key$", re.IGNORECASE
)

_VENUE_PLACES = (
    f"$CREDENTIALS_DIRECTORY/<venue>.api_key|secret|password or {ENVIRONMENT_PREFIX}<VENUE>_API_KEY|SECRET|PASSWORD"
)
_ALERT_PLACES = (
    "$CREDENTIALS_DIRECTORY/alerts.<channel>.secret|url|password"
    f" or {ENVIRONMENT_PREFIX}ALERTS_<CHANNEL>_SECRET|URL|PASSWORD"
)
_BROADCAST_PLACES = f"$CREDENTIALS_DIRECTORY/broadcast.kafka.password or {ENVIRONMENT_PREFIX}BROADCAST_KAFKA_PASSWORD"
_PLACES = {"alerts": _ALERT_PLACES, "broadcast": _BROADCAST_PLACES}


def load(path: Path) -> Settings:
    """The checked settings in `path`. Raises ConfigError, one sentence with file, key, reason and remedy."""
    raw = read_table(path)
    try:
        _refuse_secrets(raw)
        settings = Settings.model_validate(raw, context=as_file(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error)}.") from None
    except Refused as error:
        raise ConfigError(f"{path}: {error.key}: {error}.") from None
    refuse_shared_accounts(settings)
    return settings


def read_table(path: Path) -> dict[str, Any]:
    """The file as TOML. Raises ConfigError when it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(read_regular(path).decode())
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file: give one with --config FILE.") from None
    except OSError as error:
        raise ConfigError(f"{path}: it can't be read ({error.strerror}): check its path and mode.") from None
    except (ValueError, RecursionError) as error:  # also of a number of thousands of digits
        raise ConfigError(f"{path}: it is not valid TOML, mend it: {error}.") from None


def effective(settings: Settings) -> dict[str, Any]:
    """Every value in force, defaults included, in the notation of the file. Holds no secrets."""
    return _without_none(settings.model_dump(mode="json", by_alias=True))


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: a key without a value is not in the file."""
    inner = {key: _without_none(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in inner.items() if value is not None}


def _keys(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        yield (*path, key), value
        if isinstance(value, Mapping):
            yield from _keys(value, (*path, key))
        elif isinstance(value, list):
            for item in value:
                yield from _keys(item, (*path, key)) if isinstance(item, Mapping) else ()


def _refuse_secrets(raw: Mapping[str, Any]) -> None:
    """Before anything else, so that no later sentence repeats one."""
    for path, value in _keys(raw):
        asset = path[:2] == ("prices", "pegs")
        if not asset and not isinstance(value, Mapping) and _SECRET_KEY.search(path[-1]):
            raise Refused(
                ".".join(path),
                "secrets do not belong in this file: take it out, revoke it if others could read it, and use"
                f" {_PLACES.get(path[0], _VENUE_PLACES)}",
            )


_HINTS = {
    "missing": "it is missing: add it",
    "bool_type": "write true or false",
    "string_type": "write a text in quotes",
    "tuple_type": "write a list in brackets",
    "dict_type": "write it as a table",
    "model_type": "write it as a table",
    "union_tag_invalid": 'its kind is not known: write "webhook", "email", "sms" or "apprise"',
    "union_tag_not_found": 'its kind is missing: add kind = "webhook", "email", "sms" or "apprise"',
    "model_attributes_type": "write it as a table",
}


def _sentence(error: ValidationError) -> str:
    """The most telling problem; a mistyped key explains a missing one, so it comes first."""
    problems = error.errors(include_url=False)
    worst = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    more = len(problems) - 1
    return f"{_one(worst)}{f' (and {more} more)' if more else ''}"


def _one(problem: ErrorDetails) -> str:
    path = _path(problem["loc"])
    key = ".".join(path)
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, Refused):
        return f"{cause.key}: {cause}"
    if cause is not None and problem["type"] == "value_error":
        return f"{key}: {cause}"
    if problem["type"] == "extra_forbidden":
        return f"{key}: this key is not known: {_nearest(problem['loc'])}"
    if problem["type"] == "literal_error":
        return f"{key}: {problem['input']!r} is not accepted: write {problem['ctx']['expected']}"
    if problem["type"] == "missing" and path[:1] == ["breakers"]:
        return f"{key}: it is missing, and this rule has no default: add it, such as {_EXAMPLES.get(path[-1], '...')}"
    return f"{key}: {_HINTS.get(problem['type'], problem['msg'])}"


_EXAMPLES = {"limit": 'limit = "5%"'}


def _path(loc: tuple[int | str, ...]) -> list[str]:
    """Where in the file: without the rule that pydantic names between a table's name and its key."""
    parts = [str(part) for part in loc if part != "[key]"]
    if parts[:2] == ["alerts", "channels"] and len(parts) > 3:
        return parts[:3] + parts[4:]
    return parts[:2] + parts[3:] if parts[:1] == ["breakers"] and len(parts) > 3 else parts


def _nearest(loc: tuple[int | str, ...]) -> str:
    """What the unknown last part of `loc` may have been meant to be."""
    known = _known_keys(loc)
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f'perhaps write "{near[0]}"' if near else f"take it out, or use one of {', '.join(known)}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    if loc[0] == "breakers" and len(loc) > 3:
        return [key for key in RULES[str(loc[2])].model_fields if key != "rule"]
    if loc[:2] == ("alerts", "channels") and len(loc) > 4:
        return list(KINDS[str(loc[3])].model_fields)
    table: Any = Venue if loc[0] == "venues" else Settings
    for part in loc[2:-1] if table is Venue else loc[:-1]:
        table = table.model_fields[part].annotation
        table = next((one for one in get_args(table) if one is not NoneType), table)  # a table that may be left out
    return list(table.model_fields)
