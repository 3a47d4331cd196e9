"""Every key that is taken at once reaches every part: what took the file is what would have begun with it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app.alerts import alert_settings
from risk_daemon.app.composition import engine_settings, order_manager
from risk_daemon.app.reload import Reloader, ReloadRefused, _refuse_restarts
from risk_daemon.app.rules import build_rules
from risk_daemon.config.load import effective
from risk_daemon.config.reloading import AT_ONCE, AT_START, changes, is_taken_at_once
from risk_daemon.config.settings import Settings, as_file
from risk_daemon.engine.decision import Answer
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.reconfiguration import Reconfiguration
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import EventName, Noted, RiskEvent
from tests.unit.config.test_loosening import ABSENT, EITHER, NEITHER, RISING, WHOLE, changed

OWN_CODE = "breakers.spread"
# A rule of the user's own needs its code; unit/engine/test_reconfiguration.py has one.
TABLES = changed(WHOLE, OWN_CODE, ABSENT)
ALL_ROWS: Mapping[str, Any] = {**RISING, **EITHER, **NEITHER}
VALUES = {key: rows for key, rows in ALL_ROWS.items() if not key.startswith(OWN_CODE)}
TAKEN = [key for key in VALUES if is_taken_at_once(tuple(key.split(".")))]
NOT_TAKEN = [key for key in VALUES if key not in TAKEN]


def read(key: str, value: Any) -> Settings:
    tls = {"tls_certificate": __file__, "tls_key": __file__} if key in ("api.listen", "warden.host") else {}
    whole = changed(changed(TABLES, "api", tls), key, value)
    return Settings.model_validate(whole, context=as_file(Path("/nowhere/config.toml")))


def adapter(name: str) -> Any:
    capabilities = SimpleNamespace(has_flows=True, has_positions=True, ledger_lag_s=0.0, batch_size=1)
    return SimpleNamespace(name=name, capabilities=capabilities, scopes=(), markets=frozenset())


def adapters(settings: Settings) -> dict[str, Any]:
    return {name: adapter(name) for name in settings.venues}


def shape(of: Any, seen: dict[int, Any] | None = None) -> Any:
    """All that an object consists of, to be compared with another one's. seen: by id, so that nothing is done twice."""
    seen = {} if seen is None else seen
    if isinstance(of, Enum | type | str | bytes) or of is None:
        return of
    if isinstance(of, types.FunctionType | types.MethodType | partial):
        return type(of).__name__
    if id(of) not in seen:
        seen[id(of)] = f"that {type(of).__name__}"
        seen[id(of)] = _inside(of, seen)
    return seen[id(of)]


def _inside(of: Any, seen: dict[int, Any]) -> Any:
    if isinstance(of, Mapping):
        return {shape(key, seen): shape(value, seen) for key, value in of.items()}
    if isinstance(of, frozenset | set):
        return frozenset(map(str, of))
    if hasattr(of, "__iter__"):
        return [shape(one, seen) for one in of]
    if not type(of).__module__.startswith(("risk_daemon", "oms")):
        return repr(of)
    slots = [name for kind in type(of).__mro__ for name in getattr(kind, "__slots__", ())]
    names = [*getattr(of, "__dict__", {}), *slots]
    return type(of).__name__, {name: shape(getattr(of, name), seen) for name in names if hasattr(of, name)}


def begun(settings: Settings) -> Engine:
    return Engine(engine_settings(settings, adapters(settings)), build_rules(settings))


def reconfiguration(old: Settings, new: Settings) -> Reconfiguration:
    """As Reloader makes it."""
    maker: Any = SimpleNamespace(_opened=SimpleNamespace(site=SimpleNamespace(adapters=adapters(new))))
    return Reloader._event(maker, new, effective(old)["breakers"], effective(new)["breakers"])


# Where they are done instead is seen below.
OF_SWEEPS = {"circuit_breaker.settle", "circuit_breaker.order_flight", "circuit_breaker.protective_orders"}
OF_THE_ENGINE = [key for key in TAKEN if key not in OF_SWEEPS and not key.startswith("alerts.")]


def both(key: str) -> tuple[Settings, Settings]:
    return read(key, VALUES[key][0]), read(key, VALUES[key][-1])


@pytest.mark.parametrize("key", OF_THE_ENGINE)
def test_an_engine_that_took_a_file_is_in_every_part_what_one_is_that_began_with_it(key: str) -> None:
    old, new = both(key)
    took, began, now = begun(old), begun(new), ManualClock().now()
    assert shape([took.settings, took.manager]) != shape([began.settings, began.manager]), "it reaches nothing at all"
    answer = took.process(reconfiguration(old, new), now).answer
    began.process(Noted(RiskEvent(EventName.CONFIGURATION_RELOADED)), now)
    assert answer == Answer(True, "the new settings are in force")
    assert shape(took) == shape(began)


def managed(settings: Settings) -> Any:
    known: Any = lambda _venue: ()  # noqa: E731
    return order_manager(settings, {}, ManualClock(), positions=known)


@pytest.mark.parametrize("key", [*sorted(OF_SWEEPS), "circuit_breaker.cancel_deadline"])
def test_sweeps_go_by_the_new_file(key: str) -> None:
    old, new = both(key)
    orders = managed(old)
    assert shape(orders._settings) != shape(managed(new)._settings)
    reloader: Any = SimpleNamespace(settings=old, _daemon=SimpleNamespace(parts=SimpleNamespace(orders=orders)))
    Reloader._taken(reloader, new, SimpleNamespace(answer=Answer(True, "")))  # type: ignore[arg-type]
    assert reloader.settings is new
    assert shape(orders._settings) == shape(managed(new)._settings)


@pytest.mark.parametrize(
    "key", ["alerts.strategy_name", "alerts.rate", "alerts.escalate_after", "alerts.heartbeat_every"]
)
def test_alerts_are_opened_anew_by_what_they_are_told(key: str) -> None:
    """That they are opened, and by which file: test_reload_alerts.py."""
    old, new = both(key)
    assert alert_settings(old) != alert_settings(new)


@pytest.mark.parametrize("key", NOT_TAKEN)
def test_what_needs_a_restart_is_refused_by_its_name(key: str) -> None:
    old, new = both(key)
    found = changes(effective(old), effective(new))
    with pytest.raises(ReloadRefused, match="new start") as refused:
        _refuse_restarts(Path("config.toml"), found)
    assert key in str(refused.value)


def test_every_key_of_the_tables_has_a_row() -> None:
    def starred(key: str) -> str:
        parts = key.split(".")
        parts = [*parts[:2], "*"] if parts[:2] == ["alerts", "channels"] else parts
        parts = [parts[0], "*", *parts[2:]] if parts[0] == "venues" else parts
        return ".".join([*parts[:1], "*"] if parts[0] == "breakers" and parts[1] != "blind" else parts)

    rows = {starred(key) for key in VALUES}
    files = {"api.tls_certificate", "api.tls_key", "guard.peers"}  # see NOT_TO_BE_SET there
    assert (AT_ONCE | AT_START) - rows == files
