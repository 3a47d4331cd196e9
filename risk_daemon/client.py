"""What a bot imports: may I send this order? Standard library only.

    gate = TradingGate("/var/lib/risk-daemon", url="http://127.0.0.1:8787", token=TOKEN)
    if gate.is_open():                                   # the gate's page in memory, about a microsecond
        ...
    answer = gate.check(venue="kraken", symbol="BTC/USDT", side="buy", quantity="0.1", price="60000")
    if answer:                                           # true while the lease for this order is valid
        send_order()

The file `gate.bin` (`state/lock/memory_map.py` has its layout) knows the lock and nothing else; over HTTP the daemon
also judges the order, its venue and its bot, and counts it. On another machine the gate is asked in Redis
(`redis="rediss://..."`), which needs the package `redis`. No file, no daemon, a daemon that has not evaluated for a
second, an answer that is late or odd: the answer is no.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from risk_daemon.bot.answers import LOCKED, NO_ANSWER, GateAnswer, Lease
from risk_daemon.bot.orders import ProposedOrder, proposed
from risk_daemon.bot.port import OrderGate
from risk_daemon.bot.refusals import Refusals
from risk_daemon.bot.reports import ERROR_KINDS, Reporter
from risk_daemon.state.lock.base import LockRecord, boot_id
from risk_daemon.state.lock.memory_map import (
    FILE_NAME,
    HEAD,
    MAX_VALID_MS,
    OPEN,
    Opened,
    prefix,
    read_opened,
)

if TYPE_CHECKING:
    from risk_daemon.bot.over_http import DaemonGate
    from risk_daemon.bot.over_redis import RedisGates

__all__ = ["ERROR_KINDS", "DaemonGate", "GateAnswer", "Lease", "OrderGate", "ProposedOrder", "TradingGate"]

_NS_IN_MS = 1_000_000
_now_ns = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
_head = HEAD.unpack


def __getattr__(name: str) -> Any:
    """DaemonGate when it is first used: HTTP takes as long to load as all the rest."""
    if name != "DaemonGate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from risk_daemon.bot.over_http import DaemonGate

    return DaemonGate


class TradingGate(Reporter):
    """The daemon's gate: its page in memory first, then Redis, then, where a url is given, HTTP. Thread-safe.

    path: the state directory, or the file `gate.bin` in it. redis: one address or several, and whose gates are asked
    there (`group`, `guards`), see RedisGates. It is open only where all that are given say so, and one at least is.
    url, token, timeout_s, ca_file: as for DaemonGate; without a url, `check` answers from the gate alone and reports go
    nowhere. May be made before there is a daemon: the gate is shut until there is one. Raises ValueError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 1.0,
        ca_file: str | os.PathLike[str] | None = None,
        redis: str | Sequence[str] | None = None,
        group: str = "main",
        guards: Sequence[str] = ("main",),
        redis_password: str | None = None,
        redis_timeout_s: float = 0.05,
    ) -> None:
        if path is None and redis is None:
            raise ValueError("there is no gate to ask: give the state directory, or a Redis, or take DaemonGate")
        self._path = None if path is None else _file_of(Path(path))
        self._elsewhere: RedisGates | None = None
        if redis is not None:
            self._elsewhere = _redis(redis, group, guards, redis_password, redis_timeout_s, ca_file)
        self._opened: Opened | None = None
        self._boot = _boot_id_or_none()
        self._prefix = prefix(self._boot) if self._boot is not None else None
        self._daemon = None if url is None else _daemon(url, token, timeout_s, ca_file)
        self._refusals = None if self._daemon is None else Refusals(self._daemon._tell_refused)

    def is_open(self) -> bool:
        """True only while a living daemon says so. Raises nothing.

        One look suffices: state and stamp are a word each, so what a write overlaps is the state before or after.
        """
        opened = self._opened
        if opened is not None:
            try:
                found, sequence, stamp_ns, state, valid_ms = _head(opened.head())
            except (OSError, struct.error):
                return self._ask_again()
            if state == OPEN and found == self._prefix and not sequence & 1:
                age_ns = _now_ns() - stamp_ns
                if 0 <= age_ns <= _NS_IN_MS * (valid_ms if valid_ms < MAX_VALID_MS else MAX_VALID_MS):
                    return self._elsewhere is None or self._is_open_elsewhere(self._elsewhere)
        return self._ask_again()

    def reason(self) -> str:
        """Why it is shut: the cause of the lock, `locked` if that can't be read; empty while it is open."""
        answer = self.peek()
        return "" if answer.allowed else answer.veto_reason or LOCKED

    def peek(self) -> GateAnswer:
        """What file and Redis say; a yes lasts as long as the daemon's last word. Raises nothing."""
        here = self._peek_here()
        return self._together(here, self._peek_there()) if here.allowed else here

    async def apeek(self) -> GateAnswer:
        """As `peek`, without blocking the event loop."""
        here = self._peek_here()
        return self._together(here, await self._apeek_there()) if here.allowed else here

    def _peek_here(self) -> GateAnswer:
        """What the file alone says. Where there is to be none it refuses nothing, and gives no lease."""
        if self._path is None:
            return GateAnswer(allowed=True)
        self._current()
        lease, record = self._lease(), self._read()  # in this order: no lease is longer than the record is true
        if record is None or (lease is None and not record.locked):
            return GateAnswer(
                allowed=False, veto_reason=LOCKED, detail=f"{self._path}: there is no gate that can be read"
            )
        if record.locked:
            from risk_daemon.bot.standing import shut  # brings JSON along: not while nothing is wrong

            return shut(self._path, record.cause, record.trip_id, record.until_wall)
        return GateAnswer(allowed=True, lease=lease)

    def _peek_there(self) -> GateAnswer:
        """What Redis alone says. Where there is to be none it refuses nothing, and gives no lease."""
        return GateAnswer(allowed=True) if self._elsewhere is None else self._elsewhere.look().answer()

    async def _apeek_there(self) -> GateAnswer:
        return GateAnswer(allowed=True) if self._elsewhere is None else (await self._elsewhere.alook()).answer()

    def _together(self, here: GateAnswer, there: GateAnswer) -> GateAnswer:
        """The map's no comes first, as it has the reason."""
        return here if self._elsewhere is None or not here.allowed else _first_to_end(here, there)

    def peek_venue(self, venue: str) -> GateAnswer:
        """As `peek`, and no while `venue` alone is halted. A name that is no venue's has no halt of its own.

        That is read from `risk.json` beside the map, which is up to a second old; no other gate knows it, so without
        a map it is no. Raises nothing.
        """
        from risk_daemon.bot.standing import halted

        standing = self.peek()
        if self._path is None and standing.allowed:
            detail = f"whether {venue} is halted stands in the state directory alone: give it as well, or ask by a url"
            return GateAnswer(allowed=False, veto_reason=LOCKED, detail=detail)
        halt = halted(self._path, venue) if self._path is not None and standing.allowed else None
        return standing if halt is None else halt

    def check(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        """The answer to an order, given whole or by its fields. Raises ValueError for one that makes no sense.

        A shut gate is a no without asking further, but for reduce-only orders: those the daemon may let pass where its
        map is shut. Not where Redis says no: that may be of another guard, of which this daemon knows nothing. The
        daemon is told of what its map refused, and nobody waits for that.
        """
        wanted, here = proposed(order, fields), self._peek_here()
        if not self._may_pass(wanted, here):
            return self._refused(wanted, here)
        there = self._peek_there()
        if self._daemon is None or not there.allowed:
            return self._refused(wanted, self._together(here, there))
        answer = self._daemon.check(wanted)
        if not answer.allowed:
            return self._vetoed(wanted, here, answer)
        return self._still(wanted, answer, self.peek() if here.allowed else self._peek_there())

    async def acheck(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        """As `check`, without blocking the event loop."""
        wanted, here = proposed(order, fields), self._peek_here()
        if not self._may_pass(wanted, here):
            return self._refused(wanted, here)
        there = await self._apeek_there()
        if self._daemon is None or not there.allowed:
            return self._refused(wanted, self._together(here, there))
        answer = await self._daemon.acheck(wanted)
        if not answer.allowed:
            return self._vetoed(wanted, here, answer)
        return self._still(wanted, answer, await (self.apeek() if here.allowed else self._apeek_there()))

    def tell_refused(self, order: ProposedOrder | None, answer: GateAnswer, where: str = "") -> None:
        """For whoever asks by `peek`: let the daemon write down that `order` was refused with `answer`.

        order None: it was not read; where: what was refused then, in words. Returns at once and raises nothing;
        without a url nobody is told.
        """
        if self._refusals is not None and not answer.allowed:
            self._refusals.tell(order, answer, where)

    def _refused(self, order: ProposedOrder, standing: GateAnswer) -> GateAnswer:
        self.tell_refused(order, standing)
        return standing

    def _may_pass(self, order: ProposedOrder, here: GateAnswer) -> bool:
        """Whether there is anybody to be asked who may say yes."""
        return here.allowed or (order.reduce_only and self._daemon is not None)

    def _vetoed(self, order: ProposedOrder, here: GateAnswer, answer: GateAnswer) -> GateAnswer:
        """`answer`, unless the map knows why nobody answered."""
        return self._refused(order, here) if not here.allowed and answer.veto_reason == NO_ANSWER else answer

    def _still(self, order: ProposedOrder, answer: GateAnswer, now: GateAnswer) -> GateAnswer:
        """`answer`, unless what is not for the daemon to overrule is shut `now`."""
        return answer if now.allowed else self._refused(order, now)

    def _tell(self, document: Mapping[str, Any]) -> bool:
        return self._daemon is not None and self._daemon._tell(document)

    async def _atell(self, document: Mapping[str, Any]) -> bool:
        return self._daemon is not None and await self._daemon._atell(document)

    def _ask_again(self) -> bool:
        """The slow way: another file may stand there now, and a write may have been under way."""
        record = self._read()
        is_open_here = self._path is None or (record is not None and not record.locked)
        return is_open_here and (self._elsewhere is None or self._is_open_elsewhere(self._elsewhere))

    def _is_open_elsewhere(self, gates: RedisGates) -> bool:
        look = gates.look()
        return not look.record.locked and look.lease is not None and look.lease.is_valid()

    def _read(self) -> LockRecord | None:
        """None: there is nothing to be read."""
        opened = self._current()
        return None if opened is None or self._boot is None else read_opened(opened, self._boot, _now_ns)

    def _lease(self) -> Lease | None:
        opened = self._opened
        try:
            _, _, stamp_ns, _, valid_ms = _head(b"" if opened is None else opened.head())
        except (OSError, struct.error):
            return None
        return Lease(min(valid_ms, MAX_VALID_MS), stamp_ns)

    def _current(self) -> Opened | None:
        """The file that stands there now. One that is gone is not asked any more."""
        opened = self._opened
        if self._path is None:
            return None
        try:
            if opened is None or not _is_at(opened, self._path):
                self._opened = opened = Opened(self._path)
        except OSError:
            self._opened = None
            return None
        return opened


def _file_of(given: Path) -> Path:
    return given if given.suffix == ".bin" else given / FILE_NAME


def _first_to_end(here: GateAnswer, there: GateAnswer) -> GateAnswer:
    """Of two that allow it the one whose lease ends first; else what is refused."""
    if here.lease is None or there.lease is None:
        return there
    return min(here, there, key=_end_ns)


def _end_ns(answer: GateAnswer) -> int:
    return 0 if answer.lease is None else answer.lease.asked_ns + answer.lease.valid_for_ms * _NS_IN_MS


def _is_at(opened: Opened, path: Path) -> bool:
    try:
        return opened.is_at(path)
    except OSError:
        return False


def _daemon(url: str, token: str | None, timeout_s: float, ca_file: str | os.PathLike[str] | None) -> DaemonGate:
    from risk_daemon.bot.over_http import DaemonGate

    return DaemonGate(url, token, timeout_s=timeout_s, ca_file=ca_file)


def _redis(
    redis: str | Sequence[str],
    group: str,
    guards: Sequence[str],
    password: str | None,
    timeout_s: float,
    ca_file: str | os.PathLike[str] | None,
) -> RedisGates:
    from risk_daemon.bot.over_redis import RedisGates

    urls = [redis] if isinstance(redis, str) else list(redis)
    return RedisGates(urls, group=group, guards=guards, password=password, timeout_s=timeout_s, ca_file=ca_file)


def _boot_id_or_none() -> bytes | None:
    try:
        return boot_id()
    except OSError:
        return None
