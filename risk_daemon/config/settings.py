"""The tables of the configuration file, one model each.

Attributes have the names of their keys, and defaults are written as they would be in the file.
Durations are seconds, ratios and money are Decimals; the words "off", "auto", "never" and "all" are None.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from risk_daemon.config.alerts import Alerts
from risk_daemon.config.api import Api
from risk_daemon.config.breakers import OWN, Breakers, kind_of
from risk_daemon.config.broadcast import Broadcast
from risk_daemon.config.fund import Address, Fund
from risk_daemon.config.guard import Guard
from risk_daemon.config.notation import (
    Asset,
    Count,
    DaysOrAll,
    LossSize,
    Money,
    MoneyOrAuto,
    Quantity,
    Ratio,
    RatioOrOff,
    Refused,
    Seconds,
    Table,
    TimeOfDay,
    as_written,
    environment_name,
    listed,
    ratio_text,
    seconds_text,
    time_zone,
)
from risk_daemon.config.registry import RULES
from risk_daemon.config.state import FILE, SQLITE, State
from risk_daemon.config.warden import LOCAL, WardenTable
from risk_daemon.model.addresses import check_loopback


class Portfolio(Table):
    """What is guarded. initial_capital None: the first that readings agree on."""

    reference_currency: Asset = "USDT"
    initial_capital: MoneyOrAuto
    ignore_assets: Annotated[tuple[Asset, ...], BeforeValidator(listed)] = ()
    dust_below: Money = as_written(1)

    @model_validator(mode="before")
    @classmethod
    def _money_in_reference_currency(cls, table: Any) -> Any:
        if isinstance(table, Mapping):
            currency = table.get("reference_currency", "USDT")
            for key in ("initial_capital", "dust_below"):
                named = str(table.get(key, "")).split()[1:]
                if named and named[0] != currency:
                    raise Refused(f"portfolio.{key}", f"{table[key]!r} is not in the reference currency {currency}")
        return table

    @field_validator("ignore_assets")
    @classmethod
    def _counts_its_currency(cls, assets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        currency = info.data.get("reference_currency")
        if currency in assets:
            raise ValueError(f"{currency} is the reference currency and can't be ignored: take it out")
        return assets


class CircuitBreaker(Table):
    """The portfolio's own limit and what happens at it. warning_threshold None: off.

    auto_close_positions: a trip, and only a trip, closes every position after its proof.
    """

    loss_threshold: Ratio = as_written("5%")
    warning_threshold: RatioOrOff = as_written("3%")
    warnings: Annotated[tuple[Ratio, ...], BeforeValidator(listed)] = ()
    action: Literal["trip", "freeze"] = "trip"
    auto_close_positions: bool = False
    protective_orders: Literal["cancel", "keep"] = "cancel"
    confirm: bool = True
    confirm_within: Seconds = as_written("2s")
    settle: Seconds = as_written("2s")
    cancel_deadline: Seconds = as_written("300s")
    order_flight: Seconds = as_written("5s")
    resweep_every: Seconds = as_written("30s")

    @property
    def warning_levels(self) -> tuple[Decimal, ...]:
        """Every warning level, rising."""
        first = () if self.warning_threshold is None else (self.warning_threshold,)
        return tuple(sorted({*first, *self.warnings}))

    @field_validator("warning_threshold", "warnings")
    @classmethod
    def _below_the_limit(cls, value: Any, info: ValidationInfo) -> Any:
        limit = info.data.get("loss_threshold")
        levels = value if isinstance(value, tuple) else (value,)
        highest = max((level for level in levels if level is not None), default=None)
        if limit is not None and highest is not None and highest >= limit:
            off = ', or write "off"' if info.field_name == "warning_threshold" else ""
            raise ValueError(
                f"a warning at {ratio_text(highest)} would never come before the limit, loss_threshold at"
                f" {ratio_text(limit)}: set it below{off}"
            )
        return value

    @field_validator("cancel_deadline")
    @classmethod
    def _leaves_time_to_prove(cls, value: float, info: ValidationInfo) -> float:
        settle = info.data.get("settle")
        if settle is not None and value <= settle:
            raise ValueError(f"nothing can be proven in {seconds_text(value)}: set it above settle")
        return value


class Gate(Table):
    """What is checked of single orders; None: not. allow_reduce_only: what surely only closes may pass a veto."""

    allow_reduce_only: bool = False
    max_notional: Money | None = None
    max_quantity: Quantity | None = None
    price_collar: Ratio | None = None
    duplicate_window: Seconds | None = None
    max_orders_per_second_per_bot: Count | None = None


class Baselines(Table):
    """What losses are measured from. lookback_days None: all."""

    lookback_days: DaysOrAll = as_written(30)
    reset_at: TimeOfDay = as_written("00:00")
    timezone: Annotated[str, AfterValidator(time_zone)] = "UTC"
    peak_hold: Seconds = as_written("10s")
    flow_wait: Seconds = as_written("60s")


# Below it, readings of a slow venue are stale when they come.
STALE_LEAST_S = 5.0


class Data(Table):
    """How often the venues are read and how long a reading is believed."""

    reconcile_every: Seconds = as_written("15s")
    balance_stale: Seconds = as_written("45s")
    position_stale: Seconds = as_written("45s")
    price_stale: Seconds = as_written("30s")
    stale_band: Ratio = as_written("20%")
    price_skew: Seconds = as_written("1s")
    settle_legs: Seconds = as_written("250ms")
    call_timeout: Seconds = as_written("10s")


class Prices(Table):
    """pegs: what one unit of an asset is worth in the reference currency, by decree."""

    pegs: dict[Asset, Money] = Field(default_factory=dict)


class DeadMan(Table):
    """The venue's own switch: it cancels the account's orders where the guard does not put it off in time."""

    timeout: Seconds
    exclusive: bool = Field(default=False, validate_default=True)

    @field_validator("timeout")
    @classmethod
    def _whole_seconds(cls, value: float) -> float:
        if value != int(value):
            raise ValueError(f'{seconds_text(value)} is not whole: venues count whole seconds, write one such as "60s"')
        return value

    @field_validator("exclusive")
    @classmethod
    def _nobody_else(cls, value: bool) -> bool:
        if not value:
            raise ValueError(
                "a switch has one owner, and a second one overwrites the first: write true once no bot and nobody else"
                " uses this account's switch, or take the table out"
            )
        return value


class Venue(Table):
    """One exchange account. At most one of `simulated`, `endpoint` and `sandbox` says where it is."""

    exchange: str
    markets: Annotated[tuple[Literal["spot", "margin", "perp"], ...], BeforeValidator(listed)]
    simulated: bool = False
    endpoint: str | None = None
    sandbox: bool = False
    allow_unproven: bool = False
    local_address: str | None = None
    reconcile_every: Seconds | None = None
    balance_stale: Seconds | None = None
    position_stale: Seconds | None = None
    price_stale: Seconds | None = None
    dead_man: DeadMan | None = None

    @field_validator("exchange")
    @classmethod
    def _looks_like_an_id(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9_]+", value):
            raise ValueError(f'{value!r} is not a ccxt id: write it in small letters, such as "kraken"')
        return value

    @field_validator("markets")
    @classmethod
    def _some_market_once(cls, markets: tuple[str, ...]) -> tuple[str, ...]:
        if not markets or len(set(markets)) != len(markets):
            raise ValueError('name each market once: some of "spot", "margin", "perp"')
        return markets

    @field_validator("local_address")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None:
            ip_address(value)  # raises a ValueError that says so
        return value

    @field_validator("endpoint")
    @classmethod
    def _on_this_machine(cls, value: str | None) -> str | None:
        if value is not None:
            check_loopback(value)
        return value

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if self.simulated + self.sandbox + (self.endpoint is not None) > 1:
            raise ValueError("simulated, endpoint and sandbox exclude each other: keep one of them")
        return self


def _venue_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", name):
        raise ValueError(f"{name!r} is not a venue's name: use letters, digits, - and _")
    return name


def as_file(path: Path) -> dict[str, Path]:
    """The context to validate tables in that stand in the file `path`: relative paths in it are beside it."""
    return {"file": path, "base": Path(os.path.abspath(path)).parent}


class Settings(Table):
    """The whole file, checked."""

    guard: Guard = as_written({})
    portfolio: Portfolio
    circuit_breaker: CircuitBreaker = Field(default_factory=CircuitBreaker)
    breakers: Breakers = as_written({})
    gate: Gate = Field(default_factory=Gate)
    baselines: Baselines = Field(default_factory=Baselines)
    data: Data = Field(default_factory=Data)
    prices: Prices = Field(default_factory=Prices)
    venues: dict[Annotated[str, AfterValidator(_venue_name)], Venue]
    alerts: Alerts = Field(default_factory=Alerts)
    broadcast: Broadcast = Field(default_factory=Broadcast)
    api: Api = Field(default_factory=Api)
    warden: WardenTable = as_written({})
    state: State = as_written({})
    fund: Fund | None = None

    _file: Path = PrivateAttr(default=Path("config.toml"))

    def model_post_init(self, context: Any) -> None:
        """Remember which file it is, where that was said: see `as_file`."""
        if context is not None:
            self._file = context["file"]

    @property
    def file(self) -> Path:
        """The file these settings were loaded from."""
        return self._file

    def alone(self, state_dir: Path) -> Settings:
        """The same in another state directory, and in no place that others see: for drills."""
        state = self.state.model_copy(update={"dir": state_dir, "store": SQLITE, "locks": (FILE,)})
        return self.model_copy(update={"guard": Guard(), "broadcast": Broadcast(), "state": state, "fund": None})

    @property
    def socket_path(self) -> Path:
        """The daemon's Unix socket."""
        return self.state.dir / self.api.socket

    @property
    def ledger_address(self) -> Address | None:
        """Where the fund's members share their record; None: there is no fund."""
        if self.fund is None:
            return None
        own, server = self.fund.ledger_address, self.state.server
        return own or server or next(iter(self.state.redis_locks), None)

    def data_for(self, venue: str) -> Data:
        """`[data]` with the venue's own times put over it. Raises KeyError for an unknown venue."""
        own = self.venues[venue]
        times = ("reconcile_every", "balance_stale", "position_stale", "price_stale")
        given = {key: getattr(own, key) for key in times if getattr(own, key) is not None}
        return self.data.model_copy(update=given)

    @model_validator(mode="before")
    @classmethod
    def _across_tables(cls, tables: Any) -> Any:
        """What one table says about keys of another."""
        if not isinstance(tables, Mapping):
            return tables
        _refuse_other_currency(tables)
        return _with_lookback(tables)

    @field_validator("venues")
    @classmethod
    def _some_venue(cls, venues: dict[str, Venue]) -> dict[str, Venue]:
        if not venues:
            raise ValueError("no venue is configured, so nothing would be guarded: add a [venues.NAME] table")
        return venues

    @model_validator(mode="after")
    def _rules_fit(self) -> Self:
        currency = self.portfolio.reference_currency
        for name, rule in self.breakers.rules.items():
            limits = [value for value in _values(rule) if isinstance(value, LossSize)]
            foreign = next((limit for limit in limits if limit.currency not in (None, currency)), None)
            if foreign is not None:
                raise Refused(f"breakers.{name}.limit", f"{str(foreign)!r} is not in the reference currency {currency}")
            venue = getattr(rule, "venue", None) if kind_of(rule) != OWN else None
            if venue is not None and venue not in self.venues:
                raise Refused(f"breakers.{name}.venue", _no_venue(venue, self.venues))
        return self

    @model_validator(mode="after")
    def _fund_fits(self) -> Self:
        currency, limit = self.portfolio.reference_currency, None if self.fund is None else self.fund.limit
        if limit is not None and limit.currency not in (None, currency):
            raise Refused("fund.limit", f"{str(limit)!r} is not in the reference currency {currency}")
        if self.fund is not None and self.ledger_address is None:
            raise Refused(
                "fund.ledger",
                "the members of a fund need a place that they share: set it to a PostgreSQL server or a Redis, or set"
                " state.store or state.locks to one",
            )
        if self.fund is not None and self.guard.peers:
            raise Refused(
                "fund",
                "two guards of one account would be two members of the fund, and a loss would count twice: take out"
                " guard.peers or [fund]",
            )
        return self

    @model_validator(mode="after")
    def _wardens_are_asked_safely(self) -> Self:
        if self.warden.host != LOCAL and self.api.tls_certificate is None:
            raise Refused(
                "warden.host",
                f"{self.warden.host} needs TLS, or no browser gives passkeys there: set api.tls_certificate and"
                f' tls_key, or write "{LOCAL}"',
            )
        return self

    @model_validator(mode="after")
    def _peers_meet(self) -> Self:
        if not self.guard.peers:
            return self
        if self.state.server is None and not self.state.redis_locks:
            raise Refused(
                "guard.peers",
                "guards of the same accounts need a place that they share: set state.store to a PostgreSQL server, or"
                " name a Redis in state.locks",
            )
        if self.circuit_breaker.auto_close_positions:
            raise Refused(
                "circuit_breaker.auto_close_positions",
                "several guards would close the same positions, and what is sold twice is short: set it to false, or"
                " take out guard.peers",
            )
        return self

    @model_validator(mode="after")
    def _venues_tell_apart(self) -> Self:
        seen: dict[str, str] = {}
        for name in self.venues:
            other = seen.setdefault(environment_name(name), name)
            if other != name:
                raise Refused(f"venues.{name}", f"it would share its credentials with {other}: rename one of them")
        return self

    @model_validator(mode="after")
    def _read_before_stale(self) -> Self:
        for name in self.venues:
            data = self.data_for(name)
            for key in ("balance_stale", "position_stale", "price_stale"):
                least_s = max(data.reconcile_every, STALE_LEAST_S)
                if getattr(data, key) <= least_s:
                    than = "what readings take" if least_s > data.reconcile_every else "reconcile_every"
                    table = "data" if getattr(self.venues[name], key) is None else f"venues.{name}"
                    raise Refused(
                        f"{table}.{key}",
                        f"{seconds_text(getattr(data, key))} is not longer than {than} ({seconds_text(least_s)}),"
                        " so every reading would be stale, and losses within stale_band trip nothing: set it above",
                    )
        return self


def _refuse_other_currency(tables: Mapping[str, Any]) -> None:
    currency = _in(tables, "portfolio", "reference_currency") or "USDT"
    for table, key in (("gate", "max_notional"), ("fund", "budget")):
        amount = _in(tables, table, key)
        named = amount.split()[1:] if isinstance(amount, str) else []
        if named and named[0] != currency:
            raise Refused(f"{table}.{key}", f"{amount!r} is not in the reference currency {currency}")


def _with_lookback(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule that does not say how far it looks back does so as [baselines] says."""
    days, rules = _in(tables, "baselines", "lookback_days"), tables.get("breakers")
    if days is None or not isinstance(rules, Mapping):
        return tables
    filled = {
        name: {"lookback_days": days, **rule}
        if isinstance(rule, Mapping) and OWN not in rule and _looks_back(rule.get("rule", name))
        else rule
        for name, rule in rules.items()
    }
    return {**tables, "breakers": filled}


def _looks_back(rule: object) -> bool:
    return isinstance(rule, str) and rule in RULES and "lookback_days" in RULES[rule].model_fields


def _in(tables: Mapping[str, Any], table: str, key: str) -> Any:
    found = tables.get(table)
    return found.get(key) if isinstance(found, Mapping) else None


def _values(rule: Table) -> Iterator[Any]:
    for _, value in rule:
        yield from value if isinstance(value, tuple) else (value,)


def _no_venue(name: str, venues: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, venues, n=1)
    meant = f'perhaps write "{near[0]}"' if near else f"write one of {', '.join(venues)}"
    return f"there is no venue {name!r}: {meant}"
