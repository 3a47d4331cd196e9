"""Equity as a picture in SVG: the interval as a band, every limit as a line, and the same as a table.

Own code, because it is little: a library would bring a script of its own, or pictures without words for who can't
see them. Lines are stretched with the page, words are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.api.dashboard.curve import Curve, Point
from risk_daemon.api.dashboard.grid import columns, table
from risk_daemon.api.dashboard.html import Markup, joined, tag, text
from risk_daemon.api.dashboard.words import day_text, money_text, number
from risk_daemon.model.status import State

DAY, WEEK, MONTH = "day", "week", "month"
SPANS = {DAY: 86_400.0, WEEK: 7 * 86_400.0, MONTH: 30 * 86_400.0}
_ROWS = 24
_WIDE = 92.0
_FORMS = {DAY: "%H:%M", WEEK: "%d %b", MONTH: "%d %b"}
_TICKS = {DAY: 14_400.0, WEEK: 2 * 86_400.0, MONTH: 5 * 86_400.0}
_APART = 8.0  # percent of the height that a label takes


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is seen: moments from left to right, money from bottom to top."""

    begin: float
    end: float
    bottom: float
    top: float

    def x(self, wall: float) -> float:
        """Percent from the left; at the right there is room for amounts."""
        return _WIDE * (wall - self.begin) / (self.end - self.begin)

    def y(self, amount: float) -> float:
        """Percent from above."""
        return 100 * (self.top - amount) / (self.top - self.bottom)


def chart(curve: Curve, state: State, span: str, now_wall: float) -> Markup:
    """One span of time; says so where nothing is known of it."""
    pieces = curve.pieces(now_wall, _present(state, now_wall))
    points = [one for piece in pieces for one in piece]
    if not points:
        return tag("p", f"No equity is known of this {span} yet: there is a point a minute.", class_="none")
    limits = _limits(state)
    frame = _frame(points, limits, now_wall - curve.span_s, now_wall)
    return joined(_picture(pieces, points, limits, frame, state, span), _as_table(points, state, span, frame))


def _present(state: State, now_wall: float) -> Point | None:
    """Where the equity stands, as the figures beside the picture say it; None where that is not known."""
    equity = number(state.equity)
    if equity is None:
        return None
    low, high = (equity if bound is None else bound for bound in map(number, (state.equity_low, state.equity_high)))
    return Point(now_wall, float(equity), float(low), float(high))


def _limits(state: State) -> list[tuple[str, float]]:
    """Where each rule about the whole portfolio has its limit now."""
    found = ((one.rule, number(one.equity)) for one in state.distances)
    return sorted(((rule, float(at)) for rule, at in found if at is not None), key=lambda one: -one[1])


def _frame(points: Sequence[Point], limits: Sequence[tuple[str, float]], begin: float, end: float) -> _Frame:
    lowest = min([one.low for one in points] + [at for _, at in limits])
    highest = max([one.high for one in points] + [at for _, at in limits])
    room = (highest - lowest) * 0.08 or abs(highest) * 0.01 or 1.0
    return _Frame(begin, end, lowest - room, highest + room)


def _picture(
    pieces: Sequence[Sequence[Point]],
    points: Sequence[Point],
    limits: Sequence[tuple[str, float]],
    frame: _Frame,
    state: State,
    span: str,
) -> Markup:
    title, desc = f"title-{span}", f"desc-{span}"
    said = _said(points, limits, state)
    drawn = [_piece(piece, frame) for piece in pieces]
    return tag(
        "svg",
        tag("title", f"Equity over the {span}", id=title),
        tag("desc", said, id=desc),
        _grid(frame, span),
        tag("svg", *drawn, viewBox="0 0 100 100", preserveAspectRatio="none", width="100%", height="100%"),
        _limit_lines(limits, frame),
        role="img",
        class_="chart",
        aria_labelledby=title,
        aria_describedby=desc,
    )


def _said(points: Sequence[Point], limits: Sequence[tuple[str, float]], state: State) -> str:
    lowest, highest = min(one.low for one in points), max(one.high for one in points)
    words = f"Lowest {_money(lowest)}, highest {_money(highest)}, last {_money(points[-1].equity)}"
    at = ", ".join(f"{rule} at {_money(limit)}" for rule, limit in limits) or "none"
    return f"{words} {state.reference_currency}. Limits: {at}."


def _piece(piece: Sequence[Point], frame: _Frame) -> Markup:
    """The band from lowest to highest, and the line in it."""
    line = " ".join(f"{frame.x(one.wall):.2f},{frame.y(one.equity):.2f}" for one in piece)
    upper = [f"{frame.x(one.wall):.2f},{frame.y(one.high):.2f}" for one in piece]
    lower = [f"{frame.x(one.wall):.2f},{frame.y(one.low):.2f}" for one in reversed(piece)]
    if len(piece) == 1:
        line = f"{line} {frame.x(piece[0].wall) + 0.3:.2f},{frame.y(piece[0].equity):.2f}"
    return joined(
        tag("polygon", points=" ".join(upper + lower), class_="band"),
        tag("polyline", points=line, class_="line", vector_effect="non-scaling-stroke"),
    )


def _grid(frame: _Frame, span: str) -> Markup:
    step = _nice((frame.top - frame.bottom) / 4)
    amounts = [n * step for n in range(math.ceil(frame.bottom / step), math.floor(frame.top / step) + 1)]
    every = _TICKS[span]
    moments = [n * every for n in range(math.ceil(frame.begin / every), math.floor(frame.end / every) + 1)]
    return joined(
        (_level(frame.y(amount), "grid", _money(amount), "100%", "end") for amount in amounts[:12]),
        (
            tag(
                "text",
                day_text(wall, _FORMS[span]),
                x=f"{frame.x(wall):.2f}%",
                y="100%",
                dy="-4",
                class_="tick",
                text_anchor="middle",
            )
            for wall in moments
            if 4 < frame.x(wall) < _WIDE - 6
        ),
        # To the right of it is room for amounts, and no future.
        tag("text", "now", x=f"{_WIDE:.2f}%", y="100%", dy="-4", class_="tick", text_anchor="middle"),
    )


def _level(y: float, kind: str, words: str, x: str, anchor: str, label_y: float | None = None) -> Markup:
    at = y if label_y is None else label_y
    return joined(
        tag("line", x1="0", x2="100%", y1=f"{y:.2f}%", y2=f"{y:.2f}%", class_=kind),
        tag("text", words, x=x, y=f"{at:.2f}%", dy="-6", class_=f"{kind}-label", text_anchor=anchor),
    )


def _limit_lines(limits: Sequence[tuple[str, float]], frame: _Frame) -> Markup:
    """Labels that would cover each other are moved apart, downwards."""
    drawn, last = [], -_APART
    for rule, at in limits:
        y = frame.y(at)
        last = max(y, last + _APART)
        drawn.append(_level(y, "limit", f"{rule[:32]} {_money(at)}", "4", "start", last))
    return joined(drawn)


def _nice(rough: float) -> float:
    """1, 2 or 5 times a power of ten."""
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10 ** math.floor(math.log10(rough))
    return float(next(n * power for n in (1, 2, 5, 10) if n * power >= rough))


def _money(amount: float) -> str:
    return money_text(Decimal(repr(amount)))


def _as_table(points: Sequence[Point], state: State, span: str, frame: _Frame) -> Markup:
    every = max(1, len(points) // _ROWS)
    rows = [
        (text(day_text(one.wall, "%Y-%m-%d %H:%M")), *(text(_money(cell)) for cell in (one.equity, one.low, one.high)))
        for one in list(reversed(points))[::every]
    ]
    heads = columns("Time (UTC)", "#Equity", "#Lowest", "#Highest")
    caption = f"Equity over the {span}, in {state.reference_currency}"
    inner = table(caption, heads, rows, empty="")
    return tag("details", tag("summary", "As a table", id=f"table-of-{span}"), inner, id=f"details-{span}")
