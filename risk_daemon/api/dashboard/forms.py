"""What an operator can do on the page, as forms that work without a script too."""

from __future__ import annotations

from collections.abc import Iterable

from risk_daemon.api.dashboard.html import Child, Markup, joined, tag
from risk_daemon.api.dashboard.sessions import Session

ALL = "all"
EVERYTHING = "everything"
REASON_MAX = 500
_GONE_HALT = (
    "The guard is gone, so nothing can be halted from here. Its gate is shut without it; what is open stays open: ",
    tag("code", "risk-daemon cancel-all"),
    " at its terminal cancels every order.",
)
_GONE_ACK = (
    "The guard is gone, so nothing can be acknowledged from here: ",
    tag("code", "risk-daemon alerts ack"),
    " at its terminal does.",
)


def signed(session: Session) -> Markup:
    """What tells a form of this session from one of another site."""
    return tag("input", type="hidden", name="csrf", value=session.csrf)


def halt(session: Session, venues: Iterable[str], bots: Iterable[str] | None, said: Markup | None) -> Markup:
    """The whole section. bots None: they are not known. said: what came of the last try."""
    if not session.may_act:
        return tag("p", "This is a viewer's session: it sees everything and can do nothing.", class_="none")
    options = [
        tag("option", "Everything: cancel all orders, and end", value=ALL),
        *(tag("option", f"Venue {name}: no new orders there", value=f"venue:{name}") for name in venues),
        *(tag("option", f"Bot {name}: no new orders of it", value=f"bot:{name}") for name in bots or ()),
    ]
    return joined(
        tag(
            "form",
            signed(session),
            _field("What", "halt-what", tag("select", *options, id="halt-what", name="what")),
            _field("Reason", "halt-reason", _words("halt-reason", "reason", maxlength=REASON_MAX)),
            _field(
                "To confirm, type its name, or everything",
                "halt-confirm",
                _words("halt-confirm", "confirm", maxlength=80, spellcheck="false", autocapitalize="none"),
            ),
            tag("button", "Halt", class_="danger"),
            _while_gone(*_GONE_HALT),
            id="halt-form",
            method="post",
            action="/page/halt",
            class_="fields",
        ),
        tag("p", "The bots are not known: the file of tokens can't be read.", class_="note") if bots is None else None,
        tag("p", said, id="halt-said", role="alert", tabindex=-1, class_="said"),
        tag(
            "p",
            "A halt is ended at the daemon's terminal: ",
            tag("code", "risk-daemon release"),
            " or ",
            tag("code", "risk-daemon reset"),
            ".",
            class_="note",
        ),
    )


def acknowledge(session: Session, *, is_needed: bool) -> Markup | None:
    """Somebody has heard of the trip."""
    if not session.may_act:
        return None
    return tag(
        "form",
        signed(session),
        tag("button", "I have heard of it: acknowledge"),
        _while_gone(*_GONE_ACK),
        id="ack-form",
        method="post",
        action="/page/ack",
        hidden=not is_needed,
    )


def login(said: str | None) -> Markup:
    return tag(
        "form",
        _field(
            "Token",
            "token",
            tag(
                "input",
                id="token",
                name="token",
                type="password",
                autocomplete="off",
                required=True,
                autofocus=True,
                maxlength=200,
                aria_describedby="token-help",
            ),
        ),
        tag(
            "p",
            "Made by ",
            tag("code", "risk-daemon token create --role operator"),
            ", or ",
            tag("code", "viewer"),
            " to look only.",
            id="token-help",
            class_="note",
        ),
        tag("button", "Log in"),
        tag("p", said, role="alert", class_="said") if said else None,
        method="post",
        action="/login",
        class_="fields",
    )


def logout(session: Session) -> Markup:
    return tag(
        "form",
        signed(session),
        tag("span", f"{session.name}, {session.role}", class_="who"),
        tag("button", "Log out", class_="quiet"),
        method="post",
        action="/logout",
    )


def search(query: str, action: str, label: str) -> Markup:
    """Without a script it asks for the page anew."""
    return tag(
        "form",
        _field(
            label,
            "filter",
            tag("input", id="filter", name="q", type="search", value=query, maxlength=200, autocomplete="off"),
        ),
        tag("button", "Filter", class_="quiet"),
        tag("span", id="filtered", role="status", class_="note"),
        id="filter-form",
        method="get",
        action=action,
        role="search",
        class_="inline",
    )


def _while_gone(*words: Child) -> Markup:
    """Why a button does nothing: shown by the script once nobody answers."""
    return tag("p", *words, class_="gone note", role="status", hidden=True)


def _field(label: str, of: str, control: Markup) -> Markup:
    return tag("p", tag("label", label, for_=of), control)


def _words(of: str, name: str, **more: str | int) -> Markup:
    return tag("input", id=of, name=name, type="text", required=True, autocomplete="off", **more)
