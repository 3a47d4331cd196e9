"""`risk_vetoes.jsonl`: one line a veto, written by a thread of its own.

The loop only puts a veto into a queue; all that waits goes out in one write, so that thousands of refusals a
second cost it nothing. A disk that is full or slow makes the queue longer, and when that is full, vetoes are
counted instead: the count is a line of its own (`dropped`) as soon as there is room, so that the lines still add
up. Nothing here ever raises into the loop: vetoes are evidence, and an order is refused with or without its line.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import structlog

from risk_daemon.errors import InvariantError, RecordError
from risk_daemon.gate.restraints import OrderRequest, Veto
from risk_daemon.model.units import plain
from risk_daemon.state.files import json_text, let_group_read, utc_text
from risk_daemon.state.worker import Run, Worker

_LOG = structlog.get_logger(__name__)

MAX_BYTES = 64 * 1024 * 1024
KEEP_FILES = 4
QUEUE_MAX = 20_000
RECENT_MAX = 200
BATCH_EVERY_S = 0.05
RETRY_EVERY_S = 1.0
_DEPTH_MAX = 4
_LINE_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class VetoRecord:
    """That `order` was refused at the moment `wall` (Unix seconds). order None: `bot` was, and what is not known."""

    wall: float
    order: OrderRequest | None
    veto: Veto
    bot: str | None = None

    def line(self) -> dict[str, Any]:
        """As a JSON object: amounts are decimal strings, what is unknown is None and never left out."""
        veto = self.veto
        return {
            "time": utc_text(self.wall),
            "unix": self.wall,
            **self._order(),
            "veto_reason": veto.veto_reason,
            "reason": veto.reason,
            "observed": _sayable(veto.observed),
            "limits": _sayable(veto.limits),
            "trip_id": veto.trip_id,
            "locked_until": _time_text(veto.locked_until_wall),
        }

    def _order(self) -> dict[str, Any]:
        order = self.order
        if order is None:
            return {**dict.fromkeys(_ORDER), "bot": self.bot}
        price = None if order.price is None else plain(order.price)
        values = (order.venue, order.symbol, order.side, order.order_type, plain(order.quantity), price)
        return dict(zip(_ORDER, (*values, order.reduce_only, order.client_order_id, order.bot), strict=True))


_ORDER = ("venue", "symbol", "side", "type", "quantity", "price", "reduce_only", "client_order_id", "bot")


class VetoLog:
    """The writer; one a file. Made and used on the event loop. `close` it after whatever asks the gate is closed.

    written, dropped: vetoes that have a line, and vetoes that could get none, since the start.
    """

    def __init__(
        self,
        file: RotatedFile,
        run: Run | None = None,
        *,
        queue_max: int = QUEUE_MAX,
        batch_every_s: float = BATCH_EVERY_S,
        retry_every_s: float = RETRY_EVERY_S,
    ) -> None:
        self.written = 0
        self.dropped = 0
        self.is_failing = False
        self._file = file
        self._worker: Worker | None = None
        if run is None:
            self._worker = Worker("veto-log")
            run = self._worker.run
        self._run: Run = run
        self._queue_max = queue_max
        self._batch_every_s = batch_every_s
        self._retry_every_s = retry_every_s
        self._queue: deque[VetoRecord] = deque()  # what is being written stays in it until it is
        self._before: list[dict[str, Any]] = []
        self._recent: deque[VetoRecord] = deque(maxlen=RECENT_MAX)
        self._told_dropped = 0
        self._closing = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, path: Path, run: Run | None = None) -> Self:
        """Go on with the file, or begin it; a half-written last line is ended. `run`: as of `SqliteStore.open`.

        A file that can't be written is said, not raised: it may be mended later.
        """
        file = RotatedFile(path)
        log = cls(file, run)
        log._before = file.last(RECENT_MAX)
        try:
            file.append(b"")
        except OSError as error:
            log._failed(error)
        return log

    def append(self, records: Iterable[VetoRecord]) -> None:
        """Take these to be written soon. Neither blocks nor raises."""
        for record in records:
            self._recent.append(record)
            if len(self._queue) < self._queue_max and not self._closing.is_set():
                self._queue.append(record)
            else:
                self._drop(1, "the queue is full" if not self._closing.is_set() else "the log is closed")
        if not self._closing.is_set():
            self._drain_soon()

    def miss(self, count: int) -> None:
        """That `count` vetoes were given that nobody can tell of any more."""
        if count > 0:
            self._drop(count, "they were not told in time")
            if not self._closing.is_set():
                self._drain_soon()

    def recent(self) -> list[dict[str, Any]]:
        """The last 200 vetoes, oldest first: those of this run, written or not, after what the file had before."""
        return [*self._before, *(record.line() for record in self._recent)][-RECENT_MAX:]

    async def close(self, within_s: float = 2.0) -> int:
        """Write what waits, for `within_s` at most. Returns how many vetoes have no line that is known of."""
        self._closing.set()
        self._drain_soon()
        if self._draining is not None:
            await asyncio.wait({self._draining}, timeout=within_s)
            self._draining.cancel()
        if self._worker is not None:
            self._worker.stop()
        left = len(self._queue) + self.dropped - self._told_dropped
        if left:
            _LOG.critical("vetoes_not_written", path=str(self._file.path), count=left)
        return left

    # --- from the queue to the file ----------------------------------------------------------------------

    def _drain_soon(self) -> None:
        is_idle = self._draining is None or self._draining.done()
        if is_idle and (self._queue or self.dropped > self._told_dropped):
            self._draining = asyncio.get_running_loop().create_task(self._drain(), name="veto-log")

    async def _drain(self) -> None:
        while self._queue or self.dropped > self._told_dropped:
            is_written = await self._write_batch()
            if self._closing.is_set() and not is_written:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._batch_every_s if is_written else self._retry_every_s):
                    await self._closing.wait()

    async def _write_batch(self) -> bool:
        """Write all that waits, at once. False: it could not be written and waits on."""
        batch, dropped = list(self._queue), self.dropped
        untold = dropped - self._told_dropped
        gap = [_gap_line(untold, self._recent[-1].wall)] if untold else []
        try:
            await self._run(self._write, batch, gap)
        except (OSError, RecordError) as error:
            self._failed(error)
            return False
        except Exception as error:  # the edge of a task: a bug must not stop the lines to come
            self._drop(len(batch), repr(error))
        else:
            self.written += len(batch)
            self._told_dropped = dropped
            self._works()
        for _ in batch:
            self._queue.popleft()
        return True

    def _write(self, batch: list[VetoRecord], gap: list[dict[str, Any]]) -> None:
        """On the thread. Raises OSError; then nothing of it is in the file."""
        lines = [*(record.line() for record in batch), *gap]
        self._file.append("".join(f"{json_text(line)}\n" for line in lines).encode("ascii"))

    # --- what goes wrong ---------------------------------------------------------------------------------

    def _drop(self, count: int, why: str) -> None:
        if self.dropped == self._told_dropped:
            _LOG.critical("vetoes_dropped", path=str(self._file.path), why=why)
        self.dropped += count

    def _failed(self, error: OSError | RecordError) -> None:
        if not self.is_failing:
            _LOG.critical("veto_log_failed", path=str(self._file.path), error=str(error), waiting=len(self._queue))
        self.is_failing = True

    def _works(self) -> None:
        if self.is_failing:
            _LOG.warning("veto_log_works_again", path=str(self._file.path), dropped=self.dropped)
        self.is_failing = False


class RotatedFile:
    """A file of lines; when it is larger than `max_bytes`, it becomes `<name>.1`, that one `.2`, up to `keep`.

    It is opened anew for each write, so whoever moves it away or deletes it gets a new one.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, keep: int = KEEP_FILES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._rotates = True

    def append(self, data: bytes) -> None:
        """Add all of `data` or nothing, after the end of a half-written line. Blocks. Raises OSError."""
        self._rotate_if_large()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if not size:
                let_group_read(descriptor, self.path.parent)  # a dashboard in it may show what was refused
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            written = os.write(descriptor, data)
            if written != len(data):
                os.ftruncate(descriptor, size)
                raise OSError(f"only {written} of {len(data)} bytes could be written")
        finally:
            os.close(descriptor)

    def last(self, count: int) -> list[dict[str, Any]]:
        """As many of its last lines as lie in its last part, oldest first; what can't be read is left out."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - count * _LINE_BYTES))
                lines = file.read(count * _LINE_BYTES).split(b"\n")
        except OSError:
            return []
        return [entry for line in lines if (entry := _entry(line)) is not None][-count:]

    def _rotate_if_large(self) -> None:
        """A file that can't be moved is written on: one too large is better than none."""
        try:
            if self.path.exists() and self.path.stat().st_size >= self._max_bytes:
                self._rotate()
            self._rotates = True
        except OSError as error:
            if self._rotates:
                _LOG.error("veto_log_not_rotated", path=str(self.path), error=str(error))
            self._rotates = False

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(self._numbered(number), self._numbered(number + 1))
        os.replace(self.path, self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _entry(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        entry = json.loads(line)
        return entry if isinstance(entry, dict) and "veto_reason" in entry else None
    return None


_EMPTY = VetoRecord(0.0, None, Veto("", ""))


def _gap_line(count: int, wall: float) -> dict[str, Any]:
    """Says that `count` vetoes up to about `wall` have no line; all else in it is unknown."""
    known = {"time": utc_text(wall), "unix": wall, "reason": "no room for their lines", "dropped": count}
    return {**dict.fromkeys(_EMPTY.line()), **known}


def _sayable(value: object, depth: int = _DEPTH_MAX) -> object:
    """`value` as JSON can say it: amounts as text, what is no number as None. Rules of a user's own say anything."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else None
    if isinstance(value, Mapping) and depth:
        return {str(key): _sayable(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_sayable(inner, depth - 1) for inner in value]
    return str(value)[:200]


def _time_text(wall: float | None) -> str | None:
    """UTC text; None for what is no time."""
    try:
        return None if wall is None else utc_text(wall)
    except InvariantError:
        return None
