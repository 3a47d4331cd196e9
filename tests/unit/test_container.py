"""The container file: what it copies is there, and its first process knows the exit codes."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.errors import ExitCode
from tests.e2e.harness import wait_for

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILE = (DEPLOY / "Containerfile").read_text()


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
