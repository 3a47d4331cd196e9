"""Real processes for end-to-end tests: a venue, the daemon, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS_KEY = "docs-key"
WAIT_S = 60.0


def wait_for(condition: Callable[[], Any], what: str | Callable[[], str], within_s: float = WAIT_S) -> Any:
    """Poll until `condition` gives something true; fail with `what`, as it is then, if it doesn't in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {within_s} s in vain for {what if isinstance(what, str) else what()}")


def http(method: str, url: str, body: Mapping[str, Any] | None = None, token: str | None = None) -> Any:
    """One JSON request, to a venue's control face or, with a token, to a daemon."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url} {body}: {error.code} {error.read().decode()}") from error


class Venue:
    """A venue in a process of its own, that says its port in a first line of JSON.

    host: where it listens.
    """

    def __init__(self, command: list[str], control: str, host: str = "127.0.0.1") -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.endpoint = f"http://{host}:{self.port}"
        self._control = control

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Its control face."""
        return http(method, self.endpoint + path, body)

    def post(self, path: str = "", **body: Any) -> Any:
        return self.ask("POST", self._control + path, body)

    def delete(self, path: str = "", **body: Any) -> Any:
        return self.ask("DELETE", self._control + path, body)

    def get(self, path: str = "") -> Any:
        return self.ask("GET", self._control + path)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def documented_kraken() -> Venue:
    """The independent server, written from the exchange's documentation alone."""
    script = ROOT / "tests" / "e2e" / "venues" / "kraken_from_docs.py"
    return Venue([sys.executable, str(script), "--port", "0"], "/control")


def simulated(kind: str) -> Venue:
    """Our own simulated venue, as the command serves it."""
    return Venue([sys.executable, "-m", "risk_daemon", "simulate-venue", kind, "--port", "0"], "/_sim")


def docs_secret() -> str:
    """The secret of the independent server's account."""
    import base64

    return base64.b64encode(b"kraken, as its documentation has it").decode()


class Daemon:
    """A state directory with a config, and the processes run on it one after the other.

    within: what stands before every command, so that it runs on another machine.
    """

    def __init__(
        self, directory: Path, config: str, keys: Mapping[str, tuple[str, ...]], within: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self._program = [*within, sys.executable, "-m", "risk_daemon"]
        self.config = directory / "config.toml"
        port_of_its_own = "" if "[api]" in config else '\n[api]\nlisten = "127.0.0.1:0"\n'
        self.config.write_text(config + port_of_its_own)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("RISK_DAEMON_")}
        for venue, parts in keys.items():
            for name, part in zip(("API_KEY", "SECRET", "PASSWORD"), parts, strict=False):
                self.environment[f"RISK_DAEMON_{venue.upper()}_{name}"] = part
        self.process: subprocess.Popen[bytes] | None = None
        self.runs = 0

    @property
    def state(self) -> Path:
        return self.directory / "var"

    def command(self, *words: str, timeout_s: float = WAIT_S) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            [*self._program, *words, "--config", str(self.config)],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def start(self, **environment: str) -> Daemon:
        """`risk-daemon run`, in the background."""
        self.runs += 1
        self._errors = (self.directory / f"stderr{self.runs}.txt").open("wb")
        self.process = subprocess.Popen(
            [*self._program, "run", "--config", str(self.config)],
            env={**self.environment, **environment},
            cwd=self.directory,
            stdout=self._errors,
            stderr=subprocess.STDOUT,
        )
        return self

    def events(self) -> list[dict[str, Any]]:
        """Whole lines of the event log so far, of all runs."""
        path = self.state / "events.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["event"] == name]

    def names(self) -> list[str]:
        return [event["event"] for event in self.events()]

    def wait_for(self, name: str, count: int = 1, within_s: float = WAIT_S) -> dict[str, Any]:
        """The `count`-th event of that name. Fails at once when the daemon has ended without it."""

        def look() -> list[dict[str, Any]]:
            found = self.of(name)
            if len(found) < count and self.process is not None and self.process.poll() is not None:
                found = self.of(name)
                assert len(found) >= count, f"ended with {self.process.poll()} without {name}: {self.output()}"
            return found if len(found) >= count else []

        return wait_for(look, f"{name}; the log has {self.names()[-12:]}", within_s)[count - 1]

    def wait_open(self) -> None:
        """Until the daemon says that new orders are allowed."""

        def look() -> bool:
            assert self.is_running(), f"ended with {self.process and self.process.poll()}: {self.output()}"
            return self.risk().get("locked") is False

        wait_for(look, "an open gate")

    def risk(self) -> dict[str, Any]:
        """`risk.json` as it is now."""
        path = self.state / "risk.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def exit_code(self, within_s: float = WAIT_S) -> int:
        assert self.process is not None
        code = self.process.wait(within_s)
        self._errors.close()
        return code

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        return (self.directory / f"stderr{self.runs}.txt").read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def close(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self._errors.close()


def kraken_config(
    endpoint: str, *, capital: str = "10000", peak_hold: str = "1s", flow_wait: str = "60s", **circuit_breaker: str
) -> str:
    """One live kraken venue behind an endpoint. capital: as the file has it, in TOML."""
    rows = "\n".join(f"{key} = {value}" for key, value in circuit_breaker.items())
    return f"""
[portfolio]
initial_capital = {capital}
[circuit_breaker]
{rows}
[data]
reconcile_every = "3s"
call_timeout = "3s"
[baselines]
peak_hold = "{peak_hold}"
flow_wait = "{flow_wait}"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "{endpoint}"
"""
