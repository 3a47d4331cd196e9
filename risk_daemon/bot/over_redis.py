"""The gate asked in Redis, for bots on other machines. Needs the package `redis`, which is loaded only here.

A look is one transaction: what the server is, its clock, and the gates of the guards that are asked for. The server
must be a master (a replica may be behind), and what counts is in `state/lock/redis_record.py`. Every look has an end in
time, name servers and servers that answer byte by byte included: a thread asks, and whoever waits for it stops waiting.
Those who wait together share one look, if it began after each of them asked.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.bot.answers import LOCKED, GateAnswer, Lease, boot_ns
from risk_daemon.bot.standing import iso
from risk_daemon.bot.threads import ForkSafeThreads
from risk_daemon.state.lock.base import UNREADABLE, LockRecord
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.lock.redis_record import LEASE_MS, Gate, Seen, judge, key_of

if TYPE_CHECKING:
    from redis import Redis

TIMEOUT_S: Final = 0.05
MAX_TIMEOUT_S: Final = 1.0
_RETRY_AFTER_S: Final = 0.25
_MAX_RECORD: Final = 8192
_MAX_DETAIL: Final = 300
_NO_KEY: Final = -2
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found. lease: how long an `open` holds, from before the question. detail: why it is shut, in words."""

    record: LockRecord
    lease: Lease | None = None
    detail: str = ""

    def answer(self) -> GateAnswer:
        """As an answer to an order."""
        if not self.record.locked:
            return GateAnswer(allowed=True, lease=self.lease)
        until = self.record.until_wall
        return GateAnswer(
            allowed=False,
            veto_reason=self.record.cause or LOCKED,
            detail=self.detail,
            trip_id=self.record.trip_id,
            locked_until=None if until is None else iso(until),
        )


class RedisGates:
    """The gates of some guards of a group, in one Redis or several: open only where every one of them says so.

    Thread-safe, survives a fork. urls: see RedisAddress; a user may be in it. password: for all of them.
    timeout_s: for one look, at most 1 s. ca_file: certificates to trust besides the system's. Raises ValueError,
    and ImportError where the package is not installed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        group: str = "main",
        guards: Sequence[str] = ("main",),
        password: str | None = None,
        timeout_s: float = TIMEOUT_S,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if not 0 < timeout_s <= MAX_TIMEOUT_S:
            raise ValueError(f"redis_timeout_s is {timeout_s}: at most {MAX_TIMEOUT_S:g} s")
        if not urls or not guards or isinstance(guards, str) or not all(guards):
            raise ValueError("name a Redis, and a guard at least, in a list")
        _require()  # the first look has no time for it
        self._timeout_s = timeout_s
        self._servers = [_Server(RedisAddress.of(url), group, guards, password, timeout_s, ca_file) for url in urls]

    def look(self) -> Look:
        """What they say now, or why that can't be told. Raises nothing."""
        try:
            looks = [server.begin() for server in self._servers]
        except RuntimeError as error:
            return _nothing(f"no thread can be had: {error}")
        wait_for_all(looks, self._timeout_s)
        return self._together(looks)

    async def alook(self) -> Look:
        """As `look`, without blocking the event loop."""
        import asyncio  # only for those who have it anyway

        try:
            looks = [server.begin() for server in self._servers]
        except RuntimeError as error:
            return _nothing(f"no thread can be had: {error}")
        await asyncio.wait({asyncio.wrap_future(_followed(look)) for look in looks}, timeout=self._timeout_s)
        return self._together(looks)

    def _together(self, looks: Sequence[Future[Look]]) -> Look:
        found = [self._found(server, look) for server, look in zip(self._servers, looks, strict=True)]
        shut = [look for look in found if look.record.locked or look.lease is None]
        if shut:
            return max(shut, key=lambda look: bool(look.record.trip_id) + (look.record.cause != LOCKED))
        return min(found, key=_end_ns)

    def _found(self, server: _Server, look: Future[Look]) -> Look:
        if not look.done():
            return _nothing(f"{server.name}: no answer within {self._timeout_s * 1000:g} ms")
        return look.result()


def _end_ns(look: Look) -> int:
    return 0 if look.lease is None else look.lease.asked_ns + look.lease.valid_for_ms * 1_000_000


def _followed(look: Future[Look]) -> Future[Look]:
    """One that may be cancelled: others may be waiting for `look` itself."""
    follower: Future[Look] = Future()

    def tell(_done: Future[Look]) -> None:
        if follower.set_running_or_notify_cancel():
            follower.set_result(look.result())

    look.add_done_callback(tell)
    return follower


def _nothing(why: str) -> Look:
    return Look(record=UNREADABLE, detail=why[:_MAX_DETAIL])


class _Server:
    """One Redis, asked by one thread over one connection."""

    def __init__(
        self,
        address: RedisAddress,
        group: str,
        guards: Sequence[str],
        password: str | None,
        timeout_s: float,
        ca_file: str | os.PathLike[str] | None,
    ) -> None:
        self.name = str(address)
        self._address, self._password, self._timeout_s, self._ca_file = address, password, timeout_s, ca_file
        self._group, self._guards = group, tuple(guards)
        self._threads = ForkSafeThreads(1)
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._next: Future[Look] | None = None
        self._began_ns: int | None = None
        self._failed_ns: int | None = None
        self._why = ""
        self._client: Redis | None = None
        self._words: dict[str, tuple[tuple[str, int], int]] = {}
        self._owner = os.getpid()

    def begin(self) -> Future[Look]:
        """A look that begins after now. Raises RuntimeError when the program is ending."""
        if self._owner != os.getpid():
            self._start()
        with self._lock:
            began_ns = self._began_ns
            if began_ns is not None and boot_ns() - began_ns > self._timeout_s * _NS:
                return _at_once(_nothing(f"{self.name}: it has not answered the look before"))
            if self._next is None:
                self._next = self._threads.submit(self._look)
            return self._next

    def _look(self) -> Look:
        with self._lock:
            self._next, self._began_ns = None, boot_ns()
        try:
            return self._ask()
        finally:
            with self._lock:
                self._began_ns = None

    def _ask(self) -> Look:
        asked_ns = boot_ns()
        if self._failed_ns is not None and 0 <= asked_ns - self._failed_ns < _RETRY_AFTER_S * _NS:
            return _nothing(self._why)
        try:
            look = self._judged(asked_ns, *self._told())
        except Exception as error:  # whatever a server answers, it is not a yes
            self._failed_ns, self._why = boot_ns(), f"{self.name}: {str(error) or type(error).__name__}"
            self._hang_up()
            return _nothing(self._why)
        self._failed_ns = None
        return look

    def _told(self) -> tuple[Sequence[Any], Mapping[str, Any], tuple[int, int], Sequence[Any]]:
        """What the server is, which one, its clock; then of each guard the record and its time to live, in ms."""
        with self._connected().pipeline(transaction=True) as pipeline:
            pipeline.role()
            pipeline.info("server")
            pipeline.time()
            for guard in self._guards:
                key = key_of(self._group, guard)
                pipeline.getrange(key, 0, _MAX_RECORD - 1)
                pipeline.pttl(key)
            role, server, time, *rows = pipeline.execute()
        return role, server, time, rows

    def _judged(
        self, asked_ns: int, role: Sequence[Any], server: Mapping[str, Any], time: tuple[int, int], rows: Sequence[Any]
    ) -> Look:
        if role[0] != "master":
            self._hang_up()  # the name may lead to the master by now
            return _nothing(f"{self.name}: it is no master, and may be behind one")
        time_us, run_id = int(time[0]) * 1_000_000 + int(time[1]), str(server["run_id"])
        opened: list[Gate] = []
        others: dict[str, Gate | None] = {}
        for guard, text, pttl_ms in zip(self._guards, rows[::2], rows[1::2], strict=True):
            found = None if pttl_ms == _NO_KEY and not text else text  # an empty record is an odd one
            gate = judge(Seen(text=found, pttl_ms=pttl_ms, time_us=time_us, server=run_id), self._group, guard)
            if gate is None or gate.stands_aside:
                others[guard] = gate
            elif gate.record.locked or self._is_old(guard, gate):
                return Look(record=_locked(gate), detail=self._why_shut(guard, gate))
            else:
                opened.append(gate)
        return self._by_peers(opened, others, asked_ns)

    def _by_peers(self, opened: Sequence[Gate], others: Mapping[str, Gate | None], asked_ns: int) -> Look:
        """Open where one says so whose peers all the others are. others: who stands aside; None: who says nothing."""
        for guard, gate in others.items():
            if any(guard in one.peers for one in opened):
                continue
            if gate is not None:
                return Look(record=_locked(gate), detail=self._why_shut(guard, gate))
            return _nothing(f"{self.name}: guard {guard} of {self._group} does not say open")
        return Look(record=opened[0].record, lease=Lease(min(gate.left_ms for gate in opened), asked_ns))

    def _is_old(self, guard: str, gate: Gate) -> bool:
        """Whether this very `open` has been seen for longer than any lease, by our clock: the server's stands still."""
        word, since_ns = self._words.get(guard, (None, 0))
        if word != gate.word:
            self._words[guard] = gate.word, boot_ns()
            return False
        return boot_ns() - since_ns > LEASE_MS * 1_000_000

    def _why_shut(self, guard: str, gate: Gate) -> str:
        if not gate.record.locked:
            return f"{self.name}: guard {guard} has not said open again for longer than a lease"
        return (
            f"{self.name}: guard {guard} says locked" if gate.record.cause != LOCKED else f"{self.name}: {guard}: shut"
        )

    def _connected(self) -> Redis:
        if self._client is None:
            self._client = _client(self._address, self._password, self._timeout_s, self._ca_file)
        return self._client

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.connection_pool.disconnect()


def _locked(gate: Gate) -> LockRecord:
    return gate.record if gate.record.locked else UNREADABLE


def _at_once(look: Look) -> Future[Look]:
    done: Future[Look] = Future()
    done.set_result(look)
    return done


def _require() -> None:
    """Raises ImportError."""
    try:
        import redis  # noqa: F401 - only whether it is there, and loaded
    except ImportError as error:
        raise ImportError("a gate in Redis needs the package: install `risk-daemon[redis]`, or `redis`") from error


def _client(
    address: RedisAddress, password: str | None, timeout_s: float, ca_file: str | os.PathLike[str] | None
) -> Redis:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(
        host=address.host,
        port=address.port,
        db=address.database,
        username=address.user,
        password=password,
        ssl=address.is_secure,
        ssl_ca_certs=None if ca_file is None else os.fspath(ca_file),
        socket_timeout=timeout_s,
        socket_connect_timeout=MAX_TIMEOUT_S,  # nobody waits for it: who asks meanwhile is told no
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
        driver_info=None,
        max_connections=2,
    )
