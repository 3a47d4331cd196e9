"""`status --watch`: how things stand, every second, until somebody has seen enough.

On a terminal the picture is drawn anew in its place. Elsewhere it is a line whenever something changes that matters:
the state, the gate, who is refused, whether there is a daemon. Figures alone move every second, and make no line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from risk_daemon.cli import remote, render, words
from risk_daemon.cli.common import accepted
from risk_daemon.config.place import Place
from risk_daemon.errors import RiskDaemonError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.status import State
from risk_daemon.state.files import utc_text

EVERY_S = 1.0

Wait = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Look:
    """state: None where nothing is known. problem: why it is not of a running daemon, in a sentence."""

    state: State | None
    problem: str | None = None


def look(place: Place) -> Look:
    """Ask the daemon. Raises nothing: that it is gone is what is shown."""
    try:
        return Look(State.shown(accepted(remote.request(place.socket, "GET", "/api/v1/state"))))
    except remote.DaemonAbsent as error:
        return _last_known(place, f"DAEMON NOT RUNNING: {error}. Nothing is guarded.")
    except RiskDaemonError as error:
        return _last_known(place, f"NO ANSWER: {error}")


def _last_known(place: Place, problem: str) -> Look:
    known = remote.last_known(place.state)
    if known is None:
        return Look(None, problem)
    return Look(words.gone(known[0]), f"{problem}\nLast known values, {words.age(known[1])} old:")


def watch(place: Place, out: Console, wait: Wait = time.sleep) -> None:
    """Until Ctrl-C, or until nobody reads any more."""
    last: list[Look] = []
    try:
        (_draw if out.is_terminal else _tell_changes)(place, out, wait, last)
    except KeyboardInterrupt:
        if out.is_terminal and last:
            out.print(_picture(out, last[-1]))


def _draw(place: Place, out: Console, wait: Wait, last: list[Look]) -> None:
    with out.screen(hide_cursor=True) as screen:
        while not out.quiet:
            last[:] = [look(place)]
            screen.update(_picture(out, last[-1]))
            wait(EVERY_S)


def _picture(out: Console, seen: Look) -> Text:
    out.soft_wrap = False  # a screen cuts what is longer than its lines
    with out.capture() as captured:
        if seen.problem is not None:
            for sentence in seen.problem.splitlines():
                out.print(words.safe(sentence), style="bold red")
            out.print()
        if seen.state is not None:
            render.status(out, seen.state)
        out.print(f"\n{utc_text(SystemClock().now().wall)[:19]} UTC; Ctrl-C ends this, and nothing else.", style="dim")
    return Text.from_ansi(captured.get())


def _tell_changes(place: Place, out: Console, wait: Wait, last: list[Look]) -> None:
    told = ""
    while not out.quiet:
        last[:] = [look(place)]
        line = _line(last[-1])
        if line != told:
            out.print(f"{utc_text(SystemClock().now().wall)[:19]}Z  {line}")
            told = line
        wait(EVERY_S)


def _line(seen: Look) -> str:
    if seen.problem is not None or seen.state is None:
        return words.safe(str(seen.problem).partition("\n")[0])
    lock = seen.state.lock
    why = f": {lock.reason or lock.cause or words.UNKNOWN}" if seen.state.locked is not False else ""
    return f"{render.headline(seen.state).plain}{words.safe(why)}"
