"""Another program's `risk_limits.json`: read, and turned into a configuration of this one.

Its contract: new orders are vetoed while the drawdown from the highest net asset value ever is at or above
`circuit_breakers.max_portfolio_dd_nav_pct`; missing or null means that there is no such circuit. Standard library
only, and nothing of the file is ever executed or trusted to be of the right type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from risk_daemon.errors import ConfigError
from risk_daemon.model.units import finite, plain

_TABLE, _KEY = "circuit_breakers", "max_portfolio_dd_nav_pct"
_PATH = f"{_TABLE}.{_KEY}"
_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """`circuit_breakers` of that file. max_portfolio_dd_nav_pct: a ratio (0.10 = 10 %); None: disabled."""

    max_portfolio_dd_nav_pct: float | None = None


@dataclass(frozen=True, slots=True)
class RiskLimitsConfig:
    """That file, as far as it is understood here. other_keys: paths of what is not."""

    circuit_breakers: CircuitBreakerConfig
    other_keys: tuple[str, ...] = ()


def normalize_percentage(value: object) -> float:
    """A ratio above 0 and up to 1: a fraction below 1 as it is, 1 to 100 as percent.

    Raises ValueError for text, booleans, NaN, infinities, zero, negatives, and more than 100.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - a wrong value, from outside
    number = finite(value)
    if number <= 0:
        raise ValueError(f"{value} is not above zero")
    if number > 100:
        raise ValueError(f"{value} is more than 100 percent")
    return float(number / 100 if number >= 1 else number)


def load_risk_limits(path: Path | str) -> RiskLimitsConfig:
    """Read a `risk_limits.json`. Raises ConfigError, one sentence with file, key and reason."""
    path = Path(path)
    document = _document(path)
    table = document.get(_TABLE)
    if table is not None and not isinstance(table, Mapping):
        raise ConfigError(f"{path}: {_TABLE}: it is not an object.")
    value = None if table is None else table.get(_KEY)
    try:
        ratio = None if value is None else normalize_percentage(value)
    except ValueError as error:
        raise ConfigError(f"{path}: {_PATH}: {error}: write a fraction such as 0.10, or percent such as 10.") from None
    others = tuple(key for key in _leaves(document) if key != _PATH)
    return RiskLimitsConfig(CircuitBreakerConfig(ratio), others)


def remarks(limits: RiskLimitsConfig) -> Iterator[str]:
    """What a person must know of a conversion, as sentences."""
    if limits.circuit_breakers.max_portfolio_dd_nav_pct is None:
        yield f"WARNING: {_PATH} is missing or null: the drawdown circuit is DISABLED, as that contract has it"
    if limits.other_keys:
        yield f"not converted: {', '.join(limits.other_keys)}"


def config_text(limits: RiskLimitsConfig, source: str) -> str:
    """A config.toml with the limit in it. Raises ConfigError for a limit that no loss can reach."""
    ratio = limits.circuit_breakers.max_portfolio_dd_nav_pct
    limit = None if ratio is None else finite(ratio)
    if limit is not None and limit >= 1:
        raise ConfigError(f"{source}: {_PATH}: at 100 percent nothing would be left to guard: write less.")
    head = _HEAD.format(source=_quoted(source), portfolio=_PORTFOLIO)
    return head + _circuit(limit) + _drawdown(limit) + _not_converted(limits.other_keys) + _VENUES


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_without_repetition)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: it can't be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: it is not valid JSON: {error}.") from None
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: it is not a JSON object.")
    return document


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets the last of two equal keys win, in silence."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands there twice")
    return table


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in table.items():
        here = f"{path}{_quoted(key)}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{here}.")
        elif not (here == _TABLE and not value):
            yield here


def _quoted(text: str) -> str:
    """Text that can't leave a comment: no control characters."""
    return json.dumps(text)[1:-1]


# --- the text ----------------------------------------------------------------------------------------

_PORTFOLIO = """[portfolio]
reference_currency = "USDT"
initial_capital = "auto"           # the first equity seen; better: what you put in"""

_HEAD = """# Made from {source} by `risk-daemon convert-risk-limits`.
#
# It loads as it is, on simulated accounts: try it with `risk-daemon check --explain` and `risk-daemon run`.
# To go live: name your venues below, take out `simulated = true`, and set initial_capital.

{portfolio}
"""

_VENUES = """
[venues.kraken]
exchange = "kraken"                # a ccxt id
markets = ["spot"]
simulated = true                   # take it out to go live

[venues.krakenfutures]
exchange = "krakenfutures"
markets = ["perp"]
simulated = true                   # take it out to go live
"""


def _circuit(limit: Decimal | None) -> str:
    if limit is None:
        return ""
    behind = limit if limit >= _HALF else min(limit * 2, _HALF)
    warning = "off" if behind == limit else _percent(limit)
    return f"""
[circuit_breaker]
# That file has no such limit, and this one is always on: lock, cancel every order, exit 1. So that the veto below
# comes first, it stands well behind it. Set it to what you can bear to lose.
loss_threshold = "{_percent(behind)}"
warning_threshold = "{warning}"
"""


def _drawdown(limit: Decimal | None) -> str:
    if limit is None:
        return f"""
# WARNING: {_PATH} is missing or null there, so the drawdown circuit is DISABLED. A table
# [breakers.drawdown] turns it on. What is always on, here as well: a loss of 5 % of initial capital trips.
"""
    return f"""
[breakers.drawdown]
limit = "{_percent(limit)}"
lookback_days = "all"              # that contract measures from the highest value ever
action = "veto"                    # new orders are refused until the value recovers; nothing is cancelled
"""


def _not_converted(keys: Sequence[str]) -> str:
    if not keys:
        return ""
    return "\n# Not converted, because nothing here does the same:\n" + "".join(f"#     {key}\n" for key in keys)


def _percent(ratio: Decimal) -> str:
    return f"{plain(ratio * 100)}%"
