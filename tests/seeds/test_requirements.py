"""The page of requirements is up to date, and says nothing that the tests don't bear out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.seeds.requirements import DOCUMENTS, PAGE, Evidence, evidence_in, own_evidence, problems, state, text
from tests.seeds.row import Document, Row

BEFORE = {"000": 37, "001": 44, "002": 65, "003": 78, "004": 55, "card": 19}
ROW = Row("something", different="4.4: it is settled there")
RUNS = Evidence("test_009_01_it_works", runs=True)
FAILS = Evidence("test_009_01_it_should_work", runs=False)


def one(row: Row) -> Document:
    return Document("009", "a note", 1, {"009-01": row})


def found(row: Row, *tests: Evidence, root: Path = Path()) -> str:
    return "; ".join(problems([one(row)], {"009-01": tests} if tests else {}, root))


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == text(DOCUMENTS, own_evidence()), "run `python -m tests.seeds.requirements`"


def test_every_row_has_a_test_or_a_reason_and_every_test_a_row() -> None:
    assert problems(DOCUMENTS, own_evidence()) == []


def test_no_row_is_missing() -> None:
    assert {document.name: document.count for document in DOCUMENTS} == BEFORE
    assert {document.name: len(document.rows) for document in DOCUMENTS} == BEFORE


# --- the check itself ----------------------------------------------------------------------------------


def test_a_row_with_nothing_is_found() -> None:
    assert "neither a test nor a reason" in found(Row("something"))
    assert found(Row("something"), RUNS) == ""
    assert found(ROW) == ""


def test_a_test_of_a_row_that_does_not_exist_is_found() -> None:
    stray = {"009-07": [Evidence("test_009_07_nothing", runs=True)]}
    assert "a row that does not exist" in "; ".join(problems([one(ROW)], stray))


def test_a_row_too_many_or_too_few_is_found() -> None:
    assert "009-01 to 009-02" in "; ".join(problems([replace(one(ROW), count=2)], {}))


@pytest.mark.parametrize("row", [Row("x", different="because"), Row("x", to_come="later"), Row("x", to_come="alerts")])
def test_a_reason_without_its_place_is_found(row: Row) -> None:
    assert "missing" in found(row)


def test_a_test_that_fails_bears_nothing_out() -> None:
    assert "known to fail" in found(Row("x"), FAILS)
    assert found(Row("x", to_come="to mend: it is wrong"), FAILS) == ""
    assert "no test fails for it" in found(Row("x", to_come="to mend: it is wrong"), RUNS)


def test_two_tests_of_one_name_are_found() -> None:
    assert "two tests" in found(ROW, RUNS, RUNS)


def test_tests_elsewhere_must_exist_and_run(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "class TestIt:\n    def test_a(self): ...\n"
        "@pytest.mark.skip\ndef test_b(): ...\n"
        "def helper():\n    def test_c(): ...\n"
        "async def test_d(): ...\n"
    )
    assert {name: test.runs for name, test in evidence_in(tmp_path / "test_x.py").items()} == {
        "TestIt::test_a": True,
        "test_b": False,
        "test_d": True,
    }
    for node, problem in (
        ("test_x.py::TestIt::test_a", ""),
        ("test_x.py::test_d", ""),
        ("test_x.py::test_b", "skipped"),
        ("test_x.py::test_c", "no such test"),
        ("test_y.py::test_a", "no such file"),
    ):
        assert problem in found(Row("x", also=(node,)), root=tmp_path)
        assert bool(problem) is bool(found(Row("x", also=(node,)), root=tmp_path))


def test_what_is_missing_weighs_most() -> None:
    assert [state(row) for row in (Row("x"), ROW, replace(ROW, to_come="alerts: none"))] == [
        "done",
        "different",
        "to come",
    ]
