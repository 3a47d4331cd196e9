"""The table [fund]: one limit over several guards, and this guard's part in it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from risk_daemon.config.notation import Limit, Money, Refused, Table
from risk_daemon.fund.ledger import NAME
from risk_daemon.model.units import plain
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.store import postgres_url
from risk_daemon.state.store.postgres_url import PostgresUrl

Address = PostgresUrl | RedisAddress


def _is_a_name(value: str) -> str:
    if NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a name: use letters, digits, - and _")
    return value


def _address(text: str) -> Address:
    """Raises ValueError, a sentence that repeats no password."""
    if text.startswith(tuple(f"{scheme}:" for scheme in postgres_url.SCHEMES)):
        return postgres_url.parse(text)
    if not text.startswith(("redis:", "rediss:")):
        raise ValueError(f'it is no ledger: write {postgres_url.EXAMPLE}, or "redis://127.0.0.1:6379/0"')
    return RedisAddress.of(text)


def _a_ledger(value: str) -> str:
    _address(value)
    return value


class Fund(Table):
    """name: of the fund, the same in every guard's file; member: this guard's own, no other one's.

    limit: what all members may lose together, money, or a ratio of the capital that the fund is founded with.
    budget: how much of it this guard is set up with, money in the reference currency.
    ledger: where the members share their record; None: where the state is shared, see `Settings.ledger_address`.
    """

    name: Annotated[str, AfterValidator(_is_a_name)]
    limit: Limit
    member: Annotated[str, AfterValidator(_is_a_name)]
    budget: Money
    ledger: Annotated[str, AfterValidator(_a_ledger)] | None = None

    @property
    def ledger_address(self) -> Address | None:
        """Of a place that is the ledger's own, if there is one."""
        return None if self.ledger is None else _address(self.ledger)

    @model_validator(mode="after")
    def _budget_within_the_limit(self) -> Self:
        most = self.limit.money
        if most is not None and self.budget > most:
            raise Refused(
                "fund.budget",
                f"{plain(self.budget)} is above the fund's limit of {self.limit}, and the budgets of all members may"
                " not sum above it: set it below",
            )
        return self
