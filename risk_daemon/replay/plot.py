"""A replay as a picture: the equity, the limits as equities, and what each rule would have done when.

Made to be read in grey: what differs, differs in line or shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from risk_daemon.errors import UsageError
from risk_daemon.replay.outcome import Deed, Mark, Outcome, Point

ENDINGS = (".png", ".svg")
MISSING = "--plot needs matplotlib, which is not installed: pip install 'risk-daemon[plot]'"

_DASHES = ((0, (6, 2)), (0, (1, 1.5)), (0, (8, 2, 1, 2)), (0, (3, 4)))
_SHAPES = {Deed.WARNED: "^", Deed.VETOED: "s", Deed.FROZE: "D", Deed.TRIPPED: "X"}
_SIZES = {Deed.WARNED: 7, Deed.VETOED: 7, Deed.FROZE: 7, Deed.TRIPPED: 11}
_DARK, _GREY, _LIGHT = "#111111", "#666666", "#cccccc"


def check_plot(path: Path) -> None:
    """Before anything is worked out. Raises UsageError where no plot could be written there."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--plot: {path.name} ends with neither {' nor '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--plot: there is no directory {path.absolute().parent}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(MISSING) from None


def draw(outcome: Outcome, path: Path) -> None:
    """Write the picture. Raises UsageError where it can't be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _draw_equity(axes, outcome)
    _draw_levels(axes, outcome)
    _draw_marks(axes, outcome)
    _dress(axes, outcome)
    try:
        figure.savefig(path)
    except OSError as error:
        raise UsageError(f"--plot: {path} can't be written: {error.strerror}") from None


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)


def _draw_equity(axes: Any, outcome: Outcome) -> None:
    """Until the first trip as it was guarded; from there as it would have gone on."""
    ends = outcome.trip.wall if outcome.trip is not None else float("inf")
    points = outcome.points
    before = [point for point in points if point.wall <= ends]
    after = [point for point in points if point.wall >= ends]
    axes.plot(*_line(before, outcome), color=_DARK, linewidth=1.4, label="equity")
    if after:
        axes.plot(*_line(after, outcome), color=_GREY, linewidth=0.9, label="held on after the trip")
    if any(point.low != point.high for point in points):
        walls = [_moment(point.wall) for point in points]
        lows, highs = [float(point.low) for point in points], [float(point.high) for point in points]
        axes.fill_between(walls, lows, highs, step="post", color=_LIGHT, linewidth=0, label="somewhere in between")
    for number, gap in enumerate(outcome.gaps):
        span = _moment(gap.since_wall), _moment(gap.until_wall)
        label = "not known" if number == 0 else None
        axes.axvspan(*span, facecolor="none", edgecolor=_LIGHT, linewidth=0, hatch="//", label=label)


def _line(points: Sequence[Point], outcome: Outcome) -> tuple[list[datetime], list[float]]:
    """Broken where nothing is known."""
    known = [(point.wall, float(point.value)) for point in points]
    unknown = [(gap.since_wall, float("nan")) for gap in outcome.gaps]
    rows = sorted([*known, *unknown], key=lambda row: row[0])
    return [_moment(wall) for wall, _ in rows], [value for _, value in rows]


def _draw_levels(axes: Any, outcome: Outcome) -> None:
    """The limits, each named where its line ends."""
    if not outcome.points:
        return
    end_wall = outcome.points[-1].wall
    ends: list[tuple[float, str]] = []
    for number, (rule, steps) in enumerate(outcome.levels.items()):
        if not steps:
            continue
        walls = [_moment(wall) for wall, _ in steps] + [_moment(end_wall)]
        values = [float(level) for _, level in steps]
        dashes = _DASHES[number % len(_DASHES)]
        axes.plot(walls, [*values, values[-1]], color=_GREY, linewidth=1.1, linestyle=dashes, drawstyle="steps-post")
        ends.append((values[-1], rule))
    for level, names in _together(ends, outcome):
        axes.annotate(
            f"{names} limit",
            (_moment(end_wall), level),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_GREY,
            annotation_clip=False,
        )


def _together(ends: Sequence[tuple[float, str]], outcome: Outcome) -> list[tuple[float, str]]:
    """Names of lines that end at nearly the same height stand in one place."""
    values = [float(point.value) for point in outcome.points]
    near = (max(values) - min(values)) * 0.03
    found: list[tuple[float, list[str]]] = []
    for level, rule in sorted(ends):
        if found and level - found[-1][0] <= near:
            found[-1][1].append(rule)
        else:
            found.append((level, [rule]))
    return [(level, ", ".join(names)) for level, names in found]


def _draw_marks(axes: Any, outcome: Outcome) -> None:
    """The trip is full; what could only have come after it is hollow."""
    marks = [mark for mark in outcome.marks.values() if mark.equity is not None]
    for deed in Deed:
        _draw_kind(axes, deed, [mark for mark in marks if mark.deed is deed and mark is not outcome.trip], deed.value)
    if outcome.trip is not None and outcome.trip.equity is not None:
        _draw_kind(axes, Deed.TRIPPED, [outcome.trip], "tripped, and the daemon ended", face=_DARK)
    stop = outcome.trip or outcome.firsts(Deed.FROZE)
    if stop is not None and stop.equity is not None:
        _name(axes, outcome, stop, stop.equity)


def _draw_kind(axes: Any, deed: Deed, marks: Sequence[Mark], label: str, face: str = "white") -> None:
    if not marks:
        return
    axes.plot(
        [_moment(mark.wall) for mark in marks],
        [float(mark.equity or 0) for mark in marks],
        linestyle="none",
        marker=_SHAPES[deed],
        markersize=_SIZES[deed],
        markerfacecolor=face,
        markeredgecolor=_DARK,
        label=label if face == _DARK or deed is not Deed.TRIPPED else "another rule, had that one not been",
        zorder=4 if face == _DARK else 3,
    )


def _name(axes: Any, outcome: Outcome, stop: Mark, equity: Decimal) -> None:
    saved = outcome.saved(stop)
    told = ""
    if saved is not None:
        told = f"\nheld on: {_signed(-saved.to_lowest)} at the lowest after that, {_signed(-saved.to_end)} at the end"
    axes.annotate(
        f"{stop.rule} {stop.deed.value} at {_moment(stop.wall):%d %b %H:%M}: {equity:,.0f} {outcome.reference}{told}",
        (_moment(stop.wall), float(equity)),
        xytext=(14, 26),
        textcoords="offset points",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": _DARK, "linewidth": 0.8},
        bbox={"boxstyle": "square,pad=0.3", "facecolor": "white", "edgecolor": _LIGHT},
        zorder=4,
    )


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.0f}"


def _dress(axes: Any, outcome: Outcome) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter
    from matplotlib.ticker import FuncFormatter

    under = f" under {outcome.profile}" if outcome.profile else ""
    axes.set_title(f"{outcome.name}{under}", loc="left", fontsize=11)
    axes.set_ylabel(f"equity ({outcome.reference})")
    axes.set_xlabel(f"time (UTC), {_years(outcome)}")
    locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = DateFormatter("%d %b\n%H:%M", tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color=_LIGHT, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0)
    axes.legend(loc="best", fontsize=8, frameon=False)


def _years(outcome: Outcome) -> str:
    years = {_moment(point.wall).year for point in (*outcome.points[:1], *outcome.points[-1:])}
    return " to ".join(str(year) for year in sorted(years))
