"""The screen of `top`. It looks once a second over the Unix socket, in a thread, and halts if somebody types it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Label, Sparkline, Static, TabbedContent, TabPane

from risk_daemon.cli import remote
from risk_daemon.cli.common import in_any_words
from risk_daemon.cli.render import lock_rows, shared_lines, unwritable_locks
from risk_daemon.cli.top_tables import TABLES, VENUES, TableOf, distance_line, patch_line
from risk_daemon.cli.words import age, amount, gone, profit, ratio, safe
from risk_daemon.config.place import Place
from risk_daemon.errors import RiskDaemonError
from risk_daemon.gate.hints import how_to_go_on, what_stands_open
from risk_daemon.model.status import State

EVERY_S = 1.0
HISTORY_EVERY_S = 60.0
_DAY_OF_MINUTES = 1440
WORD = "HALT"
_OF_TRIP = ("Trip", "Since", "Until", "All orders gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look found. absent: why nobody answered; then `state` is the last that is known, `age_s` old."""

    state: State | None
    absent: str | None = None
    age_s: float | None = None


def look(place: Place) -> Look:
    """Ask the daemon; where none answers, what its file said last."""
    try:
        answer = remote.request(place.socket, "GET", "/api/v1/state")
        if answer.ok:
            return Look(state=State.shown(answer.body))
        absent = answer.detail
    except RiskDaemonError as error:
        absent = str(error)
    known = remote.last_known(place.state)
    return Look(state=None, absent=absent) if known is None else _last(known, absent)


def _last(known: tuple[Mapping[str, Any], float], absent: str) -> Look:
    return Look(state=gone(known[0]), absent=absent, age_s=known[1])


def equities(place: Place) -> list[float]:
    """The equity of the last day, a point a minute; empty where nobody tells."""
    try:
        answer = remote.request(place.socket, "GET", "/api/v1/history")
        points = answer.body.get("points", ()) if answer.ok else ()
        return [float(point["equity"]) for point in points[-_DAY_OF_MINUTES:]]
    except (RiskDaemonError, KeyError, TypeError, ValueError):
        return []


class Halting(ModalScreen[str | None]):
    """Asks why, and for a typed word: nobody halts everything by a slip of the finger."""

    BINDINGS: ClassVar = [Binding("escape", "leave", "Leave everything as it is")]
    DEFAULT_CSS = """
    Halting { align: center middle; }
    Halting > Vertical {
        width: 64; max-width: 95%; height: auto; border: thick $error; background: $surface; padding: 1 2;
    }
    Halting Label { margin-bottom: 1; }
    Halting .wrong { color: $error; }
    """

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label("Stop all trading: lock, cancel every order, prove it.", markup=False)
            yield Input(placeholder="Why, for the records", id="reason")
            yield Input(placeholder=f"Type {WORD} and press Enter", id="word")
            yield Label("Esc leaves everything as it is.", id="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        reason, word = (self.query_one(f"#{name}", Input).value.strip() for name in ("reason", "word"))
        if event.input.id == "reason" and not word:
            self.query_one("#word", Input).focus()
        elif not reason:
            self._refuse("Nothing was halted: say why.")
        elif word != WORD:
            self._refuse(f"Nothing was halted: that is not {WORD}.")
        else:
            self.dismiss(reason)

    def _refuse(self, sentence: str) -> None:
        hint = self.query_one("#hint", Label)
        hint.update(sentence)
        hint.set_class(True, "wrong")

    def action_leave(self) -> None:
        """Close without halting."""
        self.dismiss(None)


class Screen(App[None]):
    """How things stand, live."""

    TITLE = "risk-daemon"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [
        Binding("q", "quit", "Leave"),
        Binding("h", "halt", "Halt"),
        Binding("r", "look", "Look now"),
        *(Binding(str(number), f"table('{one.key}')", one.title, show=False) for number, one in enumerate(TABLES, 1)),
    ]
    CSS = """
    #banner { padding: 0 1; text-style: bold; background: $panel; }
    #banner.good { background: $success-darken-2; color: $text; }
    #banner.bad { background: $error; color: $text; }
    #banner.warned { background: $warning; color: $text; }
    #distance { padding: 1 1 0 1; text-style: bold; }
    #figures { padding: 0 1; }
    #said { padding: 0 1; color: $text-error; }
    #range { padding: 1 1 0 1; color: $text-muted; }
    #equity { height: 2; margin: 0 1; }
    #venues { height: auto; max-height: 8; margin: 1 1; }
    TabbedContent { height: 1fr; min-height: 6; }
    """

    def __init__(self, place: Place, *, every_s: float = EVERY_S) -> None:
        super().__init__()
        self._place = place
        self._every_s = every_s
        self._shown: dict[str, Sequence[tuple[str, ...]] | None] = {}
        self._state: State | None = None
        self._points: list[float] = []
        self._equity_now: float | None = None

    def compose(self) -> ComposeResult:
        yield Static("Looking ...", id="banner", markup=False)
        yield Static("", id="distance", markup=False)
        yield Static("", id="figures", markup=False)
        yield Static("", id="said", markup=False)
        yield Static("", id="range", markup=False)
        yield Sparkline([], id="equity")
        yield _table(VENUES)
        with TabbedContent():
            for number, one in enumerate(TABLES, 1):
                with TabPane(f"{number} {one.title}", id=f"tab-{one.key}"):
                    yield _table(one)
        yield Footer()

    def on_mount(self) -> None:
        for one in (VENUES, *TABLES):
            table = self._data_table(one)
            for column in one.columns:
                table.add_column(Text(column, justify="right" if column in one.figures else "left"), key=column)
        self.set_interval(self._every_s, self.action_look)
        self.set_interval(HISTORY_EVERY_S, self._draw_history)
        self.action_look()
        self._draw_history()
        self._data_table(TABLES[0]).focus()

    # --- looking -------------------------------------------------------------------------------------

    def action_look(self) -> None:
        """Ask now; an answer that is awaited already is enough."""
        self._look()

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        self.call_from_thread(self._draw, look(self._place))

    @work(thread=True, exclusive=True, group="history")
    def _draw_history(self) -> None:
        self.call_from_thread(self._draw_equities, equities(self._place))

    def _draw_equities(self, points: list[float]) -> None:
        self._points = points
        self._draw_curve()

    def _draw_curve(self) -> None:
        """The past up to now. While nothing moved there is nothing to tell of it, and a level line would be a wall."""
        line, told = self.query_one("#equity", Sparkline), self.query_one("#range", Static)
        points = [*self._points, *([] if self._equity_now is None else [self._equity_now])]
        low, high = (amount(str(end)) for end in (min(points, default=0.0), max(points, default=0.0)))
        line.display = told.display = low != high
        line.data = points
        told.update(f"Equity of the last 24 hours: {low} to {high}")

    def _draw(self, found: Look) -> None:
        state = self._state = found.state
        self._draw_banner(found)
        is_guarded = state is not None and found.absent is None
        self._equity_now = None if state is None else _number(state.equity)
        self._draw_curve()
        self.query_one("#distance", Static).update(distance_line(state) if state and is_guarded else "")
        self.query_one("#figures", Static).update("" if state is None else _figures(state))
        said = "" if state is None else _said(state)
        self.query_one("#said", Static).update(said)
        self.query_one("#said", Static).display = bool(said)
        for one in (VENUES, *TABLES):
            self._fill(one, None if state is None else one.rows(state))

    def _draw_banner(self, found: Look) -> None:
        banner, state = self.query_one("#banner", Static), found.state
        if found.absent is not None:
            last = "" if found.age_s is None else f" Below is what was last known, {age(found.age_s)} ago"
            last += "" if state is None else f": {safe(state.state)}, {patch_line(state)}."
            banner.update(f"DAEMON NOT RUNNING: {safe(found.absent)}. Nothing is guarded.{last}")
        elif state is not None:
            gate = {True: "gate SHUT", False: "gate open", None: "gate not known: take it as shut"}[state.locked]
            banner.update(f"{safe(state.state)}  {gate}  {patch_line(state)}  {safe(state.time)[11:19]} UTC")
        is_good = found.absent is None and state is not None and state.locked is False
        is_calm = is_good and state is not None and state.state == "ACTIVE" and not state.restraints
        is_calm = is_calm and state is not None and not unwritable_locks(state)
        banner.set_class(is_calm, "good")
        banner.set_class(is_good and not is_calm, "warned")
        banner.set_class(not is_good, "bad")

    def _fill(self, one: TableOf, rows: Sequence[tuple[str, ...]] | None) -> None:
        """Rows that did not change are left alone, and the cursor stays where it was."""
        if one.key in self._shown and self._shown[one.key] == rows:
            return
        self._shown[one.key] = rows
        table = self._data_table(one)
        cursor = table.cursor_row
        table.clear()
        for row in rows or ():
            pairs = zip(row, one.columns, strict=True)
            table.add_row(*(Text(cell, justify="right" if name in one.figures else "left") for cell, name in pairs))
        if rows:
            table.move_cursor(row=min(cursor, len(rows) - 1))
        else:
            nothing = "not known" if rows is None else "none"
            table.add_row(Text(nothing, style="dim"), *("" for _ in one.columns[1:]))

    def _data_table(self, one: TableOf) -> DataTable[Text | str]:
        return self.query_one(f"#{one.key}", DataTable)

    # --- keys ----------------------------------------------------------------------------------------

    def action_table(self, key: str) -> None:
        """Show this table."""
        self.query_one(TabbedContent).active = f"tab-{key}"
        self.query_one(f"#{key}", DataTable).focus()

    def action_halt(self) -> None:
        """Ask whether, and why."""
        self.push_screen(Halting(), self._halt)

    def _halt(self, reason: str | None) -> None:
        if reason is not None:
            self._send_halt(reason)

    @work(thread=True, group="halt")
    def _send_halt(self, reason: str) -> None:
        told, is_done = halted(self._place, reason)
        level: SeverityLevel = "information" if is_done else "error"
        self.call_from_thread(self.notify, told, severity=level, timeout=30, markup=False)
        self.call_from_thread(self.action_look)


def halted(place: Place, reason: str) -> tuple[str, bool]:
    """Ask for a halt of everything. What came of it, and whether it is sure that it was done."""
    try:
        answer = remote.request(place.socket, "POST", "/api/v1/halt", {"reason": in_any_words(reason)})
    except remote.NotConfirmed as error:
        return f"NOT CONFIRMED: {safe(error)}", False
    except RiskDaemonError as error:
        return f"NOT HALTED: {safe(error)}", False
    if not answer.ok:
        return f"NOT HALTED: {safe(answer.detail)}", False
    return f"Halted: trip {safe(answer.body.get('trip_id'))}", True


def _number(figure: str | None) -> float | None:
    """Of something to be drawn; None for what is not known."""
    try:
        number = None if figure is None else float(figure)
    except ValueError:
        return None
    return number if number is not None and isfinite(number) else None


def _table(one: TableOf) -> DataTable[Text | str]:
    return DataTable(id=one.key, cursor_type="row", zebra_stripes=True)


def _figures(state: State) -> str:
    currency = safe(state.reference_currency)
    unsure = "" if state.trusted is True else f" (between {amount(state.equity_low)} and {amount(state.equity_high)})"
    loss = f"loss {ratio(state.loss_ratio)} of {ratio(state.loss_threshold)}   day {ratio(state.daily_loss_ratio)}"
    lines = (
        f"Equity {amount(state.equity)} {currency}{unsure}   {loss}",
        f"Profit of the day: {profit(state.profit, currency)}",
        *shared_lines(state),
    )
    return "\n".join(lines)


def _said(state: State) -> str:
    """What holds against new orders, and what a person does about it."""
    failing = unwritable_locks(state)
    if state.locked is False:
        held = [f"{safe(one.bot or one.venue)} is refused: {safe(one.reason)}" for one in state.restraints]
        return "\n".join([*held, *failing])
    lines = [
        state.lock.reason or state.lock.cause or "Why the gate is shut is not known.",
        *(f"{label}: {value}" for label, value in lock_rows(state) if label in _OF_TRIP and state.lock.trip_id),
        how_to_go_on(state),
        *filter(None, [what_stands_open(state)]),
    ]
    if state.missing:
        lines.insert(1, f"Missing: {', '.join(state.missing[:5])}")
    return "\n".join([*map(safe, lines), *failing])
