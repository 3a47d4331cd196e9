"""How much one caller may ask of the daemon, and how long it may take to ask."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and up to `burst` at once."""

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Rates are per token, or per address where no token is asked for. Times in seconds, sizes in bytes.

    header_within_s: from the last answer to the end of the next request's header.
    first_within_s: from the connection, TLS included, to the first request of a caller who is known.
    linger_s: what is left of a body that was refused is read for so long, so that the answer is not lost.
    strangers, bots, operators, viewers, pages_open: connections at once, on each listener; see `seats`. live_pages: of
    the pages, so many may listen, so that there is always a seat to halt from.
    page_every_s, page_beat_s: how often open pages are told what is new at most, and that we are there at least.
    tell_every_s: how often the journal hears of who was turned away.
    """

    checks: Rate = Rate(5_000, 5_000)
    reports: Rate = Rate(500, 1_000)
    reads: Rate = Rate(20, 40)
    commands: Rate = Rate(5, 20)
    anybody: Rate = Rate(50, 100)
    failed_logins: Rate = Rate(1, 30)
    pages: Rate = Rate(50, 300)
    page_strangers: Rate = Rate(50, 100)
    body_bytes: int = 64 * 1024
    header_within_s: float = 30.0
    first_within_s: float = 4.0
    body_within_s: float = 5.0
    write_within_s: float = 10.0
    linger_s: float = 1.0
    heartbeat_every_s: float = 15.0
    strangers: int = 96
    bots: int = 128
    operators: int = 32
    viewers: int = 32
    pages_open: int = 256
    live_pages: int = 224
    page_every_s: float = 0.4
    page_beat_s: float = 2.0
    tell_every_s: float = 60.0

    def rate_limits(self) -> dict[str, RateLimit]:
        """A fresh limit for each rate, by its name."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: RateLimit(rate) for name, rate in named.items() if isinstance(rate, Rate)}


@dataclass(slots=True)
class RateLimit:
    """A token bucket for each key, kept as the time when it will be full again.

    keys: how many are remembered; when as many are in use at once, newcomers are refused.
    """

    rate: Rate
    keys: int = 4_096
    _full_at_mono: dict[str, float] = field(default_factory=dict)

    def wait_s(self, key: str, now_mono: float) -> float:
        """0 if `key` may now, and that counts as once; else how long it should wait."""
        full_at = max(self._full_at_mono.get(key, 0.0), now_mono) + 1.0 / self.rate.per_s
        too_long_s = full_at - now_mono - self.rate.burst / self.rate.per_s
        if too_long_s > 1e-9:
            return too_long_s
        if len(self._full_at_mono) >= self.keys and key not in self._full_at_mono:
            self._forget_idle(now_mono)
            if len(self._full_at_mono) >= self.keys:
                return 1.0
        self._full_at_mono[key] = full_at
        return 0.0

    def _forget_idle(self, now_mono: float) -> None:
        self._full_at_mono = {key: full_at for key, full_at in self._full_at_mono.items() if full_at > now_mono}
