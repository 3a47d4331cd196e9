"""The venues' own switches: what the configuration says of each, held against what the venue has.

What does not fit refuses the start, because somebody relies on it. `check` tells of every venue what its switch would
cover, also where none is configured, and where there is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from adapters.base import Market
from adapters.dead_man import DeadMan, switches_of
from adapters.registry import VENUES, venue_of
from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.load import Settings
from risk_daemon.config.notation import seconds_text
from risk_daemon.engine.settings import DeadManSettings
from risk_daemon.errors import ConfigError, ExitCode

# A refresh may take so much of what a venue lets a key ask: the rest is for readings, and for a sweep.
_MOST_OF_POOL = 0.5


def refuse_wrong_dead_men(settings: Settings) -> None:
    """Raises ConfigError, a line for each table that does not fit its venue."""
    wrong = [sentence for name in settings.venues if (sentence := _wrong(settings, name)) is not None]
    if wrong:
        raise ConfigError("\n".join(f"{settings.file}: {sentence}." for sentence in wrong))


def dead_man_settings(settings: Settings) -> dict[str, DeadManSettings]:
    """What the engine is told of every switch that is configured and fits."""
    found = {}
    for name, venue in settings.venues.items():
        if venue.dead_man is not None and _wrong(settings, name) is None:
            switches = _switches(settings, name)
            found[name] = DeadManSettings(
                timeout_s=venue.dead_man.timeout,
                covers="; ".join(one.covers for one in switches),
                leaves=_leaves(settings, name, switches),
                call_timeout_s=settings.data.call_timeout,
            )
    return found


def _switches(settings: Settings, name: str) -> tuple[DeadMan, ...]:
    venue = settings.venues[name]
    return switches_of(venue_of(venue.exchange).dead_men, [Market(market) for market in venue.markets])


def _leaves(settings: Settings, name: str, switches: Sequence[DeadMan]) -> str:
    """Also the markets of the account that no switch of the venue is for."""
    covered = frozenset().union(*(one.markets for one in switches))
    bare = [market for market in settings.venues[name].markets if Market(market) not in covered]
    told = [f"all orders of {' and '.join(bare)}"] if bare else []
    return "; ".join([*told, *(one.leaves for one in switches)])


def _wrong(settings: Settings, name: str) -> str | None:
    """Why a venue's table can't be taken, with its key; None where it can, or where there is none."""
    venue = settings.venues[name]
    if venue.dead_man is None:
        return None
    switches = _switches(settings, name)
    if not switches:
        have = ", ".join(exchange for exchange, known in sorted(VENUES.items()) if known.dead_men)
        of = f"{venue.exchange} has no switch for {' and '.join(venue.markets)} that is known"
        return f"venues.{name}.dead_man: {of}: take the table out; these have one: {have}"
    for one in switches:
        try:
            one.check(venue.dead_man.timeout)
        except ConfigError as error:
            return f"venues.{name}.{error}, not {seconds_text(venue.dead_man.timeout)}"
    return None


# --- for `check` -----------------------------------------------------------------------------------


def dead_man_findings(settings: Settings, name: str, armed: bool | None) -> Iterator[Finding]:
    """What is to be known of a venue's switch. armed: what the venue says of it now; None: it can't be asked."""
    wrong = _wrong(settings, name)
    if wrong is not None:
        yield Finding(Level.PROBLEM, name, wrong, ExitCode.REFUSED)
        return
    switches, table = _switches(settings, name), settings.venues[name].dead_man
    if not switches:
        yield Finding(Level.NOTE, name, "no dead man's switch: where the guard dies, its orders stay")
        return
    told = f"covers {'; '.join(one.covers for one in switches)}. It leaves {_leaves(settings, name, switches)}"
    if table is None:
        now = " IT IS ARMED NOW, by somebody else." if armed else ""
        yield Finding(Level.NOTE, name, f"a dead man's switch is there and not configured.{now} It {told}")
        return
    now = {None: "whether it is armed now can't be asked", True: "it is armed now", False: "it is not armed now"}[armed]
    yield Finding(Level.OK, name, f"dead man's switch of {seconds_text(table.timeout)}; {now}. It {told}")
    yield from _costs_too_much(settings, name, switches)


def _costs_too_much(settings: Settings, name: str, switches: Sequence[DeadMan]) -> Iterator[Finding]:
    """A switch that is refreshed so often that the venue's own count of calls leaves little for anything else."""
    table, pools = settings.venues[name].dead_man, venue_of(settings.venues[name].exchange).pools
    for one in switches:
        pool = next((pool for pool in pools if pool.endpoints is None or _named(one.call, pool.endpoints)), None)
        if table is None or pool is None:
            continue
        at_least_s = 4 * pool.cost(_named(one.call, pool.costs) or "", {}) / (pool.decay_per_s * _MOST_OF_POOL)
        if table.timeout < at_least_s:
            sentence = (
                f"dead_man.timeout: refreshed four times in {seconds_text(table.timeout)}, the switch takes more than"
                f" half of the calls that the venue allows a key; {math.ceil(at_least_s)}s leaves room for readings"
            )
            yield Finding(Level.WARNING, name, sentence)


def _named(call: str, endpoints: Iterable[str]) -> str | None:
    """Which of these endpoints a call of ccxt's client ends with, whose names are without signs."""
    return next((one for one in endpoints if call.lower().endswith(re.sub(r"[^a-z0-9]", "", one.lower()))), None)
