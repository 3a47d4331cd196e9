"""`risk-daemon demo`: some thousand USDT on simulated exchanges, four losses, one trip, and the proof.

The exchanges are real servers in processes of their own and the guard is the daemon itself with its default
limits; only the money is not real. Nothing here decides anything: it moves the price and shows what happens.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from risk_daemon.config.load import load as load_config
from risk_daemon.engine.decision import Decision
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import ExitCode, UsageError
from risk_daemon.model.events import EventName
from risk_daemon.rehearsal.parts import ASSET, PARTS, START_PRICE
from risk_daemon.rehearsal.rehearsal import (
    Book,
    Predicate,
    Rehearsal,
    equity_of,
    finishes,
    in_time,
    record_of,
    recorded,
)

DEFAULT_VENUES = ("kraken", "krakenfutures")
WARNING, LIMIT = Decimal("0.03"), Decimal("0.05")
DANGER = Decimal("0.04")  # only a word on the screen
LOSSES = (Decimal("0.02"), Decimal("0.035"), Decimal("0.042"), Decimal("0.055"))
_BAR_WIDTH = 20

_HEAD = """\
[portfolio]
reference_currency = "USDT"
initial_capital = {capital}

[circuit_breaker]
warning_threshold = "3%"
loss_threshold = "5%"
"""

_VENUE = """
[venues.{name}]
exchange = "{name}"
markets = [{markets}]
simulated = true
"""

_TAIL = """
[api]
listen = "127.0.0.1:0"

[state]
dir = "var"
"""


def config_of(venues: Sequence[str] = DEFAULT_VENUES) -> str:
    """The default guard over these venues. Raises UsageError for one that can't be set up, or is named twice."""
    for name in venues:
        if name not in PARTS or list(venues).count(name) > 1:
            raise UsageError(f"--venues: name some of {', '.join(PARTS)}, each once; {name!r} is not possible")
    tables = (
        _VENUE.format(name=name, markets=", ".join(f'"{market}"' for market in PARTS[name].markets)) for name in venues
    )
    return _HEAD.format(capital=capital_of(venues)) + "".join(tables) + _TAIL


def capital_of(venues: Iterable[str]) -> Decimal:
    """What the accounts hold at the start, in USDT."""
    return sum((PARTS[name].money for name in venues), Decimal(0))


@dataclass(frozen=True, slots=True)
class Step:
    """One fall of the price of ASSET, and the equity it must lead to."""

    price: Decimal
    equity: Decimal


def steps_of(venues: Iterable[str]) -> tuple[Step, ...]:
    """The prices at which these losses are reached, as exactly as a price is quoted."""
    names = tuple(venues)
    capital = capital_of(names)
    at_risk = sum((PARTS[name].quantity for name in names), Decimal(0))
    prices = [(START_PRICE - loss * capital / at_risk).quantize(Decimal("0.01")) for loss in LOSSES]
    return tuple(Step(price, capital - at_risk * (START_PRICE - price)) for price in prices)


async def run(console: Console, venues: Sequence[str] = DEFAULT_VENUES) -> ExitCode:
    """Play it. TRIGGERED_AND_PROVEN only if the daemon says so and the exchanges' own books are empty.

    Raises UsageError for a venue that can't be simulated.
    """
    with tempfile.TemporaryDirectory(prefix="risk-daemon-demo-") as directory:
        file = Path(directory) / "config.toml"
        file.write_text(config_of(venues))
        rehearsal = Rehearsal(load_config(file))
        show = Show(rehearsal, console, venues)
        code = await rehearsal.play(show.tell)
    ended = judge(code, show.equity, show.steps[-1].equity, rehearsal.books)
    show.result(code, ended)
    return ended


def judge(code: ExitCode, equity: Decimal | None, expected: Decimal, books: Mapping[str, Book]) -> ExitCode:
    """What the demo ends with. A proof that the exchanges' own books contradict is a bug."""
    if code is not ExitCode.TRIGGERED_AND_PROVEN:
        return code
    as_told = bool(books) and all(book.is_empty for book in books.values()) and equity == expected
    return code if as_told else ExitCode.BUG


def word(state: CircuitBreakerState, loss: Decimal) -> Text:
    """The state as it is shown: safe, WARNING, danger, TRIGGERED."""
    if state is CircuitBreakerState.TRIGGERED:
        return Text("TRIGGERED", "bold red")
    if state is CircuitBreakerState.WARNING:
        return Text("danger", "bold orange1") if loss >= DANGER else Text("WARNING", "bold yellow")
    return Text("safe", "green") if state is CircuitBreakerState.ACTIVE else Text(state.value, "magenta")


class Show:
    """Tells the story on a console, as it happens. equity: the last one the guard judged by."""

    def __init__(self, rehearsal: Rehearsal, console: Console, venues: Sequence[str] = DEFAULT_VENUES) -> None:
        self.steps, self._capital = steps_of(venues), capital_of(venues)
        self._rehearsal = rehearsal
        self._console = console
        self._orders: dict[str, int] = {}
        self.equity: Decimal | None = None

    # --- the story ---------------------------------------------------------------------------------

    async def tell(self) -> None:
        """From the first baseline to the daemon's last decision."""
        ready = self._rehearsal.expect(lambda decision: not decision.gate.locked)
        self._line("risk-daemon demo", "bold")
        self._line("The real daemon, exchanges simulated as servers on this machine. No keys, no money.\n")
        with self._console.status("starting the exchanges and the guard"):
            await in_time(ready)
        await self._introduce()
        self._line(f"\n{ASSET} falls on every exchange", "bold")
        for step in self.steps[:-1]:
            await self._fall(step)
        await self._crash(self.steps[-1])

    async def _introduce(self) -> None:
        books = await self._rehearsal.read_books()
        for name, desk in self._rehearsal.desks.items():
            self._orders[name] = sum(books[name].open_orders.values())
            resting = ", ".join(f"{count} {kind}" for kind, count in books[name].open_orders.items())
            self._line(f"  {name:<14} {desk.endpoint}")
            self._line(f"  {'':<14} {desk.part.told}; resting orders: {resting.replace('_', ' ')}")
        self._line(
            f"  guarded: {self._capital:,.2f} USDT, warning at {WARNING:.0%}, limit at {LIMIT:.0%}; the gate is open"
        )

    async def _fall(self, step: Step) -> None:
        reached = self._rehearsal.expect(lambda decision: equity_of(decision) == step.equity)
        await self._rehearsal.set_price(step.price)
        self._figure(step, await in_time(reached))

    async def _crash(self, step: Step) -> None:
        """The last fall: breach, confirmation, trip, sweep, proof."""
        rehearsal = self._rehearsal
        triggered = rehearsal.expect(recorded(EventName.CIRCUIT_BREAKER_TRIGGERED))
        finished = rehearsal.expect(finishes)
        proven = {name: rehearsal.expect(_proves(name)) for name in rehearsal.desks}
        await rehearsal.set_price(step.price, fatal=True)
        decision = await in_time(triggered)
        self._figure(step, decision)
        self._line("\nThe trip (seconds since the fatal price)", "bold")
        self._phase(rehearsal.times.shut_wall, "gate shut to new orders; everything is read again", "yellow")
        self._phase(decision.now.wall, f"confirmed: {rehearsal.trip_id}", "bold red")
        await self._show_sweep(proven)
        with self._console.status("joint round: waiting until no order sent before the lock can still arrive"):
            self.equity = equity_of(await in_time(finished))
        self._phase(rehearsal.times.joint_wall, "joint round: every exchange listed empty once more", "green")

    async def _show_sweep(self, proven: Mapping[str, asyncio.Future[Decision]]) -> None:
        with self._console.status("cancelling"):
            books = await self._empty_books()
        for name, book in books.items():
            self._phase(book.first_cancel_wall, f"{name}: first order cancelled")
        rows = [(row, name) for name, book in books.items() for row in book.cancelled]
        for row, name in sorted(rows, key=lambda pair: float(pair[0]["cancelled_wall"])):
            self._phase(float(row["cancelled_wall"]), f"{name}: cancelled {_order(row)}")
        with self._console.status("listing every order scope twice, two seconds apart"):
            for done in asyncio.as_completed([_named(name, future) for name, future in proven.items()]):
                name, decision = await done
                self._phase(decision.now.wall, f"{name}: listed empty twice, proven", "green")

    async def _empty_books(self) -> dict[str, Book]:
        """The exchanges' own books, once nothing is open in them. Looked at again whenever the guard has turned."""
        while True:
            turned = self._rehearsal.expect(lambda _decision: True)
            books = await self._rehearsal.read_books()
            if all(book.is_empty for book in books.values()):
                return books
            await in_time(turned)

    # --- what is printed ---------------------------------------------------------------------------

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style))

    def _figure(self, step: Step, decision: Decision) -> None:
        equity = self.equity = equity_of(decision)
        if equity is None:
            return
        loss = (self._capital - equity) / self._capital
        filled = min(_BAR_WIDTH, round(_BAR_WIDTH * loss / LIMIT))
        bar = "[" + "#" * filled + "-" * (_BAR_WIDTH - filled) + "]"
        figures = f"  {-loss * 100:6.2f} %  {equity:>10,.2f} USDT  {ASSET} {step.price.normalize():>9,f}  {bar}  "
        self._console.print(Text.assemble(figures, word(decision.after, loss)))

    def _phase(self, wall: float | None, text: str, style: str = "") -> None:
        since = self._rehearsal.times.since_fatal_s(wall)
        stamp = "      ?" if since is None else f"{since:7.3f}"
        self._console.print(Text.assemble((f"  {stamp}  ", "dim"), (text, style)))

    def result(self, daemon: ExitCode, ended: ExitCode) -> None:
        """What the exchanges' own books say, and the figures."""
        self._line("\nThe exchanges' own books", "bold")
        for name, book in self._rehearsal.books.items():
            still = sum(book.open_orders.values())
            gone = f"{len(book.cancelled)} of {self._orders.get(name, 0)} cancelled, {book.filled} filled"
            self._line(f"  {name:<14} {still} open, {gone}", "green" if book.is_empty else "bold red")
        self._line("\nResult", "bold")
        self._console.print(self._table())
        if ended is ExitCode.TRIGGERED_AND_PROVEN:
            self._line("\nTriggered, every cancel proven: exit code 1.", "bold green")
        else:
            self._line(
                f"\nNOT as it must be: the daemon ended with {int(daemon)}, the demo ends with {int(ended)}.", "red"
            )

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE, show_header=False, show_edge=False)
        table.add_column(style="bold")
        table.add_column(justify="right")
        for label, value in (*self._money(), *self._phases()):
            table.add_row(label, value)
        return table

    def _money(self) -> Iterable[tuple[str, str]]:
        yield "Initial capital", f"{self._capital:,.2f} USDT"
        if self.equity is not None:
            loss = self._capital - self.equity
            yield "Final equity", f"{self.equity:,.2f} USDT"
            yield "Loss", f"{loss:,.2f} USDT ({-loss / self._capital * 100:.2f} %)"
        for name, book in self._rehearsal.books.items():
            yield f"Orders cancelled on {name}", str(len(book.cancelled))

    def _phases(self) -> Iterable[tuple[str, str]]:
        times = self._rehearsal.times
        yield "Fatal price to gate shut", _seconds(times.since_fatal_s(times.shut_wall))
        yield "... to first cancel", _seconds(times.phases_s()["first_cancel_s"])
        for name in self._rehearsal.desks:
            yield f"... to {name} proven", _seconds(times.since_fatal_s(times.proven_wall.get(name)))
        yield "... to joint proof", _seconds(times.since_fatal_s(times.joint_wall))


async def _named(name: str, future: asyncio.Future[Decision]) -> tuple[str, Decision]:
    return name, await in_time(future)


def _proves(venue: str) -> Predicate:
    def fits(decision: Decision) -> bool:
        record = record_of(decision, EventName.VENUE_PROVEN)
        return record is not None and record.fields["venue"] == venue

    return fits


def _order(row: Mapping[str, Any]) -> str:
    price = f"at {row['price']}" if row["price"] is not None else f"trigger {row['trigger_price']}"
    return f"{row['side']} {row['quantity']} {row['symbol']} {price} ({row['kind'].replace('_', ' ')})"


def _seconds(seconds: float | None) -> str:
    return "not reached" if seconds is None else f"{seconds:.3f} s"
