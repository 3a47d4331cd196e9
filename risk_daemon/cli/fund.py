"""`risk-daemon fund`: one limit over several guards. Founding and joining take the state; a gift, a running guard."""

from __future__ import annotations

import os
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import remote
from risk_daemon.cli.asking import Told
from risk_daemon.cli.common import (
    CONFIG,
    AsJson,
    ConfigFile,
    Reason,
    Yes,
    accepted,
    app,
    confirm,
    console,
    load,
    run_to_end,
    show,
)
from risk_daemon.cli.progress import patience, say
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, UsageError
from risk_daemon.model.units import parse_money, plain

if TYPE_CHECKING:
    from risk_daemon.app.fund_desk import Order
    from risk_daemon.fund.escrow import Escrow

fund = typer.Typer(no_args_is_help=True, help="One limit over several guards: found, join, look, give, leave.")
app.add_typer(fund, name="fund")

_GIVE_TIMEOUT_S = 15.0
_NO_REASON = "by hand"

OtherMember = Annotated[str, typer.Option("--to", metavar="MEMBER", help="Another member, by its name in the fund.")]


@fund.command()
def found(
    config: ConfigFile = CONFIG,
    capital: Annotated[
        str | None, typer.Option("--capital", help="Of all members together, where the limit is a ratio of it.")
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="In the place of a fund that has tripped, or that all have left.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the records; needed with --anew.")] = _NO_REASON,
    yes: Yes = False,
) -> ExitCode:
    """Found the fund of [fund], with this guard as its first member and with the whole limit as its budget.

    With the guard stopped. The others `join` then, and are lent their parts while this guard runs.
    """
    if anew and reason == _NO_REASON:
        raise UsageError("--anew needs --reason: why the fund that has ended begins again")
    settings = load(config)
    from risk_daemon.app import fund_desk as desk

    amount = None if capital is None else _amount("--capital", capital)
    limit = desk.limit_of(settings, amount)
    of = desk.fund_of(settings)
    confirm("FOUND", yes, f"All members of {of.name} may lose {plain(limit)} together before all of them stop.")
    with patience("the ledger is asked, and has to say that it has the founding"):
        state = run_to_end(desk.found(settings, _order(reason), capital=amount, anew=anew))
    _tell("Founded", state)
    return ExitCode.STOPPED


@fund.command()
def join(
    config: ConfigFile = CONFIG,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the records.")] = _NO_REASON,
) -> ExitCode:
    """Make this guard a member of the fund of [fund]. Its gate is shut until another member has lent it a budget.

    With the guard stopped.
    """
    settings = load(config)
    from risk_daemon.app import fund_desk as desk

    with patience("the ledger is asked, and has to say that it has the new member"):
        state = run_to_end(desk.join(settings, _order(reason)))
    _tell("Joined", state)
    return ExitCode.STOPPED


@fund.command()
def adopt(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="Its name in the fund: the one in [fund] here.")],
    reason: Reason,
    config: ConfigFile = CONFIG,
    yes: Yes = False,
) -> ExitCode:
    """Go on here as a member whose guard elsewhere is gone for good, or whose state was moved or restored.

    With the guard stopped, on a state of the same accounts. The old guard must never run again: acted on in two
    places, a budget would be there twice.
    """
    settings = load(config)
    from risk_daemon.app import fund_desk as desk

    confirm("ADOPT", yes, f"The guard that was {member} before must never run again.")
    with patience("the ledger is asked, and has to say that the member is here"):
        state = run_to_end(desk.adopt(settings, _order(reason), member=member))
    _tell("Adopted", state)
    return ExitCode.STOPPED


@fund.command()
def leave(
    config: ConfigFile = CONFIG,
    to: Annotated[
        str | None, typer.Option("--to", metavar="MEMBER", help="Who has the rest of the budget from then on.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the records.")] = _NO_REASON,
    yes: Yes = False,
) -> ExitCode:
    """Take this guard out of its fund, once every account is proven to have no order, no position and no coin left
    whose worth moves.

    With the guard stopped. What was lost stays with this member for good; the rest of its budget goes to --to, or
    without it to nobody. Afterwards take [fund] out of the configuration.
    """
    settings = load(config)
    from risk_daemon.app import fund_leaving as leaving

    rest = f"the rest of its budget is {to}'s" if to is not None else "the rest of its budget is nobody's any more"
    confirm("LEAVE", yes, f"This guard leaves the fund for good, and {rest}.")
    with patience("every venue is listed and read twice"):
        state = run_to_end(leaving.leave(settings, _order(reason), to=to))
    told = f"{plain(state.budget)} stay with it for what it had lost"
    console().print(f"Left: {state.name} is out of fund {state.charter.fund}; {told}.", style="bold green")
    return ExitCode.STOPPED


@fund.command()
def transfer(
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Money in the fund's currency.")],
    to: OtherMember,
    config: ConfigFile = CONFIG,
    as_json: AsJson = False,
) -> ExitCode:
    """Give another member a part of this guard's budget. Only what this guard can surely spare is given.

    By the running guard, which knows what it has lost: it goes by the lower budget at once.
    """
    given = _amount("AMOUNT", amount)
    place = locate(config)
    try:
        with patience("the guard writes it down and tells the ledger"):
            said = remote.request(
                place.socket,
                "POST",
                "/api/v1/fund/transfer",
                {"to": to, "amount": plain(given)},
                timeout_s=_GIVE_TIMEOUT_S,
            )
    except remote.DaemonAbsent as error:
        raise UsageError(f"{error}: what this member has lost is known to a running guard only, so start it") from None
    answer = accepted(said)
    told = f"Given: {plain(given)} to {to}, who has it once it has read the ledger."
    show(answer, as_json, lambda out, _: out.print(told, style="bold green"))
    return ExitCode.STOPPED


@fund.command()
def status(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """This guard's place in the fund, and the ledger as it is now: budgets, who asks for more, who is silent, a trip.

    With or without a running guard. Ends with 0 only if the ledger could be read, and this guard's own document too.
    """
    settings = load(config)
    from risk_daemon.app import fund_view as viewing
    from risk_daemon.cli import fund_tables

    document = run_to_end(viewing.fund_view(settings))
    document["guard"] = _of_the_guard(config)
    show(document, as_json, fund_tables.fund)
    return ExitCode.STOPPED if viewing.is_known(document) else ExitCode.REFUSED


def _of_the_guard(config: Path) -> Any:
    """What a running guard says of itself in the fund; None: none answers."""
    try:
        answer = remote.request(locate(config).socket, "GET", "/api/v1/state")
    except (remote.DaemonAbsent, remote.NotConfirmed):
        return None
    return answer.body.get("fund") if answer.status == HTTPStatus.OK else None


def _order(reason: str) -> Order:
    from risk_daemon.app.fund_desk import Order

    return Order(operator=operator_name(os.getuid()), reason=reason, say=say, told=Told())


def _amount(name: str, text: str) -> Decimal:
    try:
        return parse_money(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _tell(done: str, state: Escrow) -> None:
    out, charter = console(), state.charter
    out.print(
        f"{done}: {state.name} of fund {charter.fund}, with a limit of {plain(charter.limit)} {charter.currency}.",
        style="bold green",
    )
    if state.kept.is_funded:
        out.print(f"It may lose {plain(state.budget)}. Start it with `risk-daemon run`.")
    else:
        out.print(
            "It has no budget yet, so its gate stays shut: start it with `risk-daemon run`, and a member that runs and"
            " has headroom lends it some."
        )
