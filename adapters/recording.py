"""What a real account answers, written down so that it can be shown and played back.

A recording is a gzipped file of JSON lines: a head, then one line a call with its masked answer. Answers to calls
without a signature (market lists, tickers) hold nothing of the account and stay as they are.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.masking import Mask
from risk_daemon.errors import UsageError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call and its answer. body: parsed JSON, masked if it was signed; text where it is none."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    status: int
    body: Any
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All of it. markets: those of the account, as the configuration names them."""

    exchange: str
    markets: tuple[str, ...]
    calls: tuple[Call, ...]


class Tape:
    """Takes down what passes."""

    def __init__(self) -> None:
        self._mask = Mask()
        self.calls: list[Call] = []

    def take(self, method: str, url: str, status: int, body: str, sent: str | None, *, signed: bool) -> None:
        """One answer, of whatever status. sent: the body of the call."""
        parts = urlsplit(url)
        host, path = _original(parts.netloc, parts.path)
        query = self._mask.query(parts.query if not sent or sent.startswith(("{", "[")) else f"{parts.query}&{sent}")
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        masked = self._mask.reply(answer) if signed else answer
        self.calls.append(
            Call(method=method, host=host, path=path, query=query, status=status, body=masked, signed=signed)
        )


def _original(netloc: str, path: str) -> tuple[str, str]:
    """The venue's own host, also where a server on this machine stands for it."""
    if not netloc.startswith("127.0.0.1"):
        return netloc, path
    host, _, rest = path.lstrip("/").partition("/")
    return host, f"/{rest}"


def refuse_to_overwrite(file: Path) -> None:
    """Raises UsageError if the file is there."""
    if file.exists():
        raise UsageError(f"{file} is there already: name another with --out, or move it away")


def write(file: Path, recording: Recording) -> None:
    """Raises UsageError if the file is there already."""
    refuse_to_overwrite(file)
    head = {"risk-daemon recording": FORMAT, "exchange": recording.exchange, "markets": list(recording.markets)}
    with gzip.open(file, "wt", encoding="utf-8") as out:
        for line in (head, *map(asdict, recording.calls)):
            out.write(json.dumps(line) + "\n")


def read(file: Path) -> Recording:
    """Raises UsageError for a file that is no recording, or one of another version."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            head, *calls = map(json.loads, lines)
        if head["risk-daemon recording"] != FORMAT:
            raise UsageError(f"{file}: a recording of format {head['risk-daemon recording']}, not {FORMAT}")
        found = tuple(Call(**call) for call in calls)
        return Recording(exchange=head["exchange"], markets=tuple(head["markets"]), calls=found)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no recording: {error!r}") from None
