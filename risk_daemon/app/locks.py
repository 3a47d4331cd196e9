"""The locks that are on other machines, as the configuration names them, and what `check` says of them."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.credentials import lock_password
from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError, ExitCode, RecordError
from risk_daemon.model.clock import Clock
from risk_daemon.state.lock.redis import RedisLock, require_redis

_LOG = structlog.get_logger(__name__)


def remote_locks(settings: Settings, clock: Clock) -> Sequence[RedisLock]:
    """Nothing is connected yet: one that is out of reach keeps nobody from guarding. Raises ConfigError."""
    addresses = settings.state.redis_locks
    if not addresses:
        return ()
    require_redis(f"{settings.file}: state.locks")
    password = lock_password()
    guard = settings.guard
    return [
        RedisLock(address, group=guard.group, guard=guard.name, peers=guard.peers, password=password, clock=clock)
        for address in addresses
    ]


def remote_locks_that_can_be_had(settings: Settings, clock: Clock) -> Sequence[RedisLock]:
    """Where a trip is to be finished, none of them is a reason not to."""
    try:
        return remote_locks(settings, clock)
    except ConfigError as error:
        _LOG.critical("locks_left_out", error=str(error), effect="bots that ask there are refused")
        return ()


async def lock_findings(settings: Settings, clock: Clock) -> list[Finding]:
    """Whether each can be written by now. Nothing is."""
    try:
        locks = remote_locks(settings, clock)
    except ConfigError as error:
        return [Finding(Level.PROBLEM, "state.locks", str(error), ExitCode.REFUSED)]
    return [finding for lock in locks for finding in await _of_lock(lock)]


async def _of_lock(lock: RedisLock) -> list[Finding]:
    findings = []
    try:
        findings.append(Finding(Level.OK, lock.name, await lock.probe()))
    except RecordError as error:
        sentence = f"{error}; the guard guards without it, and bots that ask there are refused until it can be written"
        findings.append(Finding(Level.WARNING, lock.name, sentence))
    finally:
        await lock.aclose()
    if lock.is_in_the_clear:
        sentence = "not encrypted: whoever is on the way can say open to bots; use rediss:// or a network of your own"
        findings.append(Finding(Level.WARNING, lock.name, sentence))
    return findings
