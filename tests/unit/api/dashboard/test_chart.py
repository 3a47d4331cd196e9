"""Equity as a picture: the band, every limit, holes where nothing was known, and the same in words."""

from __future__ import annotations

import re
from itertools import pairwise

from risk_daemon.api.dashboard.chart import DAY, MONTH, SPANS, WEEK, chart
from risk_daemon.api.dashboard.curve import Curve, Curves
from tests.api_world import WALL
from tests.page_world import points
from tests.unit.api.dashboard.test_summary import state


async def drawn(span: str, days: float = 30.0) -> str:
    curves = Curves(SPANS)
    await curves.follow(points(days))
    return chart(curves.of(span), state(), span, WALL)


async def test_every_limit_is_a_line_with_its_name() -> None:
    for span in SPANS:
        picture = await drawn(span, 2)
        assert picture.count('class="limit"') == 3
        for label in ("daily_loss 9,506.00", "capital_loss 9,500.00", "drawdown 9,000.00"):
            assert label in picture
        assert 'role="img"' in picture
        assert f'<title id="title-{span}">Equity over the {span}</title>' in picture
        assert "Limits: daily_loss at 9,506.00, capital_loss at 9,500.00" in picture
        assert "As a table" in picture
        assert picture.count(">now</text>") == 1


async def test_labels_do_not_cover_each_other() -> None:
    places = [float(y) for y in re.findall(r'y="([\d.]+)%" dy="-6" class="limit-label"', await drawn(DAY, 1))]
    assert len(places) == 3
    assert all(below - above >= 7.9 for above, below in pairwise(places))


async def test_a_hole_is_no_line() -> None:
    assert (await drawn(WEEK, 4)).count("<polyline") == 2
    assert (await drawn(DAY, 4)).count("<polyline") == 1


async def test_a_month_of_minutes_is_few_points() -> None:
    picture = await drawn(MONTH)
    line = re.findall(r'<polyline points="([^"]+)"', picture)
    assert sum(len(one.split()) for one in line) <= 242
    assert len(picture) < 40_000


async def test_nothing_known_is_said() -> None:
    unknown = state(equity=None, equity_low=None, equity_high=None)
    assert "No equity is known of this day yet" in chart(Curve(86_400), unknown, DAY, WALL)


async def test_the_line_ends_where_the_figures_beside_it_say() -> None:
    """A point a minute is too old for the minute of a trip: the fall was not in the picture."""
    curves = Curves(SPANS)
    await curves.follow([{"time": WALL - 60 * n, "equity": "9900", "low": "9900", "high": "9900"} for n in (3, 2, 1)])
    fallen = state(equity="9123.45", equity_low="9120.00", equity_high="9130.00")
    for span in SPANS:
        picture = chart(curves.of(span), fallen, span, WALL)
        assert "Lowest 9,120.00, highest 9,900.00, last 9,123.45 USDT" in picture
        assert picture.count("<polyline") == 1
    unknown = state(equity=None, equity_low=None, equity_high=None)
    assert "last 9,900.00" in chart(curves.of(DAY), unknown, DAY, WALL)
    first = chart(Curve(86_400), fallen, DAY, WALL)
    assert "last 9,123.45" in first
    assert 'class="limit"' in first


async def test_what_was_known_long_ago_is_not_joined_to_now() -> None:
    curves = Curves(SPANS)
    await curves.follow([{"time": WALL - 7_200 - 60 * n, "equity": "9900"} for n in (3, 2, 1)])
    assert chart(curves.of(DAY), state(), DAY, WALL).count("<polyline") == 2


async def test_only_what_is_new_is_read() -> None:
    class Counted(list[dict[str, object]]):
        read = 0

        def __getitem__(self, at: object) -> object:  # type: ignore[override]
            found = super().__getitem__(at)  # type: ignore[index]
            Counted.read += len(found) if isinstance(at, slice) else 1
            return found

    history = Counted(points(2))
    curves = Curves(SPANS)
    await curves.follow(history)  # type: ignore[arg-type]
    Counted.read = 0
    history.append({"time": WALL, "equity": "1", "low": "1", "high": "1"})
    await curves.follow(history)  # type: ignore[arg-type]
    assert curves.of(DAY).pieces(WALL)[-1][-1].equity == 1.0
    assert Counted.read < 150


async def test_what_can_t_be_drawn_is_left_out() -> None:
    curves = Curves(SPANS)
    await curves.follow([{"time": 1.0, "equity": "NaN"}, {"time": 2.0}, {"time": 3.0, "equity": "5", "low": None}])
    assert [(one.wall, one.low, one.equity) for one in curves.of(DAY).pieces(4.0)[0]] == [(3.0, 5.0, 5.0)]


async def test_one_point_and_a_flat_line_are_drawn() -> None:
    curves = Curves(SPANS)
    await curves.follow([{"time": WALL - 60, "equity": "9500", "low": "9500", "high": "9500"}])
    assert "<polyline" in chart(curves.of(DAY), state(distances=[]), DAY, WALL)
