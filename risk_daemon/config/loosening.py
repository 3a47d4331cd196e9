"""Is a configuration looser than another one? Once a warden is enrolled, only a warden may loosen.

Two documents as `effective` writes them are compared key by key, and every key has an answer here: which way of
changing it is looser. Where that is not known, either way is; so is a key or a table that has no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from risk_daemon.config.breakers import OWN, Breakers
from risk_daemon.config.notation import Table
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.registry import RULES
from risk_daemon.config.settings import Settings
from risk_daemon.model.addresses import host_and_port, is_loopback

Document = Mapping[str, Any]
Answer = Callable[[Any, Any], bool]
"""Is the second value looser than the first? None: the key has no value."""


# --- answers -----------------------------------------------------------------------------------------

_MEASURE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%|[A-Za-z0-9]*)", re.ASCII)
_IN_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_WITHOUT_END = ("off", "never", "all")
_INFINITE, _NOTHING = Decimal("Infinity"), Decimal(0)


def either_way(old: Any, new: Any) -> bool:
    """Which way is looser is not known, or both are."""
    return bool(old != new)


def neither_way(old: Any, new: Any) -> bool:
    """It says nothing of how close the guard guards."""
    return False


def when_more(old: Any, new: Any) -> bool:
    """A limit, or a time until something is done: without a value there is none."""
    return _is_more(new, old, _INFINITE)


def when_less(old: Any, new: Any) -> bool:
    """Something that is looked back upon or waited for: without a value it is nothing."""
    return _is_more(old, new, _NOTHING)


def when_further_down(*strictest_first: object) -> Answer:
    """One of some words; another word than these is looser."""

    def answer(old: Any, new: Any) -> bool:
        if old not in strictest_first or new not in strictest_first:
            return either_way(old, new)
        return strictest_first.index(new) > strictest_first.index(old)

    return answer


def when_narrower(old: Any, new: Any) -> bool:
    """A part that is looked at, of all that there is without a value."""
    return new is not None and new != old


def when_fewer_warn(old: Any, new: Any) -> bool:
    """At any loss, at least as many levels must have warned as did before."""
    before, after = _levels(old), _levels(new)
    if before is None or after is None or len({unit for unit, _ in before + after}) > 1:
        return either_way(old, new)
    return len(after) < len(before) or any(late > early for early, late in zip(before, after, strict=False))


def when_fewer_are_told(old: Any, new: Any) -> bool:
    """A list of which none may be missing."""
    return not _all_in(old, new)


def when_fewer_are_named(old: Any, new: Any) -> bool:
    """A list of which none may be missing; an empty one stands for all there are."""
    if not isinstance(old, list) or not isinstance(new, list):
        return either_way(old, new)
    return bool(new) and (not old or not _all_in(old, new))


def when_own_action_is_weaker(old: Any, new: Any) -> bool:
    """Without a value the class of the rule says what is done, a veto at least."""
    known = (None, "veto", "freeze", "trip")
    is_as_strong = old in known and new in known and (new == "trip" or old == "veto")
    return either_way(old, new) and not is_as_strong


def when_reached_from_elsewhere(old: Any, new: Any) -> bool:
    """This machine alone, or others too."""
    return old != new and not is_loopback(host_and_port(str(new))[0])


def _is_more(one: Any, other: Any, absent: Decimal) -> bool:
    """Whether `one` is more than `other`; so it counts where they can't be compared."""
    mine, its = _measured(one, absent), _measured(other, absent)
    if mine is None or its is None:
        return either_way(one, other)
    is_endless = not (mine[1].is_finite() and its[1].is_finite())
    is_nothing = one is None or other is None
    if mine[0] != its[0] and not is_endless and not is_nothing:
        return True
    return mine[1] > its[1]


def _measured(value: Any, absent: Decimal) -> tuple[str, Decimal] | None:
    """Unit and size of what was written; None for what is no size."""
    if value is None:
        return "", absent
    if value in _WITHOUT_END:
        return "", _INFINITE
    match = None if isinstance(value, bool) else _MEASURE.fullmatch(str(value))
    if match is None:
        return None
    size, unit = Decimal(match[1]), match[2]
    return ("s", size * _IN_SECONDS[unit]) if unit in _IN_SECONDS else (unit, size)


def _levels(values: Any) -> list[tuple[str, Decimal]] | None:
    """Warning levels, rising; None where one of them is no size."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return None
    measured = [_measured(value, _INFINITE) for value in values]
    known = [level for level in measured if level is not None]
    return sorted(known, key=lambda level: level[1]) if len(known) == len(measured) else None


def _all_in(old: Any, new: Any) -> bool:
    if not isinstance(old, list) or not isinstance(new, list):
        return not either_way(old, new)
    return all(one in new for one in old)


# --- the answer of every key -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """Tables by names of the user's. One that was taken out is looser; is_looser_anew: so is one that is new.

    has_kinds: `of` has the answers by the kind of a table.
    """

    of: Mapping[str, Any]
    is_looser_anew: bool = False
    has_kinds: bool = False


@dataclass(frozen=True, slots=True)
class May:
    """A table that may be left out, which is looser than having it."""

    of: Mapping[str, Any]


_ACTION = when_further_down("trip", "freeze", "veto")
_OFF_IS_STRICTER, _ON_IS_STRICTER = when_further_down(False, True), when_further_down(True, False)
# Older readings are believed where an age grows; where it shrinks to what no reading can meet, all is stale, and losses
# within the band of what is stale trip nothing.
_TIMES: Mapping[str, Answer] = dict.fromkeys(
    ("reconcile_every", "balance_stale", "position_stale", "price_stale"), either_way
)
_OF_ANY_RULE: Mapping[str, Answer] = {
    "rule": either_way,
    "action": _ACTION,
    "active_hours": when_narrower,
    "warnings": when_fewer_warn,
}
_OF_A_LIMIT: Mapping[str, Answer] = {**_OF_ANY_RULE, "limit": when_more}
_OF_A_RATE: Mapping[str, Answer] = {**_OF_ANY_RULE, "window": when_less, "scope": either_way}

RULE_ANSWERS: Mapping[str, Mapping[str, Answer]] = {
    "drawdown": {**_OF_A_LIMIT, "lookback_days": when_less},
    "daily_loss": _OF_A_LIMIT,
    "weekly_loss": _OF_A_LIMIT,
    "venue_loss": {**_OF_A_LIMIT, "venue": when_narrower},
    "position_loss": _OF_A_LIMIT,
    "volatility": {**_OF_A_LIMIT, "window": either_way},
    "order_rate": {**_OF_A_RATE, "max_orders": when_more, "max_orders_total": when_more},
    "error_rate": {**_OF_A_RATE, "max_errors": when_more, "max_errors_total": when_more},
    # What else stands there is handed to the class, and only the class knows which way is which.
    OWN: {"class": either_way, "action": when_own_action_is_weaker, "active_hours": when_narrower},
}

_OF_ANY_CHANNEL: Mapping[str, Answer] = {
    "kind": either_way,
    "severity": when_further_down("info", "warning", "critical"),
    "events": when_fewer_are_named,
    "escalation": _ON_IS_STRICTER,
    "heartbeat": _ON_IS_STRICTER,
    "timeout": either_way,
}
CHANNEL_ANSWERS: Mapping[str, Mapping[str, Answer]] = {
    "webhook": {**_OF_ANY_CHANNEL, "url": either_way, "allow": either_way, "bearer": either_way, "ca_file": either_way},
    "email": {
        **_OF_ANY_CHANNEL,
        "host": either_way,
        "port": either_way,
        "security": either_way,
        "username": either_way,
        "sender": either_way,
        "recipients": when_fewer_are_told,
        "ca_file": either_way,
    },
    "sms": {
        **_OF_ANY_CHANNEL,
        "account_sid": either_way,
        "sender": either_way,
        "recipients": when_fewer_are_told,
        "url": either_way,
        "allow": either_way,
    },
    "apprise": {**_OF_ANY_CHANNEL, "allow": either_way},
}

ANSWERS: Mapping[str, Any] = {
    # Under another name other gates are written, and whoever reads the old ones is not told of a lock.
    "guard": {"name": either_way, "group": either_way, "peers": either_way},
    "portfolio": {
        "reference_currency": either_way,
        "initial_capital": either_way,
        "ignore_assets": either_way,  # an asset that counts again may hide a loss of the others
        "dust_below": when_more,
    },
    "circuit_breaker": {
        "loss_threshold": when_more,
        "warning_threshold": when_more,
        "warnings": when_fewer_warn,
        "action": _ACTION,
        "auto_close_positions": either_way,  # positions that nobody closes, or orders that nobody wanted
        "protective_orders": either_way,  # orders that stay open, or positions without their stops
        "confirm": _OFF_IS_STRICTER,
        "confirm_within": when_more,
        "settle": either_way,  # less time to prove, or a trip that never ends
        "cancel_deadline": either_way,  # a shorter one gives up sooner, a longer one tells later
        "order_flight": either_way,
        "resweep_every": when_more,
    },
    "breakers": {"blind": {"warn_after": when_more, "veto_after": when_more, "trip_after": when_more}},
    "gate": {
        "allow_reduce_only": _OFF_IS_STRICTER,
        "max_notional": when_more,
        "max_quantity": when_more,
        "price_collar": when_more,
        "duplicate_window": when_less,
        "max_orders_per_second_per_bot": when_more,
    },
    "baselines": {
        "lookback_days": when_less,
        "reset_at": either_way,
        "timezone": either_way,
        "peak_hold": either_way,  # a longer one forgets short peaks, a shorter one believes wild replies
        "flow_wait": either_way,
    },
    "data": {
        **_TIMES,
        "stale_band": either_way,  # a wider one vetoes sooner and trips later
        "price_skew": either_way,
        "settle_legs": either_way,
        "call_timeout": either_way,
    },
    "prices": {"pegs": either_way},
    "venues": Each(
        of={
            "exchange": either_way,
            "markets": either_way,
            "simulated": either_way,
            "endpoint": either_way,
            "sandbox": either_way,
            "allow_unproven": _OFF_IS_STRICTER,
            "local_address": either_way,  # from a wrong one nothing is read, and nothing is cancelled
            **_TIMES,
            "dead_man": May({"timeout": when_more, "exclusive": _ON_IS_STRICTER}),
        },
        is_looser_anew=True,  # its money hides a loss of the others
    ),
    "alerts": {
        "strategy_name": neither_way,
        "rate": when_less,
        "escalate_after": when_more,
        "heartbeat_every": when_more,
        "channels": Each(of=CHANNEL_ANSWERS, has_kinds=True),
    },
    # Whoever acts on what is broadcast must not be left without it, and nobody knows where else they listen.
    "broadcast": {
        "kafka": May(
            {
                "bootstrap": either_way,
                "topic": either_way,
                "event_type": either_way,
                "security_protocol": either_way,
                "sasl_mechanism": either_way,
                "username": either_way,
                "ca_file": either_way,
            }
        )
    },
    "api": {
        "listen": when_reached_from_elsewhere,
        "socket": neither_way,
        "tls_certificate": neither_way,
        "tls_key": neither_way,
    },
    # Passkeys that were made for another host open nothing on the new one.
    "warden": {"quorum": when_less, "break_glass_after": when_less, "host": neither_way},
    # Under another name nobody else's lock is meant any more.
    # What is compared is what the state in the directory remembers: another directory is another state.
    # What was done under the looser rules must not fall out of the log before anybody looks.
    "state": {
        "dir": neither_way,
        "store": either_way,
        "locks": either_way,
        "keep_logs": when_less,
        "keep_snapshots": neither_way,  # figures for people: what was done is in the log
    },
    # Another fund, or another member's budget: nobody knows what that one allows.
    "fund": May(
        {
            "name": either_way,
            "limit": when_more,
            "member": either_way,
            "budget": when_more,
            "ledger": either_way,  # what the others say, and that the fund has tripped, is heard there and nowhere else
        }
    ),
}


# --- comparing ---------------------------------------------------------------------------------------


def loosened(old: Document, new: Document) -> tuple[str, ...]:
    """What is looser in `new`, in the order of the file: `drawdown 10 % -> 20 %`. Empty: nothing is.

    Keys that `old` does not name have their defaults: a key that is new in this version was never said otherwise.
    """
    before, after = _filled(Settings, old), _filled(Settings, new)
    return tuple(_compared(ANSWERS, (), _with_venue_times(before, after), _with_venue_times(after, before)))


def _compared(answer: Any, path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    if isinstance(answer, Each):
        yield from _each_compared(answer, path, _table(old), _table(new))
    elif isinstance(answer, May):
        yield from _left_out(answer, path, old, new)
    elif not isinstance(answer, Mapping):
        if answer(old, new):
            yield f"{_name(path)} {shown(old)} -> {shown(new)}"
    else:
        before, after = _table(old), _table(new)
        for key in dict.fromkeys((*answer, *before, *after)):
            is_rule = path == ("breakers",) and key not in answer
            compared = _rule_compared if is_rule else _compared
            yield from compared(answer.get(key, either_way), (*path, key), before.get(key), after.get(key))


def _each_compared(each: Each, path: tuple[str, ...], old: Document, new: Document) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield f"{_name((*path, name))} is taken out"
        elif name in old:
            of = each.of.get(str(_table(new[name]).get("kind")), {}) if each.has_kinds else each.of
            yield from _compared(of, (*path, name), old[name], new[name])
        elif each.is_looser_anew:
            yield f"{_name((*path, name))} is new"


def _left_out(may: May, path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    if new is None and old is not None:
        yield f"{_name(path)} is taken out"
    elif old is not None:
        yield from _compared(may.of, path, old, new)


def _rule_compared(_: Answer, path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    """A rule that is new only adds; one that became another rule is as good as taken out."""
    before, after = _table(old), _table(new)
    if new is None:
        yield f"{_name(path)} is taken out"
    elif old is not None and _kind(before) != _kind(after):
        yield f"{_name(path)} is another rule: {_kind(before)} -> {_kind(after)}"
    elif old is not None:
        yield from _compared(RULE_ANSWERS.get(_kind(before), {}), path, before, after)


def _kind(rule: Document) -> str:
    return OWN if OWN in rule else str(rule.get("rule"))


def _table(value: Any) -> Document:
    return value if isinstance(value, Mapping) else {}


# --- what is not written -----------------------------------------------------------------------------


def _filled(table: type[Table], document: Any) -> dict[str, Any]:
    """The document with the default of each key that it does not name."""
    whole = dict(_table(document))
    for name, field in table.model_fields.items():
        key, inner = field.alias or name, tables_of(field)
        if not inner:
            if key not in whole and not field.is_required():
                whole[key] = _as_read(field.get_default(call_default_factory=True))
        elif is_named(field):
            whole[key] = {each: _filled(_fitting(inner, body), body) for each, body in _table(whole.get(key)).items()}
        elif key in whole or NoneType not in get_args(field.annotation):
            whole[key] = _filled(inner[0], whole.get(key))
    if table is Breakers:
        rules = whole.keys() - Breakers.model_fields.keys()
        whole |= {name: _filled(_table_of_rule(whole[name]), whole[name]) for name in rules}
    return whole


def tables_of(field: FieldInfo) -> tuple[type[Table], ...]:
    """The table that a key of another one holds, itself or by names of the user's; several where it has kinds."""
    return tuple(_tables_in(field.annotation))


def _tables_in(annotation: Any) -> Iterator[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    for part in get_args(annotation):
        yield from _tables_in(part)


def kind_of_table(table: type[Table]) -> str:
    """The word that tables of this kind have under `kind`."""
    return str(get_args(table.model_fields["kind"].annotation)[0])


def _fitting(tables: tuple[type[Table], ...], body: Any) -> type[Table]:
    if len(tables) == 1:
        return tables[0]
    return next((table for table in tables if kind_of_table(table) == _table(body).get("kind")), Table)


def is_named(field: FieldInfo) -> bool:
    """Whether it holds several, by names of the user's."""
    return get_origin(field.annotation) is dict


def _table_of_rule(rule: Any) -> type[Table]:
    kind = _kind(_table(rule))
    return OwnRule if kind == OWN else RULES.get(kind, Table)


def _as_read(value: Any) -> Any:
    """A default as it would come back from a document."""
    return list(value) if isinstance(value, tuple) else value


def _with_venue_times(settings: Document, other: Document) -> Document:
    """A venue has the times of [data] where it says none of its own; so it is put where `other` says one."""
    venues = {}
    for name, venue in settings["venues"].items():
        said = _table(other["venues"].get(name))
        own = [key for key in _TIMES if venue.get(key) is None and said.get(key) is not None]
        venues[name] = {**venue, **{key: settings["data"].get(key) for key in own}}
    return {**settings, "venues": venues}


# --- words -------------------------------------------------------------------------------------------


def _name(path: tuple[str, ...]) -> str:
    """As people call it: a rule by its name, and its limit by that of the rule."""
    words = path[1:] if path[0] == "breakers" else path
    return ".".join(words[:-1] if words[-1] == "limit" else words)


def shown(value: Any) -> str:
    if value is None:
        return "off"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {shown(one)}' for key, one in value.items())}}}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"[{', '.join(map(shown, value))}]"
    return re.sub(r"^([0-9.]+)(%|ms|s|m|h|d)$", r"\1 \2", str(value))
