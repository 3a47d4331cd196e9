"""The event loop of a command: uvloop, logs for machines, and an end that nothing can hold up."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import IO, Any, TextIO, TypeVar, cast

import structlog
import uvloop

from risk_daemon.cli.log_format import LogFormat

T = TypeVar("T")

_WIND_UP_S = 2.0


# What sd-daemon(3) calls them: the journal takes a line's priority from its first characters.
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def run_to_end(work: Coroutine[Any, Any, T], log_format: LogFormat = LogFormat.AUTO) -> T:
    """Run `work` on a loop of its own. What it leaves behind is cancelled and waited for, but not for ever."""
    configure_logs(log_format)
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        _wind_up(loop)


def configure_logs(log_format: LogFormat = LogFormat.AUTO) -> None:
    """One line an event on stderr: JSON, for the journal with its priority before it, or readable on a terminal."""
    if log_format is LogFormat.AUTO:
        log_format = _fitting()
    text = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    renderers: dict[LogFormat, Any] = {LogFormat.TEXT: text, LogFormat.JOURNAL: _with_priority}
    renderer = renderers.get(log_format, structlog.processors.JSONRenderer())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Unbreakable(sys.stderr))),
    )


class Unbreakable:
    """Standard error, where a full disk or a reader that is gone costs a line and never the guard."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _fitting() -> LogFormat:
    if sys.stderr.isatty():
        return LogFormat.TEXT
    return LogFormat.JOURNAL if is_journal(sys.stderr) else LogFormat.JSON


def is_journal(stream: IO[str]) -> bool:
    """Whether `stream` is the one that systemd says goes to the journal: the same device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _with_priority(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
    priority = _PRIORITIES.get(str(event.get("level")), _PRIORITIES["error"])
    return f"<{priority}>{structlog.processors.JSONRenderer()(logger, method, event)!s}"


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=_WIND_UP_S))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
