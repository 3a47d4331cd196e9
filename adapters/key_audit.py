"""What a venue tells of the key itself: what it may do, and from where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPowers:
    """None: the venue does not tell."""

    may_read: bool | None = None
    may_cancel: bool | None = None
    may_withdraw: bool | None = None
    is_bound: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAudit:
    """The call of ccxt's client that tells, and how its reply reads. `reads` raises MalformedReply for an odd one.

    key_param: the name under which the key itself is sent, where the venue wants to be told which.
    """

    call: str
    reads: Callable[[Any], KeyPowers]
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    key_param: str = ""
