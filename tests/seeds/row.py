"""One row of what the source documents ask for, and what stands for it."""

from __future__ import annotations

from dataclasses import dataclass

# What a row may wait for. "to mend" is a fault that is known, with a test that fails for it.
PARTS = (
    "alerts",
    "benchmarks",
    "dashboard",
    "kafka",
    "metrics",
    "packages",
    "postgres",
    "redis",
    "replay",
    "testnet",
    "to mend",
)


@dataclass(frozen=True, slots=True)
class Row:
    """asks: in a few words of our own. different: "4.4: ...", the section of the design that settles it, and why.

    to_come: "alerts: ...", the part that brings it, and what is missing. also: tests elsewhere, as pytest names
    them. note: what a reader should know. The tests of its own are found by their names.
    """

    asks: str
    different: str = ""
    to_come: str = ""
    also: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One source document and its rows, in their order."""

    name: str
    title: str
    count: int
    rows: dict[str, Row]
