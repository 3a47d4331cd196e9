"""Tables: every one has a caption, headings in both directions, and a box of its own to scroll in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from risk_daemon.api.dashboard.html import Markup, joined, tag, text


class Column(NamedTuple):
    """is_number: its figures stand under each other."""

    name: str
    is_number: bool = False


def columns(*names: str) -> tuple[Column, ...]:
    """A name that begins with `#` is a column of numbers."""
    return tuple(Column(name.removeprefix("#"), name.startswith("#")) for name in names)


def table(
    caption: str, heads: Sequence[Column], rows: Iterable[Sequence[Markup | str]], *, empty: str, stacks: bool = False
) -> Markup:
    """The first cell of a row names it. empty: what is said where there are none.

    stacks: what nobody may have to scroll for in a trip. It is never cut, and on a narrow page each row stands by
    itself, every cell with its heading before it. Roles keep it a table for who hears it, however it is laid out.
    """
    body = [_row(heads, row, is_stacked=stacks) for row in rows]
    if not body:
        return tag("p", empty, class_="none")
    head = tag(
        "tr",
        *(tag("th", one.name, scope="col", class_=_kind(one), role=_role("columnheader", stacks)) for one in heads),
        role=_role("row", stacks),
    )
    group = _role("rowgroup", stacks)
    inner = tag(
        "table",
        tag("caption", caption, class_="hidden"),
        tag("thead", head, role=group),
        tag("tbody", *body, role=group),
        role=_role("table", stacks),
    )
    key = "scroll-" + "-".join(caption.lower().split())
    kind = "scroll stack" if stacks else "scroll"
    return tag("div", inner, class_=kind, id=key, tabindex=0, role="group", aria_label=caption)


def _row(heads: Sequence[Column], cells: Sequence[Markup | str], *, is_stacked: bool) -> Markup:
    first, *rest = cells
    role = _role("cell", is_stacked)
    written = [
        tag("td", cell, class_=_kind(head), role=role, data_label=head.name if is_stacked else None)
        for head, cell in zip(heads[1:], rest, strict=True)
    ]
    named = tag("th", first, scope="row", role=_role("rowheader", is_stacked))
    return tag("tr", named, *written, role=_role("row", is_stacked))


def _role(role: str, is_stacked: bool) -> str | None:
    """Browsers take a table that is laid out as something else for none."""
    return role if is_stacked else None


def _kind(column: Column) -> str | None:
    return "num" if column.is_number else None


def more(shown: int, of: int, where: str) -> Markup | None:
    """What is left out is said."""
    return tag("p", f"{shown} of {of} are shown: {where}", class_="note") if of > shown else None


def matching(rows: Iterable[Sequence[Markup | str]], query: str) -> Iterable[Sequence[Markup | str]]:
    """Those in which every word of `query` stands."""
    words = [text(word).lower() for word in query.split()]
    return (row for row in rows if all(word in joined(*row).lower() for word in words))
