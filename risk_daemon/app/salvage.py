"""What can still be used of a configuration that is refused: for finishing a trip and telling of it, and nothing else.

A venue's table is taken whole or not at all: without its `endpoint` or `sandbox` it would be another account. So is a
channel's.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from risk_daemon.app.in_force import tables_before
from risk_daemon.config.load import Settings
from risk_daemon.config.notation import Refused
from risk_daemon.config.place import DEFAULT_STATE
from risk_daemon.config.regular_file import read_regular
from risk_daemon.config.settings import as_file
from risk_daemon.state.directory import Paths

# What a sweep needs besides venues, with what it does without: a table each, key by key.
_KEYS = {
    "portfolio": ("reference_currency", "initial_capital"),
    "circuit_breaker": ("settle", "order_flight", "cancel_deadline", "protective_orders"),
    "data": ("call_timeout",),
    "alerts": ("strategy_name", "rate", "escalate_after"),
}
_PLACES = frozenset({"store", "locks"})
_AUTO: dict[str, Any] = {"portfolio": {"initial_capital": "auto"}}
_STATE_DIR = re.compile(r"^\s*\[\s*state\s*\][^\[]*?^\s*dir\s*=\s*[\"']([^\"'\n]+)[\"']", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """settings: with the venues that can be used, or else those the state was guarded with; None if there are none.

    left_out: the other venues of the file, with the reason.
    channels_left_out: those of alerts that can't be used, with the reason.
    """

    state_dir: Path
    settings: Settings | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    channels_left_out: Mapping[str, str] = field(default_factory=dict)


def salvage(path: Path) -> Salvaged:
    """Read what can be read of `path`. Never raises."""
    base = Path(os.path.abspath(path)).parent
    try:
        text = read_regular(path).decode("utf-8", "replace")
    except OSError:
        return Salvaged(base / DEFAULT_STATE)
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError):  # also of a number of thousands of digits
        found = _STATE_DIR.search(text)
        return Salvaged(base / (found[1] if found else DEFAULT_STATE))
    return _from_tables(raw, path)


def _from_tables(raw: Mapping[str, Any], path: Path) -> Salvaged:
    tables, left_out = _venues(_table(raw, "venues"), path)
    state_dir = _state_dir(raw, path)
    if not tables:
        tables, _ = _venues(_table(tables_before(Paths(state_dir)), "venues"), path)
    kept: dict[str, Any] = {**_AUTO, "venues": tables, "state": {"dir": str(state_dir)}}
    if not tables:
        return Salvaged(state_dir, None, left_out)
    channels, silent = _channels(raw, path, kept)
    kept["alerts"] = {"channels": channels}
    for name, keys in _KEYS.items():
        for key in keys:
            given = _table(raw, name)
            more = {**kept, name: {**kept.get(name, {}), key: given.get(key)}}
            if key in given and isinstance(_checked(more, path), Settings):
                kept = more
    kept = _with_readers(kept, (raw, tables_before(Paths(state_dir))), path)
    broadcast = {**kept, "broadcast": _table(raw, "broadcast")}  # whole or not at all: half of it speaks elsewhere
    if isinstance(_checked(broadcast, path), Settings):
        kept = broadcast
    settings = _checked(kept, path)
    if not isinstance(settings, Settings):
        return Salvaged(state_dir, None, {**left_out, **dict.fromkeys(tables, settings)}, silent)
    return Salvaged(state_dir, settings, left_out, silent)


def _with_readers(kept: Mapping[str, Any], found: Sequence[Mapping[str, Any]], path: Path) -> dict[str, Any]:
    """With the peers, and with where bots elsewhere read the lock: by the first that can be used.

    What is proven waits for both. Whole or not at all, and where the file's can't be used they are as they were.
    """
    for tables in found:
        places = {key: place for key, place in _table(tables, "state").items() if key in _PLACES}
        more = {**kept, "guard": _table(tables, "guard"), "state": {**kept["state"], **places}}
        if isinstance(_checked(more, path), Settings):
            return more
    return dict(kept)


def _venues(found: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables that are right in themselves, and what is wrong with the others."""
    good, bad = {}, {}
    for name, table in found.items():
        checked = _checked({**_AUTO, "venues": {name: table}}, path)
        if isinstance(checked, Settings):
            good[name] = table
        else:
            bad[name] = checked
    return good, bad


def _channels(raw: Mapping[str, Any], path: Path, kept: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Those that can be used beside each other, and what is wrong with the others."""
    good: dict[str, Any] = {}
    bad: dict[str, str] = {}
    for name, table in _table(_table(raw, "alerts"), "channels").items():
        checked = _checked({**kept, "alerts": {"channels": {**good, name: table}}}, path)
        if isinstance(checked, Settings):
            good[name] = table
        else:
            bad[name] = checked
    return good, bad


def _state_dir(raw: Mapping[str, Any], path: Path) -> Path:
    given = _table(raw, "state").get("dir")
    return Path(os.path.abspath(path.parent / (given if isinstance(given, str) and given else DEFAULT_STATE)))


def _table(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, Mapping) else {}


def _checked(tables: Mapping[str, Any], path: Path) -> Settings | str:
    """The settings, or what is wrong with them. Nothing of the file is repeated: it may be a secret."""
    try:
        return Settings.model_validate(tables, context=as_file(path))
    except ValidationError as error:
        keys = {".".join(map(str, problem["loc"])) for problem in error.errors(include_url=False)}
        return f"the configuration is refused at {', '.join(sorted(keys))}"
    except Refused as error:
        return f"the configuration is refused at {error.key}"
