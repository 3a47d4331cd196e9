"""What members of a fund say of themselves, for all of them to hear: see `fund/sum.py`.

A reading is worth some seconds; what a server loses of them is said again with the next one. Ages are by the clock of
the server that they are kept on, never by a machine's date: from when it took a reading, or from when the speaker
thought that it would, whichever is longer ago, so that one that was held up on its way is as old as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Protocol

from risk_daemon.fund.sum import Reading
from risk_daemon.model.units import finite, plain

FORMAT = 1
LARGEST = 2_000
_AMOUNTS = ("capital", "low", "high", "gross")
_KEYS = {"format", "founding", "seat", "sequence", "age_s", "said_ms", *_AMOUNTS}
_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """readings: as `fund.sum.heard` takes them, of this founding. refused: why others were not heard, some of them."""

    readings: tuple[Reading, ...]
    refused: tuple[str, ...] = ()


class Readings(Protocol):
    """One place, shared by all members of one founding of a fund. now_mono: seconds of the caller's own clock."""

    async def say(self, reading: Reading, now_mono: float) -> None:
        """For all to hear. reading.age_s: how old it was at `now_mono`, which may be a while ago.

        Raises RecordError where it is not known whether anybody will.
        """
        ...

    async def hear(self, now_mono: float) -> Heard:
        """What was said since the last time, or more. Raises RecordError: then nothing was heard."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What the server's clock said, in ms, when the caller's said `mono`, or a little later."""

    server_ms: float
    mono: float

    def at(self, mono: float) -> float:
        """What the server's clock says then, in ms, if nobody sets it."""
        return self.server_ms + (mono - self.mono) * 1000.0


def text_of(reading: Reading, founding: str, said_ms: float) -> str:
    """As it is written. said_ms: by the server's clock, as the speaker knows it."""
    amounts = {name: plain(getattr(reading, name)) for name in _AMOUNTS}
    document = {
        "format": FORMAT,
        "founding": founding,
        "seat": reading.member,
        "sequence": reading.sequence,
        "age_s": reading.age_s,
        "said_ms": said_ms,
        **amounts,
    }
    return json.dumps(document)


def heard_of(texts: Iterable[tuple[object, float]], founding: str, now: Moment) -> Heard:
    """texts: each with when the server took it, in ms. What is of another founding is nobody's business here."""
    readings: list[Reading] = []
    refused: list[str] = []
    for text, taken_ms in texts:
        try:
            reading = _reading(text, taken_ms, founding, now)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            refused.append(f"what was said is no reading of a member: {str(error)[:120]}")
        else:
            if reading is not None:
                readings.append(reading)
    return Heard(readings=tuple(readings), refused=tuple(refused[:_TOLD]))


def _reading(text: object, taken_ms: float, founding: str, now: Moment) -> Reading | None:
    """None: of another founding. Raises ValueError, TypeError, ArithmeticError, RecursionError."""
    if not isinstance(text, str | bytes) or len(text) > LARGEST:
        raise ValueError("it is no text, or too long")
    found: Any = json.loads(text)
    if not isinstance(found, dict) or found.get("format") != FORMAT or set(found) != _KEYS:
        raise ValueError(f"it is not what a guard of this version says: {text[:60]!r}")
    if found["founding"] != founding:
        return None
    seat, sequence = found["seat"], found["sequence"]
    if not isinstance(seat, str) or isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0:
        raise ValueError(f"it names no member, or no number: {text[:60]!r}")
    since_ms = min(taken_ms, _number(found["said_ms"]))
    reading = Reading(
        member=seat,
        sequence=sequence,
        age_s=_number(found["age_s"]) + (now.server_ms - since_ms) / 1000.0,
        heard_mono=now.mono,
        **{name: _amount(found[name]) for name in _AMOUNTS},
    )
    if _number(found["age_s"]) < 0 or not reading.is_sound:
        raise ValueError(f"{seat} can't have said that: {text[:200]!r}")
    return reading


def _number(value: object) -> float:
    match value:
        case bool():
            pass
        case int() | float() if isfinite(value):
            return float(value)
    raise ValueError(f"{str(value)[:40]!r} is no number of seconds")


def _amount(value: object) -> Decimal:
    """Written as a text: what went through a float may have changed on its way."""
    match value:
        case str():
            return finite(value)
    raise ValueError(f"{str(value)[:40]!r} is no amount")
