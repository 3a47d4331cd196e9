"""Which changes of the tokens have no line in the event log yet. Pure.

The file of the tokens says what was changed by a command, in the same write as the change itself. What differs all the
same was changed by hand, and is told as well: with nobody's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from risk_daemon.auth.tokens import Audit, Change, Principal, Role
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.files import utc_text

NAMES = (EventName.TOKEN_CREATED, EventName.TOKEN_REVOKED)
_BY_HAND = "unknown: the file was changed by hand, or by an older version"


@dataclass(frozen=True, slots=True)
class Told:
    """What stands in the log: the tokens as it has them, and the ids of changes that have their line."""

    tokens: Mapping[str, Principal] = field(default_factory=dict)
    changes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Raises KeyError, ValueError, TypeError for what `document` would not have made."""
        tokens = {key: Principal(str(name), Role(role)) for key, (name, role) in document["tokens"].items()}
        return cls(tokens, frozenset(map(str, document["changes"])))

    def document(self) -> dict[str, Any]:
        tokens = {key: [one.name, one.role.value] for key, one in self.tokens.items()}
        return {"tokens": tokens, "changes": sorted(self.changes)}

    def with_lines(self, lines: Iterable[tuple[str, Mapping[str, Any]]]) -> Told:
        """Also what these lines tell, names and fields: a process was killed before it noted that it had told."""
        tokens, changes = dict(self.tokens), set(self.changes)
        for name, fields in lines:
            if name not in NAMES:
                continue
            changes.add(str(fields["change"]))
            if name == EventName.TOKEN_CREATED:
                tokens[str(fields["token_id"])] = Principal(str(fields["name"]), Role(fields["role"]))
            else:
                tokens.pop(str(fields["token_id"]), None)
        return Told(tokens, frozenset(changes))


def untold(told: Told, audit: Audit) -> tuple[Sequence[RiskEvent], Told]:
    """The events to write, each change once, in order; and what is told when they are written."""
    commands = [change for change in audit.changes if change.change_id not in told.changes]
    events = [_event(change) for change in commands]
    reached = told.with_lines((event.name, event.fields) for event in events)
    missing = {key: who for key, who in reached.tokens.items() if key not in audit.tokens}
    extra = {key: who for key, who in audit.tokens.items() if key not in reached.tokens}
    events += [_by_hand(EventName.TOKEN_REVOKED, key, who) for key, who in missing.items()]
    events += [_by_hand(EventName.TOKEN_CREATED, key, who) for key, who in extra.items()]
    return events, Told(audit.tokens, frozenset(change.change_id for change in audit.changes))


def _event(change: Change) -> RiskEvent:
    name = EventName.TOKEN_CREATED if change.is_created else EventName.TOKEN_REVOKED
    who = Principal(change.name, change.role)
    return RiskEvent(
        name,
        {
            **_facts(change.token_id, who),
            "operator": change.operator or "unknown",
            "from": change.source or "unknown",
            "at": utc_text(change.wall),
            "change": change.change_id,
        },
    )


def _by_hand(name: EventName, key: str, who: Principal) -> RiskEvent:
    change = sha256(f"{name}:{key}".encode()).hexdigest()[:16]
    return RiskEvent(name, {**_facts(key, who), "operator": _BY_HAND, "from": "unknown", "at": None, "change": change})


def _facts(key: str, who: Principal) -> dict[str, Any]:
    return {"name": who.name, "role": who.role.value, "token_id": key}
