"""What people see. Plain text in a pipe, colour on a terminal, and nothing a venue says is taken for markup.

Whatever is missing in a document is shown as unknown, never as zero. A document has the form of
`oms.SweepResult.document`, or of a line of the event log; the status is a record, `State.shown`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from risk_daemon.cli.words import (
    UNKNOWN,
    age,
    age_of_positions,
    amount,
    clock_time,
    moment,
    profit,
    ratio,
    safe,
    unproven_word,
)
from risk_daemon.gate.hints import how_the_fund_stands, how_to_go_on, how_to_release, what_stands_open
from risk_daemon.gate.restraints import MANUAL_HALT, Cause
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.status import (
    DeadManStatus,
    HaltStatus,
    LockStatus,
    OrdersStatus,
    RestraintStatus,
    State,
)

_STATE_STYLE = {"ACTIVE": "bold green", "WARNING": "bold yellow", "TRIGGERED": "bold red", "DISABLED": "bold magenta"}
_ALARMING = ("triggered", "tripped", "halt", "unproven", "failed", "replaced", "lost", "shut", "refused", "cut")
_CALMING = ("proven", "cleared", "reset", "connected", "enabled", "opened")
_BAR_WIDTH = 30
_WIDEST = 240
_NO_RULE = " (no rule for it is on)"
_FIELD_WIDTH = 160
# What a line of the log names only where there is one. Everything else that is null is a figure nobody knows.
_NAMED_WHERE_THERE_IS_ONE = frozenset(
    {"armed_until", "bot", "client_order_id", "kind", "reason", "trip_id", "until_wall", "venue"}
)


class PlainConsole(Console):
    """Rich's console ends the process with 1 when the reader of a pipe is gone; here 1 means a trip."""

    def on_broken_pipe(self) -> None:
        """Go on in silence: the command still finishes and returns its own exit code."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console(file: IO[str] | None = None) -> Console:
    """A console for standard output, or for `file`."""
    return PlainConsole(file=file, markup=False, highlight=False, emoji=False, soft_wrap=True)


# --- parts of what is drawn -------------------------------------------------------------------------


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _told(value: object, yes: str, no: str, unknown: str) -> str:
    """Three words for the three values of a truth that may be missing."""
    if value is True:
        return yes
    return no if value is False else unknown


def _bar(loss: float, limit: float) -> str:
    filled = round(_BAR_WIDTH * min(max(loss / limit, 0.0), 1.0)) if limit > 0 else _BAR_WIDTH
    return "[" + "#" * filled + "-" * (_BAR_WIDTH - filled) + "]"


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for label, value in rows:
        grid.add_row(label, value if isinstance(value, Text) else Text(safe(value)))
    return grid


# --- status ----------------------------------------------------------------------------------------


def status(out: Console, state: State) -> None:
    """How things stand: state, equity, how far it is to warning and limit, venues, lock."""
    out.print(headline(state))
    out.print(pairs(_money_rows(state)))
    out.print()
    if not state.is_running and state.time:
        out.print(f"The venues as a guard saw them last, {_moment(state.time)}:")
    out.print(at_full_width(out, _venues(state)))
    for name, venue in state.venues.items():
        if venue.proven is False:
            _unproven(out, name, state)
        if venue.orders.reason:
            out.print(f"Orders of {safe(name)}: {safe(venue.orders.reason)}", style="bold red")
        if venue.dead_man is not None:
            _dead_man(out, name, venue.dead_man)
    for line in unwritable_locks(state):
        out.print(line, style="bold red", markup=False)
    for line in shared_lines(state):
        out.print(line, markup=False)
    for deed in _deeds(state):
        out.print(_deed(deed))
    if state.locked is not False:
        out.print()
        out.print(pairs(lock_rows(state)))
        out.print(how_to_go_on(state), style="bold")
        still_open = what_stands_open(state)
        if still_open:
            out.print(safe(still_open), style="bold yellow")


def _unproven(out: Console, name: str, state: State) -> None:
    """Why it can't be said that its orders are gone."""
    swept = None if state.last_sweep is None else state.last_sweep.venues.get(name)
    why = "it is being worked on" if swept is None else swept.unproven_reason or "it is being worked on"
    if state.proving_s is not None:
        out.print(f"Orders of {safe(name)} are being proven gone: {safe(why)}", style="bold yellow")
        return
    out.print(f"Orders of {safe(name)} are NOT PROVEN gone: {safe(why)}", style="bold red")


def shared_lines(state: State) -> list[str]:
    """How things stand with other guards: of the same accounts, while this one runs, and of the fund."""
    guards = state.guards.sentences if state.guards is not None and state.is_running else ()
    fund = how_the_fund_stands(state)
    return [*(f"{safe(line[:1].upper() + line[1:])}." for line in guards), *([] if fund is None else [safe(fund)])]


def unwritable_locks(state: State) -> list[str]:
    """A sentence for each lock that others read, and are locked out by."""
    return [
        f"Lock {safe(one.name)} CAN'T BE WRITTEN for {age(one.failing_s)}, bots that ask there are refused:"
        f" {safe(one.reason)}"
        for one in state.locks
        if one.failing_s is not None
    ]


def _deeds(state: State) -> list[Mapping[str, Any]]:
    """What operators have done at the venues just now, and what they did last."""
    told = [_table(row) for row in state.recent.get("deeds") or ()]
    return [row for row in told[:-1] if row.get("ended_wall") is None] + told[-1:]


def _deed(row: Mapping[str, Any]) -> Text:
    venues = row.get("venues")
    where = ", ".join(map(safe, venues)) if isinstance(venues, list) else UNKNOWN
    when = clock_time(row.get("time_wall"))
    said = f"{safe(row.get('what'))} on {where}, asked for by {safe(row.get('operator'))} at {when}"
    if row.get("ended_wall") is None:
        return Text(f"{said}: under way", style="bold yellow")
    came_to = safe(row.get("came_to"))
    return Text(f"{said}: {came_to}", style="bold red" if came_to.startswith("NOT") else "")


def _dead_man(out: Console, name: str, switch: DeadManStatus) -> None:
    """The venue's own switch, loud while it can't be refreshed."""
    until = "not armed" if switch.armed_until is None else f"armed until {_moment(switch.armed_until)}"
    why = f", NOT REFRESHED: {safe(switch.reason)}" if switch.reason else ""
    out.print(f"Dead man's switch of {safe(name)}: {until}{why}", style="bold red" if why else None)


def headline(state: State) -> Text:
    """The state, and whether new orders are allowed, and whose."""
    is_starting = state.started is not True and state.state == "ACTIVE" and state.locked is not False
    name = "STARTING" if is_starting else safe(state.state or UNKNOWN)
    trading = _told(
        state.locked,
        "new orders are locked out",
        "new orders are allowed",
        "whether new orders are locked out is unknown: take it as locked",
    )
    starting = "" if state.started is True else ", still starting"
    some = _some_refused(state) if state.locked is False else ""
    style = _STATE_STYLE.get(name, "bold red") if state.locked is False else "bold red"
    return Text.assemble((name, "bold yellow" if some else style), f"  {trading}{some}{starting}")


def _some_refused(state: State) -> str:
    """Whose orders are refused though the gate is open."""
    whose = sorted({_whose(one) for one in state.restraints if one.is_scoped})
    return f", but not those of {', '.join(whose)}" if whose else ""


def _whose(scope: RestraintStatus | HaltStatus) -> str:
    return " on ".join(safe(name) for name in (scope.bot, scope.venue) if name) or UNKNOWN


def _money_rows(state: State) -> list[tuple[str, object]]:
    loss, limit, currency = state.loss_ratio, state.loss_threshold, safe(state.reference_currency)
    rows: list[tuple[str, object]] = [
        ("Equity", f"{amount(state.equity)} {currency}{_trust(state)}"),
        ("Initial capital", f"{amount(state.initial_capital)} {currency}"),
        ("Loss", ratio(loss) + (f"  {_bar(loss, limit)}" if loss is not None and limit else "")),
        ("Loss of the day", ratio(state.daily_loss_ratio)),
        ("Drawdown", ratio(state.portfolio_dd_pct)),
        ("Profit of the day", profit(state.profit, currency)),
    ]
    rows += _rule_rows(state)
    away = [f"{count} {safe(why)}" for why, count in state.turned_away.items() if count]
    if away:
        rows.append(("Turned away", f"{', '.join(away)} since the start"))
    if state.missing:
        rows.append(("Missing", ", ".join(state.missing)))
    if loss is not None:
        ends = (("warning", state.warning_threshold), ("limit", limit))
        rows += [(f"To {name}", _distance(loss, at, state)) for name, at in ends if at]
    return rows


def _rule_rows(state: State) -> list[tuple[str, object]]:
    """The rules that are not NORMAL, and the venues and bots that were halted by themselves."""
    tripped = [f"{name} {word}" for name, word in state.breakers.items() if word != "NORMAL"]
    rows: list[tuple[str, object]] = [("Rules", ", ".join(tripped))] if tripped else []
    for halt in state.halts:
        whose = _whose(halt) if halt.venue or halt.bot else "everything"
        told = f"{whose}, by {halt.operator or UNKNOWN}: {halt.reason or UNKNOWN}"
        rows.append(("Halted", f"{told}. {how_to_release(halt)}"))
    for one in state.restraints:
        if one.is_scoped and one.cause != MANUAL_HALT:
            rows.append(("Refused", f"{_whose(one)}, {one.cause or UNKNOWN}: {one.reason or UNKNOWN}"))
    return rows


def _trust(state: State) -> str:
    if state.trusted is True:
        return ""
    return f"  (not trusted: between {amount(state.equity_low)} and {amount(state.equity_high)})"


def _distance(loss: float, at: float, state: State) -> str:
    """How much more may be lost until `at`, a ratio of the initial capital."""
    left = at - loss
    if left <= 0:
        return f"reached (at {ratio(at)})"
    try:
        money = f", {amount(Decimal(str(state.initial_capital)) * Decimal(str(left)))} to lose"
    except InvalidOperation:
        money = ""
    return f"{ratio(left)} (at {ratio(at)}){money}"


def _venues(state: State) -> Table:
    is_read, unproven = state.started is True, unproven_word(state)
    table = Table(
        *("Venue", "Connected", "Equity", "Balances", "Positions", "Prices", "Orders", "Orders gone"),
        box=None,
        pad_edge=False,
    )
    for name, venue in state.venues.items():
        is_connected, ages = venue.connected is True, venue.age_s
        table.add_row(
            Text(safe(name)),
            Text("yes" if is_connected else "NO", style="green" if is_connected else "bold red"),
            amount(venue.equity),
            age(ages.balances),
            age_of_positions(ages, is_read=is_read),
            age(ages.prices),
            _orders(venue.orders),
            _told(venue.proven, "proven", unproven, "-"),
        )
    return table


def at_full_width(out: Console, table: Table) -> Table:
    """As wide as its rows: a name or an amount that is cut to fit is worse than a line that wraps."""
    table.width = out.measure(table, options=out.options.update(max_width=_WIDEST)).maximum
    return table


def _orders(orders: OrdersStatus) -> Text:
    """Whether the guard could list and cancel what is open there."""
    if orders.failing_s is not None:
        return Text(f"NOT LISTED for {age(orders.failing_s)}", style="bold red")
    if orders.may_cancel is False:
        return Text("CAN'T CANCEL", style="bold red")
    count = "" if orders.open is None else f"{orders.open} open, "
    return Text(UNKNOWN if orders.listed_s is None else f"{count}listed {age(orders.listed_s)} ago")


def _moment(text: str | None) -> str | None:
    return None if text is None else moment(text, SystemClock().now().wall)


def lock_rows(state: State) -> list[tuple[str, str]]:
    """Why it is locked, since when, and when all orders were proven gone. What is not there is left out."""
    lock = state.lock
    told = (
        ("Reason", lock.reason),
        ("Trip", lock.trip_id),
        ("Since", _moment(lock.since)),
        ("Until", _moment(lock.until)),
        ("All orders gone", _proven(lock)),
    )
    cause = lock.cause or UNKNOWN
    if lock.cause == Cause.STARTING and not state.is_running:
        cause = "no guard answers"
    return [("Locked because of", cause), *((label, value) for label, value in told if value)]


def _proven(lock: LockStatus) -> str | None:
    """When every order of a trip was known to be gone, on all venues together."""
    if lock.proven is not True or not lock.trip_id:
        return None
    if lock.proven_at is None:
        return "proven; when is not known"
    after_s = lock.proven_after_s
    after = "" if after_s is None else f", {age(after_s)} after the trip"
    return f"proven at {lock.proven_at[:19].replace('T', ' ')} UTC{after}"


def drawdown(out: Console, state: State, venue: str | None = None) -> None:
    """The losses and their limits: of everything and each venue, or of one venue."""
    rows = _losses_of_all(state) if venue is None else []
    for name, one in state.venues.items():
        if venue in (None, name):
            limits = _limits(state, "venue_loss", name)
            rows.append((f"Loss of the day on {safe(name)}", f"{ratio(one.daily_loss_ratio)}{limits}"))
    out.print(pairs([*rows, ("State", state.state or UNKNOWN)]))


def _losses_of_all(state: State) -> list[tuple[str, object]]:
    limit = state.circuit_breaker.max_portfolio_dd_nav_pct
    of_peak = f" (limit {ratio(limit)})" if limit is not None else _NO_RULE
    of_day = f"{ratio(state.daily_loss_ratio)}{_limits(state, 'daily_loss')}"
    return [
        ("Loss of initial capital", f"{ratio(state.loss_ratio)} (limit {ratio(state.loss_threshold)})"),
        ("Loss since the start of the day", of_day),
        ("Drawdown from the peak", f"{ratio(state.portfolio_dd_pct)}{of_peak}"),
    ]


def _limits(state: State, kind: str, venue: str | None = None) -> str:
    """The limits of the rules of one kind that look at `venue`, in brackets; those of an own name with it."""
    told = []
    for name, rule in state.rules.items():
        if rule.get("breaker_type") == kind and rule.get("venue") in (None, venue):
            limits = _table(rule.get("limits"))
            part, money = limits.get(f"max_{kind}_pct"), limits.get(f"max_{kind}")
            text = ratio(part) if money is None else f"{amount(money)} {safe(state.reference_currency)}".strip()
            told.append(f"limit {text}" if name == kind else f"{safe(name)}: limit {text}")
    return f" ({', '.join(told)})" if told else _NO_RULE


# --- sweeps, events --------------------------------------------------------------------------------


def sweep(out: Console, document: Mapping[str, Any]) -> None:
    """What a sweep found."""
    for name, verdict in _table(document.get("venues")).items():
        row = _table(verdict)
        good = row.get("proven") is True
        told = "no order is open, proven" if good else f"NOT PROVEN: {safe(row.get('unproven_reason') or UNKNOWN)}"
        kept = f", {len(row['kept'])} protective orders kept" if row.get("kept") else ""
        out.print(
            Text(
                f"{safe(name)}: {told}; {row.get('cancelled', UNKNOWN)} cancelled{kept}",
                style="green" if good else "red",
            )
        )
    if document.get("proven") is True:
        out.print(f"Every open order is gone, proven in {age(document.get('elapsed_s'))}.", style="bold green")
    else:
        reason = safe(document.get("unproven_reason") or UNKNOWN)
        out.print(f"NOT PROVEN: orders may still be open ({reason}).", style="bold red")


def closing(out: Console, document: Mapping[str, Any]) -> None:
    """What became of positions, what is left of them, and what they leave."""
    for name, verdict in _table(document.get("venues")).items():
        row = _table(verdict)
        for position in row.get("positions") or ():
            left = position.get("residual")
            rest = f", {safe(left)} left: too small to be ordered" if left != "0" and row.get("flat") is True else ""
            told = f"{safe(position.get('side'))} {safe(position.get('symbol'))}"
            out.print(f"{safe(name)}: {told}: {safe(position.get('quantity'))} closed{rest}")
        good = row.get("flat") is True
        told = "no position is open" if good else f"NOT FLAT: {safe(row.get('reason') or UNKNOWN)}"
        out.print(Text(f"{safe(name)}: {told}", style="green" if good else "red"))
    _remaining(out, document.get("remaining"))
    if document.get("flat") is True:
        out.print(f"Every position is closed, proven in {age(document.get('elapsed_s'))}.", style="bold green")
    else:
        reason = safe(document.get("reason") or UNKNOWN)
        out.print(f"NOT FLAT: positions may still be open ({reason}).", style="bold red")


def _remaining(out: Console, remaining: object) -> None:
    if remaining is None:
        out.print("What is still held of their underlyings is not known.", style="yellow")
    for asset, held in _table(remaining).items():
        out.print(f"{safe(held)} {safe(asset)} is still held: spot is not sold.", style="yellow")


def closing_progress(venue: str, verdict: Any) -> str:
    """How a venue of a running closing stands, from its `oms.results.VenueClosed`."""
    return f"{safe(venue)}: {'flat' if verdict.flat is True else safe(verdict.reason or 'not flat yet')}"


def event(out: Console, time: str, name: str, fields: Mapping[str, Any]) -> None:
    """One line of the event log."""
    style = next(
        (s for words, s in ((_ALARMING, "bold red"), (_CALMING, "green")) if any(w in name for w in words)), "bold"
    )
    style = "yellow" if "warning" in name else style
    said = {key: it for key, it in fields.items() if it is not None or key not in _NAMED_WHERE_THERE_IS_ONE}
    told = "  ".join(f"{safe(key)}={_field(value)}" for key, value in said.items())
    out.print(Text.assemble((safe(time)[:23].replace("T", " "), "dim"), "  ", (safe(name), style), "  ", told))


def _field(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = safe(value) if value is not None else UNKNOWN
    return text if len(text) <= _FIELD_WIDTH else f"{text[:_FIELD_WIDTH]}... ({len(text)} characters, all with --json)"


# --- check -----------------------------------------------------------------------------------------

_MORE = "`risk-daemon check --explain` says in sentences what would happen when."
_LEVEL_STYLE = {"problem": "bold red", "warning": "bold yellow", "note": "", "ok": "green"}


def check(out: Console, document: Mapping[str, Any]) -> None:
    """What `check` found, as `CheckReport.document` has it: what matters first, the long configuration last."""
    for finding in document.get("findings", ()):
        level = str(finding["level"])
        out.print(
            f"{level.upper():8} {safe(finding['subject'])}: {safe(finding['sentence'])}", style=_LEVEL_STYLE[level]
        )
    out.print()
    explanations = document.get("explanations", ())
    out.print("What happens when" if explanations else _MORE, style="bold" if explanations else "")
    for sentence in explanations:
        out.print(f"- {safe(sentence)}")
    out.print()
    out.print("Configuration in force", style="bold")
    for path, value in _flat(_table(document.get("effective"))):
        out.print(f"  {safe(path)} = {json.dumps(value)}")
    levels = [str(finding["level"]) for finding in document.get("findings", ())]
    counts = {level: levels.count(level) for level in ("problem", "warning")}
    told = ", ".join(f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items() if count)
    if told:
        out.print(f"\n{told}: see the top.", style=_LEVEL_STYLE["problem" if counts["problem"] else "warning"])


def _flat(table: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def progress(venue: str, verdict: Any) -> str:
    """How a venue of a running sweep stands, from its `oms.VenueVerdict`."""
    end = "proven" if verdict.proven is True else safe(verdict.unproven_reason or "not proven yet")
    return f"{safe(venue)}: {verdict.cancelled} cancelled, {end}"


def facts(out: Console, document: Mapping[str, Any]) -> None:
    """Any flat document, one line a key."""
    out.print(pairs((path, value) for path, value in _flat(document)))


def tokens(out: Console, document: Mapping[str, Any]) -> None:
    """The tokens there are, without their texts."""
    rows = document.get("tokens") or ()
    if not rows:
        out.print("There are no tokens; `risk-daemon token create --role bot` makes one.")
        return
    table = Table("Name", "Role", "Created", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(safe(row[key])) for key in ("name", "role")), Text(safe(row["created"])[:19]))
    out.print(table)
