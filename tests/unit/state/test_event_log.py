"""The event log: what is damaged is seen, what failed leaves no trace, what was written stays."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.model.events import EventName, Kind, RiskEvent
from risk_daemon.state.event_log import GENESIS, EventLog, Verification, follow, read_log, verify_log

WALL = 1_763_636_400.123456


def event(**fields: object) -> RiskEvent:
    return RiskEvent(EventName.PORTFOLIO_UPDATE, fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def write(path: Path, count: int, **fields: object) -> None:
    log = EventLog.open(path)
    for number in range(count):
        log.append(event(number=number, **fields), WALL + number)
    log.close()


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A full disk, as the kernel gives it: partial writes up to `size`, then errors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


def test_a_line_has_its_fields_in_order(path: Path) -> None:
    log = EventLog.open(path)
    log.append(event(equity=Decimal("1E+3"), loss_ratio=0.05, kind=Kind.PRICES, missing=None), WALL)
    line = path.read_text()
    start = '{"seq":1,"time":"2025-11-20T11:00:00.123456Z","event":"portfolio_update","equity":"1000",'
    assert line.startswith(start)
    assert json.loads(line)["kind"] == "prices"
    assert list(json.loads(line))[-2:] == ["prev", "hash"]


def test_the_recipe_in_the_docstring_verifies(path: Path) -> None:
    write(path, 3, text='quotes " and ,"hash":" and ünïcode \u2028', nested={"hash": "x", "prev": {}})
    prev = "0" * 64
    for line in path.open("rb"):
        body, _, _ = line.rpartition(b',"hash":"')
        entry, digest = json.loads(line), hashlib.sha256(body + b"}").hexdigest()
        assert (entry["prev"], entry["hash"]) == (prev, digest)
        prev = digest
    assert verify_log(path).lines == 3


def test_the_bytes_without_hash_are_canonical_json(path: Path) -> None:
    write(path, 1, ratio=0.1, amount=Decimal("1.50"))
    entry = json.loads(path.read_text())
    digest = entry.pop("hash")
    assert hashlib.sha256(json.dumps(entry, separators=(",", ":")).encode()).hexdigest() == digest


def test_reading_gives_back_what_was_written(path: Path) -> None:
    write(path, 2, amounts=MappingProxyType({"BTC": Decimal("0.00000001")}))
    first, second = read_log(path)
    assert first.fields == {"number": 0, "amounts": {"BTC": "0.00000001"}}
    assert (first.seq, second.seq, second.prev, first.prev) == (1, 2, first.hash, GENESIS)
    assert first.wall == pytest.approx(WALL, abs=1e-6)


def test_the_chain_goes_on_after_a_restart(path: Path) -> None:
    write(path, 3)
    write(path, 3)
    assert verify_log(path) == Verification(ok=True, lines=6)
    log = EventLog.open(path)
    assert log.seq == 6
    assert log.head == list(read_log(path))[-1].hash
    assert log.torn is None


def test_the_group_of_the_directory_may_read_it(path: Path) -> None:
    """So that `risk-daemon watch` can, as a user of its own; also what an older version began."""
    path.touch(0o600)
    EventLog.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_gid == path.parent.stat().st_gid


def test_an_absent_log_starts_and_an_empty_one_is_fine(path: Path) -> None:
    missing = verify_log(path)
    assert not missing.ok
    assert "events.jsonl" in str(missing.problem)
    path.touch()
    assert verify_log(path).ok
    assert EventLog.open(path).seq == 0


@pytest.mark.parametrize("rest", [b'{"seq":4,"time"', b"\0" * 5000, b"\xff{"])
def test_a_torn_last_line_is_set_aside(path: Path, rest: bytes) -> None:
    write(path, 3)
    with path.open("ab") as file:
        file.write(rest)
    found = verify_log(path)
    assert (found.ok, found.lines, found.torn) == (True, 3, True)
    assert len(list(read_log(path))) == 3
    log = EventLog.open(path)
    assert log.torn is not None
    assert str(len(rest)) in log.torn
    assert path.with_name("events.jsonl.torn").read_bytes() == rest + b"\n"
    log.append(event(), WALL)
    assert verify_log(path).lines == 4
    assert not verify_log(path).torn


def test_a_file_of_one_torn_line_starts_anew(path: Path) -> None:
    path.write_bytes(b'{"seq":1,"ti')
    log = EventLog.open(path)
    log.append(event(), WALL)
    assert [line.seq for line in read_log(path)] == [1]


def flip(lines: list[bytes]) -> list[bytes]:
    lines[2] = lines[2].replace(b'"number":2', b'"number":3')
    return lines


def swap(lines: list[bytes]) -> list[bytes]:
    lines[2], lines[3] = lines[3], lines[2]
    return lines


def rehashed(lines: list[bytes]) -> list[bytes]:
    """A forger who knows how a hash is made, but not that the next line holds it."""
    body, _, _ = flip(lines)[2].rpartition(b',"hash":"')
    lines[2] = body + b',"hash":"' + hashlib.sha256(body + b"}").hexdigest().encode() + b'"}\n'
    return lines


DAMAGES = [
    pytest.param(flip, 3, id="flipped byte"),
    pytest.param(lambda lines: lines[:2] + lines[3:], 3, id="deleted line"),
    pytest.param(lambda lines: lines[1:], 1, id="deleted first line"),
    pytest.param(swap, 3, id="swapped lines"),
    pytest.param(lambda lines: [*lines[:2], b"<html>502</html>\n", *lines[2:]], 3, id="garbage line"),
    pytest.param(lambda lines: [*lines[:2], b"\n", *lines[2:]], 3, id="empty line"),
    pytest.param(lambda lines: [*lines[:2], b'{"seq":true}\n', *lines[2:]], 3, id="other json"),
    pytest.param(lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, id="doubled line"),
    pytest.param(rehashed, 4, id="forged line"),
    pytest.param(lambda lines: [*lines[:4], lines[4][:-1] + b" \n"], 5, id="space at the end"),
    pytest.param(lambda lines: [lines[0][:-1] + b"\r\n", *lines[1:]], 1, id="carriage return"),
]


@pytest.mark.parametrize(("damage", "line"), DAMAGES)
def test_damage_is_found_and_named(path: Path, damage: Callable[[list[bytes]], list[bytes]], line: int) -> None:
    write(path, 5)
    rewrite(path, damage)
    found = verify_log(path)
    assert not found.ok
    assert found.problem_line == line
    assert found.lines == line - 1
    assert f"{path}: line {line}" in str(found.problem)
    if found.problem and "retention" in found.problem:  # the state knows what may be missing there: see `cut_of`
        assert EventLog.open(path).seq == 5
        return
    with pytest.raises(StateError, match=f"events.jsonl: line {line} "):
        EventLog.open(path)


def test_only_the_tail_is_checked_at_opening(path: Path) -> None:
    write(path, 600)
    rewrite(path, flip)
    EventLog.open(path).append(event(), WALL)
    assert verify_log(path).problem_line == 3


def test_damage_in_the_tail_of_a_long_log_is_named_by_its_line(path: Path) -> None:
    write(path, 600)
    rewrite(path, lambda lines: lines[:590] + lines[591:])
    with pytest.raises(StateError, match="line 591 has seq 592 where 591 belongs"):
        EventLog.open(path)


def test_lines_longer_than_the_tail_are_checked(path: Path) -> None:
    write(path, 3, text="x" * 200_000)
    assert EventLog.open(path).seq == 3
    rewrite(path, lambda lines: [*lines[:2], lines[2].replace(b"xx", b"xy", 1)])
    with pytest.raises(StateError, match="line 3 was changed"):
        EventLog.open(path)


def test_garbage_stops_a_reader_with_its_line(path: Path) -> None:
    write(path, 3)
    rewrite(path, lambda lines: [lines[0], b"[1]\n", *lines[1:]])
    reader = read_log(path)
    assert next(reader).seq == 1
    with pytest.raises(StateError, match="line 2 is not an entry"):
        next(reader)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't be opened"):
        EventLog.open(tmp_path)
    with pytest.raises(StateError, match="can't be opened"):
        EventLog.open(tmp_path / "none" / "events.jsonl")
    with pytest.raises(StateError, match="can't be read"):
        next(read_log(tmp_path / "none"))


@pytest.mark.parametrize("name", ["seq", "time", "event", "prev", "hash"])
def test_reserved_names_are_a_bug(path: Path, name: str) -> None:
    log = EventLog.open(path)
    with pytest.raises(InvariantError, match=name):
        log.append(event(**{name: 1}), WALL)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity"), {1}, b"x", object(), {"a": float("nan")}],
)
def test_what_json_cannot_say_is_a_bug_and_leaves_nothing(path: Path, value: object) -> None:
    log = EventLog.open(path)
    with pytest.raises(InvariantError):
        log.append(event(value=value), WALL)
    log.append(event(), WALL)
    assert verify_log(path).lines == 1


@pytest.mark.parametrize("wall", [float("nan"), float("inf"), 1e300])
def test_a_time_that_is_none_is_a_bug(path: Path, wall: float) -> None:
    with pytest.raises(InvariantError):
        EventLog.open(path).append(event(), wall)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_is_reported_and_leaves_a_good_log(path: Path, room: int) -> None:
    write(path, 3)
    log = EventLog.open(path)
    size = path.stat().st_size
    with file_size_limit(size + room):
        for _ in range(3):
            with pytest.raises(RecordError, match=r"events\.jsonl"):
                log.append(event(), WALL)
        assert path.stat().st_size == size
    log.append(event(after=True), WALL)
    assert verify_log(path) == Verification(ok=True, lines=4)


def test_what_could_not_be_taken_back_is_taken_back_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 2)
    log = EventLog.open(path)

    def refuse(descriptor: int, size: int) -> None:
        raise OSError(5, "Input/output error")

    with file_size_limit(path.stat().st_size + 50), monkeypatch.context() as patch:
        patch.setattr("os.ftruncate", refuse)
        for _ in range(2):
            with pytest.raises(RecordError, match="could not be removed"):
                log.append(event(), WALL)
    assert verify_log(path).torn
    log.append(event(), WALL)
    assert verify_log(path).lines == 3
    assert not verify_log(path).torn


def test_fsync_and_close(path: Path) -> None:
    log = EventLog.open(path)
    log.append(event(), WALL)
    log.fsync()
    log.close()
    log.close()
    with pytest.raises(RecordError):
        log.append(event(), WALL)
    with pytest.raises(RecordError):
        log.fsync()


WRITER = """
import sys
from pathlib import Path
from risk_daemon.state.event_log import EventLog
from risk_daemon.model.events import EventName, RiskEvent
log = EventLog.open(Path(sys.argv[1]))
print(log.seq, flush=True)
while True:
    log.append(RiskEvent(EventName.VENUE_LOST, {"text": "x" * 3000}), 1.7e9)
    if log.seq % 50 == 0:
        print(log.seq, flush=True)
"""


def test_kill_9_in_the_middle_of_writing_leaves_a_good_log(path: Path) -> None:
    acknowledged = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) >= acknowledged
            acknowledged = int(process.stdout.readline())
            process.kill()
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split("\n")[:-1])])
        found = verify_log(path)
        assert found.ok
        assert found.lines >= acknowledged > 0


class EndOfScript(Exception):
    pass


class Script:
    """Stands in for sleeping: each pause runs the next step, and the last one ends the test."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)

    def __call__(self, seconds: float) -> None:
        if not self.steps:
            raise EndOfScript
        self.steps.pop(0)()


def collect(path: Path, script: Script, *, from_end: bool = False) -> list[int]:
    seen: list[int] = []
    try:
        for line in follow(path, from_end=from_end, sleep=script):
            seen.append(line.seq)
    except EndOfScript:
        assert not script.steps
    return seen


def test_following_waits_for_the_file_and_for_lines(path: Path) -> None:
    script = Script(lambda: write(path, 2), lambda: write(path, 1), lambda: None, lambda: write(path, 1))
    assert collect(path, script) == [1, 2, 3, 4]


def test_following_from_the_end_skips_what_is_there(path: Path) -> None:
    write(path, 700)
    assert collect(path, Script(lambda: write(path, 2)), from_end=True) == [701, 702]


def test_following_does_not_give_half_a_line(path: Path) -> None:
    write(path, 3, text="y" * 100_000)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    script = Script(
        lambda: path.write_bytes(whole[: len(whole) * 2 // 3]),
        lambda: path.write_bytes(whole),
        lambda: None,
    )
    assert collect(path, script) == [1, 2, 3]


def test_following_goes_on_in_a_new_file(path: Path) -> None:
    write(path, 2)
    script = Script(lambda: path.rename(path.with_suffix(".old")), lambda: write(path, 1))
    assert collect(path, script) == [1, 2, 1]
