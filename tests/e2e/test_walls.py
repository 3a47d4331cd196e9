"""The guard behind the walls of its unit, under a real systemd; and a bot that stops with it.

The manager is one of its own in namespaces of its own, by root, as in test_paging.py. A manager for users has no
users to change to, and this Python may be in a home directory: those lines are left out, and looked at elsewhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.client import TradingGate
from tests.e2e.harness import ROOT, wait_for
from tests.e2e.managers import MANAGER, skip_without

pytestmark = pytest.mark.long

LEFT_OUT = (
    *("User", "Group", "StateDirectory", "StateDirectoryMode", "LoadCredential", "OnFailure", "ExecStopPost"),
    *("ProtectHome", "ProtectKernelLogs", "ProtectKernelTunables", "OOMScoreAdjust"),  # a container has not all of it
    *("DynamicUser", "EnvironmentFile", "WorkingDirectory"),
)
BOOT = """
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/user
    chmod 700 /run/user
    export XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME={home}/config XDG_DATA_DIRS={home} HOME={home}
    {manager} --user --log-target=null &
    until [ -S /run/user/systemd/private ]; do sleep 0.1; done
    systemctl --user start --no-block risk-daemon.service risk-daemon-bot@alice.service
    while sleep 0.2; do
        systemctl --user show --property Id,ActiveState,ExecMainStatus,NRestarts risk-daemon.service \
            risk-daemon-bot@alice.service > {home}/shown.new
        mv {home}/shown.new {home}/shown
        if [ -e {home}/again ]; then
            rm {home}/again
            systemctl --user start --no-block risk-daemon.service
        fi
    done
"""
CONFIG = """
[portfolio]
initial_capital = "auto"
[baselines]
peak_hold = "1s"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
[api]
listen = "127.0.0.1:0"
"""


class Walled:
    """A manager with the guard and one bot, for the time of a test."""

    def __init__(self, home: Path) -> None:
        self.state, self._shown, self._home = home / "var", home / "shown", home
        (home / "config.toml").write_text(CONFIG)
        units = home / "config" / "systemd" / "user"
        units.mkdir(parents=True)
        self._unit(
            units, "risk-daemon.service", f"{sys.executable} -m risk_daemon run --config {home}/config.toml", self.state
        )
        self._unit(units, "risk-daemon-bot@.service", "/bin/sleep 600", home)
        script = textwrap.dedent(BOOT).format(home=home, manager=MANAGER)
        command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", script]
        self._process = subprocess.Popen(command)

    def _unit(self, units: Path, name: str, command: str, writes: Path) -> None:
        """As deploy/ has it, with another program and place."""
        writes.mkdir(mode=0o711, exist_ok=True)
        text = (ROOT / "deploy" / name).read_text()
        text = re.sub(rf"^({'|'.join(LEFT_OUT)})=.*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^ExecStart=.*$", f"ExecStart={command}", text, flags=re.MULTILINE)
        # /tmp is the service's own: what the test shares with it is bound into that.
        more = f"WorkingDirectory={self._home}\nEnvironment=PYTHONPATH={ROOT}\nReadWritePaths={writes}\n"
        more += f"BindPaths={self._home}\nStandardOutput=append:{self._home}/{name}.txt\nStandardError=inherit\n"
        (units / name).write_text(text.replace("[Service]\n", f"[Service]\n{more}", 1))

    def shown(self, unit: str, what: str) -> str:
        """One property, as systemd had it a moment ago."""
        text = self._shown.read_text() if self._shown.exists() else ""
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
        return next((block[what] for block in blocks if block.get("Id") == f"{unit}.service"), "")

    def output(self) -> str:
        path = self._home / "risk-daemon.service.txt"
        return f"{self._shown.read_text() if self._shown.exists() else ''}{path.read_text() if path.exists() else ''}"

    def start_again(self) -> None:
        (self._home / "again").touch()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[Walled]:
    skip_without()
    manager = Walled(tmp_path)
    yield manager
    manager.close()


def command(walled: Walled, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "risk_daemon", *words, "--config", str(walled.state.parent / "config.toml")]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


def test_it_guards_behind_its_walls_and_takes_its_bots_with_it(walled: Walled) -> None:
    """From the first baseline to a proven trip; then down, and the bot as well, until a reset and a start."""
    gate = TradingGate(walled.state)
    wait_for(gate.is_open, lambda: f"an open gate: {walled.output()}")
    wait_for(lambda: walled.shown("risk-daemon-bot@alice", "ActiveState") == "active", "a bot that runs")
    modes = {path.name: path.stat().st_mode & 0o777 for path in walled.state.iterdir() if path.is_file()}
    assert {name for name, mode in modes.items() if mode & 0o007} == {"gate.bin", "lock.json", "risk.json"}

    assert command(walled, "halt", "--reason", "behind walls").returncode == 0
    wait_for(
        lambda: walled.shown("risk-daemon", "ActiveState") == "failed", lambda: f"a failed unit: {walled.output()}"
    )
    assert walled.shown("risk-daemon", "ExecMainStatus") == "1"
    wait_for(lambda: walled.shown("risk-daemon-bot@alice", "ActiveState") == "inactive", "a bot that was stopped")
    assert walled.shown("risk-daemon", "NRestarts") == "0"
    assert not gate.is_open()

    assert command(walled, "reset", "--reason", "tried", "--rebaseline", "current", "--yes").returncode == 0
    walled.start_again()
    wait_for(gate.is_open, lambda: f"an open gate again: {walled.output()}")
