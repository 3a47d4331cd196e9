"""Every way to end has its exit code, and a guard that dies of a bug leaves the lock shut."""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon import __main__ as entry
from risk_daemon import cli, errors
from risk_daemon.errors import ExitCode

REPOSITORY = Path(__file__).parents[2]
OPEN_GATE = b"RDGATE\r\n".ljust(48, b"x") + b"OPEN" + bytes(100)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A configured state directory with an open gate and an open lock."""
    (tmp_path / "config.toml").write_text('[state]\ndir = "here"\n')
    directory = tmp_path / "here"
    directory.mkdir()
    (directory / "gate.bin").write_bytes(OPEN_GATE)
    (directory / "lock.json").write_text('{"locked": false, "cause": ""}')
    (directory / "owner.lock").write_text("1\n")
    return directory


def is_shut(state: Path) -> bool:
    gate, lock = (state / "gate.bin").read_bytes(), (state / "lock.json").read_text()
    return gate == bytes(len(OPEN_GATE)) and lock == "{}"


def is_open(state: Path) -> bool:
    return (state / "gate.bin").read_bytes() == OPEN_GATE and "false" in (state / "lock.json").read_text()


def call(monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: Callable[[list[str]], object]) -> int:
    monkeypatch.setattr(cli, "main", command)
    monkeypatch.setattr(sys, "argv", ["risk-daemon", *arguments])
    return entry.main()


def raising(error: BaseException) -> Callable[[list[str]], object]:
    def command(arguments: list[str]) -> object:
        raise error

    return command


def test_the_numbers_are_those_of_the_errors() -> None:
    names = {"STOPPED", "TRIGGERED_AND_PROVEN", "TRIGGERED_UNPROVEN", "BUG", "REFUSED"}

    assert {name: getattr(entry, name) for name in names} == {name: ExitCode[name].value for name in names}


def test_nothing_but_the_standard_library_is_imported_at_the_top() -> None:
    tree = ast.parse((REPOSITORY / "risk_daemon" / "__main__.py").read_text())

    tops = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names])
    }
    assert tops <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("code", list(ExitCode))
def test_what_the_daemon_says_is_passed_on(code: ExitCode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert call(monkeypatch, ["run"], lambda arguments: code) == int(code)


@pytest.mark.parametrize("answer", [None, True, False, 0, 1, 2, "0", ExitCode])
def test_what_is_no_exit_code_is_a_bug(answer: object, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.chdir(state.parent)

    assert call(monkeypatch, ["run"], lambda arguments: answer) == 70
    assert is_shut(state)


@pytest.mark.parametrize("command", ["status", "check", "cancel-all", "reset", "simulate-breach", "--help", ""])
def test_only_the_guard_may_end_with_1(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, [command] if command else [], lambda arguments: ExitCode.TRIGGERED_AND_PROVEN) == 70


ERRORS: list[tuple[BaseException, int]] = [
    (errors.ConfigError("c"), 78),
    (errors.StateError("s"), 78),
    (errors.UsageError("u"), 78),
    (errors.StartUnavailable("v"), 75),
    (errors.InvariantError("i"), 70),
    (errors.RecordError("r"), 70),
    (errors.VenueUnavailable("v"), 70),
    (ExceptionGroup("tasks", [errors.ConfigError("c")]), 78),
    (ExceptionGroup("tasks", [errors.ConfigError("c"), errors.ConfigError("d")]), 70),
    (RuntimeError("boom"), 70),
    (ImportError("no module"), 70),
    (MemoryError(), 70),
    (RecursionError(), 70),
    (GeneratorExit(), 70),
    (BrokenPipeError(), 70),
    (SystemExit(0), 70),
    (SystemExit(1), 70),
    (SystemExit(2), 70),
    (SystemExit("text"), 70),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: repr(value))
def test_run_maps_every_error_and_shuts_the_lock_for_a_bug(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    monkeypatch.chdir(state.parent)

    assert call(monkeypatch, ["run"], raising(error)) == code
    assert is_shut(state) if code == 70 else is_open(state)


def test_an_error_may_not_carry_1(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    error = errors.ConfigError("c")
    error.exit_code = ExitCode.TRIGGERED_AND_PROVEN
    monkeypatch.chdir(state.parent)

    assert call(monkeypatch, ["run"], raising(error)) == 70


@pytest.mark.parametrize(
    ("error", "code"),
    [(SystemExit(0), 0), (SystemExit(None), 0), (SystemExit(1), 70), (SystemExit(2), 78), (SystemExit("x"), 70)],
    ids=repr,
)
def test_other_commands_exits(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.chdir(state.parent)

    assert call(monkeypatch, ["status"], raising(error)) == code
    assert is_open(state)


@pytest.mark.parametrize(("command", "code"), [("run", 0), ("cancel-all", 4), ("reset", 78), ("tail", 78)])
def test_an_interrupt_claims_nothing(command: str, code: int, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.chdir(state.parent)

    assert call(monkeypatch, [command], raising(KeyboardInterrupt())) == code
    assert is_open(state)


def test_a_sentence_for_people_and_a_traceback_for_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, ["status"], raising(errors.ConfigError("config.toml: x: mend it.")))
    assert capsys.readouterr().err == "risk-daemon: config.toml: x: mend it.\n"

    call(monkeypatch, ["status"], raising(RuntimeError("boom")))
    assert "RuntimeError: boom" in capsys.readouterr().err


def test_no_stderr_changes_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    assert call(monkeypatch, ["status"], raising(RuntimeError("boom"))) == 70


# --- the last resort -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [["--config", "X"], ["--config=X"], ["--config", "wrong", "--config=X"]])
def test_the_state_of_the_given_file_is_shut(option: list[str], monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.chdir("/")
    arguments = ["run", *(word.replace("X", str(state.parent / "config.toml")) for word in option)]

    assert call(monkeypatch, arguments, raising(RuntimeError("boom"))) == 70
    assert is_shut(state)


def test_the_default_state_directory_is_shut(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    (state.parent / "config.toml").write_text("[portfolio]\n")
    state.rename(state.parent / "var")
    monkeypatch.chdir(state.parent)

    call(monkeypatch, ["run"], raising(RuntimeError("boom")))
    assert is_shut(state.parent / "var")


def test_the_state_of_another_owner_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(state / "owner.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        monkeypatch.chdir(state.parent)

        assert call(monkeypatch, ["run"], raising(RuntimeError("boom"))) == 70
        assert is_open(state)
        assert "another process owns this state" in capsys.readouterr().err
        holder.communicate("\n")


def test_what_this_process_owns_itself_is_shut(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.chdir(state.parent)
    with (state / "owner.lock").open() as own:
        fcntl.flock(own, fcntl.LOCK_EX)

        call(monkeypatch, ["run"], raising(RuntimeError("boom")))
    assert is_shut(state)


def test_a_map_of_the_gate_sees_it_shut(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.chdir(state.parent)
    inode = (state / "gate.bin").stat().st_ino

    call(monkeypatch, ["run"], raising(RuntimeError("boom")))
    assert (state / "gate.bin").stat().st_ino == inode


def test_one_way_to_shut_does_not_keep_the_other_from_being_tried(
    monkeypatch: pytest.MonkeyPatch, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "gate.bin").unlink()
    (state / "gate.bin").mkdir()
    monkeypatch.chdir(state.parent)

    call(monkeypatch, ["run"], raising(RuntimeError("boom")))
    assert (state / "lock.json").read_text() == "{}"
    assert "gate.bin: it could not be shut" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["not toml [", "[state]\ndir = 5", "state = 3"])
def test_a_file_that_can_t_be_read_is_said(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text(text)
    monkeypatch.chdir(tmp_path)

    assert call(monkeypatch, ["run"], raising(RuntimeError("boom"))) == 70
    assert "the lock could not be shut" in capsys.readouterr().err


def test_no_state_is_made_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)

    assert call(monkeypatch, ["run"], raising(RuntimeError("boom"))) == 70
    assert os.listdir(tmp_path) == ["config.toml"]


# --- as a program ----------------------------------------------------------------------------------


def program(directory: Path, *arguments: str, sabotage: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "sitecustomize.py").write_text(textwrap.dedent(sabotage))
    environment = {**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{REPOSITORY}"}
    return subprocess.run(
        [sys.executable, "-m", "risk_daemon", *arguments],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


BREAK_IMPORT = """
    import sys

    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == {name!r}:
                raise ImportError("planted: " + name)
            return None

    sys.meta_path.insert(0, Broken())
"""


@pytest.mark.parametrize(
    "module", ["risk_daemon.errors", "risk_daemon.cli", "risk_daemon.config.load", "typer", "pydantic"]
)
def test_an_import_that_fails_is_70_and_shuts_the_lock(module: str, state: Path) -> None:
    done = program(state.parent, "run", sabotage=BREAK_IMPORT.format(name=module))

    assert done.returncode == 70
    assert f"planted: {module}" in done.stderr
    assert is_shut(state)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "none.toml: there is no such file: give one with --config FILE."),
        ("[portfolio]\ninitial_capital = 1\n[circuit_breaker]\nloss_threshold = 5", 'for 5 percent write "5%"'),
        ('[portfolio]\napi_key = "hunter2"', "portfolio.api_key: secrets do not belong in this file"),
    ],
)
def test_a_refused_configuration_is_78_and_one_sentence(text: str | None, sentence: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "none.toml").write_text(text)
    done = program(tmp_path, "run", "--config", "none.toml")

    assert done.returncode == 78
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["--bogus"], ["frobnicate"], ["run", "--bogus"], ["halt"], []])
def test_a_wrong_command_line_is_78(arguments: list[str], tmp_path: Path) -> None:
    assert program(tmp_path, *arguments).returncode == 78


def test_a_reader_that_is_gone_changes_no_exit_code(tmp_path: Path) -> None:
    """Rich would end the process with 1, and Python's own flush at exit with 120."""
    read, write = os.pipe()
    os.close(read)
    (tmp_path / "config.toml").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon", "status"], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, timeout=60, check=False,
    )  # fmt: skip
    os.close(write)

    assert done.returncode == 78


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["status", "--help"]])
def test_help_is_0_and_written_even_to_nobody(arguments: list[str], tmp_path: Path) -> None:
    done = program(tmp_path, *arguments)

    assert done.returncode == 0
    assert "Usage: risk-daemon" in done.stdout


def test_a_full_disk_changes_no_exit_code(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "risk_daemon", "status", "--json"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            timeout=60,
            check=False,
        )

    assert done.returncode == 78
    assert b"the output could not be written" in done.stderr


def test_a_shut_lock_is_left_as_it_is_because_it_may_tell_of_a_trip(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut_gate = OPEN_GATE.replace(b"OPEN", b"SHUT")
    shut_lock = '{"locked":true,"cause":"capital_loss","trip_id":"trip-1"}'
    (state / "gate.bin").write_bytes(shut_gate)
    (state / "lock.json").write_text(shut_lock)
    monkeypatch.chdir(state.parent)
    assert call(monkeypatch, ["run"], raising(RuntimeError("boom"))) == 70
    assert (state / "gate.bin").read_bytes() == shut_gate
    assert (state / "lock.json").read_text() == shut_lock
