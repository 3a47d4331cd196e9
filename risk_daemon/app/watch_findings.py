"""What `check` says of the watch: whether anybody would tell that the guard is gone, as far as that shows from here."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.settings import Settings
from risk_daemon.state.directory import is_owned

_VAR_LIB = Path("/var/lib")
_OWN = "risk-daemon"  # what `install-service` names its guards by, and WATCH their watches
_WATCH = "risk-daemon-watch"


def watch_findings(settings: Settings, var_lib: Path = _VAR_LIB) -> list[Finding]:
    """One sentence. var_lib: where systemd keeps what units keep.

    A watch holds a directory of its own: beside the guard's state, in the place of the unit that `install-service`
    writes, or wherever `--directory` says, which nobody can know here.
    """
    places = _places(settings, var_lib)
    looks = {place: _is_running(place) for place in places}
    running = [place for place, runs in looks.items() if runs is True]
    hidden = [place for place, runs in looks.items() if runs is None]
    left = [place for place in places if looks[place] is False and place.is_dir()]
    if running:
        return [_finding(Level.OK, f"`risk-daemon watch` runs, its place is {running[0]}")]
    if hidden:
        ask = f"`systemctl is-active {_unit(settings)}` tells, or `check` as root"
        return [_finding(Level.NOTE, f"whether a watch runs can't be seen from here, {hidden[0]} is not ours: {ask}")]
    if left:
        said = f"NOBODY TELLS WHEN THE GUARD IS GONE: the watch whose place is {left[0]} does not run"
        return [_finding(Level.WARNING, said)]
    looked = " or ".join(str(place) for place in places)
    said = (
        f"no watch was ever here ({looked}), and whether one runs from another place or machine can't be known here:"
        " without `risk-daemon watch` nobody tells when the guard is gone; see docs/alerts.md"
    )
    return [_finding(Level.NOTE, said)]


def _finding(level: Level, sentence: str) -> Finding:
    return Finding(level, "watch", sentence)


def _is_running(place: Path) -> bool | None:
    """None: that can't be seen."""
    try:
        return is_owned(place)
    except OSError:
        return None


def _places(settings: Settings, var_lib: Path) -> list[Path]:
    found = [settings.state.dir / "watch"]
    instance = _instance(settings)
    return found if instance is None else [*found, var_lib / f"{_WATCH}{instance}"]


def _instance(settings: Settings) -> str | None:
    """What follows `risk-daemon` in the names of an installed guard; None where its file is not in such a place."""
    name = settings.file.absolute().parent.name
    return name.removeprefix(_OWN) if name == _OWN or name.startswith(f"{_OWN}-") else None


def _unit(settings: Settings) -> str:
    instance = _instance(settings)
    return f"{_WATCH}@{instance[1:]}" if instance else _WATCH
