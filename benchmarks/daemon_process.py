"""The daemon as a process of its own, on simulated venues, with everything in a directory that is thrown away."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.client import TradingGate

MARKETS = {"kraken": "spot", "krakenfutures": "perp"}
UP_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Account:
    """One simulated venue: its name in the configuration, its exchange, and where it listens."""

    name: str
    exchange: str
    endpoint: str


def config(accounts: Iterable[Account], capital: int, **circuit_breaker: str) -> str:
    """A config.toml. circuit_breaker: further keys of that table, as TOML has them."""
    rows = [f"{key} = {value}" for key, value in circuit_breaker.items()]
    lines = ["[portfolio]", f"initial_capital = {capital}", "[circuit_breaker]", *rows]
    lines += ["[baselines]", 'peak_hold = "1s"', "[api]", 'listen = "127.0.0.1:0"']
    for account in accounts:
        lines += [f"[venues.{account.name}]", f'exchange = "{account.exchange}"']
        lines += [f'markets = ["{MARKETS[account.exchange]}"]', f'endpoint = "{account.endpoint}"']
    return "\n".join(lines) + "\n"


def environment(accounts: Iterable[Account]) -> Mapping[str, str]:
    """This one without the daemon's own variables, and with the accounts' keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RISK_DAEMON_")}
    for account in accounts:
        kept[f"RISK_DAEMON_{account.name.upper()}_API_KEY"] = API_KEY
        kept[f"RISK_DAEMON_{account.name.upper()}_SECRET"] = API_SECRET
    return kept


class Home:
    """A directory in which `risk-daemon init` was run: its state can be put back as it was then."""

    def __init__(self, directory: Path, accounts: Iterable[Account], text: str) -> None:
        self._environment = environment(accounts)
        self._config = directory / "config.toml"
        self._config.write_text(text)
        self._kept = directory / "kept"
        self._output = directory / "output.txt"
        self._said = directory / "notify.sock"
        self.state = directory / "var"

    async def init(self) -> None:
        """Set it up. Raises RuntimeError with what was said if that is refused."""
        process = await self._spawn("init", "--yes")
        if await process.wait():
            raise RuntimeError(self._output.read_text())
        shutil.copytree(self.state, self._kept)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        """`risk-daemon run` on the state as it was after `init`, until the end of the block."""
        shutil.rmtree(self.state)
        shutil.copytree(self._kept, self.state)
        self._said.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
            said.bind(str(self._said))
            said.setblocking(False)
            begun = time.perf_counter()
            process = await self._spawn("run", NOTIFY_SOCKET=str(self._said))
            try:
                yield Running(process, said, begun, self.state, self._output)
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                await process.wait()

    async def _spawn(self, *words: str, **more: str) -> asyncio.subprocess.Process:
        with self._output.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "risk_daemon", *words, "--config", str(self._config)),
                env={**self._environment, **more},
                cwd=self._config.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that runs. begun: seconds of perf_counter at its start."""

    process: asyncio.subprocess.Process
    said: socket.socket
    begun: float
    state: Path
    output: Path

    async def ready_s(self) -> float:
        """Seconds from its start until it told the service manager READY."""
        deadline = self.begun + UP_WITHIN_S
        while True:
            try:
                if b"READY=1" in self.said.recv(4096):
                    return time.perf_counter() - self.begun
            except BlockingIOError:
                await self._pause(deadline, "READY")

    async def open(self) -> None:
        """Until new orders are allowed."""
        gate, deadline = TradingGate(self.state), time.perf_counter() + UP_WITHIN_S
        while not gate.is_open():
            await self._pause(deadline, "an open gate")

    def api_address(self) -> str:
        """Where it listens for bots and people, by its own word in the event log."""
        lines = map(json.loads, (self.state / "events.jsonl").read_text().splitlines())
        return next(line["address"] for line in lines if line["event"] == "api_listening")

    async def _pause(self, deadline: float, awaited: str) -> None:
        if self.process.returncode is not None or time.perf_counter() > deadline:
            raise RuntimeError(f"the daemon did not come to {awaited}: {self.output.read_text()}")
        await asyncio.sleep(_LOOK_EVERY_S)

    def resident_bytes(self) -> int:
        """Its VmRSS."""
        return resident_bytes(self.process.pid)


def resident_bytes(pid: int) -> int:
    """VmRSS of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = next(line for line in lines if line.startswith("VmRSS:")).split()[1]
    return int(kib) * 1024
