"""The world around the guard: markets, accounts, bots, disks, and the script of what happens to them.

It has its own agenda and goes on whether a guard lives or not. Everything is decided by the scenario
and one source of chance, so the same scenario is the same story.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from adapters.simulated.accounts import Late
from risk_daemon.model.events import HaltRequested, Price
from tests.simulated.durable import Illness, MemoryStore, SimGate, SimLock
from tests.simulated.scenario import BotSpec, Call, Fault, Happening, Kill, Scenario
from tests.simulated.truth import Truth
from tests.simulated.venue import SimVenue
from tests.simulated.virtual_time import Timeline

if TYPE_CHECKING:
    from tests.simulated.checker import Checker
    from tests.simulated.life import Life

# Unix seconds are large: two roads to the same moment may differ by this much.
EPSILON_S = 1e-5
_MAX_BOT_ORDERS = 25
_FAULTS = frozenset({"trouble", "silence", "drop", "lie", "past", "disk", "lock", "read_only"})


class World:
    """See above. `checker` watches; `life` is the running guard, if one runs."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.timeline = Timeline()
        self.start_true = self.timeline.true
        self.rng = random.Random(scenario.seed)
        self.prices = dict(scenario.prices)
        self.venues = {spec.name: SimVenue(spec, scenario.prices, self.rng, self.timeline) for spec in scenario.venues}
        self.truth = Truth(self.venues.values(), scenario.rules.capital, scenario.rules.limit)
        self.store = MemoryStore()
        self.store_illness, self.journal_illness = Illness(self.rng), Illness(self.rng)
        self.gate = SimGate(self.timeline, self._gate_written)
        self.lock = SimLock(self.timeline)
        self.checker: Checker
        self.life: Life | None = None
        self.is_healed = False
        self.halted = False
        self.flows: list[tuple[str, float, float]] = []  # venue, when in the account, when in the ledger
        self.pending_kills: list[Kill] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._bots_on = True
        self._anchors = dict(scenario.prices)
        self._plan()
        self.truth.note(self.timeline.true)

    # --- agenda --------------------------------------------------------------------------------------

    @property
    def elapsed_s(self) -> float:
        return self.timeline.true - self.start_true

    def at(self, elapsed_s: float, act: Callable[[], None]) -> None:
        """Do it that many seconds after the story began."""
        self._count += 1
        heapq.heappush(self._agenda, (self.start_true + elapsed_s, self._count, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.elapsed_s + seconds, act)

    def next_due_mono(self) -> float | None:
        dues = [due for venue in self.venues.values() if (due := venue.exchange.next_due()) is not None]
        if self._agenda:
            dues.append(self._agenda[0][0])
        return min(dues) - self.timeline.true_ahead if dues else None

    def advance(self) -> None:
        """Everything that is due now."""
        now = self.timeline.true + EPSILON_S
        for venue in self.venues.values():
            venue.exchange.advance(now)
        while self._agenda and self._agenda[0][0] <= now:
            _, _, act = heapq.heappop(self._agenda)
            act()
        self._publish()

    def idle_until(self, elapsed_s: float) -> None:
        """Let time pass without a guard."""
        self.at(elapsed_s, lambda: None)
        while self.elapsed_s < elapsed_s - EPSILON_S:
            due = self.next_due_mono()
            self.timeline.mono = max(self.timeline.mono, due if due is not None else self.timeline.mono)
            self.advance()

    def _publish(self) -> None:
        for venue in self.venues.values():
            if venue.publish is not None:
                venue.publish()
            else:
                venue.exchange.take_notices()

    def _plan(self) -> None:
        scenario = self.scenario
        for venue in self.venues.values():
            venue.health.noise = dict(scenario.noise)
        self.store_illness.noise = self.journal_illness.noise = scenario.disk_noise
        for happening in scenario.happenings:
            do = getattr(self, f"do_{happening.what}")
            self.at(happening.at_s, lambda do=do, happening=happening: self._happen(do, happening))
        for kill in scenario.kills:
            if kill.at_s is None:
                self.pending_kills.append(kill)
            else:
                self.at(kill.at_s, lambda kill=kill: self._kill(kill))
        for number, bot in enumerate(scenario.bots):
            self.at(0.1 * number, lambda bot=bot, number=number: self._bot_turn(bot, number, 1))
        self.at(scenario.walk_every_s, self._walk)
        if scenario.stream_drops_every_s is not None:
            self._plan_drop()
        self.at(scenario.safety_s, self.heal)
        self.at(1.0, self._second)

    def _happen(self, do: Callable[..., None], happening: Happening) -> None:
        """What belongs to the faults does not happen any more once all is healed."""
        if not (self.is_healed and happening.what in _FAULTS):
            do(**happening.args)

    def _second(self) -> None:
        self.checker.second()
        self.after(1.0, self._second)

    def _kill(self, kill: Kill) -> None:
        if self.life is not None:
            self.life.kill(kill)

    def _gate_written(self, record: Any) -> None:
        self.checker.gate_written(record)

    def heal(self) -> None:
        """From here on nothing goes wrong any more, and reckless bots are switched off."""
        self.is_healed = True
        for venue in self.venues.values():
            health = venue.health
            if health.past is not None or health.lag_s:
                self._end_past(venue.name)
            health.trouble, health.noise, health.silent, health.frozen = Fault.NONE, {}, False, False
            health.read_only = False
        for illness in (self.store_illness, self.journal_illness):
            illness.broken, illness.hangs, illness.noise = False, False, 0.0
        self.lock.broken = self.lock.hangs = False
        self.pending_kills.clear()

    # --- markets -------------------------------------------------------------------------------------

    def _walk(self) -> None:
        """Prices wander around their anchors."""
        walk = self.scenario.walk
        for asset, anchor in self._anchors.items():
            step = Decimal(round(self.rng.uniform(-1, 1), 4)) * walk
            self._set_price(asset, (anchor * (1 + step)).quantize(Decimal("0.0001")))
        self.truth.note(self.timeline.true)
        self.after(self.scenario.walk_every_s, self._walk)

    def _set_price(self, asset: str, price: Decimal) -> None:
        self.prices[asset] = price
        for venue in self.venues.values():
            exchange = venue.exchange
            exchange.asset_prices[asset] = price
            for instrument in exchange.instruments.values():
                if instrument.base == asset:
                    exchange.set_price(instrument.symbol, price)

    def do_move(self, factors: Mapping[str, Decimal], over_s: float = 0.0, steps: int = 1) -> None:
        """Prices move to `factor` times what they are, in steps."""
        start = dict(self._anchors)
        for step in range(1, steps + 1):
            share = Decimal(step) / steps
            targets = {asset: start[asset] * (1 + (factor - 1) * share) for asset, factor in factors.items()}
            self.after(over_s * step / steps, lambda targets=targets: self._move(targets))

    def _move(self, targets: Mapping[str, Decimal]) -> None:
        for asset, price in targets.items():
            self._anchors[asset] = price
            self._set_price(asset, price.quantize(Decimal("0.0001")))
        self.truth.note(self.timeline.true)

    # --- accounts ------------------------------------------------------------------------------------

    def do_flow(
        self, venue: str, asset: str, amount: Decimal, balance_delay_s: float = 0.0, ledger_delay_s: float = 0.0
    ) -> None:
        """A deposit (+) or withdrawal (-); account and ledger may learn of it apart."""
        exchange = self.venues[venue].exchange
        exchange.flow(asset, amount, self.timeline.true, late=Late(balance_delay_s, ledger_delay_s))
        self.after(balance_delay_s + 2 * EPSILON_S, lambda: self._flowed(venue, asset, amount))
        now = self.timeline.true
        self.flows.append((venue, now + balance_delay_s, now + ledger_delay_s))

    def do_odd_row(self, venue: str, asset: str, amount: Decimal) -> None:
        """A deposit or withdrawal that was cancelled: a row that no holding ever shows."""
        now = self.timeline.true
        self.venues[venue].exchange.flow(asset, amount, now, late=Late(has_effect=False))
        self.flows.append((venue, now, now))

    def _flowed(self, venue: str, asset: str, amount: Decimal) -> None:
        value = self.venues[venue].price(asset) * amount
        self.truth.flowed(value, self.timeline.true, counts=self._has_baseline())

    def _has_baseline(self) -> bool | None:
        """Before there was a first picture, flows lie behind the guard: they move no capital. None: it is taking it."""
        engine = None if self.life is None else self.life.engine
        if self.store.has_baseline or (engine is not None and engine.is_started):
            return True
        return None if engine is not None else False

    def do_transfer(self, source: str, target: str, asset: str, amount: Decimal, transit_s: float) -> None:
        """Between two accounts, with a while in which it is in neither."""
        self.do_flow(source, asset, -amount)
        self.after(transit_s, lambda: self.do_flow(target, asset, amount))

    def do_trade(self, venue: str, asset: str, side: str, quantity: Decimal, rows_apart_s: float = 0.0) -> None:
        """A spot trade at the market. The second row comes later."""
        price = self.prices[asset]
        received = (asset, quantity) if side == "buy" else ("USDT", quantity * price)
        exchange = self.venues[venue].exchange
        exchange.trade(f"{asset}/USDT", side, quantity, price, self.timeline.true, rows_apart_s=rows_apart_s)
        if rows_apart_s > 0:
            flight = self.truth.take_off(*received)
            self.after(rows_apart_s + 2 * EPSILON_S, lambda: self.truth.land(flight))

    def do_bad_fill(self, venue: str, amount: Decimal) -> None:
        """Money is gone from the account, and the ledger shows no flow."""
        exchange = self.venues[venue].exchange
        exchange.set_balance("USDT", exchange.total("USDT") - amount, self.timeline.true)
        self.truth.note(self.timeline.true)

    def do_person_order(self, venue: str) -> None:
        self.venues[venue].place("plain", "person")

    # --- bots ----------------------------------------------------------------------------------------

    def _bot_turn(self, bot: BotSpec, number: int, turn: int) -> None:
        is_free = bot.reckless and not self.is_healed
        if is_free or self.gate.is_open():
            name = f"{'reckless' if bot.reckless else 'bot'}-{number}-{turn}"
            flight_s = bot.flight_s * self.rng.uniform(0, 1)
            self.after(flight_s, lambda: self._bot_order(bot, name))
        self.after(bot.every_s, lambda: self._bot_turn(bot, number, turn + 1))

    def _bot_order(self, bot: BotSpec, name: str) -> None:
        venue = self.venues[bot.venue]
        if len(venue.exchange.orders) < _MAX_BOT_ORDERS:
            venue.place(bot.order, name)

    # --- faults --------------------------------------------------------------------------------------

    def do_trouble(
        self, venue: str, fault: Fault, calls: frozenset[Call] = frozenset(Call), for_s: float | None = None
    ) -> None:
        """Every call of these kinds fails like this, for a while or until all is healed."""
        health = self.venues[venue].health
        health.trouble, health.troubled_calls = fault, calls
        if Call.STREAM in calls and fault is not Fault.NONE:
            self.do_drop(venue)
        if for_s is not None:
            self.after(for_s, lambda: setattr(health, "trouble", Fault.NONE))

    def do_silence(self, venue: str, for_s: float, frozen: bool = False) -> None:
        """Sockets stay up and say nothing; a frozen one still answers pings."""
        health, name = self.venues[venue].health, "frozen" if frozen else "silent"
        setattr(health, name, True)
        self.after(for_s, lambda: setattr(health, name, False))

    def do_read_only(self, venue: str) -> None:
        """The key loses what it needs to cancel."""
        self.venues[venue].health.read_only = True

    def do_drop(self, venue: str) -> None:
        """All sockets of the venue are cut."""
        if self.life is not None:
            self.life.adapters[venue].drop_streams()

    def _plan_drop(self) -> None:
        every_s = self.scenario.stream_drops_every_s or 0.0
        self.after(every_s * self.rng.uniform(0.3, 1.7), self._random_drop)

    def _random_drop(self) -> None:
        if not self.is_healed:
            self.do_drop(self.rng.choice(sorted(self.venues)))
            self._plan_drop()

    def do_lie(self, venue: str, asset: str, factor: Decimal, for_s: float) -> None:
        """One wild tick: pushed on the stream and soon followed by the truth, or told once over REST."""
        place = self.venues[venue]
        symbol = next(s for s, i in place.exchange.instruments.items() if i.base == asset)
        adapter = None if self.life is None else self.life.adapters[venue]
        if adapter is not None:
            honest = adapter.honest_price(symbol)
            wrong = Price(symbol, honest.base, honest.quote, honest.value * factor, honest.converts)
            if adapter.tell_lie(symbol, wrong):
                self.after(for_s, lambda: place.exchange.set_price(symbol, self.prices[asset]))
                return
        place.lie = (symbol, factor)

    def do_past(self, venue: str, for_s: float, every_s: float = 0.05, lag_s: float = 0.0) -> None:
        """The streams say again and again what is true now; with `lag_s`, what was true so long ago, once."""
        health, adapter = self.venues[venue].health, None if self.life is None else self.life.adapters[venue]
        if adapter is None or health.past is not None or health.lag_s:
            return
        if lag_s:
            health.lag_s = lag_s
        else:
            health.past = adapter.present()
            self.after(every_s, lambda: self._repeat(venue, every_s))
        self.after(for_s, lambda: self._end_past(venue))

    def _repeat(self, venue: str, every_s: float) -> None:
        if self.venues[venue].health.past is None:
            return
        if self.life is not None:
            self.life.adapters[venue].tell_past()
        self.after(every_s, lambda: self._repeat(venue, every_s))

    def _end_past(self, venue: str) -> None:
        """The venue starts its streams anew."""
        health = self.venues[venue].health
        if health.past is not None or health.lag_s:
            health.past, health.lag_s = None, 0.0
            self.do_drop(venue)

    def do_short(self, venue: str, replies: tuple[bool, ...]) -> None:
        """Some of the next balance replies over REST lack half of the account."""
        self.venues[venue].short = list(replies)

    def do_wall_jump(self, seconds: float) -> None:
        self.timeline.jump(seconds)

    def do_disk(self, which: str, how: str, for_s: float) -> None:
        """`store` or `journal`: `broken` or `hangs` for a while."""
        illness = self.store_illness if which == "store" else self.journal_illness
        setattr(illness, how, True)
        self.after(for_s, lambda: setattr(illness, how, False))

    def do_lock(self, how: str, for_s: float) -> None:
        setattr(self.lock, how, True)
        self.after(for_s, lambda: setattr(self.lock, how, False))

    # --- people --------------------------------------------------------------------------------------

    def do_halt(self) -> None:
        if self.life is not None and self.life.ask(HaltRequested("drill", "operator")):
            self.halted = True

    def do_sigterm(self) -> None:
        if self.life is not None:
            self.life.sigterm()
