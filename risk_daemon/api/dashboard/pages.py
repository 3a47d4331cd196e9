"""The pages as a whole: everything is there without a script, which only keeps it up to date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from risk_daemon.api.dashboard import forms
from risk_daemon.api.dashboard.board import HAPPENED, Board
from risk_daemon.api.dashboard.chart import SPANS
from risk_daemon.api.dashboard.html import Child, Markup, joined, tag, text
from risk_daemon.api.dashboard.sessions import Session

REFRESH_S = 10
_TITLES = {
    "open-orders": "Open orders",
    "orders": "Last orders",
    "fills": "Last fills",
    "errors": "Errors and rejections",
    "vetoes": "Vetoes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What one page is made for. bots None: they are not known. override: where wardens agree; None: nowhere now.

    query: of what happened only this is shown. refreshes: the browser reads it again by itself, without a script.
    """

    session: Session
    venues: Iterable[str]
    bots: Iterable[str] | None
    override: str | None
    query: str = ""
    refreshes: bool = False
    said: Markup | None = None


def home(board: Board, visit: Visit) -> bytes:
    """How things stand."""
    face = board.face
    body = (
        _banner(board, visit.session),
        tag(
            "main",
            _without_script(board),
            tag("p", id="dead", class_="dead", role="alert", hidden=True),
            tag("section", _live(board, "now"), aria_label="How things stand", class_="now", id="top"),
            _section("Distance to each limit", _live(board, "limits")),
            _section("Equity", _live(board, "worth"), _charts(board)),
            _section("Circuit breakers", _live(board, "breakers")),
            _section("Profit", _live(board, "profit")),
            _section("Venues", _live(board, "venues")),
            _section("Locks", _live(board, "locks")),
            _section("Positions", _live(board, "positions")),
            _section("Holdings", _live(board, "holdings")),
            _happened(board, visit),
            _section("Alerts", _live(board, "alerts"), forms.acknowledge(visit.session, is_needed=face.standing)),
            _section("Halt", forms.halt(visit.session, visit.venues, visit.bots, visit.said), id="halt"),
            id="main",
        ),
        _footer(visit.override),
    )
    refresh = tag("meta", http_equiv="refresh", content=REFRESH_S) if visit.refreshes else None
    return _document(
        f"{face.word} - risk-daemon",
        body,
        head=(tag("noscript", refresh) if refresh else None, _script("page.js")),
        data_tone=face.tone,
        data_line=face.line,
        data_mark=board.mark,
        data_clock=face.clock,
    )


def login(said: str | None = None) -> bytes:
    body = tag("main", tag("h1", "risk-daemon"), forms.login(said), id="main", class_="narrow")
    return _document("Log in - risk-daemon", (body,))


def sentence(title: str, words: str) -> bytes:
    """A page that says no more than this."""
    back = tag("p", tag("a", "How things stand", href="/"))
    return _document(
        f"{title} - risk-daemon", (tag("main", tag("h1", title), tag("p", words), back, id="main", class_="narrow"),)
    )


def log(board: Board, session: Session, query: str, most: int) -> bytes:
    """The last events, newest first."""
    found = list(board.log.since(0, query))
    rows, count = found[:most], len(found)
    told = f"{len(rows)} of {count} events" + (f" with {query!r}" if query else "")
    missed = " Some were missed: too many came at once." if board.log.missed else ""
    every = f"/log?rows={len(board.log) or 1}"
    body = (
        _banner(board, session),
        tag(
            "main",
            tag("h2", "Events"),
            tag(
                "p",
                f"{told} since this daemon started.{missed} All that ever were: ",
                tag("code", "risk-daemon tail"),
                " and the file events.jsonl.",
                class_="note",
            ),
            tag("p", tag("a", "Show all that are remembered", href=every)) if count > len(rows) else None,
            forms.search(query, "/log", "Filter by words"),
            tag("ol", *rows, id="log", class_="log", tabindex=0, aria_label="Events, newest first"),
            tag("button", "Show more", id="more", class_="quiet", type="button", hidden=True),
            id="main",
        ),
        _footer(None),
    )
    return _document(
        "Events - risk-daemon",
        body,
        head=(_script("log.js"),),
        data_tone=board.face.tone,
        data_clock=board.face.clock,
    )


# --- what they are made of ---------------------------------------------------------------------------


def _document(title: str, body: Iterable[Child], head: Iterable[Child] = (), **data: str | int) -> bytes:
    written = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("link", rel="icon", href="data:,"),
            tag("link", rel="stylesheet", href="/page/page.css"),
            head,
        ),
        tag("body", body, **data),
        lang="en",
    )
    return f"<!doctype html>\n{written}".encode()


def _script(name: str) -> Markup:
    return tag("script", src=f"/page/{name}", defer=True)


def _banner(board: Board, session: Session) -> Markup:
    return joined(
        tag("a", "Skip to how things stand", href="#main", class_="skip"),
        tag(
            "header",
            tag("h1", tag("a", "risk-daemon", href="/")),
            tag("p", "as of ", tag("span", board.face.clock, id="clock"), " UTC", id="live", class_="live"),
            tag("a", "Halt", href="/#halt", class_="to-halt") if session.may_act else None,
            forms.logout(session),
        ),
        tag("p", id="said", role="status", class_="hidden"),
        tag("p", id="alarm", role="alert", class_="hidden"),
    )


def _without_script(board: Board) -> Markup:
    return tag(
        "noscript",
        tag(
            "p",
            f"Without a script this page stays as of {board.face.clock} UTC: ",
            tag("a", "read it again", href="/"),
            ", or ",
            tag("a", f"let it do so every {REFRESH_S} s", href="/?refresh=1"),
            ".",
            class_="note",
        ),
    )


def _section(title: str, *children: Child, **attributes: str) -> Markup:
    key = "h-" + "-".join(title.lower().split())
    return tag("section", tag("h2", title, id=key), *children, aria_labelledby=key, **attributes)


def _live(board: Board, name: str) -> Markup:
    return tag("div", board.part(name), id=name, class_="part", data_part=name)


def _charts(board: Board) -> Markup:
    """Which one is seen is chosen by style alone."""
    chosen = [
        joined(
            tag("input", type="radio", name="span", id=f"span-{span}", checked=not number),
            tag("label", span, for_=f"span-{span}"),
        )
        for number, span in enumerate(SPANS)
    ]
    pictures = (tag("div", _live(board, f"chart-{span}"), class_=f"of-{span}") for span in SPANS)
    return tag("fieldset", tag("legend", "Over the last", class_="hidden"), *chosen, *pictures, class_="spans")


def _happened(board: Board, visit: Visit) -> Markup:
    """Orders, fills, errors, vetoes. Where only some are asked for, the page says so."""
    parts = []
    for name, render in HAPPENED.items():
        shown = render(board.state, visit.query) if visit.query else board.part(name)
        part = tag("div", shown, id=name, class_="part filtered", data_part=name)
        parts += [tag("h3", _TITLES[name]), part]
    note = tag("p", f"Only what has {visit.query!r} in it is shown.", class_="note") if visit.query else None
    search = forms.search(visit.query, "/#h-what-happened", "Filter by words")
    return _section("What happened", search, note, *parts)


def _footer(override: str | None) -> Markup:
    links = [tag("a", "All events", href="/log")]
    if override is not None:
        links.append(tag("a", "Wardens: agree to an override", href=override))
    return tag("footer", tag("nav", *_spaced(links), aria_label="More"), tag("p", "Times are in UTC.", class_="note"))


def _spaced(links: Iterable[Markup]) -> list[Markup]:
    return [joined(link, text(" ")) for link in links]
