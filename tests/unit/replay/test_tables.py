"""Tables that are read, and what is said of those that can't be."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.errors import UsageError
from risk_daemon.replay.tables import read_table


def table(directory: Path, text: str, name: str = "past.csv") -> Path:
    file = directory / name
    file.write_text(text)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read_table(file)
    assert refused.value.exit_code == 78
    return str(refused.value)


GOOD = {
    "unix": "time,equity\n1738454400,10000\n1738454460.5,9999.5\n",
    "zulu": "time,equity\n2025-02-02T00:00:00Z,10000\n2025-02-02T00:01:00.5Z,9999.5\n",
    "offset": "time,equity\n2025-02-02T01:00:00+01:00,10000\n2025-02-02T01:01:00.5+01:00,9999.5\n",
    "without a zone, which is UTC": "time,equity\n2025-02-02 00:00:00,10000\n2025-02-02 00:01:00.5,9999.5\n",
    "other order, other columns": "note,Equity,Time\na,10000,1738454400\n,9999.5,1738454460.5\n",
    "from a spreadsheet": "\ufefftime,equity\r\n1738454400, 10000 \r\n\r\n1738454460.5,9999.5\r\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_curve_is_read(text: str, tmp_path: Path) -> None:
    expected = [(1_738_454_400.0, Decimal(10_000)), (1_738_454_460.5, Decimal("9999.5"))]
    assert read_table(table(tmp_path, text)).equity == expected


BAD = {
    "nothing": ("", 1, "the names of the columns belong there"),
    "no names": ("1738454400,10000\n", 1, "the names of the columns belong there"),
    "other names": ("date,nav\n2025-02-02,1\n", 1, "time,equity"),
    "a name twice": ("time,equity,equity\n", 1, "same name"),
    "no rows": ("time,equity\n", 2, "nothing below"),
    "not a number": ("time,equity\n1738454400,NaN\n", 2, "'NaN', which is no number"),
    "no end of it": ("time,equity\n1738454400,10000\n1738454460,-inf\n", 3, "no number"),
    "nothing in it": ("time,equity\n1738454400,10000\n1738454460,\n", 3, "leave the row out"),
    "thousands": ('time,equity\n1738454400,"10,000"\n', 2, "no number"),
    "swapped": ("time,equity\n10000,1738454400\n", 2, "are columns swapped?"),
    "swapped names": ("time,equity\n10000,2025-02-02T00:00:00Z\n", 2, "are columns swapped?"),
    "milliseconds": ("time,equity\n1738454400000,10000\n", 2, "milliseconds"),
    "two zones": ("time,equity\n2025-02-02T00:00:00Z,1\n2025-02-02T02:00:00+01:00,1\n", 3, "in the zone +0100"),
    "with and without": ("time,equity\n2025-02-02T00:00:00Z,1\n2025-02-02T00:01:00,1\n", 3, "without a zone"),
    "two ways": ("time,equity\n2025-02-02T00:00:00Z,1\n1738454460,1\n", 3, "write all alike"),
    "no time": ("time,equity\nyesterday,1\n", 2, "'yesterday'"),
    "no time of this world": ("time,equity\nnan,1\n", 2, "'nan'"),
    "backwards": ("time,equity\n1738454460,1\n1738454400,1\n", 3, "not later"),
    "twice": ("time,equity\n1738454400,1\n1738454400,1\n", 3, "not later"),
    "a column too many": ("time,equity\n1738454400,1,2\n", 2, "3 columns, and the first line names 2"),
    "semicolons": ("time;equity\n1738454400;1\n", 1, "'time;equity'"),
    "a price of nothing": ("time,asset,price\n1738454400,FIL,0\n", 2, "above zero"),
    "asset and price swapped": ("time,asset,price\n1738454400,5.1,FIL\n", 2, "no name: are columns swapped?"),
    "a candle upside down": (
        "time,symbol,open,high,low,close\n1738454400,FILUSDT,5,4,6,5\n",
        2,
        "do not lie between low and high",
    ),
    "an open quote": ('time,equity\n1738454400,"1\n', 2, "not text with commas"),
}


@pytest.mark.parametrize(("text", "line", "sentence"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, sentence: str, tmp_path: Path) -> None:
    file = table(tmp_path, text)
    said = refusal(file)
    assert said.startswith(f"{file}: line {line}: ")
    assert sentence in said
    assert "\n" not in said


def test_each_asset_has_times_of_its_own(tmp_path: Path) -> None:
    text = "time,asset,price\n1738454400,FIL,5\n1738454400,btc,90000\n1738454460,FIL,4.9\n"
    prices = read_table(table(tmp_path, text)).prices
    assert {asset: len(rows) for asset, rows in prices.items()} == {"FIL": 2, "BTC": 1}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "past.csv"
    file.write_bytes(b"time,equity\n1738454400,1\n1738454460,\xff\xfe\n")
    assert "line 3: the equity is" in refusal(file)


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "past.csv.gz"
    file.write_bytes(gzip.compress(b"time,equity\n1738454400,1\n")[:-9])
    assert "damaged, or was cut" in refusal(file)
    file.write_bytes(b"time,equity\n1738454400,1\n")
    assert "damaged, or was cut" in refusal(file)


def test_no_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "past.csv")
