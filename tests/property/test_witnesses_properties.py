"""Whatever a stream and REST say, in whatever order: a question ends with the next read, and two reads decide."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.portfolio.witnesses import KEEP_S, READS, STRETCH_S, Heard, Row, Terms

TERMS = Terms(Decimal("0.005"), 0.25)
NEWS = Decimal(1_000)

values = st.sampled_from([Decimal(number) for number in (90, 95, 100, 110, 200)])
gaps_s = st.sampled_from([0.0, 0.03, 0.2, 0.3, 2.0, 20.0])
words = st.tuples(st.just("stream"), values, gaps_s, st.just(0.0))
answers = st.tuples(st.just("rest"), values, gaps_s, st.sampled_from([0.0, 0.1, 0.6]))
losses = st.tuples(st.just("lost"), st.just(Decimal(0)), gaps_s, st.just(0.0))
stories = st.lists(st.one_of(words, words, answers, losses), max_size=30)


class Play:
    """A row, and what was last said of it."""

    def __init__(self) -> None:
        self.row: Row[Decimal] = Row()
        self.now = 1_000.0
        self.last: dict[str, Decimal] = {}

    def take(self, who: str, value: Decimal, gap_s: float, took_s: float) -> Heard | None:
        self.now += gap_s
        if who == "lost":
            self.row.forget_stream()
            return None
        self.last[who] = value
        if who == "stream":
            self.row.hear(value, value, self.now, TERMS, is_aside=False)
            return None
        was_doubted = self.row.is_doubted
        heard = self.row.answer(value, value, self.now - took_s, TERMS, is_aside=False)
        if was_doubted and heard is not Heard.OLD:
            assert not self.row.is_doubted
        return heard


@given(stories)
def test_a_question_is_between_the_two_and_ends_with_the_next_read(
    story: list[tuple[str, Decimal, float, float]],
) -> None:
    play = Play()
    for step in story:
        play.take(*step)
        row = play.row
        assert (row.other is not None) == row.is_doubted
        if row.is_doubted and row.value is not None and row.other is not None:
            assert not TERMS.same(row.value, row.other)
        assert len(row._words._stretches) <= KEEP_S / STRETCH_S + 2


@given(stories, st.lists(words, min_size=2, max_size=12), st.sampled_from([0.0, 0.1, 0.6]))
def test_news_that_rest_tells_holds_after_two_reads(
    story: list[tuple[str, Decimal, float, float]], lies: list[tuple[str, Decimal, float, float]], took_s: float
) -> None:
    """The stream may say what it likes before, between and after, as long as it is not the news."""
    play = Play()
    for step in story:
        play.take(*step)
    half = len(lies) // READS
    for part in (lies[:half], lies[half:]):
        play.now += 2.0
        for lie in part:
            play.take(*lie)
        play.take("rest", NEWS, 0.0, took_s)
    assert (play.row.value, play.row.other) == (NEWS, None)


@given(st.lists(answers, min_size=1, max_size=20))
def test_without_a_stream_rest_is_right(story: list[tuple[str, Decimal, float, float]]) -> None:
    play = Play()
    expected = None
    for step in story:
        if play.take(*step) is not Heard.OLD:
            expected = step[1]
    assert (play.row.value, play.row.other) == (expected, None)


@given(st.lists(words, min_size=1, max_size=20))
def test_without_rest_the_stream_is_right(story: list[tuple[str, Decimal, float, float]]) -> None:
    play = Play()
    for step in story:
        play.take(*step)
    assert (play.row.value, play.row.other) == (story[-1][1], None)
