"""The systemd unit says what the exit codes mean, and keeps the guard's promises."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "risk-daemon.service"
PAGE_UNIT = ROOT / "deploy" / "risk-daemon-page@.service"
WATCH_UNIT = ROOT / "deploy" / "risk-daemon-watch.service"
BOT_UNIT = ROOT / "deploy" / "risk-daemon-bot@.service"
NO_GROUP, NO_USER = 216, 217  # systemd.exec(5); ExecStopPost= can't run there either
STAY_DOWN = {ExitCode.TRIGGERED_AND_PROVEN, ExitCode.REFUSED, NO_GROUP, NO_USER}
PARTS = {"api_key", "secret", "password"}


class _Unit(configparser.RawConfigParser):
    """systemd's format: keys keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def read(section: str, path: Path = UNIT) -> dict[str, str]:
    unit = _Unit(strict=False, interpolation=None, delimiters=("=",))
    unit.read_string(path.read_text())
    return dict(unit[section])


def all_of(key: str, path: Path = UNIT) -> list[str]:
    """Every value of a key that may come more than once."""
    return re.findall(rf"^{key}=(.*)$", path.read_text(), re.MULTILINE)


SERVICE = read("Service")


def test_the_codes_that_wait_for_a_person_are_not_restarted() -> None:
    assert SERVICE["Restart"] == "on-failure"
    assert {int(code) for code in SERVICE["RestartPreventExitStatus"].split()} == {int(code) for code in STAY_DOWN}
    assert "SuccessExitStatus" not in SERVICE, "a trip must show as a failed unit"


def test_it_never_gives_up_restarting() -> None:
    assert read("Unit")["StartLimitIntervalSec"] == "0"


def test_systemd_is_told_when_it_is_ready_and_that_it_lives() -> None:
    assert SERVICE["Type"] == "notify"
    assert SERVICE["NotifyAccess"] == "main"
    assert int(SERVICE["WatchdogSec"]) >= 5, "the evaluation loop feeds it once a second"
    assert SERVICE["TimeoutStartSec"] == "infinity", "an unreachable venue delays READY and never ends the daemon"
    assert int(SERVICE["TimeoutStopSec"]) >= 15


def test_a_reload_reads_the_file_of_the_start_and_acts_on_nothing_unasked() -> None:
    program, command, *options = SERVICE["ExecReload"].split()
    start = SERVICE["ExecStart"].split()
    assert (program, command, options) == (start[0], "reload", start[2:])
    assert "--yes" not in options


def test_it_starts_the_command_with_a_config_of_its_own() -> None:
    command = SERVICE["ExecStart"].split()
    assert command[0].endswith("/bin/risk-daemon")
    assert command[1:] == ["run", "--config", "/etc/risk-daemon/config.toml"]


def test_credentials_have_the_names_the_daemon_looks_for() -> None:
    settings = load_config(ROOT / "config.toml")
    named = [line.partition(":")[0] for line in all_of("LoadCredential")]
    keys = [name for name in named if not name.startswith("alerts.")]
    assert {f"{venue}.{part}" for venue in settings.venues for part in ("api_key", "secret")} <= set(keys)
    assert {name.rpartition(".")[2] for name in keys} <= PARTS
    assert {name for name in named if name not in keys} == {"alerts.oncall.url", "alerts.oncall.secret"}
    for line in all_of("LoadCredential"):
        name, _, path = line.partition(":")
        assert Path(path).name == name
    assert not all_of("Environment"), "secrets are no environment variables of a unit"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "risk-daemon"),
        ("StateDirectory", "risk-daemon"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectControlGroups", "yes"),
        ("RestrictNamespaces", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LimitCORE", "0"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ],
)
def test_it_is_hardened(key: str, value: str) -> None:
    assert SERVICE[key] == value


def test_system_calls_are_the_usual_ones_less_those_of_root() -> None:
    assert all_of("SystemCallFilter") == ["@system-service", "~@privileged @resources"]


def test_what_stays_down_pages_by_a_way_of_its_own() -> None:
    """tests/e2e/test_paging.py has every end, under a real systemd."""
    assert read("Unit")["OnFailure"] == "risk-daemon-page@failed.service"
    script = re.findall(r"^ExecStart=(\S+) %i risk-daemon$", PAGE_UNIT.read_text(), re.MULTILINE)
    assert [Path(path).name for path in script] == ["risk-daemon-page"]
    assert "python" not in (ROOT / "deploy" / "risk-daemon-page").read_text()
    assert (ROOT / "deploy" / "risk-daemon-page").stat().st_mode & 0o111


def test_bots_of_other_users_can_reach_the_gate_and_nobody_can_write() -> None:
    mode = int(SERVICE["StateDirectoryMode"], 8)
    assert mode & 0o011 == 0o011
    assert mode & 0o022 == 0
    assert mode & 0o044 == 0, "to pass through, not to look around"


def test_nothing_hides_what_the_daemon_needs_to_see() -> None:
    """The boot id is in /proc/sys; the control socket asks the kernel for the caller's real uid."""
    assert SERVICE.get("ProcSubset", "all") == "all"
    assert SERVICE.get("PrivateUsers", "no") == "no"


# --- the watch -------------------------------------------------------------------------------------


WATCH = read("Service", WATCH_UNIT)
OF_ITS_OWN = {
    *("ExecStart", "ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus", "ExecStopPost", "KillMode"),
    *("TimeoutStopSec", "TimeoutStartSec", "User", "Group", "InaccessiblePaths", "StateDirectory", "UMask"),
    *("StateDirectoryMode", "LoadCredential", "LimitNOFILE"),
}


def test_the_watch_has_a_user_of_its_own_and_no_key_of_any_exchange() -> None:
    assert WATCH["User"] != SERVICE["User"]
    assert WATCH["Group"] == SERVICE["Group"], "to read the event log"
    assert WATCH["InaccessiblePaths"] == "-/etc/risk-daemon/credentials"
    named = [line.partition(":")[0] for line in all_of("LoadCredential", WATCH_UNIT)]
    assert named
    assert all(re.fullmatch(r"alerts\.\w+\.(url|secret|password)", name) for name in named)
    assert WATCH["StateDirectory"] != SERVICE["StateDirectory"]
    assert WATCH["StateDirectoryMode"] == "0700"


def test_the_watch_starts_with_the_same_configuration_and_never_gives_up() -> None:
    assert WATCH["ExecStart"].split()[1:] == ["watch", *SERVICE["ExecStart"].split()[2:]]
    assert WATCH["Restart"] == "always"
    assert "RestartPreventExitStatus" not in WATCH
    assert read("Unit", WATCH_UNIT)["StartLimitIntervalSec"] == "0"
    assert "risk-daemon.service" not in " ".join(read("Unit", WATCH_UNIT).values()), "a guard that never starts is told"


def test_the_walls_of_the_watch_are_those_of_the_guard() -> None:
    guard, watch = ({key: all_of(key, path) for key in read("Service", path)} for path in (UNIT, WATCH_UNIT))
    assert {key: watch.get(key) for key in guard.keys() - OF_ITS_OWN} == {
        key: values for key, values in guard.items() if key not in OF_ITS_OWN
    }


@pytest.mark.parametrize("unit", [UNIT, PAGE_UNIT, WATCH_UNIT, BOT_UNIT], ids=lambda unit: unit.name)
def test_systemd_understands_all_of_it(tmp_path: Path, unit: Path) -> None:
    """By systemd itself where it is installed; every key was looked at above in any case."""
    keys = [line for line in unit.read_text().splitlines() if line and not line.startswith(("#", "["))]
    assert all(re.fullmatch(r"[A-Z]\w+=.*", line) for line in keys)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    for each in (UNIT, PAGE_UNIT, WATCH_UNIT, BOT_UNIT):
        text = re.sub(r"^(ExecStart|ExecReload)=\S+", rf"\1={sys.executable}", each.read_text(), flags=re.MULTILINE)
        (tmp_path / each.name).write_text(text)
    copy = tmp_path / unit.name.replace("@.", "@x.")
    if copy.name != unit.name:
        copy.symlink_to(tmp_path / unit.name)
    done = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", str(copy)], capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "risk-daemon" in line]
    assert complaints == []


# What systemd-analyze counts, and what it would cost to leave it out is said there. Not here, and why not: an address
# list (venues move), no network, PrivateUsers= and ProcSubset= (the unit says it), a root directory of its own.
COUNTED = {
    **dict.fromkeys(
        ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "RemoveIPC", "ProtectClock",
         "ProtectHostname", "ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "RestrictNamespaces",
         "ProtectKernelTunables", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute"),
        "yes",
    ),
    **dict.fromkeys(("CapabilityBoundingSet", "AmbientCapabilities"), ""),
    "ProtectSystem": "strict",
    "DevicePolicy": "closed",
    "ProtectProc": "invisible",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "SystemCallArchitectures": "native",
}  # fmt: skip


@pytest.mark.parametrize("unit", [UNIT, WATCH_UNIT], ids=lambda unit: unit.name)
def test_the_walls_are_thick(unit: Path) -> None:
    """systemd-analyze's own measure, 0 (safe) to 10, is 1.2 at most; what it counts is looked at where it is not."""
    service = read("Service", unit)
    assert {key: service.get(key) for key in COUNTED} == COUNTED
    assert int(service["UMask"], 8) & 0o007 == 0o007, "nothing is for everybody by accident"
    assert "SupplementaryGroups" not in service
    assert all_of("SystemCallFilter", unit) == ["@system-service", "~@privileged @resources"]
    analyze = shutil.which("systemd-analyze")
    if analyze is not None:
        command = [analyze, "security", "--offline=true", "--threshold=12", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout


def test_a_bot_stops_with_its_guard_and_has_none_of_its_keys() -> None:
    """Under a real systemd: tests/e2e/test_walls.py."""
    assert read("Unit", BOT_UNIT)["BindsTo"] == "risk-daemon.service"
    assert "risk-daemon.service" in read("Unit", BOT_UNIT)["After"].split()
    assert read("Install", BOT_UNIT)["WantedBy"] == "risk-daemon.service"
    bot = read("Service", BOT_UNIT)
    assert bot["DynamicUser"] == "yes"
    assert bot["InaccessiblePaths"] == "-/etc/risk-daemon/credentials -/etc/risk-daemon/alerts"
    assert "LoadCredential" not in bot


def test_installing_takes_what_the_guard_needs_and_not_what_its_development_does() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "install", "PREFIX=/srv/guard"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "-r requirements/run.txt" in done.stdout
    assert "dev" not in done.stdout
    assert "/srv/guard/.venv/bin/risk-daemon --version" in done.stdout
    needed = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE))
    assert {"aiohttp", "ccxt", "pydantic", "typer"} <= needed
    assert not {"pytest", "ruff", "mypy", "hypothesis"} & needed
