"""How often bybit may be asked: per user and endpoint in a rolling second, and per address in five.

Figures of the venue's rate limit page for a unified account without a tier. Batches are counted by their
orders; what is beyond the limit fails by itself, within a reply that says that all is well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.simulated.wire.base import milliseconds

_SPOT_DOUBLE = frozenset({"/v5/order/create", "/v5/order/cancel", "/v5/order/cancel-all", "/v5/order/cancel-batch"})
_A_SECOND = {
    "/v5/order/create": 10,
    "/v5/order/cancel": 10,
    "/v5/order/cancel-all": 10,
    "/v5/order/cancel-batch": 10,
    "/v5/order/disconnected-cancel-all": 5,
    "/v5/order/realtime": 50,
    "/v5/position/list": 50,
    "/v5/account/wallet-balance": 50,
    "/v5/account/info": 50,
    "/v5/account/transaction-log": 25,
    "/v5/account/query-dcp-info": 5,
    "/v5/user/query-api": 10,
    "/v5/asset/coin/query-info": 5,
    "/v5/asset/transfer/query-account-coins-balance": 5,
    "/v5/asset/transfer/query-universal-transfer-list": 5,
    "/v5/asset/fundinghistory": 30,
    "/v5/spread/order/realtime": 50,
    "/v5/spread/order/cancel-all": 5,
    "/v5/strategy/list": 200,
    "/v5/strategy/stop": 100,
}
_A_MINUTE = {
    "/v5/asset/deposit/query-record": 100,
    "/v5/asset/deposit/query-internal-record": 100,
    "/v5/asset/withdraw/query-record": 300,
    "/v5/asset/transfer/query-inter-transfer-list": 60,
}
_OTHERS = 50
_AN_ADDRESS, _ADDRESS_WINDOW_S, _BAN_S = 600, 5.0, 600.0


@dataclass(slots=True)
class _Rolling:
    """What was used of a limit within the last `span_s`."""

    limit: int
    span_s: float = 1.0
    used: deque[float] = field(default_factory=deque)

    def take(self, wanted: int, wall: float) -> int:
        """How many of those wanted are granted."""
        while self.used and not wall - self.span_s < self.used[0] <= wall:
            self.used.popleft()
        granted = min(wanted, self.limit - len(self.used))
        self.used.extend([wall] * granted)
        return granted

    def headers(self, wall: float, *, is_over: bool) -> tuple[tuple[str, str], ...]:
        reset = self.used[0] + self.span_s if is_over and self.used else wall
        return (
            ("X-Bapi-Limit", str(self.limit)),
            ("X-Bapi-Limit-Status", str(self.limit - len(self.used))),
            ("X-Bapi-Limit-Reset-Timestamp", str(milliseconds(reset))),
        )


class Limits:
    """The counts of one user behind one address."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, bool], _Rolling] = {}
        self._address = _Rolling(_AN_ADDRESS, _ADDRESS_WINDOW_S)
        self._banned_until = 0.0

    def bans(self, wall: float) -> bool:
        """Count a request of the address; is it shut out? Once over the limit, for ten minutes."""
        if self._address.take(1, wall) == 0 and wall >= self._banned_until:
            self._banned_until = wall + _BAN_S
        return wall < self._banned_until

    def take(self, path: str, form: Mapping[str, Any], wanted: int, wall: float) -> int:
        """Count so many calls of an endpoint (or rows of a batch): how many are granted."""
        return self._pool(path, form).take(wanted, wall)

    def headers(self, path: str, form: Mapping[str, Any], wall: float, *, is_over: bool) -> tuple[tuple[str, str], ...]:
        """What every reply tells of the limit."""
        return self._pool(path, form).headers(wall, is_over=is_over)

    def _pool(self, path: str, form: Mapping[str, Any]) -> _Rolling:
        is_spot = path in _SPOT_DOUBLE and form.get("category") == "spot"
        if (path, is_spot) not in self._pools:
            minute = _A_MINUTE.get(path)
            second = _A_SECOND.get(path, _OTHERS) * (2 if is_spot else 1)
            self._pools[path, is_spot] = _Rolling(second) if minute is None else _Rolling(minute, 60.0)
        return self._pools[path, is_spot]
