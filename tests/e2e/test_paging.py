"""Who is paged when the guard ends: by a real systemd where one can be started, and by the unit's own line anywhere.

The real one is a manager of its own in namespaces of its own (`unshare`, by root): the units of deploy/ with other
paths, and without the walls that a manager for users can't build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.e2e.harness import ROOT, wait_for
from tests.e2e.managers import MANAGER, skip_without

pytestmark = pytest.mark.long

DEPLOY = ROOT / "deploy"
UNIT, PAGE_UNIT = DEPLOY / "risk-daemon.service", DEPLOY / "risk-daemon-page@.service"
SCRIPT = DEPLOY / "risk-daemon-page"
KEPT = ("OnFailure", "StartLimitIntervalSec", "Type", "NotifyAccess", "Restart", "RestartSec", "ExecStopPost")
KEPT_TOO = ("RestartPreventExitStatus", "KillMode", "TimeoutStartSec")

# --- the unit's own line ---------------------------------------------------------------------------


def hook() -> list[str]:
    """What ExecStopPost= runs, as systemd splits it."""
    line = re.search(r"^ExecStopPost=-\+(/bin/sh) (-c) '(.*)'$", UNIT.read_text(), re.MULTILINE)
    assert line is not None, "not ignored when it fails (-), not as root (+), or not in one shell"
    return list(line.groups())


@pytest.mark.parametrize(
    ("result", "code", "status", "page"),
    [
        ("success", "exited", "0", None),
        ("exit-code", "exited", "1", "exit-code:1"),
        ("exit-code", "exited", "4", "exit-code:4"),
        ("exit-code", "exited", "70", "exit-code:70"),
        ("exit-code", "exited", "75", "exit-code:75"),
        ("exit-code", "exited", "78", "exit-code:78"),
        ("exit-code", "exited", "203", "exit-code:203"),
        ("exit-code", "exited", "243", "exit-code:243"),
        ("signal", "killed", "KILL", "signal:KILL"),
        ("success", "killed", "HUP", "success:HUP"),
        ("watchdog", "killed", "ABRT", "watchdog:ABRT"),
        ("core-dump", "dumped", "SEGV", "core-dump:SEGV"),
        ("oom-kill", "killed", "KILL", "oom-kill:KILL"),
        ("protocol", "exited", "0", "protocol:0"),
        ("resources", None, None, "resources:"),
    ],
)
def test_every_end_but_a_clean_one_starts_a_page(
    tmp_path: Path, result: str, code: str | None, status: str | None, page: str | None
) -> None:
    """With the environment of systemd.exec(5); a `systemctl` that only says what it was asked."""
    asked = tmp_path / "asked"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$*" >> {asked}\n')
    (tmp_path / "systemctl").chmod(0o755)
    told = {"SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
    environment = {key: value for key, value in told.items() if value is not None}
    subprocess.run(hook(), env={"PATH": f"{tmp_path}:/usr/bin:/bin"} | environment, check=True, timeout=30)
    wanted = None if page is None else f"start --no-block risk-daemon-page@{page}.service\n"
    assert (asked.read_text() if asked.exists() else None) == wanted


# --- the script ------------------------------------------------------------------------------------


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[str]]]:
    """A place that pages are posted to: its address, and what came. The first one is refused."""
    came: list[str] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(503 if len(came) == 1 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Takes)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/topic?secret=1", came
    server.shutdown()
    thread.join()
    server.server_close()


def page(what: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PAGE_RETRY_S": "0", "PAGE_QUIET_S": "0"} | settings
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), what], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_with_nothing_set_the_journal_hears_of_it_as_critical() -> None:
    done = page("exit-code:4")
    assert done.returncode == 0
    assert done.stderr.startswith("<2>risk-daemon on ")
    assert "NOT PROVEN: orders may still be open" in done.stderr


def test_a_command_of_the_users_gets_the_sentence_as_its_last_word(tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\nprintf "%s|" "$#" "$1" "$2" "$3" > {tmp_path}/paged\n')
    pager.chmod(0o755)
    assert page("exit-code:70", PAGE_COMMAND=f"{pager} --to *").returncode == 0
    assert (tmp_path / "paged").read_text().startswith("3|--to|*|risk-daemon on ")


def test_a_page_is_posted_and_tried_again(inbox: tuple[str, list[str]]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    url, came = inbox
    done = page("watchdog:ABRT", PAGE_URL=url)
    assert done.returncode == 0, done.stderr
    assert len(came) == 2
    assert "hung, and was ended by the watchdog" in came[1]


def test_who_could_not_be_paged_is_said(tmp_path: Path) -> None:
    done = page("exit-code:1", PAGE_COMMAND=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "<2>risk-daemon-page: NOBODY WAS PAGED" in done.stderr


@pytest.mark.parametrize("what", ["", "x:y", "exit-code:$(id)", "success:TERM", "resources:", "exit-code:217"])
def test_whatever_it_is_told_it_says_a_sentence(what: str) -> None:
    done = page(what)
    assert (done.returncode, done.stderr.startswith("<2>risk-daemon on ")) == (0, True)


# --- a real systemd --------------------------------------------------------------------------------

BOOT = """
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/user
    chmod 700 /run/user
    export XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME={home}/config XDG_DATA_DIRS={home} HOME={home}
    {manager} --user --log-target=null &
    until [ -S /run/user/systemd/private ]; do sleep 0.1; done
    for unit in {units}; do systemctl --user start --no-block "$unit"; done
    while sleep 0.3; do
        systemctl --user show --property Id,ActiveState,NRestarts {units} > {home}/shown.new
        mv {home}/shown.new {home}/shown
    done
"""
ENDS = {
    "clean": ("/bin/sh -c 'systemd-notify --ready; exit 0'", ""),
    "proven": ("/bin/sh -c 'exit 1'", ""),
    "unproven": ("/bin/sh -c 'exit 4'", ""),
    "bug": ("/bin/sh -c 'exit 70'", ""),
    "unreached": ("/bin/sh -c 'exit 75'", ""),
    "refused": ("/bin/sh -c 'exit 78'", ""),
    "killed": ("/bin/sh -c 'kill -KILL $$$$'", ""),
    "hung": ("/bin/sh -c 'systemd-notify --ready; exec sleep 600'", "WatchdogSec=1\nNotifyAccess=all"),
    "no-program": ("/nowhere/risk-daemon", ""),
    "no-user": ("/bin/true", "User=nobody-of-that-name"),
    "no-credential": ("/bin/true", "LoadCredential=kraken.secret:/nowhere/kraken.secret"),
}
STAYS_DOWN = {"clean", "proven", "refused", "no-user"}


def units(directory: Path, paged: Path) -> None:
    """The two units of deploy/ for each end; the pager is a command of the user's that writes a line."""
    directory.mkdir(parents=True)
    lines = UNIT.read_text().replace("systemctl start", "systemctl --user start")
    lines = lines.replace("risk-daemon-page@", "page-%p@")
    keys = "|".join(KEPT + KEPT_TOO)
    kept = [line for line in lines.splitlines() if re.match(rf"\[(Unit|Service)\]|({keys})=", line)]
    for name, (command, more) in ENDS.items():
        own = [line.replace("page-%p@", f"page-{name}@") for line in kept]
        text = "\n".join(own).replace("[Service]", f"[Service]\nExecStart={command}")
        (directory / f"{name}.service").write_text(f"{text}\n{more}\n")
        pages = re.sub(r"^(EnvironmentFile|ProtectSystem|PrivateTmp)=.*\n", "", PAGE_UNIT.read_text(), flags=re.M)
        pages = pages.replace("/usr/local/sbin/risk-daemon-page", str(SCRIPT))
        pages += f'Environment="PAGE_COMMAND={directory}/pager {name} %i"\n'
        (directory / f"page-{name}@.service").write_text(pages)
    (directory / "pager").write_text(f'#!/bin/sh\necho "$1 $2" >> {paged}\n')
    (directory / "pager").chmod(0o755)


class Systemd:
    """A manager for the time of a test."""

    def __init__(self, home: Path) -> None:
        self.paged = home / "paged"
        self.paged.touch()
        units(home / "config" / "systemd" / "user", self.paged)
        self._shown = home / "shown"
        script = textwrap.dedent(BOOT).format(home=home, manager=MANAGER, units=" ".join(ENDS))
        command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", script]
        self._process = subprocess.Popen(command)

    def pages(self) -> dict[str, list[str]]:
        lines = [line.split() for line in self.paged.read_text().splitlines()]
        return {name: [what for whose, what in lines if whose == name] for name in ENDS}

    def shown(self, what: str) -> dict[str, str]:
        """One property of every unit, as systemd had it a moment ago."""
        text = self._shown.read_text() if self._shown.exists() else ""
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
        return {block["Id"].removesuffix(".service"): block[what] for block in blocks if block}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    skip_without()
    manager = Systemd(tmp_path)
    yield manager
    manager.close()


def test_a_real_systemd_pages_for_every_end_but_the_clean_one(systemd: Systemd) -> None:
    """What never starts and what is restarted for ever too; and while it is restarted, not every two seconds."""
    restarted = set(ENDS) - STAYS_DOWN

    def all_came_back_twice() -> bool:
        counts = systemd.shown("NRestarts")
        return counts.keys() == ENDS.keys() and all(int(counts[name]) >= 2 for name in restarted)

    wait_for(all_came_back_twice, "two restarts of each")
    assert {name: sorted(set(pages)) for name, pages in systemd.pages().items()} == {
        "clean": [],
        "proven": ["exit-code:1", "failed"],
        "unproven": ["exit-code:4"],
        "bug": ["exit-code:70"],
        "unreached": ["exit-code:75"],
        "refused": ["exit-code:78", "failed"],
        "killed": ["signal:KILL"],
        "hung": ["watchdog:ABRT"],
        "no-program": ["exit-code:203"],
        "no-user": ["failed"],
        "no-credential": ["exit-code:243"],
    }
    assert all(len(pages) == len(set(pages)) for pages in systemd.pages().values()), "one page of a kind"
    states = systemd.shown("ActiveState")
    assert {name: states[name] for name in STAYS_DOWN} == {
        name: "inactive" if name == "clean" else "failed" for name in STAYS_DOWN
    }
