"""`install-service` below another root: what it writes, leaves, refuses and says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon import cli
from risk_daemon.errors import ConfigError, ExitCode, UsageError
from risk_daemon.install import steps
from tests.deployed import ROOT

GUARD = "etc/systemd/system/risk-daemon.service"
LIVE = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
[alerts.channels.oncall]
kind = "webhook"
url = "https://hooks.example.org/risk"
[state]
dir = "/var/lib/risk-daemon"
"""


def install(root: Path, *more: str) -> ExitCode:
    return cli.main(["install-service", "--root", str(root), "--program", "/opt/x/bin/risk-daemon", *more])


def everything(root: Path) -> dict[str, tuple[int, str]]:
    """Each file with its mode and text, each directory with its mode."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode & 0o777, path.read_text() if path.is_file() else "")
        for path in sorted(root.rglob("*"))
    }


def test_all_of_it_is_written_once_and_left_alone_after_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path) is ExitCode.STOPPED
    told, first = capsys.readouterr(), everything(tmp_path)
    assert "ExecStart=/opt/x/bin/risk-daemon run --config /etc/risk-daemon/config.toml\n" in first[GUARD][1]
    assert {name: mode for name, (mode, _) in first.items() if name.startswith(("etc/risk-daemon", "var/lib/"))} == {
        "etc/risk-daemon": 0o755,
        "etc/risk-daemon/alerts": 0o700,
        "etc/risk-daemon/bots": 0o755,
        "etc/risk-daemon/config.toml": 0o644,
        "etc/risk-daemon/credentials": 0o750,
        "var/lib/risk-daemon": 0o711,
    }
    assert first["usr/local/sbin/risk-daemon-page"][0] == 0o755
    assert "u risk-daemon " in first["etc/sysusers.d/risk-daemon.conf"][1]
    assert "NOTHING OF YOURS IS GUARDED on kraken, krakenfutures" in told.out
    assert "systemctl daemon-reload && systemctl enable --now risk-daemon\n" in told.out
    assert "without one nobody is told" in told.out
    assert "To take it away again: systemctl disable --now" in told.out
    assert told.err.count(": written") == 7

    assert install(tmp_path) is ExitCode.STOPPED
    assert everything(tmp_path) == first
    again = capsys.readouterr().err
    assert again.count("stands as it should") == 6
    assert ": written" not in again


def test_a_configuration_that_is_there_is_read_and_its_credentials_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path)
    (tmp_path / "etc/risk-daemon/config.toml").write_text(LIVE)
    capsys.readouterr()

    assert install(tmp_path) is ExitCode.STOPPED
    told = capsys.readouterr()
    text = (tmp_path / GUARD).read_text()
    assert "\nLoadCredential=kraken.secret:/etc/risk-daemon/credentials/kraken.secret\n" in text
    assert "\nLoadCredential=alerts.oncall.secret:/etc/risk-daemon/alerts/alerts.oncall.secret\n" in text
    assert f"{tmp_path}/{GUARD}: written, anew" in told.err, "nobody had changed it: no question, no copy"
    assert not list((tmp_path / "etc/systemd/system").glob("*.before-*"))
    assert (tmp_path / "etc/risk-daemon/config.toml").read_text() == LIVE
    lacking = "put the credentials, or the service won't start: "
    assert lacking + f"{tmp_path}/etc/risk-daemon/credentials/kraken.api_key" in told.out
    assert "NOTHING OF YOURS" not in told.out
    for key in ("credentials/kraken.api_key", "credentials/kraken.secret", "alerts/alerts.oncall.secret"):
        (tmp_path / "etc/risk-daemon" / key).write_text("k")
    install(tmp_path)
    assert lacking not in capsys.readouterr().out


def test_a_unit_that_was_changed_is_shown_and_nothing_is_written(tmp_path: Path) -> None:
    install(tmp_path)
    mine = (tmp_path / GUARD).read_text().replace("WatchdogSec=20", "WatchdogSec=60")
    (tmp_path / GUARD).write_text(mine)
    (tmp_path / "etc/systemd/system/risk-daemon-watch.service").unlink()

    with pytest.raises(UsageError, match=r"(?s)-WatchdogSec=60\n\+WatchdogSec=20.*systemctl edit.*Nothing was written"):
        install(tmp_path)
    assert (tmp_path / GUARD).read_text() == mine
    assert not (tmp_path / "etc/systemd/system/risk-daemon-watch.service").exists()


def test_replacing_it_keeps_every_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        install(tmp_path)
        (tmp_path / GUARD).write_text(f"# mine, {number}\n")
        assert install(tmp_path, "--replace") is ExitCode.STOPPED
        assert f"as it was: {tmp_path}/{GUARD}.before-{number}" in capsys.readouterr().err
        assert (tmp_path / f"{GUARD}.before-{number}").read_text() == f"# mine, {number}\n"
    assert "WatchdogSec=20" in (tmp_path / GUARD).read_text()


def test_print_shows_every_file_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without root, and where a changed unit or an unsafe program would be refused."""
    assert install(tmp_path, "--print", "--instance", "b") is ExitCode.STOPPED
    shown = capsys.readouterr().out
    assert everything(tmp_path) == {}
    assert install(tmp_path, "--instance", "b") is ExitCode.STOPPED
    for name, (mode, text) in everything(tmp_path).items():
        if (tmp_path / name).is_file():
            assert f"### /{name} (mode {mode:o})\n{text}" in shown


def test_an_output_that_ends_early_is_no_bug(tmp_path: Path) -> None:
    line = f"{sys.executable} -m risk_daemon install-service --print --program /opt/x --root {tmp_path} | true"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "Traceback" not in done.stderr


def test_a_refused_configuration_stops_it_before_anything(tmp_path: Path) -> None:
    (tmp_path / "etc/risk-daemon").mkdir(parents=True)
    (tmp_path / "etc/risk-daemon/config.toml").write_text("[portfolio]\ninitial_capitl = 1\n")
    with pytest.raises(ConfigError, match="initial_capital"):
        install(tmp_path)
    assert not (tmp_path / GUARD).exists()


def test_a_link_below_another_root_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "etc").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="it is a link"):
        install(tmp_path / "root")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_unit_that_is_masked_stays_so(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / GUARD).unlink()
    (tmp_path / GUARD).symlink_to("/dev/null")
    with pytest.raises(UsageError, match="masked"):
        install(tmp_path, "--replace")
    assert (tmp_path / GUARD).is_symlink()


def test_on_the_machine_itself_it_takes_root_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match=r"takes root.*--print shows everything"):
        cli.main(["install-service", "--program", "/bin/sh"])


def test_a_machine_without_systemd_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(steps, "_SYSUSERS", "systemd-sysusers-of-no-machine")
    with pytest.raises(UsageError, match="is this a machine with systemd"):
        cli.main(["install-service", "--program", "/bin/sh"])


MACHINE = """
    set -e
    mount --make-rprivate /
    for place in etc var usr/local; do
        mkdir -p {over}/$place/up {over}/$place/work
        mount -t overlay overlay -o lowerdir=/$place,upperdir={over}/$place/up,workdir={over}/$place/work /$place
    done
    {python} -m risk_daemon install-service --program /bin/sh
    stat -c '%n %a %U %G' /var/lib/risk-daemon /etc/risk-daemon/credentials /etc/systemd/system/risk-daemon.service
    id risk-watch
    {python} -m risk_daemon install-service --program /bin/sh
"""


def test_on_a_machine_users_are_made_and_own_what_is_theirs(tmp_path: Path) -> None:
    """This one, with all that is written laid over it for the time of the test. Below another root: the tests above."""
    over = tmp_path / "over"
    over.mkdir()
    command = ["unshare", "--mount", "bash", "-c", f"mount -t tmpfs tmpfs {over} && mkdir {over}/x"]
    can = os.geteuid() == 0 and shutil.which("systemd-sysusers") and shutil.which("unshare")
    if not can or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("it takes root, namespaces and systemd-sysusers")
    script = f"mount -t tmpfs tmpfs {over}\n" + MACHINE.format(over=over, python=sys.executable)
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "/var/lib/risk-daemon 711 risk-daemon risk-daemon\n" in done.stdout
    assert "/etc/risk-daemon/credentials 750 root risk-daemon\n" in done.stdout
    assert "/etc/systemd/system/risk-daemon.service 644 root root\n" in done.stdout
    assert "(risk-watch)" in done.stdout
    assert done.stderr.count("stands as it should") == 6, "the second time"
    assert not Path("/etc/sysusers.d/risk-daemon.conf").exists()
