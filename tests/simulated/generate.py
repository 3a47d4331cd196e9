"""A scenario from a seed: two or three accounts, a plot, and everything that may get in its way."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from risk_daemon.model.events import Kind
from tests.simulated.scenario import BotSpec, Call, Fault, Happening, Kill, Rules, Scenario, VenueSpec

CAPITAL = Decimal(10_000)
PRICES = {"BTC": Decimal(50_000), "ETH": Decimal(2_000)}

_STREAMS = (Kind.BALANCES, Kind.POSITIONS, Kind.PRICES, Kind.ORDERS)
_NOISY = (Fault.REFUSED, Fault.HANG, Fault.SLOW, Fault.LATE, Fault.LOST, Fault.MALFORMED, Fault.TOO_MANY)
_SWEEP_NOISE = (Fault.ACK_ONLY, Fault.PARTIAL, Fault.DEAF)
_TROUBLES = (
    Fault.REFUSED,
    Fault.HANG,
    Fault.MALFORMED,
    Fault.TOO_MANY,
    Fault.REJECTED,
    Fault.LOST,
    Fault.LATE,
    Fault.ACK_ONLY,
)
_TROUBLED = (
    frozenset(Call),
    frozenset(Call),
    frozenset({Call.LIST}),
    frozenset({Call.CANCEL}),
    frozenset({Call.LIST, Call.CANCEL}),
    frozenset({Call.BALANCES, Call.POSITIONS, Call.PRICES}),
    frozenset({Call.STREAM}),
    frozenset({Call.PRICES}),
)
_SIEGES = 0.45  # of what would be peace
_BROKEN_LISTINGS = ((Fault.MALFORMED, True), (Fault.REFUSED, True), (Fault.LOST, True))
_KILL_EVENTS = (
    "circuit_breaker_triggered",
    "circuit_breaker_triggered",
    "breach_confirming",
    "sweep_finished",
    "venue_proven",
    "flow_detected",
    "portfolio_update",
    "system_shutdown",
    "venue_lost",
)


def generate(seed: int) -> Scenario:
    """The same seed is the same scenario."""
    return _Author(seed).scenario()


def _streams(*, perp: bool) -> frozenset[Kind]:
    return frozenset(_STREAMS if perp else (Kind.BALANCES, Kind.PRICES, Kind.ORDERS))


class _Author:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(f"scenario {seed}")
        self.past = random.Random(f"past {seed}")  # apart, so that the other parts of a seed stay what they were
        self.book = random.Random(f"book {seed}")
        self.siege = random.Random(f"siege {seed}")  # apart: so that the other stories stay the same
        self.exposure = Decimal(round(self.rng.uniform(0.55, 0.9), 2))
        self.venues = self._venues()
        self.names = [venue.name for venue in self.venues]
        self.safety_s = round(self.rng.choice((20.0, 30.0, 40.0, 60.0)) * self.rng.uniform(0.8, 1.2), 1)
        self.has_auto_capital = self.rng.random() < 0.15
        self.happenings: list[Happening] = []
        self.kills: list[Kill] = []

    def scenario(self) -> Scenario:
        rng = self.rng
        plot = rng.choices(
            (self._peace, self._crash, self._bad_fill, self._halt, self._crash_while_starting), (32, 42, 8, 8, 10)
        )[0]
        if plot == self._peace and self.siege.random() < _SIEGES:
            return self._besieged()
        if self.past.random() < 0.1:
            plot = self._crash_behind_the_past
        plot()
        if plot not in (self._crash_while_starting, self._crash_behind_the_past):
            self._flows()
            self._faults()
            self._pasts()
            self._odd_rows()
        self._short_replies()
        return Scenario(
            self.seed,
            tuple(self.venues),
            PRICES,
            self._rules(),
            self._bots(),
            tuple(sorted(self.happenings, key=lambda happening: happening.at_s)),
            (*self.kills, *self._kills()),
            {} if self.kills or plot == self._crash_behind_the_past else self._noise(),
            rng.choice((0.0, 0.0, 0.05, 0.2)),
            rng.choice((None, None, 20.0, 6.0)),
            Decimal(rng.choice(("0.0005", "0.002"))),
            rng.choice((1.5, 2.5)),
            self.safety_s,
        )

    def _besieged(self) -> Scenario:
        """A crash, and from then on one account that can be swept only by who does not rely on its listings."""
        rng, self.safety_s = self.siege, 60.0
        crash_s = rng.uniform(5.0, 15.0)
        factor = 1 - Decimal("0.1") / self.exposure
        self._happens(crash_s, "move", factors=dict.fromkeys(PRICES, factor))
        name, at_s = rng.choice(self.names), crash_s + rng.choice((-1.0, 0.0, 1.0, 4.0))
        fault, listings = rng.choice(((Fault.EVERY_SECOND, False), (Fault.BY_TURNS, True), *_BROKEN_LISTINGS))
        calls = frozenset({Call.LIST}) if listings else frozenset(Call)
        self._happens(at_s, "trouble", venue=name, fault=fault, calls=calls)
        bot = BotSpec(name, rng.choice(("plain", "trigger")), rng.choice((0.7, 3.0)), 0.3, reckless=True)
        return Scenario(
            self.seed,
            tuple(replace(venue, by_id=venue.by_id and venue.name != name) for venue in self.venues),
            PRICES,
            replace(self._rules(), capital=CAPITAL, cancel_deadline_s=rng.choice((20.0, 40.0))),
            (bot,) if (fault, listings) in _BROKEN_LISTINGS else (),
            tuple(sorted(self.happenings, key=lambda happening: happening.at_s)),
            safety_s=self.safety_s,
        )

    def _maybe(self, chance: float, write: Callable[[], None], most: int = 1) -> None:
        for _ in range(most):
            if self.rng.random() < chance:
                write()

    def _happens(self, at_s: float, what: str, **args: object) -> None:
        self.happenings.append(Happening(round(at_s, 3), what, args))

    def _time(self, first: float = 0.0) -> float:
        return self.rng.uniform(first, self.safety_s)

    # --- accounts ------------------------------------------------------------------------------------

    def _venues(self) -> list[VenueSpec]:
        kinds = self.rng.choice(((False,), (False, True), (False, True), (False, False), (False, True, True)))
        shares = [Decimal(round(self.rng.uniform(0.2, 1.0), 2)) for _ in kinds]
        total = sum(shares)
        return [
            self._venue(name, perp, (CAPITAL * share / total).quantize(Decimal("0.01")))
            for name, perp, share in zip(("alpha", "beta", "gamma"), kinds, shares, strict=False)
        ]

    def _venue(self, name: str, perp: bool, worth: Decimal) -> VenueSpec:
        rng, exposed = self.rng, worth * self.exposure
        asset = rng.choice(sorted(PRICES))
        quantity = (exposed / PRICES[asset]).quantize(Decimal("0.000001"))
        wallet = {"USDT": worth} if perp else {"USDT": worth - quantity * PRICES[asset], asset: quantity}
        return VenueSpec(
            name,
            perp,
            wallet,
            {f"{asset}/USDT:USDT": (quantity, PRICES[asset])} if perp else {},
            frozenset(rng.sample(_STREAMS if perp else (Kind.BALANCES, Kind.PRICES, Kind.ORDERS), rng.randint(0, 3))),
            rng.choice((0.02, 0.05, 0.2, 0.6)),
            rng.random() < 0.3,
            rng.random() < 0.2,
            rng.randint(0, 5),
        )

    # --- plots ---------------------------------------------------------------------------------------

    def _peace(self) -> None:
        """Losses that stay below the limit, wild ticks, trades: no trip."""
        self._maybe(0.5, self._dip)
        self._maybe(0.4, self._lie, 2)
        self._maybe(0.4, self._trade, 2)

    def _dip(self) -> None:
        factor = 1 - Decimal("0.025") / self.exposure
        at_s = self._time(5.0)
        self._happens(at_s, "move", factors=dict.fromkeys(PRICES, factor), over_s=self.rng.choice((0.0, 5.0)), steps=4)

    def _lie(self) -> None:
        """None where the capital is `auto`: one low lie told while it forms becomes the capital."""
        if self.has_auto_capital:
            return
        asset = self.rng.choice(sorted(PRICES))
        factor = Decimal(self.rng.choice(("0.5", "0.01", "3")))
        venue = self.rng.choice(self.names)
        self._happens(self._time(5.0), "lie", venue=venue, asset=asset, factor=factor, for_s=self.rng.uniform(0.1, 1.0))

    def _short_replies(self) -> None:
        """Where the capital is `auto`: one of the first balance replies, or two in a row, lack half of an account.

        By a chance of their own, so that nothing else of the story depends on them.
        """
        rng = random.Random(f"short replies {self.seed}")
        if self.has_auto_capital and rng.random() < 0.8:
            replies = (False,) * rng.randint(0, 2) + (True,) * rng.randint(1, 2)
            self._happens(0.0, "short", venue=rng.choice(self.names), replies=replies)

    def _trade(self) -> None:
        spot = self.rng.choice([venue for venue in self.venues if not venue.perp])
        asset = next(iter(asset for asset in spot.wallet if asset != "USDT"))
        side = self.rng.choice(("buy", "sell"))
        amount = spot.wallet["USDT"] / PRICES[asset] if side == "buy" else spot.wallet[asset]
        quantity = (amount * Decimal("0.3")).quantize(Decimal("0.000001"))
        apart_s = self.rng.choice((0.0, 0.1, 0.2))
        self._happens(
            self._time(3.0), "trade", venue=spot.name, asset=asset, side=side, quantity=quantity, rows_apart_s=apart_s
        )

    def _crash(self) -> None:
        loss = Decimal(round(self.rng.uniform(0.085, 0.105), 4))
        factor = 1 - loss / self.exposure
        at_s = self.rng.choice((0.05, self._time(), self._time(), self._time()))
        over_s = self.rng.choice((0.0, 0.0, 3.0, 12.0))
        self._happens(at_s, "move", factors=dict.fromkeys(PRICES, factor), over_s=over_s, steps=5 if over_s else 1)
        if self.rng.random() < 0.5:
            self._trouble(max(0.0, at_s + self.rng.uniform(-2.0, 4.0)))

    def _crash_while_starting(self) -> None:
        """A small account is out of reach from before a restart on; what the others show is breach enough."""
        rng = self.rng
        big, small = Decimal("0.95"), Decimal("0.05")
        self.exposure = Decimal("0.9")
        self.venues = [
            self._venue("alpha", False, (CAPITAL * big).quantize(Decimal("0.01"))),
            self._venue("beta", rng.random() < 0.5, (CAPITAL * small).quantize(Decimal("0.01"))),
        ]
        self.names = ["alpha", "beta"]
        self.safety_s = 60.0
        fault = rng.choice((Fault.REFUSED, Fault.HANG, Fault.MALFORMED, Fault.REJECTED))
        self._happens(17.0, "trouble", venue="beta", fault=fault)
        self.kills.append(Kill(18.0, None, 0, rng.choice((0.3, 3.0)), rng.random() < 0.3))
        factor = 1 - Decimal("0.105") / self.exposure
        self._happens(rng.uniform(18.0, 24.0), "move", factors=dict.fromkeys(PRICES, factor))

    def _crash_behind_the_past(self) -> None:
        """Every stream repeats the past, or lags; REST tells of the crash."""
        rng = self.past
        self.venues = [replace(venue, streams=_streams(perp=venue.perp)) for venue in self.venues]
        self.safety_s = 60.0
        for venue in self.venues:
            self._tells_the_past(venue.name, rng.uniform(4.0, 10.0), 90.0)
        loss = Decimal("0.095")
        if rng.random() < 0.7:
            factor, over_s = 1 - loss / self.exposure, rng.choice((0.0, 12.0))
            move = {"factors": dict.fromkeys(PRICES, factor), "over_s": over_s, "steps": 6}
            self._happens(rng.uniform(11.0, 20.0), "move", **move)
        else:
            venue = max(self.venues, key=lambda venue: venue.wallet["USDT"])
            amount = min(venue.wallet["USDT"] * Decimal("0.95"), CAPITAL * loss)
            self._happens(rng.uniform(11.0, 20.0), "bad_fill", venue=venue.name, amount=amount)

    def _bad_fill(self) -> None:
        """Money that is simply gone from one account, without a flow."""
        venue = max(self.venues, key=lambda venue: venue.wallet["USDT"])
        loss = min(venue.wallet["USDT"] * Decimal("0.95"), CAPITAL * Decimal("0.09"))
        self._happens(self._time(3.0), "bad_fill", venue=venue.name, amount=loss)

    def _halt(self) -> None:
        self._happens(self._time(0.5), "halt")

    def _flows(self) -> None:
        """None where the capital is `auto`: whether a flow then lies behind the guard is a matter of moments."""
        if self.has_auto_capital:
            return
        self._maybe(0.25, self._flow, 2)
        if len(self.venues) > 1:
            self._maybe(0.15, self._transfer)

    def _flow(self) -> None:
        venue = self.rng.choice(self.venues)
        share = Decimal(round(self.rng.uniform(0.1, 0.4), 2))
        amount = (venue.wallet["USDT"] * share).quantize(Decimal("0.01")) * self.rng.choice((1, -1))
        delays = self.rng.choice(((0.0, 0.0), (0.0, 0.5), (0.0, 1.5), (0.5, 0.0), (6.0, 0.0)))
        self._happens(
            self._time(2.0),
            "flow",
            venue=venue.name,
            asset="USDT",
            amount=amount,
            balance_delay_s=delays[0],
            ledger_delay_s=delays[1],
        )

    def _transfer(self) -> None:
        source, target = self.rng.sample(self.venues, 2)
        amount = (source.wallet["USDT"] * Decimal("0.3")).quantize(Decimal("0.01"))
        self._happens(
            self._time(2.0),
            "transfer",
            source=source.name,
            target=target.name,
            asset="USDT",
            amount=amount,
            transit_s=self.rng.uniform(0.0, 10.0),
        )

    # --- faults --------------------------------------------------------------------------------------

    def _faults(self) -> None:
        rng = self.rng
        self._maybe(0.3, lambda: self._trouble(rng.choice((0.0, self._time()))), 2)
        self._maybe(0.15, lambda: self._silence(frozen=False))
        self._maybe(0.15, lambda: self._silence(frozen=True))
        self._maybe(0.15, self._disk, 2)
        self._maybe(0.1, lambda: self._happens(self._time(), "lock", how=rng.choice(("broken", "hangs")), for_s=10.0))
        self._maybe(0.1, lambda: self._happens(self._time(3.0), "sigterm"))
        self._maybe(0.15, self._wall_jump)
        self._maybe(0.05, lambda: self._happens(self._time(3.0), "halt"))

    def _trouble(self, at_s: float) -> None:
        rng = self.rng
        fault, calls = rng.choice(_TROUBLES), rng.choice(_TROUBLED)
        for_s = rng.choice((None, 2.0, 8.0, 20.0))
        self._happens(at_s, "trouble", venue=rng.choice(self.names), fault=fault, calls=calls, for_s=for_s)

    def _silence(self, *, frozen: bool) -> None:
        venue, for_s = self.rng.choice(self.names), self.rng.choice((5.0, 25.0))
        self._happens(self._time(), "silence", venue=venue, for_s=for_s, frozen=frozen)

    def _pasts(self) -> None:
        """Streams that repeat the past or lag, among everything else."""
        if self.past.random() < 0.8:
            return
        for venue in self.venues:
            if venue.streams - {Kind.ORDERS}:
                self._tells_the_past(venue.name, self.past.uniform(3.0, 15.0), self.past.choice((15.0, 40.0, 90.0)))

    def _odd_rows(self) -> None:
        """Rows of the book that come late, and rows that no holding ever shows."""
        if self.has_auto_capital or self.book.random() < 0.7:
            return
        venue, at_s = self.book.choice(self.venues), self.book.uniform(5.0, self.safety_s)
        share = Decimal(round(self.book.uniform(0.1, 0.5), 2)) * self.book.choice((1, -1))
        amount = (venue.wallet["USDT"] * share).quantize(Decimal("0.01"))
        flow = {"venue": venue.name, "asset": "USDT", "amount": amount}
        if self.book.random() < 0.5:
            self._happens(at_s, "flow", **flow, ledger_delay_s=self.book.choice((6.0, 12.0, 18.0)))
        else:
            self._happens(at_s, "odd_row", **flow)

    def _tells_the_past(self, venue: str, at_s: float, for_s: float) -> None:
        how = {"every_s": self.past.choice((0.05, 0.05, 0.5, 2.0)), "lag_s": self.past.choice((0.0, 0.0, 3.0, 30.0))}
        self._happens(at_s, "past", venue=venue, for_s=for_s, **how)

    def _disk(self) -> None:
        which, how = self.rng.choice(("store", "journal")), self.rng.choice(("broken", "hangs"))
        self._happens(self._time(), "disk", which=which, how=how, for_s=self.rng.choice((3.0, 15.0, 60.0)))

    def _wall_jump(self) -> None:
        seconds = self.rng.choice((-90_000.0, -3_000.0, -5.0, 5.0, 3_000.0, 90_000.0))
        self._happens(self._time(), "wall_jump", seconds=seconds)

    def _noise(self) -> dict[Fault, float]:
        rng = self.rng
        level = rng.choice((0.0, 0.0, 0.02, 0.08))
        if not level:
            return {}
        faults = rng.sample(_NOISY, rng.randint(1, 4)) + rng.sample(_SWEEP_NOISE, rng.randint(0, 2))
        return dict.fromkeys(faults, level)

    def _kills(self) -> tuple[Kill, ...]:
        rng = self.rng
        if self.kills:
            return ()
        count = rng.choice((0, 0, 0, 1, 1, 2, 3))
        return tuple(self._kill() for _ in range(count))

    def _kill(self) -> Kill:
        rng = self.rng
        handles = rng.choice((0, 1, rng.randint(0, 20), rng.randint(0, 200)))
        down_s, reboot = rng.choice((0.3, 2.0, 8.0)), rng.random() < 0.2
        if rng.random() < 0.5:
            return Kill(None, rng.choice(_KILL_EVENTS), handles, down_s, reboot)
        return Kill(round(self._time(), 3), None, handles, down_s, reboot)

    def _bots(self) -> tuple[BotSpec, ...]:
        return tuple(self._bot() for _ in range(self.rng.randint(0, 3)))

    def _bot(self) -> BotSpec:
        rng, venue = self.rng, self.rng.choice(self.venues)
        orders = ("plain", "trigger", "reduce_only") if venue.perp else ("plain", "trigger")
        return BotSpec(
            venue.name,
            rng.choice(orders),
            rng.choice((0.2, 0.7, 3.0)),
            rng.choice((0.05, 0.3, 5.5)),
            rng.random() < 0.25,
        )

    def _rules(self) -> Rules:
        rng = self.rng
        return Rules(
            capital=None if self.has_auto_capital else CAPITAL,
            confirm=rng.random() < 0.85,
            cancel_deadline_s=rng.choice((15.0, 25.0, 40.0)),
            tick_every_s=rng.choice((0.5, 1.0)),
        )
