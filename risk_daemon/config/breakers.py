"""The table [breakers]: one table a rule, which turns it on.

A table's name is the rule, unless it says otherwise: `rule = "drawdown"` makes it another one of that kind,
`class = "package.module:Class"` one of the user's own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from risk_daemon.config.notation import Refused, Seconds, SecondsOrNever, Table, as_written
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.registry import RULES
from risk_daemon.config.rule import Rule

OWN = "class"
_NAME = r"[a-z][a-z0-9_-]{0,40}"
_ALWAYS_ON = {
    "capital_loss": "it is always on and set in [circuit_breaker]: take the table out",
    "manual": "it is always on and has no settings: take the table out",
}


class Blind(Table):
    """How long equity may be too unknown to judge. trip_after None: never."""

    warn_after: Seconds = as_written("10s")
    veto_after: Seconds = as_written("30s")
    trip_after: SecondsOrNever = as_written("never")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.veto_after < self.warn_after:
            raise Refused("breakers.blind.veto_after", "it is shorter than warn_after: set it to at least that")
        if self.trip_after is not None and self.trip_after < self.veto_after:
            raise Refused("breakers.blind.trip_after", "it is shorter than veto_after: set it to at least that")
        return self


def kind_of(table: Any) -> str | None:
    """Which rule a table is of; OWN for one of the user's."""
    if isinstance(table, Rule):
        return OWN if isinstance(table, OwnRule) else str(getattr(table, "rule", None))
    return OWN if OWN in table else table.get("rule")


if TYPE_CHECKING:
    AnyRule = Rule
else:
    _TABLES = [Annotated[table, Tag(kind)] for kind, table in {**RULES, OWN: OwnRule}.items()]
    AnyRule = Annotated[reduce(or_, _TABLES), Discriminator(kind_of)]


class Breakers(Table):
    """One table a rule: `blind`, which is always on, and those that their tables turn on."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AnyRule]

    blind: Blind = Field(default_factory=Blind)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """By name, in the order of the file."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="before")
    @classmethod
    def _each_with_its_rule(cls, tables: Any) -> Any:
        if not isinstance(tables, Mapping):
            return tables
        return {name: table if name == "blind" else _with_rule(name, table) for name, table in tables.items()}


def _with_rule(name: str, table: Any) -> Any:
    """The table, saying which rule it is of. Raises Refused."""
    key = f"breakers.{name}"
    if name in _ALWAYS_ON:
        raise Refused(key, _ALWAYS_ON[name])
    if isinstance(table, Rule):
        return table
    if not isinstance(table, Mapping):
        raise Refused(key, f"write it as a table, [breakers.{name}], with its keys below")
    if not re.fullmatch(_NAME, name):
        raise Refused(key, "it is not a rule's name: use small letters, digits, - and _")
    if OWN in table:
        return _own(key, name, table)
    rule = table.get("rule", name)
    if not isinstance(rule, str):
        raise Refused(f"{key}.rule", _unknown(rule))
    if rule in _ALWAYS_ON or rule == "blind":
        raise Refused(f"{key}.rule", f"there is only one {rule!r}, and it is always on: take the table out")
    if rule not in RULES:
        raise Refused(key if "rule" not in table else f"{key}.rule", _unknown(rule))
    if name in RULES and rule != name:
        raise Refused(f"{key}.rule", f"a table named {name} is of the rule {name}: give it another name")
    return {**table, "rule": rule}


def _own(key: str, name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    if name in RULES:
        raise Refused(key, f"{name} is a rule of this program: give yours another name")
    for word in ("rule", "name", "clock"):
        if word in table:
            raise Refused(f"{key}.{word}", "a rule of your own can't be given that: take it out")
    return table


def _unknown(rule: object) -> str:
    near = difflib.get_close_matches(str(rule), RULES, n=1)
    meant = f'perhaps write "{near[0]}", or rule = "{near[0]}" below a name of yours' if near else _ANY_RULE
    return f'there is no rule {rule!r}: {meant}, or class = "package.module:Class" for one of your own'


_ANY_RULE = f"write rule = one of {', '.join(RULES)}"
