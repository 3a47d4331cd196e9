"""The table [fund]: one limit over several guards, and this guard's part in it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from risk_daemon.config.notation import Limit, Money, Refused, Table
from risk_daemon.fund.ledger import NAME
from risk_daemon.model.units import plain


def _is_a_name(value: str) -> str:
    if NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a name: use letters, digits, - and _")
    return value


class Fund(Table):
    """name: of the fund, the same in every guard's file; member: this guard's own, no other one's.

    limit: what all members may lose together, money, or a ratio of the capital that the fund is founded with.
    budget: how much of it this guard is set up with, money in the reference currency.
    """

    name: Annotated[str, AfterValidator(_is_a_name)]
    limit: Limit
    member: Annotated[str, AfterValidator(_is_a_name)]
    budget: Money

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
