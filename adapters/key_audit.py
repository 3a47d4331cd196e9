"""How a venue is asked what its key may do, as data; what it answers is `adapters.base.KeyPowers`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from adapters.base import KeyPowers

__all__ = ["KeyAudit", "KeyPowers", "may_withdraw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAudit:
    """The call of ccxt's client that tells, and how its reply reads. `reads` raises MalformedReply for an odd one.

    key_param: the name under which the key itself is sent, where the venue wants to be told which.
    """

    call: str
    reads: Callable[[Any], KeyPowers]
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    key_param: str = ""


def may_withdraw(words: Collection[str], grants: Collection[str], others: Collection[str]) -> bool | None:
    """What a key's permissions, in words, say of withdrawals; a word that nobody knows, or none at all, says nothing.

    grants: those that allow them. others: those that are known not to.
    """
    if not frozenset(words).isdisjoint(grants):
        return True
    return False if words and frozenset(words) <= frozenset(others) else None
