"""Commands for a running daemon: look, halt, release, reset, disable, cancel. Some work without one as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import completion, remote
from risk_daemon.cli.asking import Told, done_or_asked
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
    in_any_words,
    load,
    run_to_end,
    show,
)
from risk_daemon.cli.progress import changes, patience
from risk_daemon.config.place import Place, locate
from risk_daemon.errors import CircuitBreakerError, ExitCode, UsageError, VenueError
from risk_daemon.model.status import State
from risk_daemon.model.units import parse_duration

if TYPE_CHECKING:
    from rich.console import Console

_SWEEP_TIMEOUT_S = 3_600.0  # the daemon's own deadline ends it sooner
_RESET_TIMEOUT_S = 60.0
_DRAWDOWN_KEYS = (
    "state",
    "loss_ratio",
    "drawdown_ratio",
    "daily_loss_ratio",
    "portfolio_dd_pct",
    "daily_loss_ratio",
    "daily_loss",
    "loss_threshold",
    "circuit_breaker",
    "rules",
    "reference_currency",
    "trusted",
    "time",
)
_ABOUT_A_VENUE = ("state", "rules", "reference_currency", "trusted", "time")
_VENUE_KEYS = ("equity", "daily_loss_ratio")

Choose = Callable[[Mapping[str, Any]], Mapping[str, Any]]
RenderState = Callable[["Console", State], None]

OneVenue = Annotated[str | None, typer.Option("--venue", help="Only this venue.", autocompletion=completion.venues)]
OneBot = Annotated[
    str | None,
    typer.Option("--bot", help="Only this bot, by the name of its token.", autocompletion=completion.bots),
]


class Rebaseline(StrEnum):
    """What losses are measured from after a reset."""

    KEEP = "keep"
    CURRENT = "current"


class MarketKind(StrEnum):
    """Which orders `cancel-all` cancels."""

    SPOT = "spot"
    PERP = "perp"


# --- looking ---------------------------------------------------------------------------------------


@app.command()
def status(
    config: ConfigFile = CONFIG,
    as_json: AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Every second, until Ctrl-C; in a pipe, a line for each change.")
    ] = False,
) -> ExitCode:
    """How things stand. Ends with 0 only if a daemon answered.

    With --watch it goes on while the daemon is away, says so, and ends with 0.
    """
    from risk_daemon.cli import render

    if watch:
        if as_json:
            raise UsageError("give --watch or --json: for programs there is GET /api/v1/events")
        return _watch(config)

    def shown(out: Console, state: State) -> None:
        render.status(out, state)
        _say_who_was_told(out, place, state)

    place = locate(config)
    return _state(config, as_json, lambda document: document, shown)


def _say_who_was_told(out: Console, place: Place, state: State) -> None:
    """Whoever finds a trip must know whether he is the first."""
    if state.lock.trip_id:
        from risk_daemon.cli.alerts import who_was_told
        from risk_daemon.cli.words import safe

        out.print(safe(who_was_told(place, state.lock.trip_id)), style="bold yellow")


def _watch(config: Path) -> ExitCode:
    from risk_daemon.cli import live

    live.watch(locate(config), console())
    return ExitCode.STOPPED


@app.command("check-drawdown")
def check_drawdown(
    config: ConfigFile = CONFIG,
    venue: OneVenue = None,
    store: Annotated[
        bool, typer.Option("--store", help="Ask the server of \\[state] store: the loss of the day over all accounts.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """The losses now, and their limits. Ends with 0 only if a daemon answered.

    With --store no daemon needs to run. It ends with 0 only if the loss of the day is known: every account of every
    guard that uses the server has told of itself within the last minutes.
    """
    if store:
        if venue is not None:
            raise UsageError("give --store or --venue: the store is asked for all accounts")
        return _day_loss(config, as_json)
    from risk_daemon.cli import render

    return _state(config, as_json, partial(_losses, venue), partial(render.drawdown, venue=venue))


def _day_loss(config: Path, as_json: bool) -> ExitCode:
    settings = load(config)
    from risk_daemon.app.day_loss import day_loss_in_store
    from risk_daemon.cli.day_loss import show_day_loss

    loss = run_to_end(day_loss_in_store(settings))
    show(loss.document(), as_json, lambda out, _: show_day_loss(out, loss))
    return ExitCode.STOPPED if loss.is_known else ExitCode.REFUSED


def _losses(venue: str | None, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What there is to say of losses; of one venue where it is named. Raises UsageError for one that is not there."""
    found: Mapping[str, Any] = document.get("venues") or {}
    if venue is not None and venue not in found:
        raise UsageError(f"there is no venue {venue!r}: one of {', '.join(found) or 'none'}")
    venues = {name: {key: row.get(key) for key in _VENUE_KEYS} for name, row in found.items() if venue in (None, name)}
    losses = {key: document.get(key) for key in (_DRAWDOWN_KEYS if venue is None else _ABOUT_A_VENUE)}
    return {**losses, "venues": venues}


def _state(config: Path, as_json: bool, choose: Choose, render: RenderState) -> ExitCode:
    """Show a running daemon's state, or, clearly apart, the last that is known of one. choose: what of it is JSON."""
    place = locate(config)
    try:
        document = accepted(remote.request(place.socket, "GET", "/api/v1/state"))
    except remote.DaemonAbsent as error:
        _last_known(place, str(error), as_json, choose, render)
        return ExitCode.REFUSED
    chosen = {"running": True, **choose(document)}
    show(chosen, as_json, lambda out, _: render(out, State.shown(document)))
    return ExitCode.STOPPED


def _last_known(place: Place, absent: str, as_json: bool, choose: Choose, render: RenderState) -> None:
    from risk_daemon.cli.words import age, gone

    known = remote.last_known(place.state)
    state, age_s = (choose(known[0]), known[1]) if known else (None, None)
    if as_json:
        show({"running": False, "last_known": state, "age_s": age_s}, True, lambda _out, _document: None)
        return
    out = console()
    out.print(f"DAEMON NOT RUNNING: {absent}. Nothing is guarded.", style="bold red")
    if known is None:
        out.print("Nothing is known of an earlier run; `risk-daemon run` starts the guard.")
        return
    out.print(f"Last known values, {age(age_s)} old:\n")
    render(out, gone(known[0]))


# --- halting and resuming --------------------------------------------------------------------------


@app.command()
def halt(
    reason: Reason, config: ConfigFile = CONFIG, venue: OneVenue = None, bot: OneBot = None, as_json: AsJson = False
) -> ExitCode:
    """Stop all trading now: lock, cancel every order, prove it.

    With --venue or --bot, only new orders of that venue or bot are refused: nothing is cancelled and the daemon
    stays up, until `risk-daemon release`.
    """
    scope = _scope(venue, bot)
    place = locate(config)
    body = {"reason": in_any_words(reason), **scope}
    try:
        answer = accepted(remote.request(place.socket, "POST", "/api/v1/halt", body))
    except remote.DaemonAbsent as error:
        raise UsageError(f"{error}, so nobody would hear a halt: {_instead_of_halt(scope)}") from None
    told = f"Halted: {_told(scope, answer)}" if scope else f"Halted. {_trip(answer)}"
    show(answer, as_json, lambda out, _: out.print(told, style="bold red"))
    return ExitCode.STOPPED


@app.command()
def release(
    reason: Reason,
    config: ConfigFile = CONFIG,
    venue: OneVenue = None,
    bot: OneBot = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="The halt that a state from a server begins with.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """End the halt of one venue or bot, or the one after `init --from-store`. A trip by a halt is ended by `reset`."""
    scope: dict[str, Any] = dict(_scope(venue, bot))
    if bool(scope) is everything:
        raise UsageError(
            "say what to release: --venue V, --bot B or --everything; a trip by a halt is ended by `reset`"
        )
    answer = _asked(
        config, "/api/v1/release", {"reason": reason, **scope, **({"everything": True} if everything else {})}
    )
    told = f"Released: {_scope_text(scope) or 'everything'}. Whatever else holds against new orders still does."
    show(answer, as_json, lambda out, _: out.print(told, style="bold green"))
    return ExitCode.STOPPED


@app.command()
def reset(
    reason: Reason,
    rebaseline: Annotated[
        Rebaseline, typer.Option("--rebaseline", help="Keep the baselines, or measure from the current equity.")
    ],
    config: ConfigFile = CONFIG,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Allow trading again after a trip or a halt, or before a freeze is over. Refused while any venue is unproven."""
    place = locate(config)
    body = {"reason": reason, "rebaseline": rebaseline.value}
    consequence = "After this a running guard opens the gate: bots may send orders again."
    confirm("RESET", yes, consequence, look=partial(_refuse_reset_in_vain, place, config, body))
    done = "Reset: trading is allowed again."
    try:
        with patience("the daemon looks at every venue before it opens the gate"):
            said = remote.request(place.socket, "POST", "/api/v1/reset", body, timeout_s=_RESET_TIMEOUT_S)
        answer = done_or_asked(place.socket, said)
    except remote.DaemonAbsent:
        answer = _reset_stopped(config, body)
        done = "Reset: the gate opens when the daemon runs again, start it with `risk-daemon run`."
    show(answer, as_json, partial(_show_reset, done))
    return ExitCode.STOPPED


def _show_reset(done: str, out: Console, answer: Mapping[str, Any]) -> None:
    """done: what is over here. What another guard still holds is told beside it."""
    out.print(done, style="bold green")
    _, _, still = str(answer.get("reason") or "").partition(". ")
    if still:
        out.print(f"{still}.", style="bold yellow", markup=False)


@app.command()
def disable(
    reason: Reason,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help='How long, such as "10m".')],
    config: ConfigFile = CONFIG,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Watch without acting, for a stated time. A halt still works; a restart ends it."""
    for_s = _seconds(duration)
    confirm("DISABLE", yes, f"For {duration} no loss will stop trading.")
    answer = _asked(config, "/api/v1/disable", {"for_s": for_s, "reason": reason})
    told = (
        f"Disabled for {duration}: limits are watched and told, and nothing is stopped. `risk-daemon enable` ends it."
    )
    show(answer, as_json, lambda out, _: out.print(told, style="bold magenta"))
    return ExitCode.STOPPED


@app.command()
def enable(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """End a disable before its time."""
    answer = _asked(config, "/api/v1/enable", {})
    show(answer, as_json, lambda out, _: out.print("Enabled: limits act again.", style="bold green"))
    return ExitCode.STOPPED


def _asked(config: Path, target: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a running daemon answers, wardens and all. Raises UsageError where there is none or it refuses."""
    socket = locate(config).socket
    try:
        return done_or_asked(socket, remote.request(socket, "POST", target, body))
    except remote.DaemonAbsent as error:
        raise UsageError(f"{error}: this needs a running daemon, and nothing was changed") from None


def _scope(venue: str | None, bot: str | None) -> dict[str, str]:
    """The scope of a halt, as the request has it; empty for everything. Raises UsageError."""
    if venue is not None and bot is not None:
        raise UsageError("give --venue or --bot, not both")
    return {key: value for key, value in (("venue", venue), ("bot", bot)) if value is not None}


def _scope_text(scope: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in scope.items())


def _told(scope: Mapping[str, str], answer: Mapping[str, Any]) -> str:
    """What the halt of a venue or bot does, in the daemon's words."""
    return f"{answer.get('reason') or _scope_text(scope)}; `risk-daemon release` ends it."


def _instead_of_halt(scope: Mapping[str, str]) -> str:
    if scope:
        return "without a daemon the gate is shut for everybody, start it with `risk-daemon run`"
    return "to cancel every open order now, run `risk-daemon cancel-all`"


def _trip(answer: Mapping[str, Any]) -> str:
    trip = f"Trip {answer['trip_id']}: " if answer.get("trip_id") else ""
    return f"{trip}follow it with `risk-daemon tail -f`."


def _seconds(duration: str) -> float:
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    if seconds <= 0:
        raise UsageError(f"--for: {duration!r} is no time at all")
    return seconds


def _refuse_reset_in_vain(place: Place, config: Path, body: Mapping[str, Any]) -> None:
    """Raises UsageError where it would be refused as things stand: then nobody is asked for anything."""
    try:
        with patience("the daemon says whether it would trip again"):
            asked = {**body, "dry_run": True}
            accepted(remote.request(place.socket, "POST", "/api/v1/reset", asked, timeout_s=_RESET_TIMEOUT_S))
    except remote.DaemonAbsent:
        with patience("no daemon runs: every venue is looked at from here, for whether it would trip again"):
            _reset_stopped(config, body, dry_run=True)


def _reset_stopped(config: Path, body: Mapping[str, Any], *, dry_run: bool = False) -> Mapping[str, Any]:
    settings = load(config)
    from risk_daemon.app import reset as resetting

    operator = operator_name(os.getuid())
    try:
        answer = run_to_end(resetting.reset_stopped(settings, **body, operator=operator, told=Told(), dry_run=dry_run))
    except (CircuitBreakerError, VenueError) as error:
        raise UsageError(f"not reset: {error}") from error
    if answer.get("accepted") is not True:
        raise UsageError(f"not reset: {answer.get('reason') or 'no reason was given'}")
    return answer


# --- cancelling ------------------------------------------------------------------------------------


@app.command("cancel-all")
def cancel_all(
    config: ConfigFile = CONFIG,
    venue: OneVenue = None,
    market: Annotated[MarketKind | None, typer.Option("--market", help="Only these markets.")] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Cancel every open order and prove it, with or without a running daemon. Trading is not locked.

    Ends with 0 only if it is proven that no order is open, with 4 if not.
    """
    place = locate(config)
    body = {"venue": venue, "market": market.value if market else None}
    try:
        with patience("the daemon cancels every order and proves that they are gone"):
            said = remote.request(place.socket, "POST", "/api/v1/cancel-all", body, timeout_s=_SWEEP_TIMEOUT_S)
        document = _swept(said)
    except remote.DaemonAbsent:
        document = _cancel_stopped(config, venue, body["market"])
    except remote.NotConfirmed as error:
        document = {"proven": False, "unproven_reason": str(error), "venues": {}}
    code = ExitCode.STOPPED if document.get("proven") is True else ExitCode.TRIGGERED_UNPROVEN
    from risk_daemon.cli import render

    show(document, as_json, render.sweep)
    return code


def _swept(answer: remote.Answer) -> Mapping[str, Any]:
    """A sweep that the daemon began and could not end is unproven; one it refused was never begun."""
    if answer.status >= 500:
        return {"proven": False, "unproven_reason": answer.detail, "venues": {}}
    return accepted(answer)


def _cancel_stopped(config: Path, venue: str | None, market: str | None) -> Mapping[str, Any]:
    settings = load(config)
    if venue is not None and venue not in settings.venues:
        raise UsageError(f"there is no venue {venue!r}: one of {', '.join(settings.venues)}")

    from risk_daemon.app import cancel as cancelling
    from risk_daemon.cli import render

    operator, progress = operator_name(os.getuid()), changes(render.progress)
    work = cancelling.cancel_all(settings, venue=venue, market=market, operator=operator, progress=progress)
    try:
        with patience("no daemon runs: the venues are reached, cancelled and listed from here"):
            result = run_to_end(work)
    except VenueError as error:
        return {"proven": False, "unproven_reason": str(error), "venues": {}}
    return result.document()
