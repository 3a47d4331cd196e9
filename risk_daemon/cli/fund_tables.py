"""How a fund is shown: what is wrong or not known comes before the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from risk_daemon.cli.render import at_full_width
from risk_daemon.cli.words import amount, safe

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = ("Member", "Budget", "Set up with", "Asks for", "")


def fund(out: Console, document: Mapping[str, Any]) -> None:
    """As `fund_view` gives it, and under `guard` what a running guard says."""
    own, ledger, guard = document["own"], document["ledger"], document.get("guard")
    out.print(f"Fund {safe(document['fund'])}, this guard is {safe(document['member'])}.", style="bold")
    for sentence, style in (*_of_the_ledger(document, ledger), *_of_this(document, own, ledger), *_of_the_guard(guard)):
        out.print(sentence, style=style, markup=False, highlight=False)
    if ledger["members"]:
        out.print()
        out.print(at_full_width(out, _members(ledger["members"], guard)))


def _of_the_ledger(document: Mapping[str, Any], ledger: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if ledger["error"] is not None:
        yield (
            f"THE LEDGER IS NOT KNOWN: {safe(ledger['error'])}. Budgets hold without it; no headroom moves.",
            "bold red",
        )
        return
    if ledger["founding"] is None:
        yield f"{safe(ledger['where'])} holds no such fund: `risk-daemon fund found`, by its first member.", "bold red"
        return
    limit = f"{amount(ledger['limit'])} {safe(ledger['currency'])}"
    yield f"The limit is {limit} (configured here: {safe(document['limit'])}), by {safe(ledger['where'])}.", ""
    if ledger["trip_id"] is not None:
        yield (
            f"THE FUND HAS TRIPPED ({safe(ledger['trip_id'])}): every member stops. Reset each, then found it anew.",
            "bold red",
        )
    for wrong in ledger["wrong"]:
        yield f"{safe(wrong)}. Nobody is given more until it is put right.", "bold yellow"


def _of_this(
    document: Mapping[str, Any], own: Mapping[str, Any], ledger: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if not own["joined"]:
        yield "This guard has not joined: `risk-daemon fund join`. Its gate is shut until it has a budget.", "bold red"
    elif own["error"] is not None:
        yield f"This guard's own document can't be acted on: {safe(own['error'])}.", "bold red"
    else:
        budget = f"{amount(own['budget'])} {safe(document['currency'])}"
        if own["has_left"]:
            yield f"This guard has left the fund; {budget} stay with it for what it had lost.", "bold yellow"
        elif own["is_funded"]:
            yield f"By this guard's own document it may lose {budget}.", ""
        else:
            yield "This guard has no budget yet, so its gate is shut: a member with headroom lends it some.", "bold red"
        if own["trip_id"] is not None:
            yield f"By this guard's own document the fund has tripped ({safe(own['trip_id'])}).", "bold red"
        if ledger["founding"] not in (None, own["founding"]):
            yield "The ledger is that of another founding than this guard joined: join again.", "bold red"


def _of_the_guard(guard: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if guard is None:
        yield "No guard answers here, so what this member has lost is not known now.", "bold yellow"
        return
    if guard.get("most") is None:
        yield "What this member has lost is NOT KNOWN, which is not a loss of zero.", "bold red"
    else:
        lost = f"{amount(guard.get('least'))} to {amount(guard.get('most'))}"
        yield f"The running guard has lost {lost} of it, and has {amount(guard.get('headroom'))} of headroom.", ""
    if guard.get("why_not") is not None:
        yield f"It may not trade by the fund: {safe(guard['why_not'])}.", "bold red"
    if guard.get("ledger_error") is not None:
        yield f"It can't read the ledger: {safe(guard['ledger_error'])}.", "bold yellow"


def _members(rows: list[Mapping[str, Any]], guard: Mapping[str, Any] | None) -> Table:
    silent = ((guard or {}).get("total") or {}).get("silent") or ()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in ("Member", "") else "right", no_wrap=True)
    for row in rows:
        told = (amount(row["budget"]), amount(row["wants"]), amount(row["asks"]))
        table.add_row(safe(row["name"]), *told, _mark(row, silent))
    return table


def _mark(row: Mapping[str, Any], silent: Any) -> Text:
    if row["trip_id"] is not None:
        return Text("tripped", style="bold red")
    if row["has_left"]:
        return Text("has left")
    if not row["is_funded"]:
        return Text("no budget yet", style="bold yellow")
    is_silent = any(str(name).partition(".")[0] == row["name"] for name in silent)
    return Text("silent", style="bold yellow") if is_silent else Text("")
