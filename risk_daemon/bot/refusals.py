"""Tells the daemon which orders its memory map refused, so that their vetoes are written down and counted.

The bot has had its no by then and waits for nothing: what it was refused goes into a queue, and a thread carries it
over, so many a second at most. What finds no room is counted, and the count goes with the next that is told. A
daemon that is slow or gone makes the queue longer and nothing else.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from risk_daemon.bot.answers import GateAnswer, boot_ns
from risk_daemon.bot.orders import ProposedOrder

QUEUE_MAX: Final = 256
TOLD_PER_S: Final = 50.0
RETRY_AFTER_S: Final = 1.0
LAST_MOMENT_S: Final = 0.5
_IDLE_S: Final = 5.0
_MAX_TEXT: Final = 256
_TAKEN, _TRY_AGAIN = 202, (429, 503)

Post = Callable[[Mapping[str, Any]], "int | None"]


class Refusals:
    """A queue to one daemon. Thread-safe, survives a fork. post: sends a report, gives the status or None."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._start()
        _at_exit(self)

    def _start(self) -> None:
        self._owner = os.getpid()
        self._changed = threading.Condition()
        self._queue: deque[tuple[int, dict[str, Any]]] = deque()
        self._untold = 0
        self._is_carrying = False
        self._is_ending = False

    def tell(self, order: ProposedOrder | None, answer: GateAnswer, where: str = "") -> None:
        """That `order` was refused with `answer`. Returns at once and raises nothing. order None: it was not read."""
        if self._owner != os.getpid():
            self._start()
        document: dict[str, Any] = {
            "kind": "vetoed",
            "veto_reason": (answer.veto_reason or "locked")[:_MAX_TEXT],
            "detail": f"{where}: {answer.detail}"[:_MAX_TEXT] if where else answer.detail[:_MAX_TEXT],
        }
        if order is not None:
            document["order"] = order.document()
        with self._changed:
            if len(self._queue) >= QUEUE_MAX:
                self._untold += 1
                return
            self._queue.append((boot_ns(), document))
            self._changed.notify_all()
            if not self._is_carrying:
                self._is_carrying = self._begin()

    def finish(self, within_s: float = LAST_MOMENT_S) -> None:
        """Give what waits a last moment."""
        if self._owner != os.getpid():
            return
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_carrying, within_s)

    def _begin(self) -> bool:
        try:
            threading.Thread(target=self._carry, name="risk-gate-refusals", daemon=True).start()
        except RuntimeError:  # no thread can be had: the queue is full some day, and then they are counted
            return False
        return True

    def _carry(self) -> None:
        while (waiting := self._next()) is not None:
            at_ns, document = waiting
            with self._changed:
                untold = self._untold
            ago_s = max(0.0, (boot_ns() - at_ns) / 1e9)
            status = self._post({**document, "ago_s": round(ago_s, 3), "untold": untold})
            with self._changed:
                is_over = status is not None and status not in _TRY_AGAIN
                if is_over:
                    self._queue.popleft()
                    self._untold += -untold if status == _TAKEN else 1
                elif self._is_ending:
                    self._queue.clear()
                if not self._is_ending:
                    self._changed.wait_for(lambda: self._is_ending, 1 / TOLD_PER_S if is_over else RETRY_AFTER_S)

    def _next(self) -> tuple[int, dict[str, Any]] | None:
        """What has waited longest; it stays in the queue. None: nothing came for a while."""
        with self._changed:
            if not self._is_ending:
                self._changed.wait_for(lambda: bool(self._queue) or self._is_ending, _IDLE_S)
            if self._queue:
                return self._queue[0]
            self._is_carrying = False
            self._changed.notify_all()
            return None


def _at_exit(refusals: Refusals) -> None:
    """A bot that ends on a veto has its veto told all the same."""
    held = weakref.ref(refusals)

    def finish() -> None:
        found = held()
        if found is not None:
            found.finish()

    atexit.register(finish)
    weakref.finalize(refusals, atexit.unregister, finish).atexit = False
