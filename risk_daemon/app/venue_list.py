"""The exchanges as a page: `risk-daemon venues --markdown` writes docs/venues.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.venue_sheets import Standing, VenueSheet

_HEAD = """# Venues

What the guard can do on each exchange, made from the data that it works by: `risk-daemon venues --markdown`.

*Provable*: every order that can rest there, and everything by which the exchange itself places orders, is listed and
cancelled, and a trip ends with a proof. *Provable but for*: a proof says by name what it does not cover. *Not
provable*: it is not known what the exchange's listings leave out; such a venue is armed only with
`allow_unproven = true`, and a trip there never ends as proven.

A strategy is an order that the exchange itself goes on placing orders for. Scopes are swept in the order of the
tables: what can become another order first.

Fills, what was executed, are shown to people and decide nothing. A list of them is asked for when nothing else is to be
done: once after connecting, and then at most once a minute; it goes a day back.
"""

_SWITCHES = """## Dead man's switches

An exchange cancels by itself when nobody refreshes the switch in time: also when this machine is gone. It is no
proof, and covers what stands here.

| exchange | markets | timeout | one for | covers | leaves |
| --- | --- | --- | --- | --- | --- |
"""


def markdown(sheets: Sequence[VenueSheet]) -> str:
    """The whole page."""
    known = [sheet for sheet in sheets if sheet.scopes]
    others = [sheet for sheet in sheets if not sheet.scopes]
    switches = "".join(
        _row(sheet.exchange, ", ".join(s.markets), s.timeout, s.one_for, s.covers, s.leaves)
        for sheet in known
        for s in sheet.switches
    )
    without = ", ".join(sheet.exchange for sheet in known if not sheet.switches)
    parts = [_HEAD, _overview(known), *map(_section, known)]
    parts.append(f"{_SWITCHES}{switches}" + (f"\nWithout one: {without}.\n" if without else ""))
    parts.append(_others(others))
    return "\n".join(parts)


def _overview(sheets: Iterable[VenueSheet]) -> str:
    titles = ("exchange", "markets", "standing", "scopes", "calls at once", "tells what a key may do", "fills")
    rows = (
        _row(
            f"[{s.exchange}](#{s.exchange})",
            ", ".join(s.markets),
            s.standing,
            str(len(s.scopes)),
            str(s.calls_at_once),
            "yes" if s.tells_key else "whether it may cancel" if s.asks_cancel else "no",
            s.fills,
        )
        for s in sheets
    )
    return _row(*titles) + _line(len(titles)) + "".join(rows)


def _section(sheet: VenueSheet) -> str:
    head = f"## {sheet.exchange}\n\n| scope | kind | markets | listed by | cancelled by |\n" + _line(5)
    rows = "".join(_row(s.name, s.kind, ", ".join(s.markets), s.listing, " and ".join(s.cancels)) for s in sheet.scopes)
    if not sheet.not_covered:
        return f"{head}{rows}\nProvable.\n"
    return f"{head}{rows}\nProvable but for:\n\n" + "".join(f"* {what}\n" for what in sheet.not_covered)


def _others(sheets: Sequence[VenueSheet]) -> str:
    not_provable = ", ".join(sheet.exchange for sheet in sheets if sheet.standing is Standing.NOT_PROVABLE)
    head = f"## All others that ccxt knows\n\n*Not provable*, spot only: {not_provable}.\n\nNot guarded:\n\n"
    reasons: dict[str, list[str]] = {}
    for sheet in sheets:
        if sheet.standing is Standing.NOT_GUARDED:
            reasons.setdefault(sheet.not_covered[0], []).append(sheet.exchange)
    return head + "".join(f"* {why}: {', '.join(names)}.\n" for why, names in sorted(reasons.items()))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _line(cells: int) -> str:
    return _row(*["---"] * cells)
