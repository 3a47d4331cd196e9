"""The rules that a table turns on, by name. One of which a part is missing is refused at import: it would not guard.

A rule is a line of `CircuitBreakerType` and two files of its name: `breakers/<name>.py` with `<Stem>CircuitBreaker`,
which a program of one's own can use without pydantic, and `config/rules/<name>.py` with `<Stem>`, its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, get_args

from risk_daemon.breakers.base import BaseCircuitBreaker
from risk_daemon.config import rules
from risk_daemon.config.rule import Rule
from risk_daemon.errors import InvariantError, check
from risk_daemon.model.breaker_types import CircuitBreakerType


def _registered() -> dict[str, type[Rule]]:
    """The strongest first. Raises InvariantError."""
    named = {kind.value for kind in CircuitBreakerType if kind.has_table}
    files = {module.name for module in iter_modules(rules.__path__)}
    for name in sorted(files - named):
        raise InvariantError(f"config/rules/{name}.py is no rule: give it a line in model/breaker_types.py")
    return {kind.value: _table_of(kind) for kind in CircuitBreakerType if kind.has_table}


def _table_of(kind: CircuitBreakerType) -> type[Rule]:
    breaker: type[BaseCircuitBreaker] = _part(f"risk_daemon.breakers.{kind}", f"{kind.stem}CircuitBreaker")
    table: type[Rule] = _part(f"{rules.__name__}.{kind}", kind.stem)
    check(issubclass(breaker, BaseCircuitBreaker), f"{breaker.__name__} is no BaseCircuitBreaker")
    check(issubclass(table, Rule), f"{table.__name__} of {kind} is no Rule")
    check(not isabstract(table), f"the table of {kind} lacks {' and '.join(sorted(table.__abstractmethods__))}")
    rule, action = (table.model_fields.get(key) for key in ("rule", "action"))
    check("warnings" in table.model_fields, f"the table of {kind} must have the key warnings, as every rule has")
    named: tuple[str, ...] = () if rule is None else get_args(rule.annotation)
    check(named == (kind.value,), f'the table of {kind} must have the key `rule: Literal["{kind}"]`')
    default = None if action is None else action.default
    does = breaker.default_action.name.lower()
    check(default == does, f"{kind} does not do the same by default in a table and in a program: {default}, {does}")
    return table


def _part(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise InvariantError(f"half a rule: {module} has no {name} ({error})") from error


RULES: Mapping[str, type[Rule]] = MappingProxyType(_registered())
