"""The command line's side of the Unix socket.

Standard library only: `status` and `halt` must answer at once, and `halt` must work even when other parts
of the configuration have been broken since the daemon started.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from risk_daemon.errors import ExitCode, RiskDaemonError
from risk_daemon.model.addresses import short_address
from risk_daemon.model.clock import SystemClock

_PEER = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


class DaemonAbsent(RiskDaemonError):
    """No daemon serves the socket."""

    exit_code = ExitCode.REFUSED


class NotConfirmed(RiskDaemonError):
    """A daemon is there, but whether it did what was asked is unknown."""

    exit_code = ExitCode.REFUSED


# --- the socket ------------------------------------------------------------------------------------


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_address(self._path) as address:
            self.sock.connect(address)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon said. `body` is a JSON object."""

    status: int
    body: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        return self.status == http.HTTPStatus.OK

    @property
    def detail(self) -> str:
        """Why it was refused, as a sentence."""
        return str(self.body.get("detail") or self.body.get("title") or f"HTTP {self.status}")


def request(
    path: Path, method: str, target: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 5.0
) -> Answer:
    """Ask the daemon that serves the socket `path`.

    Raises DaemonAbsent when nobody serves it, NotConfirmed when there is no well-formed answer in time.
    """
    connection = _UnixConnection(path, timeout_s)
    try:
        _connect(connection, path)
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, target, data, {"Content-Type": "application/json"} if data else {})
        reply = connection.getresponse()
        return Answer(reply.status, _object(reply.read()))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotConfirmed(
            f"the daemon at {path} took the call but gave no answer ({str(error) or type(error).__name__}):"
            " what was asked is not confirmed, look with `risk-daemon status` and ask again."
        ) from None
    finally:
        connection.close()


def _connect(connection: _UnixConnection, path: Path) -> None:
    """Raises DaemonAbsent, NotConfirmed where it can't be used, or is served by somebody who can't be the daemon."""
    try:
        connection.connect()
        _check_peer(connection.sock, path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise DaemonAbsent(f"no daemon is running at {path}") from None
    except PermissionError:
        raise NotConfirmed(
            f"{path}: permission denied: only root and the daemon's own user may use it, try with sudo."
        ) from None


def _check_peer(connected: socket.socket, path: Path) -> None:
    """Raises OSError, and NotConfirmed where another user answers for the daemon."""
    _, uid, _ = _PEER.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if not may_serve(uid, path):
        raise NotConfirmed(f"{path}: user {uid} serves it, who is not the daemon's: nothing was asked.")


def may_serve(uid: int, path: Path) -> bool:
    """Whether a daemon of this directory may run as this user: root, whoever asks, the directory's owner."""
    return uid in (0, os.geteuid(), path.parent.stat().st_uid)


def _object(data: bytes) -> Mapping[str, Any]:
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("the answer is not a JSON object")  # noqa: TRY004 - a wrong value, from outside
    return body


# --- documents -------------------------------------------------------------------------------------


def last_known(state: Path) -> tuple[Mapping[str, Any], float] | None:
    """What `risk.json` last said, and its age in seconds; None if it says nothing."""
    path = state / "risk.json"
    try:
        document = _object(path.read_bytes())
        return document, max(0.0, SystemClock().now().wall - path.stat().st_mtime)
    except (OSError, ValueError):
        return None
