"""What holds API secrets leaves no core dump."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PR_GET_DUMPABLE = 3
ASK = f"""
import ctypes, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
from risk_daemon import cli
try:
    cli.main(sys.argv[1:])
finally:
    print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def after(*arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)
    return done.stdout.split()[-3:]


def test_a_command_that_reads_the_whole_configuration_can_not_be_dumped(tmp_path: Path) -> None:
    """`run` on a state directory that can't be: it ends after the configuration, before the venues."""
    (tmp_path / "state").write_text("no directory")
    text = (ROOT / "config.toml").read_text().replace('dir = "var"', f'dir = "{tmp_path}/state"')
    (tmp_path / "config.toml").write_text(text)
    assert str(tmp_path) in text
    assert after("run", "--config", str(tmp_path / "config.toml")) == ["0", "0", "0"]


def test_one_that_knows_no_secret_is_as_it_was() -> None:
    assert after("--version")[0] == "1"
