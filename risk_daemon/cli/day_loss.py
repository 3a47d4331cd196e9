"""How the loss of the day over all accounts is shown: what is not known says so before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from risk_daemon.cli.render import at_full_width
from risk_daemon.cli.words import UNKNOWN, age, amount, ratio, safe, signed

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.state.store.snapshots import AccountDay, DayLoss

_COLUMNS = ("Account", "Start of day", "Now", "Realised", "Unrealised", "Loss", "Limit", "Told", "")


def show_day_loss(out: Console, loss: DayLoss) -> None:
    """The sum and its limit, then each account by its newest snapshot."""
    if loss.is_known:
        _sum(out, loss)
    else:
        out.print("The loss of the day is NOT KNOWN, which is not a loss of zero:", style="bold red")
        for why in loss.unknown:
            out.print(f"  {safe(why)}", style="red")
    if loss.accounts:
        out.print()
        out.print(at_full_width(out, _accounts(loss.accounts)))


def _sum(out: Console, loss: DayLoss) -> None:
    currency = safe(loss.reference_currency)
    breached = loss.is_breached is not False
    told = f"{ratio(_float(loss.loss_ratio))} (limit {ratio(_float(loss.limit))})"
    out.print(
        Text(f"Loss since the start of the day: {told}{', BREACHED' if breached else ''}", style=_style(breached))
    )
    out.print(
        f"{amount(loss.loss)} {currency} of {amount(loss.start_of_day_equity)},"
        f" {amount(loss.current_equity)} are left; the oldest snapshot is {age(loss.oldest_s)} old."
    )


def _accounts(accounts: tuple[AccountDay, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in ("Account", "") else "right", no_wrap=True)
    for one in accounts:
        table.add_row(*_cells(one))
    return table


def _cells(one: AccountDay) -> tuple[str | Text, ...]:
    if one.unknown is not None:
        mark = Text("not known", style="bold red")
    else:
        mark = Text("BREACHED", style="bold red") if one.is_breached is not False else Text("")
    told = UNKNOWN if one.age_s is None else f"{age(one.age_s)} ago"
    return (
        f"{safe(one.guard)}/{safe(one.venue)}",
        amount(one.start_of_day_equity),
        amount(one.current_equity),
        signed(one.realized_pnl),
        signed(one.unrealized_pnl),
        ratio(_float(one.loss_ratio)),
        ratio(_float(one.loss_limit)),
        told,
        mark,
    )


def _float(number: object) -> float | None:
    return None if number is None else float(str(number))


def _style(is_breached: bool) -> str:
    return "bold red" if is_breached else "bold green"
