"""The command line's side of the socket: an answer, or a sentence that claims nothing."""

from __future__ import annotations

import ast
import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.api.app import ControlServer
from risk_daemon.cli import remote
from risk_daemon.config.load import load as load_config
from risk_daemon.config.place import Place, locate
from risk_daemon.errors import ConfigError, ExitCode
from risk_daemon.model.events import Input

REPOSITORY = Path(__file__).parents[3]


class FakeControl:
    def state(self) -> Mapping[str, Any]:
        return {"state": "ACTIVE"}

    def is_ready(self) -> bool:
        return True

    def is_alive(self) -> bool:
        return True

    async def command(self, event: Input) -> Mapping[str, Any]:
        return {"accepted": False, "reason": "not now"}

    async def cancel_all(self, venue: str | None, market: str | None, operator: str) -> Mapping[str, Any]:
        return {"proven": True}


@contextmanager
def serving(path: Path) -> Iterator[None]:
    """A real server on `path`, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ControlServer(FakeControl(), path)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def raw(path: Path, answer: bytes | None) -> Iterator[None]:
    """A server that reads one request and says `answer`; None: nothing, ever."""
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                if answer is None:
                    ended.wait(10)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        ended.set()
        thread.join(10)


def http_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def test_only_the_standard_library_is_used() -> None:
    tree = ast.parse((REPOSITORY / "risk_daemon" / "cli" / "remote.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}

    foreign = {name for name in imported if str(name).split(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"risk_daemon.errors", "risk_daemon.model.addresses", "risk_daemon.model.clock"}


def test_a_question_and_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with serving(path):
        state = remote.request(path, "GET", "/api/v1/state")
        refused = remote.request(path, "POST", "/api/v1/halt", {"reason": "x"})

    assert (state.ok, state.body["state"]) == (True, "ACTIVE")
    assert (refused.ok, refused.status, refused.detail) == (False, 409, "not now")


def test_a_path_longer_than_the_kernel_s_limit_works(tmp_path: Path) -> None:
    directory = tmp_path / ("a" * 120)
    directory.mkdir()
    with serving(directory / "s.sock"):
        assert remote.request(directory / "s.sock", "GET", "/livez").ok


def test_root_this_user_and_the_owner_of_the_directory_may_answer_for_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    owner = path.parent.stat().st_uid
    assert all(remote.may_serve(uid, path) for uid in (0, os.geteuid(), owner))
    assert not remote.may_serve(max(0, os.geteuid(), owner) + 1, path)


def test_whoever_may_not_is_asked_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "may_serve", lambda uid, path: False)
    path, asked = tmp_path / "s.sock", list[bytes]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(remote.NotConfirmed, match=f"user {os.geteuid()} serves it"):
            remote.request(path, "POST", "/api/v1/halt", {"reason": "x"})
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(10))
    assert asked == [b""]


def no_file(path: Path) -> None:
    return None


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def file_for_directory(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize("prepare", [no_file, dead_socket, file_for_directory])
def test_nobody_there(prepare: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "d" / "s.sock"
    path.parent.mkdir()
    prepare(path)

    with pytest.raises(remote.DaemonAbsent, match=r"no daemon is running at .*s\.sock"):
        remote.request(path, "GET", "/livez")


def test_a_missing_directory_with_a_long_name_is_nobody(tmp_path: Path) -> None:
    with pytest.raises(remote.DaemonAbsent):
        remote.request(tmp_path / ("a" * 120) / "s.sock", "GET", "/livez")


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"garbage\r\n\r\n", http_answer(b""), http_answer(b"<html>"), http_answer(b"[]"), http_answer(b"\xff")],
)
def test_no_well_formed_answer_confirms_nothing(answer: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with raw(path, answer), pytest.raises(remote.NotConfirmed, match="not confirmed") as caught:
        remote.request(path, "POST", "/api/v1/halt", {"reason": "x"}, timeout_s=0.2)

    assert caught.value.exit_code == ExitCode.REFUSED


def test_a_closed_door_is_not_an_absent_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(remote._UnixConnection, "connect", refuse)
    with pytest.raises(remote.NotConfirmed, match="permission denied"):
        remote.request(tmp_path / "s.sock", "GET", "/livez")


# --- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", '[state]\ndir = "elsewhere"', '[state]\ndir = "/srv/risk"\n[api]\nsocket = "s"', '[api]\nsocket = "s.sock"'],
)
def test_the_places_are_those_of_the_whole_configuration(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[portfolio]\ninitial_capital = 1\n[venues.a]\nexchange = "kraken"\nmarkets = ["spot"]\n' + text)

    settings = load_config(path)
    assert locate(path) == Place(settings.state.dir, settings.socket_path)


def test_a_mistake_elsewhere_in_the_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[circuit_breaker]\nloss_threshold = 5\n[state]\ndir = "s"')

    assert locate(tmp_path / "config.toml").state == tmp_path / "s"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "[",
        "state = 1",
        "[state]\ndir = 1",
        *(f"[api]\nsocket = {name}" for name in ("'/tmp/s'", "'../s'", "'..'", "''", "1")),
    ],
)
def test_a_file_that_does_not_say_where_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        locate(path)
    assert str(caught.value).startswith(f"{path}: ")


# --- documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null"])
def test_nothing_is_known_from_a_broken_file(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "risk.json").write_text(text)

    assert remote.last_known(tmp_path) is None


def test_the_last_known_values_have_an_age(tmp_path: Path) -> None:
    (tmp_path / "risk.json").write_text('{"state": "ACTIVE"}')

    known = remote.last_known(tmp_path)
    assert known is not None
    assert known[0] == {"state": "ACTIVE"}
    assert known[1] >= 0
