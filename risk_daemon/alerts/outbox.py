"""What each channel still owes, and the file that all of it survives in.

A trip has a lane of its own in every channel: what was there before does not delay it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.routing import HEARTBEAT, is_trip
from risk_daemon.errors import InvariantError
from risk_daemon.state.files import json_text, replace_file
from risk_daemon.state.worker import Run

_LOG = structlog.get_logger(__name__)

LANE_MAX = 100
RETRY_EVERY_S = 1.0
AT_MOST_EVERY_S = 0.05


class Lane(StrEnum):
    """Two of each channel, emptied at once."""

    TRIP = "trip"
    OTHER = "other"


def lane_of(alert: Alert) -> Lane:
    return Lane.TRIP if is_trip(alert) else Lane.OTHER


class Outbox:
    """In memory. missed: how many a channel never got, for whatever reason; told once it works again.

    What a channel owes that is not there, for it is renamed or its secret is missing, is kept until it is back.
    """

    def __init__(self, channels: Iterable[str]) -> None:
        self._lanes: dict[str, dict[Lane, deque[Alert]]] = {name: {lane: deque() for lane in Lane} for name in channels}
        self._elsewhere: dict[str, list[Alert]] = {}
        self.missed: dict[str, int] = dict.fromkeys(self._lanes, 0)

    def put(self, channel: str, alert: Alert) -> bool:
        """Owe it. False: it would say nothing that is not owed already, or it is not known where to send it."""
        lanes = self._lanes.get(channel)
        if lanes is None:
            return False
        lane = lanes[lane_of(alert)]
        if any(_says_the_same(owed, alert) for owed in lane):
            return False
        if len(lane) >= LANE_MAX:
            lane.popleft()
            self.missed[channel] += 1
        lane.append(alert)
        return True

    def first(self, channel: str, lane: Lane) -> Alert | None:
        """What is to be sent next."""
        owed = self._lanes[channel][lane]
        return owed[0] if owed else None

    def postpone(self, channel: str, alert: Alert) -> None:
        """Have the others of its lane go first: one that is refused again and again must not keep them."""
        owed = self._lanes[channel][lane_of(alert)]
        if owed and owed[0].alert_id == alert.alert_id:
            owed.rotate(-1)

    def settle(self, channel: str, alert: Alert) -> None:
        """It is not owed any more."""
        lanes, lane = self._lanes[channel], lane_of(alert)
        lanes[lane] = deque(owed for owed in lanes[lane] if owed.alert_id != alert.alert_id)

    def owed(self, channel: str) -> list[Alert]:
        """Everything, trips first."""
        return [alert for lane in self._lanes[channel].values() for alert in lane]

    def document(self) -> dict[str, Any]:
        """Each alert once, however many owe it."""
        owed = {**self._elsewhere, **{name: self.owed(name) for name in self._lanes}}
        alerts = {alert.alert_id: alert for of_one in owed.values() for alert in of_one}
        return {
            "alerts": {alert_id: alert.document() for alert_id, alert in alerts.items()},
            "owed": {name: [alert.alert_id for alert in of_one] for name, of_one in owed.items()},
            "missed": dict(self.missed),
        }

    def restore(self, document: Mapping[str, Any], keeps: Callable[[Alert], bool] = lambda _: True) -> None:
        """What is owed. keeps: whether it still matters to a channel that is not there.

        Raises KeyError, TypeError or ValueError, and takes nothing then.
        """
        alerts = {alert_id: Alert.restored(one) for alert_id, one in document["alerts"].items()}
        owed = [(name, alerts[alert_id]) for name, ids in document["owed"].items() for alert_id in ids]
        missed = {str(name): int(count) for name, count in document["missed"].items()}
        for name, count in missed.items():
            if count:
                self.missed[name] = self.missed.get(name, 0) + count
        for name, alert in owed:
            if name in self._lanes:
                self.put(name, alert)
            elif keeps(alert):
                self._elsewhere.setdefault(name, []).append(alert)
        if self._elsewhere:
            _LOG.warning("alerts_without_channel", channels=sorted(self._elsewhere))


def _says_the_same(owed: Alert, alert: Alert) -> bool:
    """A repeat of what is still owed, or another heartbeat."""
    is_repeat = is_trip(alert) and owed.trip_id is not None and owed.trip_id == alert.trip_id
    return owed.alert_id == alert.alert_id or is_repeat or owed.event == alert.event == HEARTBEAT


class KeptFile:
    """One document in one file, replaced whole soon after it changed. `run`: on a thread of its own."""

    def __init__(self, path: Path, document: Callable[[], Mapping[str, Any]], run: Run) -> None:
        self._path = path
        self._document = document
        self._run = run
        self._changed = asyncio.Event()
        self._is_failing = False
        self.was_damaged = False

    def read(self) -> Mapping[str, Any] | None:
        """What was kept; None: nothing was. Blocks. What can't be read is said, set aside, and nothing then.

        was_damaged: whether it was.
        """
        try:
            found = json.loads(self._path.read_bytes())
            if isinstance(found, dict):
                return found
            raise ValueError("it is not an object")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self.set_aside(str(error))
            return None

    def set_aside(self, why: str) -> None:
        """Keep what can't be understood for whoever wants to look. Blocks."""
        self.was_damaged = True
        _LOG.critical("alerts_not_restored", path=str(self._path), error=why)
        try:
            os.replace(self._path, self._path.with_name(f"{self._path.name}.damaged"))
        except OSError as error:
            _LOG.error("alerts_not_set_aside", path=str(self._path), error=str(error))

    def touch(self) -> None:
        """It changed."""
        self._changed.set()

    async def keep(self) -> None:
        """Save whenever it changed, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            is_saved = await self.save()
            if not is_saved:
                self._changed.set()
            await asyncio.sleep(AT_MOST_EVERY_S if is_saved else RETRY_EVERY_S)

    async def save(self) -> bool:
        """Save now. False, and told once, where it can't be done: what is owed is sent all the same."""
        try:
            await self._run(self._write, json_text(self._document()).encode("ascii"))
        except (OSError, InvariantError) as error:
            if not self._is_failing:
                _LOG.critical("alerts_not_kept", path=str(self._path), error=str(error))
            self._is_failing = True
            return False
        self._is_failing = False
        return True

    def _write(self, data: bytes) -> None:
        replace_file(self._path, data, mode=0o600, durable=True)
