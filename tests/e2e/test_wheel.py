"""The wheel is whole: what is installed without the checkout has every file it needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT

pytestmark = pytest.mark.long
PACKAGES = ("risk_daemon", "adapters", "oms")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a checkout and unpacked as an installer does."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "."]
    subprocess.run([*command, str(ROOT)], cwd=directory, check=True, timeout=120)
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "site")
    return directory / "site"


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """From elsewhere than the checkout, which would else be found first."""
    program = "import sys; from risk_daemon.__main__ import process; process()"
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=installed.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_of_the_packages_is_left_out(installed: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in tracked.stdout.split() if not (installed / name).exists()} == set()
    entries = ConfigParser()
    entries.read(next(installed.glob("*.dist-info")) / "entry_points.txt")
    assert dict(entries["console_scripts"]) == {"risk-daemon": "risk_daemon.__main__:process"}
    assert not (installed / "tests").exists()


def test_it_sets_itself_up_and_shows_a_crash_without_the_checkout(installed: Path) -> None:
    where = f"import risk_daemon, sys; sys.exit(not risk_daemon.__file__.startswith({str(installed)!r}))"
    subprocess.run([sys.executable, "-c", where], cwd=installed, env={"PYTHONPATH": str(installed)}, check=True)
    config = installed.parent / "config.toml"
    config.write_text(run(installed, "example-config").stdout)
    assert run(installed, "check", "--config", str(config)).returncode == 0
    assert "### /etc/systemd/system/risk-daemon.service" in run(installed, "install-service", "--print").stdout
    shown = run(installed, "demo")
    assert (shown.returncode, "every cancel proven" in shown.stdout) == (1, True), shown.stderr
