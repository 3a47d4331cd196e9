"""A replay for people: what would have happened when, and what it would have saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Console

from risk_daemon.cli.words import amount, ratio
from risk_daemon.replay.outcome import Deed, Mark, Outcome

_NEVER = "-"
_MOST_ASSETS = 6
_MONEY = ("equity", "saved, low", "saved, end")
SAVED = (
    "Times are UTC. Saved: against holding on, had everything been sold at that moment (below zero: it would have"
    " cost). A trip cancels orders; positions are closed only with auto_close_positions, and spot is not sold."
)


def one(out: Console, outcome: Outcome) -> None:
    """All of one replay."""
    _head(out, outcome)
    _rules(out, outcome)
    freeze, trip = outcome.firsts(Deed.FROZE), outcome.trip
    if freeze is not None:
        times = "once" if outcome.freezes == 1 else f"{outcome.freezes} times"
        out.print(f"FROZE {times}, first by {freeze.rule} at {stamp(freeze.wall)} UTC: {freeze.reason}.", style="red")
    if trip is not None:
        out.print(f"TRIPPED by {trip.rule} at {stamp(trip.wall)} UTC: {trip.reason}.", style="bold red")
        if any(mark.wall > trip.wall for mark in outcome.marks.values()):
            out.print(
                "The daemon would have ended there: what is later is what other rules would have done without it."
            )
    if freeze is None and trip is None:
        out.print("Nothing would have tripped or frozen.", style="bold green")
    for note in notes(outcome):
        out.print(note)
    if trip is not None or outcome.freezes:
        out.print(SAVED)


def _head(out: Console, outcome: Outcome) -> None:
    under = f" under {outcome.profile}" if outcome.profile else ""
    points = outcome.points
    out.print(f"{outcome.name}{under}", style="bold")
    if not points:
        out.print("No equity was ever known.")
        return
    held = ", ".join(f"{float(held):,.6g} {asset}" for asset, held in list(outcome.holdings.items())[:_MOST_ASSETS])
    rest = len(outcome.holdings) - _MOST_ASSETS
    out.print(f"  {stamp(points[0].wall)} to {stamp(points[-1].wall)} UTC, {len(points):,} values")
    if outcome.holdings:
        out.print(f"  held: {held}{f' and {rest} more' if rest > 0 else ''}")
    lowest = min(points, key=lambda point: point.value)
    out.print(
        f"  equity {amount(points[0].value)} at first, {amount(lowest.value)} at the lowest ({stamp(lowest.wall)}),\n"
        f"  {amount(points[-1].value)} {outcome.reference} at the end;"
        f" fell by {ratio(float(outcome.worst_fall()))} from a peak"
    )
    out.print(f"  losses of initial capital from {amount(outcome.capital)} {outcome.reference}\n")


def _rules(out: Console, outcome: Outcome) -> None:
    """Only the deeds that were done have a column."""
    done = [deed for deed in Deed if outcome.firsts(deed) is not None] or [Deed.WARNED, Deed.TRIPPED]
    rows = [("rule", *done, *_MONEY)]
    for rule in outcome.rules:
        if rule not in outcome.unjudged:
            times = (_short(outcome, outcome.mark(rule, deed)) for deed in done)
            rows.append((rule, *times, *_money(outcome, outcome.stop_of(rule))))
    _print_aligned(out, rows)


def _print_aligned(out: Console, rows: Sequence[Sequence[str]]) -> None:
    """Columns, the last three to the right. Nothing is shortened, however narrow the terminal is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = len(widths) - len(_MONEY)
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        out.print("  ".join(cells), style="bold" if number == 0 else "")


def _money(outcome: Outcome, mark: Mark | None) -> tuple[str, str, str]:
    saved = None if mark is None else outcome.saved(mark)
    if mark is None or saved is None:
        return _NEVER, _NEVER, _NEVER
    return amount(mark.equity), amount(saved.to_lowest), amount(saved.to_end)


def notes(outcome: Outcome) -> Iterator[str]:
    """What a reader must know besides."""
    for why in dict.fromkeys(outcome.unjudged.values()):
        names = ", ".join(rule for rule, reason in outcome.unjudged.items() if reason == why)
        yield f"Not judged: {names} ({why})."
    if outcome.gaps:
        longest = max(outcome.gaps, key=lambda gap: gap.until_wall - gap.since_wall)
        whole_s = sum(gap.until_wall - gap.since_wall for gap in outcome.gaps)
        count = "1 gap" if len(outcome.gaps) == 1 else f"{len(outcome.gaps)} gaps"
        yield (
            f"{count}, {span(whole_s)} in all, the longest from {stamp(longest.since_wall)} to"
            f" {stamp(longest.until_wall)} UTC ({longest.what}). What is not known there counts as unknown, not as no"
            " loss: values grow old, and the blind rule says when."
        )
    for logged in outcome.logged[:_MOST_ASSETS]:
        done = {"freeze": "froze", "trip": "tripped"}.get(logged.action, logged.action)
        yield f"The log itself: {done} by {logged.breaker} at {stamp(logged.wall)} UTC."


def many(out: Console, outcomes: Sequence[Outcome]) -> None:
    """A table a day, a line a profile."""
    for name in dict.fromkeys(outcome.name for outcome in outcomes):
        _day(out, [outcome for outcome in outcomes if outcome.name == name])
    out.print(SAVED)


def _day(out: Console, outcomes: Sequence[Outcome]) -> None:
    first = outcomes[0]
    out.print(f"{first.name}: fell by {ratio(float(first.worst_fall()))} from a peak", style="bold")
    rows = [("under", "warned", "stopped", "by", *_MONEY)]
    for outcome in outcomes:
        stop = outcome.first_stop()
        by = _NEVER if stop is None else f"{stop.rule} {stop.deed.value}"
        warned = _short(outcome, outcome.firsts(Deed.WARNED))
        rows.append((outcome.profile, warned, _short(outcome, stop), by, *_money(outcome, stop)))
    _print_aligned(out, rows)
    for note in notes(first):
        if " gap" in note:
            out.print(note)
    out.print()


def _short(outcome: Outcome, mark: Mark | None) -> str:
    """The year only where there is more than one."""
    if mark is None:
        return _NEVER
    years = {stamp(point.wall)[:4] for point in (outcome.points[0], outcome.points[-1])}
    return stamp(mark.wall)[:-3] if len(years) > 1 else stamp(mark.wall)[5:-3]


def stamp(wall: float) -> str:
    """Short, in UTC."""
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """`3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"
