"""Asking wardens from a terminal: where they agree, how far it is, how it ended. Said beside the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import typer

from risk_daemon.cli import remote
from risk_daemon.cli.common import accepted
from risk_daemon.errors import UsageError

_EVERY_S = 0.5


class Told:
    """Tells people what happens to an attempt, each thing once."""

    def __init__(self) -> None:
        self._given: tuple[str, ...] | None = None
        self._stage = ""

    def opened(self, asked: Mapping[str, Any]) -> None:
        """Where wardens are asked, and for a new one the code for their app."""
        if asked.get("uri"):
            _show_codes(str(asked["uri"]))
        needed = asked["needed"]
        who = f"{needed} warden{'s' if needed != 1 else ''} must agree" if needed else "The new warden goes on"
        minutes = float(asked["lasts_s"]) / 60
        _say(f"{who}, within {minutes:.0f} minutes, on this machine or through a tunnel to it:")
        _say(f"  {asked['address']}")
        _say(f"  code {asked['code']}")
        _say(f"  or both at once: {asked['address']}#{asked['code']}")
        _say("Whoever has the code sees what it is about. Ctrl-C withdraws it.")

    def moved(self, view: Mapping[str, Any]) -> None:
        """How far it is, if that is new."""
        given, stage = tuple(view["given"]), str(view["stage"])
        if self._given != given and view["needed"] and given:
            _say(f"{len(given)} of {view['needed']} agreed: {', '.join(given)}")
        if stage == "enroll" and self._stage == "agree":
            _say(f"Now {view['enrolls']} goes on, on the same page.")
        self._given, self._stage = given, stage


def done_or_asked(socket: Path, answer: remote.Answer) -> Mapping[str, Any]:
    """What was done; where wardens are asked first, what it came to. Raises UsageError for anything less."""
    if answer.status != HTTPStatus.ACCEPTED:
        return accepted(answer)
    told, attempt = Told(), str(answer.body["attempt"])
    try:
        told.opened(answer.body)
        return ended(_followed(socket, attempt, told))
    except KeyboardInterrupt:
        remote.request(socket, "POST", "/api/v1/override/withdraw", {"attempt": attempt})
        raise UsageError("withdrawn, nothing was changed") from None


def ended(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result of an attempt that was carried out. Raises UsageError for one that was not."""
    end = view["end"]
    if end["done"] is not True:
        raise UsageError(f"not done: {end['told']}")
    return {"accepted": True, "reason": end["told"], "agreed": list(view["given"])}


def _followed(socket: Path, attempt: str, told: Told) -> Mapping[str, Any]:
    while True:
        view = accepted(remote.request(socket, "GET", "/api/v1/override"))
        if view.get("attempt") != attempt:
            raise UsageError("not done: another attempt was begun")
        told.moved(view)
        if view["stage"] == "ended":
            return view
        time.sleep(_EVERY_S)


def _show_codes(uri: str) -> None:
    import segno

    _say("Read this with an authenticator app (it is not shown again):")
    segno.make(uri, error="l").terminal(out=sys.stderr, compact=True)
    _say(f"or type its secret: {uri.partition('secret=')[2].partition('&')[0]}")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
