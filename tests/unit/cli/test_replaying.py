"""`risk-daemon replay` as it is typed: what it takes, what it tells, and what it refuses."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.errors import ExitCode, RiskDaemonError
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.replay import days
from risk_daemon.state.event_log import EventLog

CONFIG = """
[portfolio]
initial_capital = 10000
[breakers.daily_loss]
limit = "4%"
action = "freeze"
[breakers.order_rate]
max_orders = 10
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""
EQUITY = """time,equity
2025-02-02T12:00:00Z,10000
2025-02-02T12:01:00Z,9690
2025-02-02T12:02:00Z,9600
2025-02-02T12:03:00Z,9480
2025-02-02T12:04:00Z,9000
2025-02-02T12:05:00Z,9700
"""
NEVER = {"warned": None, "vetoed": None, "froze": None, "tripped": None}
EXPECTED = {
    "rules": {
        "capital_loss": NEVER | {"warned": "2025-02-02T12:01:00Z", "tripped": "2025-02-02T12:03:00Z"},
        "daily_loss": NEVER | {"froze": "2025-02-02T12:02:00Z"},
        "order_rate": NEVER,
        "blind": NEVER,
    },
    "trip": {
        "rule": "capital_loss",
        "time": "2025-02-02T12:03:00Z",
        "equity": "9480",
        "reason": "loss of 5.20 % of initial capital, limit 5.00 %",
        "saved_to_lowest": "480",
        "saved_to_end": "-220",
    },
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration and a curve, made the working directory."""
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "equity.csv").write_text(EQUITY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.main(["replay", *words]) is ExitCode.STOPPED
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(capsys, *words, "--json"))
    return found


def refused(*words: str) -> str:
    with pytest.raises(RiskDaemonError) as error:
        cli.main(["replay", *words])
    assert error.value.exit_code is ExitCode.REFUSED
    return str(error.value)


# --- what it tells ---------------------------------------------------------------------------------


def test_json_is_the_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "equity.csv") == EXPECTED


def test_the_table_says_the_same_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "equity.csv")
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line[:1].islower()}
    assert rows["capital_loss"] == [
        "capital_loss", "02-02", "12:01", "-", "02-02", "12:03", "9,480.00", "480.00", "-220.00",
    ]  # fmt: skip
    assert rows["daily_loss"][1:4] == ["-", "02-02", "12:02"]
    assert "TRIPPED by capital_loss at 2025-02-02 12:03:00 UTC: loss of 5.20 % of initial capital" in text
    assert "Not judged: order_rate (nothing is told of bots and their orders)." in text
    assert "10,000.00 at first, 9,000.00 at the lowest (2025-02-02 12:04:00)" in text


def test_nothing_that_happens_is_said_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "calm.csv").write_text("time,equity\n1738454400,10000\n1738454460,9990\n")
    assert "Nothing would have tripped or frozen." in told(capsys, "calm.csv")
    assert document(capsys, "calm.csv")["trip"] is None


def test_gaps_are_counted_and_never_taken_for_calm(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{1738454400 + 60 * minute},10000" for minute in (*range(5), *range(20, 25))]
    (place / "gaps.csv").write_text("\n".join(["time,equity", *rows]) + "\n")
    text = told(capsys, "gaps.csv")
    assert "1 gap, 15 min in all, the longest from 2025-02-02 00:05:00 to 2025-02-02 00:20:00 UTC" in text
    assert document(capsys, "gaps.csv")["rules"]["blind"]["vetoed"] is not None


def test_prices_are_valued_by_holdings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["1738454400,FIL,5", "1738454400,BTC,90000", "1738454460,FIL,4.9", "1738454460,BTC,90000"]
    rows += ["1738454520,FIL,4.4", "1738454520,BTC,90000"]
    (place / "prices.csv").write_text("\n".join(["time,asset,price", *rows]) + "\n")
    trip = document(capsys, "prices.csv", "--holdings", "FIL=1000,usdt=5000")["trip"]
    assert (trip["time"], trip["equity"]) == ("2025-02-02T00:02:00Z", "9400")
    with_itself = "\n".join(["time,asset,price", *rows, "1738454400,USDT,1", "1738454400,DOGE,2"]) + "\n"
    (place / "more.csv").write_text(with_itself)
    assert document(capsys, "more.csv", "--holdings", "FIL=1000,USDT=5000")["trip"] == trip
    assert "gap" not in told(capsys, "more.csv", "--holdings", "FIL=1000,USDT=5000")
    short = document(capsys, "prices.csv", "--holdings", "FIL=-1000,USDT=15000")
    assert short["trip"] is None, "what is owed gains when it falls"
    with_coin = document(capsys, "prices.csv", "--holdings", "FIL=1000,BTC=1,USDT=5000")
    assert with_coin["trip"] is None, "measured from what the holdings are worth at first"


def test_a_log_is_replayed_and_its_own_trip_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EventLog.open(place / "events.jsonl")
    for second, equity in ((0, 10_000), (60, 9_700), (90, 9_450)):
        fields = {"equity": str(equity), "trusted": True}
        log.append(RiskEvent(EventName.PORTFOLIO_UPDATE, fields), 1_738_497_600 + second)
    trip = {"breaker": "drawdown", "action": "trip"}
    log.append(RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, trip), 1_738_497_700)
    log.close()
    assert document(capsys, "events.jsonl")["trip"]["time"] == "2025-02-02T12:01:30Z"
    text = told(capsys, str(place))
    assert "The log itself: tripped by drawdown at 2025-02-02 12:01:40 UTC." in text


def test_candles_are_read_with_the_better_price_before_the_worse(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "time,symbol,open,high,low,close,volume"
    rows = ["1738454400,FILUSDT,5,5.0,5.0,5,1", "1738454460,FIL-USDT,5,5.2,4.6,5,1"]
    (place / "candles.csv").write_text("\n".join([head, *rows]) + "\n")
    long = document(capsys, "candles.csv", "--holdings", "FIL=1000,USDT=1000")
    assert long["trip"]["time"] == "2025-02-02T00:01:30Z", "open, high, and then the low"
    (place / "rise.csv").write_text("\n".join([head, rows[0], "1738454460,FILUSDT,5,5.6,4.9,5,1"]) + "\n")
    short = document(capsys, "rise.csv", "--holdings", "FIL=-1000,USDT=15000")
    assert short["trip"]["time"] == "2025-02-02T00:01:30Z", "what is owed is worst at the high"


def test_capital_is_that_of_the_configuration_or_what_there_is_at_first(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "large.csv").write_text(EQUITY.replace(",9", ",99").replace(",10", ",100"))
    capsys.readouterr()
    assert cli.main(["replay", "large.csv", "--json"]) is ExitCode.STOPPED
    said = capsys.readouterr()
    assert json.loads(said.out)["rules"]["capital_loss"]["tripped"] is None
    assert "losses are measured from 10,000.00: `--capital auto`" in said.err
    (place / "tenfold.csv").write_text("time,equity\n1738454400,100000\n1738454460,95000\n")
    for words in (("--capital", "auto"), ("--capital", "100000 USDT"), ("--profile", "conservative")):
        assert document(capsys, "tenfold.csv", *words)["rules"]["capital_loss"]["tripped"] == "2025-02-02T00:01:00Z"


def test_every_profile_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "equity.csv", "--profile", "all")["replays"]["equity"]
    assert set(found) == set(days.profiles())
    assert found["conservative"]["trip"]["rule"] == "daily_loss"
    assert found["aggressive"]["trip"]["reason"] == "loss of 10.00 % since the start of the day, limit 10.00 %"
    assert found["zen-3-percent"]["rules"]["daily_loss"]["froze"] == "2025-02-02T12:01:00Z"
    text = told(capsys, "equity.csv", "--profile", "all")
    assert [line.split()[0] for line in text.splitlines()[2:8]] == list(days.profiles())


def test_a_page_has_a_row_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    page = told(capsys, "equity.csv", "--profile", "zen-3-percent", "--markdown")
    assert "\n## equity\n" in page
    assert "the book fell by 10.00 % from a peak, was worth 9,000 at the lowest (02 Feb 12:04:00) and 9,700" in page
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| zen")]
    frozen = ["02 Feb 12:01:00", "02 Feb 12:01:00", "02 Feb 12:04:00", "drawdown", "9,000", "0", "-700"]
    assert rows == [["zen-3-percent", *frozen]]


# --- the picture -----------------------------------------------------------------------------------


def test_a_plot_is_a_picture(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "equity.csv", "--plot", "out.png")
    assert (place / "out.png").read_bytes().startswith(b"\x89PNG")
    told(capsys, "equity.csv", "--plot", "out.svg")
    drawing = (place / "out.svg").read_text()
    for name in ("equity (USDT)", "time (UTC), 2025", "capital_loss limit", "capital_loss tripped at 02 Feb 12:03"):
        assert f"<!-- {name}" in drawing


def test_a_plot_that_could_not_be_drawn_is_refused_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "neither .png nor .svg" in refused("equity.csv", "--plot", "out.jpg")
    assert "there is no directory" in refused("equity.csv", "--plot", "pictures/out.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'risk-daemon[plot]'" in refused("equity.csv", "--plot", "out.png")
    assert not (place / "out.png").exists()


def test_a_plot_is_of_one_replay() -> None:
    assert "name one day and one profile" in refused("equity.csv", "--profile", "all", "--plot", "out.png")


# --- what it refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "line", "sentence"),
    [
        ("10000,2025-02-02T12:00:00Z", 2, "are columns swapped?"),
        ("2025-02-02T12:00:00Z,10000\n2025-02-02T14:01:00+02:00,9000", 3, "in the zone +0200"),
        ("2025-02-02T12:00:00Z,10000\n2025-02-02T12:01:00Z,NaN", 3, "no number"),
    ],
)
def test_a_curve_that_cannot_be_read_ends_with_78_and_its_line(
    rows: str, line: int, sentence: str, place: Path
) -> None:
    (place / "bad.csv").write_text(f"time,equity\n{rows}\n")
    said = refused("bad.csv")
    assert f"bad.csv: line {line}: " in said
    assert sentence in said


def test_a_log_of_another_version_ends_with_78_and_its_line(place: Path) -> None:
    log = EventLog.open(place / "old.jsonl")
    log.append(RiskEvent(EventName.VENUE_CONNECTED, {"venue": "a"}), 1_738_497_600)
    log.close()
    (place / "old.jsonl").write_text((place / "old.jsonl").read_text().replace("venue_connected", "venue_greeted"))
    assert "old.jsonl: line 1: the event 'venue_greeted' is not known: another version" in refused("old.jsonl")


def test_an_asset_that_the_past_does_not_know_is_refused() -> None:
    said = refused("2024-04", "--holdings", "BTC=1,USDT=5000")
    assert said == "2024-04-weekend-crash: there is no price of BTC in USDT; there is one of FIL"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nosuch.csv",), "there is no such file and no such day; the days are: 2023-03-usdc-depeg, 2023-06"),
        (("2025",), "several days begin so: 2025-02-tariff-crash, 2025-04-tariff-crash"),
        (("equity.csv", "--profile", "bold"), "there is no profile 'bold': aggressive, conservative"),
        (("equity.csv", "--profile", "moderate", "--config", "other.toml"), "not both"),
        (("equity.csv", "--config", "other.toml"), "other.toml: there is no such file"),
        (("equity.csv", "--holdings", "FIL=1"), "it tells the equity itself"),
        (("2024-06", "--holdings", "FIL"), "'FIL' is not"),
        (("2024-06", "--holdings", "USDT=5000"), "nothing is held that it has a price of (FIL, NEAR)"),
        (("2024-06", "--holdings", "FIL=1,FIL=2"), "write each asset once"),
        (("2024-06", "--holdings", "FIL=nan"), "--holdings: FIL"),
        (("equity.csv", "--capital", "much"), "--capital: 'much'"),
    ],
)
def test_what_is_asked_wrongly_ends_in_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(*words)


def test_prices_without_holdings_are_refused_with_an_example(place: Path) -> None:
    (place / "prices.csv").write_text("time,asset,price\n1738454400,FIL,5\n")
    assert '--holdings "FIL=1000,USDT=5000"' in refused("prices.csv")


def test_a_symbol_that_is_paid_in_nothing_known_is_refused(place: Path) -> None:
    (place / "odd.csv").write_text("time,symbol,open,high,low,close\n1738454400,FILXYZ,5,5,5,5\n")
    assert "the symbol FILXYZ ends with none of" in refused("odd.csv")


def test_where_no_days_are_installed_it_is_said_where_they_were_looked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "places", lambda: (place / "share",))
    assert f"no day of history was found in {place / 'share' / 'history'}" in refused("2024-06")
    assert "no day of history was found" in refused("all")
    assert "none was found in" in refused("equity.csv", "--profile", "all")


def test_a_compressed_curve_is_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "equity.csv.gz").write_bytes(gzip.compress(EQUITY.encode()))
    assert document(capsys, "equity.csv.gz") == EXPECTED
