"""The container file: what it copies is there, its first process knows the exit codes, compose holds the walls."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ExitCode
from risk_daemon.state.store.postgres_url import parse
from tests.e2e.harness import wait_for

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILE = (DEPLOY / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


# --- the file --------------------------------------------------------------------------------------


def copied() -> list[str]:
    lines = re.findall(r"^COPY (?!--from)(.*)$", FILE, re.MULTILINE)
    return [word for line in lines for word in shlex.split(line)[:-1] if not word.startswith("--")]


def test_what_is_copied_is_there_and_not_left_out_of_the_context() -> None:
    kept = [line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")]
    assert set(copied()) == set(kept)
    assert all((ROOT / path).exists() for path in copied())
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_the_image_has_the_versions_of_production_and_no_root() -> None:
    assert "--require-hashes -r requirements/run.txt" in FILE
    assert re.findall(r"^USER (.*)$", FILE, re.MULTILINE) == ["64321:64321"]
    assert "install -d -m 711 -o 64321" in FILE, "bots of other users pass through it to the gate"
    assert 'ENTRYPOINT ["/usr/local/bin/container-guard"]' in FILE
    assert (DEPLOY / "container-guard").stat().st_mode & 0o111


# --- its first process -----------------------------------------------------------------------------


class Container:
    """`container-guard run`, with a daemon that ends as the file `codes` says, one word a start."""

    def __init__(self, home: Path, codes: str) -> None:
        self.home = home
        (home / "codes").write_text(codes)
        program = home / "risk-daemon"
        program.write_text(
            f"""#!/bin/sh
trap 'exit 0' TERM
echo "$@" >> {home}/started
set -- $(cat {home}/codes)
code=$1; shift; echo "$@" > {home}/codes
if [ "$code" = stays ]; then while :; do /bin/sleep 0.1; done; fi
exit "$code"
"""
        )
        program.chmod(0o755)
        sleep = home / "sleep"  # a second is none, where it is waited before a start
        sleep.write_text("#!/bin/sh\nexec /bin/sleep 0.01\n")
        sleep.chmod(0o755)
        environment = {"PATH": f"{home}:/usr/bin:/bin", "STATE_DIRECTORY": str(home / "state")}
        (home / "state").mkdir(mode=0o700)
        self.process = subprocess.Popen(
            ["/bin/sh", str(DEPLOY / "container-guard"), "run", "--config", "x.toml"],
            env=environment, stderr=(home / "said").open("w"),
        )  # fmt: skip

    def starts(self) -> int:
        path = self.home / "started"
        return path.read_text().count("run --config x.toml\n") if path.exists() else 0

    def said(self) -> str:
        return (self.home / "said").read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def container(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    container = Container(tmp_path, request.param)
    yield container
    container.process.kill()
    container.process.wait()


@pytest.mark.parametrize("container", ["1", "78"], indirect=True)
def test_what_waits_for_a_person_is_not_started_again_and_the_container_stays(container: Container) -> None:
    wait_for(lambda: re.search(r"exit code (1|78)\)", container.said()), "a sentence")
    assert container.process.poll() is None, "for `exec ... risk-daemon reset`"
    assert container.starts() == 1
    code = int((container.home / "said").read_text().partition("exit code ")[2].partition(")")[0])
    assert container.stop() == code, "and ends as the guard did"
    assert container.starts() == 1


@pytest.mark.parametrize("container", ["4 70 75 137 4 stays"], indirect=True)
def test_all_else_is_started_again_and_goes_on(container: Container) -> None:
    wait_for(lambda: container.starts() == 6, lambda: f"six starts: {container.said()}")
    assert [f"ended with {code} and is started again" in container.said() for code in (4, 70, 75, 137)] == [True] * 4
    assert container.stop() == ExitCode.STOPPED


@pytest.mark.parametrize("container", ["stays"], indirect=True)
def test_a_stop_reaches_the_guard_and_bots_may_pass_to_the_gate(container: Container) -> None:
    wait_for(lambda: container.starts() == 1, "a start")
    assert (container.home / "state").stat().st_mode & 0o777 == 0o711
    assert container.stop() == ExitCode.STOPPED
    assert container.starts() == 1


def test_any_other_command_is_run_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "risk-daemon").write_text('#!/bin/sh\necho "$@"\nexit 75\n')
    (tmp_path / "risk-daemon").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(DEPLOY / "container-guard"), "init", "--yes"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (75, "init --yes\n")


# --- compose ---------------------------------------------------------------------------------------


def test_no_restart_policy_decides_what_the_first_process_decides() -> None:
    """`on-failure` alone would start a guard again that has tripped; `no` would leave orders open after 4."""
    assert SERVICES["guard"]["restart"] == SERVICES["watch"]["restart"] == "unless-stopped"
    assert "entrypoint" not in SERVICES["guard"]
    assert SERVICES["guard"]["command"][0] == "run"
    assert SERVICES["guard"]["stop_grace_period"] == "45s", "as TimeoutStopSec="


def test_the_walls_are_up_and_only_the_guard_writes_its_state_or_has_keys() -> None:
    for name in ("guard", "watch"):
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["ulimits"]["core"] == 0
    assert "state:/var/lib/risk-daemon" in SERVICES["guard"]["volumes"]
    assert all("state:/var/lib/risk-daemon:ro" in SERVICES[name]["volumes"] for name in ("watch", "bot"))
    assert SERVICES["watch"]["user"] == "64322:64321"
    assert all(secret.startswith("alerts.") for secret in SERVICES["watch"]["secrets"])
    assert "secrets" not in SERVICES["bot"]
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} == set(COMPOSE["secrets"])


def test_the_database_is_pinned_keeps_its_data_and_gets_its_password_from_a_file() -> None:
    service = SERVICES["timescaledb"]
    assert re.fullmatch(r"timescale/timescaledb:\d+\.\d+\.\d+-pg\d+", service["image"])
    assert service["environment"]["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{service['secrets'][0]}"
    assert "POSTGRES_PASSWORD" not in service["environment"]
    assert service["secrets"] == ["state.store.password"], "the name that the guard reads it by"
    volume, _, place = service["volumes"][0].partition(":")
    assert volume in COMPOSE["volumes"]
    assert place == "/var/lib/postgresql/data"
    assert service["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert service["profiles"] == ["store"], "a guard whose state is a file alone needs none"


def test_the_address_that_stands_there_is_one_that_the_guard_takes() -> None:
    [address] = re.findall(r'\[state\] store = "(postgresql://[^"]+)"', (DEPLOY / "compose.yaml").read_text())
    url, environment = parse(address), SERVICES["timescaledb"]["environment"]
    assert (url.hosts, url.user, url.database) == (
        (("timescaledb", 5432),), environment["POSTGRES_USER"], environment["POSTGRES_DB"],
    )  # fmt: skip


def test_a_bot_reaches_the_loopback_of_the_guard_and_no_port_is_published() -> None:
    assert SERVICES["bot"]["network_mode"] == "service:guard"
    assert not any("ports" in service for service in SERVICES.values())
    listen = load_config(ROOT / "config.toml").api.listen
    assert SERVICES["bot"]["environment"]["GATE_URL"] == f"http://{listen}"
