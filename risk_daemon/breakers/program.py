"""What a program of one's own hands to a rule: values that must be plain numbers, or they are refused.

A refused value moves no state: it neither trips a rule nor opens one.
"""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.breakers.base import Number
from risk_daemon.model.units import finite


def worth(name: str, value: Number) -> Decimal:
    """`value` as a Decimal; below zero it is a debt. Raises ValueError for None, NaN, infinities and no number."""
    try:
        return finite(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def base(name: str, value: Number) -> Decimal:
    """As `worth`, and above zero: what a loss is measured from."""
    number = worth(name, value)
    if number <= 0:
        raise ValueError(f"{name} is {number}: nothing can be measured from it")
    return number
